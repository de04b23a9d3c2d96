"""gg.save and gg.load: everything comes back exactly, and bad files are refused in words."""

from __future__ import annotations

import builtins
import math
import pickle
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import gpugrad as gg
from gpugrad import nn, saving
from gpugrad.errors import DeviceError, FileError, OptionError
from gpugrad.saving import load, save


def back(obj, tmp_path):
    save(obj, tmp_path / "file.safetensors")
    return load(tmp_path / "file.safetensors")


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**80),
        0.1,
        5e-324,
        math.inf,
        -math.inf,
        "",
        "naïve \N{SNOWMAN} \x00",
        [],
        {},
        (),
        [1, [2, (3, [None])], ()],
        {"a": {"b": {}}, "": [True]},
        {1: "int", "1": "str", None: 0, True + 1: "two", 1.5: "float", math.inf: 1},
    ],
    ids=repr,
)
def test_plain_values_come_back_exactly(value, tmp_path):
    again = back(value, tmp_path)
    assert again == value
    assert repr(again) == repr(value)  # 1, 1.0 and True are equal, but not the same


def test_nan_and_negative_zero_come_back(tmp_path):
    nan, zero = back([math.nan, -0.0], tmp_path)
    assert math.isnan(nan)
    assert math.copysign(1, zero) == -1


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float32"])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 4)])
def test_tensors_come_back_bit_by_bit(dtype, shape, tmp_path):
    array = (np.arange(math.prod(shape)).reshape(shape) * 1.7 - 3).astype(dtype)
    again = back({"x": gg.asarray(array)}, tmp_path)["x"]
    assert again.shape == shape
    assert again.dtype == array.dtype
    assert again.numpy().tobytes() == array.tobytes()


def test_strided_tensors_and_parameters_come_back(tmp_path):
    array = np.arange(12.0).reshape(3, 4)
    leaf = gg.tensor([1.0, math.nan], requires_grad=True)
    again = back([gg.asarray(array.T[::2]), leaf], tmp_path)
    assert again[0].tolist() == array.T[::2].tolist()
    assert not again[1].requires_grad
    assert again[1].numpy().tobytes() == leaf.detach().numpy().tobytes()


def test_paths_that_collide_keep_their_tensors_apart(tmp_path):
    state = {
        "a.b": gg.tensor(1),
        "a": {"b": gg.tensor(2)},
        3: gg.tensor(3),
        "3": gg.tensor(4),
        "__metadata__": gg.tensor(5),
        "": gg.tensor(6),
    }
    again = back(state, tmp_path)
    assert again["a.b"].item() == 1
    assert again["a"]["b"].item() == 2
    assert [again[key].item() for key in (3, "3", "__metadata__", "")] == [3, 4, 5, 6]


def test_numpy_scalars_become_python_numbers(tmp_path):
    again = back({np.int64(3): np.float32(0.1), "flag": np.bool_(True)}, tmp_path)
    assert again == {3: float(np.float32(0.1)), "flag": True}
    assert type(again[3]) is float


def test_a_state_dict_is_readable_by_other_libraries(tmp_path):
    model = nn.Linear(3, 2)
    save(model.state_dict(), tmp_path / "model.safetensors")
    found = load_file(tmp_path / "model.safetensors")
    assert set(found) == {"weight", "bias"}
    np.testing.assert_array_equal(found["weight"], model.weight.detach().numpy())


def test_files_of_other_libraries_give_a_flat_dict(tmp_path):
    save_file({"w": np.arange(3.0)}, tmp_path / "other.safetensors", {"format": "pt"})
    assert load(tmp_path / "other.safetensors")["w"].tolist() == [0.0, 1.0, 2.0]


def test_equal_objects_give_equal_files(tmp_path):
    state = {"w": gg.tensor([1.0, 2.0]), "n": {"m": gg.tensor(3)}, "k": 4}
    save(state, tmp_path / "a.safetensors")
    save(state, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_loaded_tensors_can_be_trained(tmp_path):
    weight = back(gg.tensor([1.0, 2.0]), tmp_path).requires_grad_()
    optimizer = gg.optim.SGD([weight], lr=0.5)
    weight.sum().backward()
    optimizer.step()
    assert weight.tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (nn.Linear(2, 2), "save: a Linear cannot be saved whole.*\n.*save model.state_dict()"),
        ({"net": [nn.Linear(2, 2)]}, "a Linear at 'net.0' cannot be saved whole"),
        (gg.Generator(0), r"a Generator cannot.*\n.*save generator.state_dict\(\)"),
        ({"a": np.zeros(2)}, r"a ndarray at 'a' cannot be saved\n.*gg.asarray"),
        ([print], "a builtin_function_or_method at '0' cannot be saved"),
        ({"s": {1, 2}}, r"a set at 's' cannot be saved\n  help: nested dicts"),
        ({(1, 2): 3}, r"the object has a key of type tuple: \(1, 2\)\n  help: keys may be"),
        (b"bytes", "a bytes cannot be saved"),
        (1j, "a complex cannot be saved"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_saved_is_refused_by_path(obj, message, tmp_path):
    with pytest.raises(OptionError, match=message):
        save(obj, tmp_path / "file.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_container_in_itself_is_refused(tmp_path):
    loop = {"a": []}
    loop["a"].append(loop)
    with pytest.raises(OptionError, match=r"'a\.0' contains itself"):
        save(loop, tmp_path / "file.safetensors")


def test_the_same_container_twice_is_no_loop(tmp_path):
    part = [1]
    assert back([part, part], tmp_path) == [[1], [1]]


def test_an_unwritable_place_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(FileError, match=r"x\.safetensors: cannot write the file: No such file"):
        save(1, tmp_path / "no" / "x.safetensors")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="cannot write the file"):
        save(1, tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.safetensors"
    save("old", path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving.os, "fsync", full)
    with pytest.raises(FileError, match="No space left on device"):
        save("new", path)
    assert load(path) == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file.safetensors"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file.safetensors"
    save({"w": gg.tensor(np.arange(100.0)), "epoch": 3}, path)
    return path


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileError, match=r"gone\.safetensors: there is no such file\n  looked in: "):
        load(tmp_path / "gone.safetensors")
    with pytest.raises(FileError, match="cannot read the file"):
        load(tmp_path)


@pytest.mark.parametrize("kept", [0, 5, 8, 9, 60, -8, -1])
def test_a_truncated_file_says_what_it_should_hold(file, kept):
    content = file.read_bytes()
    file.write_bytes(content[:kept])
    with pytest.raises(FileError, match=r"the file is truncated\n  expected: at least \d+ bytes"):
        load(file)


def test_every_flipped_byte_is_noticed(file):
    content = file.read_bytes()
    for position in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[position] ^= 0x15
        file.write_bytes(damaged)
        with pytest.raises(FileError, match=r"file\.safetensors: "):
            load(file)


def test_a_changed_element_breaks_the_checksum(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(FileError, match=r"the file is corrupt: its checksum should be \d+, but is"):
        load(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello, this is text", "corrupt: it does not begin as a safetensors file"),
        (struct.pack("<Q", 4) + b"{]]]", "corrupt: its header cannot be read"),
        (struct.pack("<Q", 8) + b'{"a": 1}', "corrupt: its header cannot be read"),
        (pickle.dumps({"w": 1}), r"this is a pickle, not a safetensors file\n.*never unpickles"),
        (b"PK\x03\x04" + bytes(60), "a zip archive, as torch.save and np.savez write it"),
    ],
    ids=["text", "json", "entry", "pickle", "zip"],
)
def test_other_files_are_refused(content, message, tmp_path):
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    with pytest.raises(FileError, match=message):
        load(path)


def test_a_pickle_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path = tmp_path / "trap.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(FileError, match="never unpickles"):
        load(path)
    assert not (tmp_path / "sprung").exists()


def test_a_newer_format_is_refused(file, monkeypatch):
    monkeypatch.setattr(saving, "FORMAT", 2)
    with pytest.raises(FileError, match="has format 1, this gpugrad reads format 2"):
        load(file)


def test_devices(file, device):
    assert load(file, "cpu")["w"].device == gg.device("cpu")
    assert load(file, device)["w"].device == device
    assert load(file)["w"].device == device
    with pytest.raises(DeviceError, match="unknown device"):
        load(file, "abacus")


def test_without_safetensors_the_install_command_is_named(file, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("safetensors"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(FileError, match=r"the package safetensors\n  help: pip install '"):
        load(file)
