"""The simulated device's arrays: as strict as CuPy's, and honest about what was written."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from gpugrad.cuda.simulated.array import SimArray
from gpugrad.cuda.simulated.memory import POOL
from gpugrad.cuda.simulated.module import MODULE as CP

pytestmark = pytest.mark.once  # it is the device, whichever one the tests compute on

X = np.array([[0.5, -1.5, 2.0], [3.0, 0.0, -4.0]])


@pytest.fixture
def x() -> SimArray:
    return CP.asarray(X)


# Nothing moves by itself


@pytest.mark.parametrize(
    "convert",
    [np.asarray, np.array, np.ascontiguousarray, lambda x: np.asarray(x, "float32"),
     lambda x: np.testing.assert_array_equal(x, X), lambda x: np.zeros((2, 3)).__setitem__(..., x)],
)  # fmt: skip
def test_it_does_not_become_a_numpy_array_by_itself(x, convert):
    with pytest.raises(TypeError, match=r"Implicit conversion to a NumPy array is not allowed"):
        convert(x)


@pytest.mark.parametrize(
    "number", [float, int, bool, lambda x: [1, 2][x], lambda x: "yes" if x else "no"]
)
def test_it_does_not_become_a_number_by_itself(number):
    with pytest.raises(TypeError, match=r"write \.item\(\)"):
        number(CP.asarray(1))


@pytest.mark.parametrize(
    "mix",
    [lambda x: x + X, lambda x: X + x, lambda x: CP.add(x, X), lambda x: CP.concatenate([x, X]),
     lambda x: CP.where(X > 0, x, 0.0), lambda x: x @ X.T, lambda x: x[np.array([0])],
     lambda x: x.__setitem__(0, X[0]), lambda x: CP.take(x, np.array([0])), lambda x: x.dot(X.T),
     lambda x: np.add(x, X), lambda x: CP.add(x, 1.0, out=X.copy()), lambda x: x == X],
)  # fmt: skip
def test_it_does_not_mix_with_numpy_arrays(x, mix):
    with pytest.raises(TypeError, match=r"Unsupported type .*numpy\.ndarray"):
        mix(x)
    np.testing.assert_array_equal(x.get(), X)


def test_to_the_host_on_purpose(x):
    host = x.get()
    host[0, 0] = 7.0  # a copy
    np.testing.assert_array_equal(x.get(), X)
    np.testing.assert_array_equal(CP.asnumpy(x), X)
    assert x.tolist() == X.tolist()
    assert type(x[0, 0].item()) is float
    with pytest.raises(ValueError, match="size 1"):
        x.item()
    with pytest.raises(TypeError):
        x.item(0)  # NumPy's has a place, CuPy's has none


# It computes as NumPy does, and gives arrays


@pytest.mark.parametrize(
    "f",
    [lambda xp, x: x * 2 - 1, lambda xp, x: -x, lambda xp, x: x.T @ x, lambda xp, x: x[1, ::2],
     lambda xp, x: xp.exp(x).sum(axis=0), lambda xp, x: x[x > 0], lambda xp, x: x.reshape(-1)[1:],
     lambda xp, x: xp.where(x > 0, x, 0.0), lambda xp, x: x.astype("float32"),
     lambda xp, x: xp.concatenate([x, x], axis=1), lambda xp, x: xp.argsort(x, axis=1),
     lambda xp, x: 2.0 / (x + 9), lambda xp, x: xp.broadcast_to(x, (4, 2, 3)),
     lambda xp, x: x[:, xp.asarray([2, -1])], lambda xp, x: xp.stack([x, x])],
)  # fmt: skip
def test_it_computes_what_numpy_computes(x, f):
    found = f(CP, x)
    assert type(found) is SimArray
    np.testing.assert_array_equal(found.get(), f(np, X), strict=True)


@pytest.mark.parametrize("f", [lambda x: x.sum(), lambda x: x[0, 0], lambda x: x.max(),
                               lambda x: CP.mean(x)])  # fmt: skip
def test_where_numpy_gives_a_scalar_it_gives_an_array_without_axes(x, f):
    assert type(f(x)) is SimArray
    assert f(x).shape == ()


def test_in_place_operators_keep_the_memory(x):
    pointer = x.data.ptr
    x += 1
    x *= CP.asarray(2.0)
    assert x.data.ptr == pointer
    np.testing.assert_array_equal(x.get(), (X + 1) * 2)


@pytest.mark.parametrize("key", [[2, -3, 5], [7]])
def test_an_index_out_of_range_wraps_around(x, key):
    index = CP.asarray(key)
    wanted = X[:, np.array(key) % 3]
    np.testing.assert_array_equal(x[:, index].get(), wanted)
    np.testing.assert_array_equal(CP.take(x, index, axis=1).get(), wanted)
    rows = CP.asarray([key, key])
    np.testing.assert_array_equal(CP.take_along_axis(x, rows, 1).get(), wanted)


def test_an_integer_out_of_range_is_refused(x):
    with pytest.raises(IndexError, match="out of bounds"):
        x[2]


# Only what CuPy has


@pytest.mark.parametrize("name", ["cumulative_sum", "pinv", "matrix_transpose", "nope"])
def test_a_function_that_cupy_lacks_is_absent(name):
    with pytest.raises(AttributeError, match=f"module 'cupy' has no attribute '{name}'"):
        getattr(CP, name)


@pytest.mark.parametrize("name", ["byteswap", "newbyteorder", "setflags", "ctypes", "resize"])
def test_a_member_that_cupys_array_lacks_is_absent(x, name):
    assert hasattr(X, name) or name == "newbyteorder"  # NumPy 2 dropped it
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
        getattr(x, name)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda x: CP.sum(x, where=x > 0), "where"), (lambda x: CP.max(x, initial=0.0), "initial"),
        (lambda x: CP.take(x, x, mode="wrap"), "mode"), (lambda x: x.sum(where=x > 0), "where"),
        (lambda x: x.max(initial=0.0), "initial"), (lambda x: CP.add(x, x, where=x > 0), "where"),
        (lambda x: CP.clip(x, 0, 1, None, None), "number 5"),
        (lambda x: x.swapaxes(0, 1, 2), "number 3"), (lambda x: x.astype("f4", device=0), "device"),
    ],
)  # fmt: skip
def test_a_parameter_that_cupy_lacks_is_refused(x, call, what):
    with pytest.raises(TypeError, match=rf"cupy\..* has no parameter {what}"):
        call(x)


@pytest.mark.parametrize(
    ("ufunc", "dtype"), [("add", "int64"), ("maximum", "int64"), ("multiply", "float32")]
)
def test_at_is_refused_for_dtypes_that_cupy_has_no_atomic_operation_for(ufunc, dtype):
    a, index = CP.zeros(3, dtype), CP.asarray([0, 0, 2])
    with pytest.raises(TypeError, match=rf"cupy\.{ufunc}\.at only supports"):
        getattr(CP, ufunc).at(a, index, CP.ones(3, dtype))
    CP.add.at(b := CP.zeros(3, "float32"), index, CP.ones(3, "float32"))
    assert b.tolist() == [2.0, 0.0, 1.0]


# Memory


def test_views_share_memory_and_copies_do_not(x):
    for view in (x[1:], x.T, x.reshape(3, 2), x.ravel(), x[:, ::2], x[::-1], x[None]):
        assert CP.may_share_memory(view, x)
        assert view.base is x
    for copied in (x.copy(), x[CP.asarray([0])], x + 0, x.flatten(), CP.array(x), x.T.ravel()):
        assert not CP.may_share_memory(copied, x)
        assert copied.base is None
    x[1:][0, 0] = 7.0
    assert x[1, 0].item() == 7.0


def test_where_an_array_begins(x):
    assert x.data.ptr % 256 == 0
    assert x[1:].data.ptr == x.data.ptr + 24
    assert x[:, ::-1].data.ptr == x.data.ptr + 16
    assert (x.strides, x[:, ::2].strides) == ((24, 8), (24, 16))
    assert (x._c_contiguous, x.T._c_contiguous) == (True, False)
    interface = x.T.__cuda_array_interface__
    assert interface["data"] == (x.data.ptr, False)
    assert (interface["shape"], interface["strides"]) == ((3, 2), (8, 24))


def test_memory_is_counted_and_given_back_when_nobody_holds_it():
    gc.collect()
    before = POOL.used
    a = CP.zeros(1000, "float32")
    view = a[10:]
    assert POOL.used - before == 4000
    del a
    assert POOL.used - before == 4000  # the view has it
    del view
    assert POOL.used == before
