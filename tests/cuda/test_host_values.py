"""What of the host meets tensors of a GPU: nested lists, NumPy scalars, indices; what is refused.

On the CPU the same tests say that the device makes no difference.
"""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import DeviceError, IndexRangeError

X = np.array([1.0, 2.0, 4.0], np.float32)


@pytest.fixture
def x(device):
    """A tensor of the device, in a block where the host is the default."""
    made = gg.tensor(X)
    with gg.default_device("cpu"):
        yield made


# Lists of tensors


@pytest.mark.parametrize("make", [gg.tensor, gg.asarray])
def test_a_list_of_tensors_makes_one_where_they_are(make, x, device):
    for nested, wanted in (
        ([x[0], x[1]], [1, 2]),
        ([[x[1], x[0]], (x[0], x[2])], [[2, 1], [1, 4]]),
    ):
        made = make(nested)
        assert made.device == device
        assert made.dtype == gg.float32
        assert made.tolist() == wanted
    assert make([x[0]], device="cpu").device == gg.device("cpu")
    assert make([1.0, 2.0]).device == gg.device("cpu")


def test_a_list_of_tensors_of_different_devices_is_refused(x, device):
    if device.xp.on_host:
        pytest.skip("needs a second device")
    mixed = [x[0], gg.tensor(2.0)]
    with pytest.raises(
        DeviceError, match=r"on different devices, cuda:0 and cpu\n  help: .*cuda:0"
    ):
        gg.tensor(mixed)
    assert gg.tensor(mixed, device="cpu").tolist() == [1, 2]


# Indices of the host


def _assign(x, key):
    x[key] = 0.0


INDEXING = {
    "read": lambda x, key: x[key],
    "set": lambda x, key: x.at[key].set(0.0),
    "add": lambda x, key: x.at[key].add(1.0),
    "assign": _assign,
    "gradient": lambda x, key: gg.grad(lambda w: w[key].sum())(x),
}
OUTSIDE = {
    "list": ([0, 7], "index 7 is out of bounds for axis 0 with size 3"),
    "array": (np.array([0, 7]), "index 7 is out of bounds for axis 0 with size 3"),
    "few bits": (np.array([[-4]], np.int8), "index -4 is out of bounds for axis 0 with size 3"),
    "second axis": ((slice(None), [0, 2]), "index 2 is out of bounds for axis 1 with size 2"),
    "after an ellipsis": ((..., [-3]), "index -3 is out of bounds for axis 1 with size 2"),
    "after a mask": (([True, False, True], [0, 2]), "index: "),
    "a number": (np.int64(3), "index 3 is out of bounds for axis 0 with size 3"),
}


@pytest.mark.parametrize("key", OUTSIDE)
@pytest.mark.parametrize("use", INDEXING)
def test_an_index_of_the_host_is_looked_at(use, key, x):
    rows = gg.stack([x, x], axis=1)
    key, message = OUTSIDE[key]
    with pytest.raises(IndexRangeError, match=message):
        INDEXING[use](rows, key)


@pytest.mark.parametrize("key", [[-1, 2], np.array([-3, 0], np.int8), [], (None, [2])])
def test_an_index_within_range_is_not_refused(key, x):
    assert x[key].tolist() == X[key].tolist()


@pytest.mark.parametrize(("indices", "message"), [
    ([0, 7], "index 7 is out of bounds for axis 0 with size 4"),
    (np.array([[9]]), "index 9 is out of bounds for axis 0 with size 4"),
    ([-1], "the index -1 is negative"),
])  # fmt: skip
def test_so_is_one_into_an_embedding(indices, message):
    table = gg.nn.Embedding(4, 2)
    with pytest.raises(IndexRangeError, match=message):
        table(indices)
    assert table([0, 3]).shape == (2, 2)


# NumPy's scalars


SCALARS = {
    "float64 * x": (lambda x: np.sqrt(2.0) * x, gg.float64, np.sqrt(2.0) * X.astype(float)),
    "x / float32": (lambda x: x / np.float32(4), gg.float32, X / 4),
    "x ** int64": (lambda x: x ** np.int64(2), gg.float32, X**2),
    "x - float16": (lambda x: x - np.float16(1), gg.float32, X - 1),
    "x > float32": (lambda x: x > np.float32(1), np.bool_, X > 1),
    "clip": (lambda x: gg.clip(x, np.float32(1.5), np.float32(3)), gg.float32, X.clip(1.5, 3)),
    "where": (lambda x: gg.where(x > 1, x, np.float32(0)), gg.float32, X * (X > 1)),
    "take": (lambda x: gg.take(x, np.int64(1)), gg.float32, X[1]),
    "set": (lambda x: x.at[0].set(np.float32(9)), gg.float32, np.array([9, 2, 4])),
    "np.add": (lambda x: np.add(np.float32(1), x), gg.float32, X + 1),
}


@pytest.mark.parametrize("name", SCALARS)
def test_a_numpy_scalar_goes_where_the_tensors_are(name, x, device):
    compute, dtype, wanted = SCALARS[name]
    y = compute(x)
    assert y.device == device
    assert y.dtype == dtype
    np.testing.assert_allclose(y.numpy(), wanted, rtol=1e-6)
    with gg.default_device(device):
        assert gg.exp(np.float32(0)).device == device


def test_its_gradient_is_that_of_a_number(x):
    found = gg.grad(lambda x: (x / np.float32(4)).sum())(x)
    np.testing.assert_allclose(found.numpy(), [0.25] * 3)
