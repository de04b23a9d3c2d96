"""DataLoader: what each batch holds, the order of an epoch, resuming, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gpugrad.data import DataLoader, TensorDataset, load_digits
from gpugrad.device import CPU
from gpugrad.errors import DataError, DeviceError, OptionError, StateError
from gpugrad.making import asarray
from gpugrad.random import Generator, default_generator, manual_seed

N = 23


def rows(n: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Features that tell which row they are, and labels that must stay beside them."""
    labels = np.arange(n)
    return np.stack([labels, 10.0 * labels], axis=1).astype(np.float32), labels


def shuffled(seed: int = 0, **options) -> DataLoader:
    return DataLoader(rows(), batch_size=5, shuffle=True, generator=Generator(seed), **options)


def epoch(loader: DataLoader) -> list[list[int]]:
    return [y.tolist() for _, y in loader]


# What a batch holds


def test_batches_in_order_cover_every_row_once():
    loader = DataLoader(rows(), batch_size=5)
    assert epoch(loader) == [list(range(i, min(i + 5, N))) for i in range(0, N, 5)]
    assert len(loader) == 5


def test_a_shuffled_epoch_is_a_permutation_with_features_beside_their_labels():
    seen = []
    for x, y in shuffled():
        np.testing.assert_array_equal(x.numpy()[:, 0], y.numpy())
        np.testing.assert_array_equal(x.numpy()[:, 1], 10 * y.numpy())
        seen += y.tolist()
    assert sorted(seen) == list(range(N))
    assert seen != list(range(N))


def test_batches_keep_dtype_and_are_contiguous_constants(device):
    x, y = next(iter(shuffled()))
    assert (x.dtype, y.dtype, x.shape, y.shape) == (np.float32, np.int64, (5, 2), (5,))
    assert x.data.flags.c_contiguous
    assert x.device == y.device == device
    assert not x.requires_grad


def test_drop_last_leaves_out_the_batch_that_is_not_full():
    loader = shuffled(drop_last=True)
    assert len(loader) == 4
    assert [len(batch) for batch in epoch(loader)] == [5, 5, 5, 5]


def test_drop_last_keeps_a_last_batch_that_is_full():
    assert len(DataLoader(rows(20), batch_size=5, drop_last=True)) == 4


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_batch_has_memory_of_its_own(shuffle):
    features, labels = rows()
    loader = DataLoader((features, labels), batch_size=4, shuffle=shuffle)
    x, _ = next(iter(loader))
    before = x.numpy().copy()
    features[...] = -1
    np.testing.assert_array_equal(x.numpy(), before)


def test_strided_data_is_made_contiguous_once():
    features, labels = rows()
    wide = np.repeat(features, 2, axis=1)
    loader = DataLoader((wide[:, ::2], labels), batch_size=5, shuffle=True)
    assert all(array.flags.c_contiguous for array in loader._arrays)
    for x, y in loader:
        np.testing.assert_array_equal(x.numpy()[:, 0], y.numpy())


def test_contiguous_data_is_not_copied(device):
    data = TensorDataset(*rows())
    loader = DataLoader(data)
    assert device.xp.may_share_memory(loader._arrays[0], data.tensors[0]._data)


def test_an_array_of_images_keeps_its_axes():
    (x,) = next(iter(DataLoader((np.zeros((6, 8, 8), np.uint8),), batch_size=4, shuffle=True)))
    assert (x.shape, x.dtype) == ((4, 8, 8), np.uint8)


def test_a_dataset_gives_its_features_and_labels():
    x, y = next(iter(DataLoader(load_digits(), batch_size=3)))
    assert (x.shape, y.tolist()) == ((3, 64), [0, 1, 2])


# The order


def test_one_permutation_an_epoch_and_nothing_else_is_drawn():
    generator = Generator(5)
    loader = DataLoader(rows(), batch_size=5, shuffle=True, generator=generator)
    expected = Generator(5)
    for _ in range(3):
        order = expected.permutation(N)
        assert [i for batch in epoch(loader) for i in batch] == order.tolist()
        assert generator.state_dict() == expected.state_dict()


def test_without_shuffle_nothing_is_drawn():
    generator = Generator(5)
    epoch(DataLoader(rows(), generator=generator))
    assert generator.position == 0


def test_one_seed_one_order_and_epochs_differ():
    first, second = shuffled(3), shuffled(3)
    epochs = [epoch(first) for _ in range(3)]
    assert epochs == [epoch(second) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != epoch(shuffled(4))


def test_the_default_generator_is_used_when_none_is_given():
    before = default_generator().state_dict()
    try:
        manual_seed(11)
        loader = DataLoader(rows(), batch_size=5, shuffle=True)
        assert epoch(loader) == epoch(shuffled(11))
    finally:
        default_generator().load_state_dict(before)


def test_leaving_an_epoch_early_starts_a_new_one():
    loader = shuffled()
    iterator = iter(loader)
    next(iterator)
    assert sorted(i for batch in epoch(loader) for i in batch) == list(range(N))


# Resuming


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("given", range(6))
def test_a_resumed_loader_goes_on_with_the_same_batches(shuffle, given):
    def fresh(seed: int) -> DataLoader:
        return DataLoader(rows(), batch_size=5, shuffle=shuffle, generator=Generator(seed))

    loader = fresh(2)
    epoch(loader)
    iterator = iter(loader)
    for _ in range(given):
        next(iterator)
    state = json.loads(json.dumps(loader.state_dict()))
    expected = [y.tolist() for _, y in iterator]
    expected_next = epoch(loader)

    resumed = fresh(99)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert epoch(resumed) == expected
    assert len(expected) == 5 - min(given, 5)
    assert epoch(resumed) == expected_next


def test_a_state_between_epochs_starts_the_next_epoch():
    loader = shuffled(2)
    epoch(loader)
    state = loader.state_dict()
    expected = epoch(loader)
    resumed = shuffled(99)
    resumed.load_state_dict(state)
    assert epoch(resumed) == expected


def test_others_may_draw_from_the_same_generator_during_the_epoch():
    """Dropout draws from the default generator: the order must not depend on it after a resume."""

    def run(loader: DataLoader, steps: int | None) -> list[tuple[list[int], float]]:
        seen = []
        for _, y in loader:
            seen.append((y.tolist(), float(loader.generator.uniform((1,))[0])))
            if len(seen) == steps:
                break
        return seen

    whole = shuffled(7)
    expected = run(whole, None) + run(whole, None)
    stopped = shuffled(7)
    seen = run(stopped, 2)
    state = stopped.state_dict()
    resumed = shuffled(0)
    resumed.load_state_dict(state)
    assert seen + run(resumed, None) + run(resumed, None) == expected


def test_a_resumed_state_is_used_once():
    loader = shuffled(2)
    next(iter(loader))
    resumed = shuffled(2)
    resumed.load_state_dict(loader.state_dict())
    next(iter(resumed))
    assert len(epoch(resumed)) == 5


def test_a_state_with_other_keys_is_refused_by_name():
    state = shuffled().state_dict()
    del state["generator"]
    with pytest.raises(StateError, match=r"missing: \['generator'\]\n  extra: \['seed'\]"):
        shuffled().load_state_dict({**state, "seed": 1})


def test_a_state_of_another_data_set_is_refused():
    with pytest.raises(StateError, match=r"state: 23 examples.*\n  here: 20 examples, 4 batches"):
        DataLoader(rows(20), batch_size=5).load_state_dict(shuffled().state_dict())


def test_a_state_of_another_batch_size_is_refused():
    loader = DataLoader(rows(), batch_size=1)
    iterator = iter(loader)
    for _ in range(9):
        next(iterator)
    with pytest.raises(StateError, match=r"another data set or batch size(.|\n)*9 batches given"):
        shuffled().load_state_dict(loader.state_dict())


# What is refused


@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_size_below_one_is_refused(size):
    with pytest.raises(OptionError, match=rf"batch_size={size} must be at least 1"):
        DataLoader(rows(), batch_size=size)


@pytest.mark.parametrize("size", [2.0, True, "8", None])
def test_a_batch_size_that_is_no_integer_is_refused(size):
    with pytest.raises(OptionError, match=r"must be a whole number"):
        DataLoader(rows(), batch_size=size)


def test_a_generator_that_is_none_is_refused():
    with pytest.raises(OptionError, match=r"generator=3 is no generator\n  help: gg\.Generator"):
        DataLoader(rows(), shuffle=True, generator=3)


def test_an_empty_data_set_is_refused():
    with pytest.raises(DataError, match=r"data set is empty\n  data: TensorDataset\(\(0, 4\)\)"):
        DataLoader((np.zeros((0, 4)),))


def test_drop_last_that_leaves_no_batch_is_refused():
    with pytest.raises(OptionError, match=r"leaves no batch: batch_size=24, but there are 23"):
        DataLoader(rows(), batch_size=24, drop_last=True)


def test_parts_of_different_length_are_refused():
    with pytest.raises(DataError, match="differ in length: 4, 3"):
        DataLoader((np.zeros(4), np.zeros(3)))


def test_a_bare_array_is_refused_with_the_remedy():
    with pytest.raises(DataError, match=r"a ndarray is not a data set\n  help: .*tuple \(x, y\)"):
        DataLoader(np.zeros(4))


@pytest.mark.parametrize(
    ("spec", "message"), [("tpu", "unknown device"), ("cuda:x", r"device\('cuda:x'\)")]
)
def test_an_impossible_device_is_refused(spec, message):
    with pytest.raises(DeviceError, match=message):
        DataLoader(rows(), device=spec)


def test_batches_are_where_the_data_is_or_where_they_are_wanted(device):
    data = TensorDataset(*(asarray(array, device="cpu") for array in rows()))
    assert {t.device for t in next(iter(DataLoader(data)))} == {CPU}
    for shuffle in (False, True):
        loader = DataLoader(data, 5, shuffle, generator=Generator(0), device=device)
        twin = DataLoader(data, 5, shuffle, generator=Generator(0), device="cpu")
        for (x, y), (a, b) in zip(loader, twin, strict=True):
            assert x.device == y.device == device
            assert (x.tolist(), y.tolist()) == (a.tolist(), b.tolist())
