"""Tensors: how they are made, what they show, how they are indexed, written, copied and saved."""

from __future__ import annotations

import copy
import io
import operator
import pickle
import subprocess
import sys

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import (
    DeviceError,
    DtypeError,
    GraphError,
    IndexRangeError,
    NumpyFunctionError,
    OptionError,
    ShapeError,
)

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
EVERY = ("bool", *INTEGERS, *FLOATS)
X = np.array([[0.5, -1.5, 2.0], [3.0, 0.0, -4.0]])


def leaf(values=X):
    return gg.tensor(values, requires_grad=True)


# Construction: dtypes


@pytest.mark.parametrize(
    ("obj", "dtype", "shape"),
    [
        (1.5, "float32", ()),
        (1, "int64", ()),
        (True, "bool", ()),
        ([1.0, 2.0], "float32", (2,)),
        ([1, 2], "int64", (2,)),
        ([1, 2.5], "float32", (2,)),
        ([True, False], "bool", (2,)),
        ([True, 2], "int64", (2,)),
        ((1.0, 2.0), "float32", (2,)),
        ([[1, 2], [3, 4]], "int64", (2, 2)),
        ([], "float32", (0,)),
        ([[], []], "float32", (2, 0)),
        (range(3), "int64", (3,)),
        (np.float64(1.5), "float64", ()),
        (np.float16(1.5), "float16", ()),
        (np.int8(1), "int8", ()),
        ([np.float64(1.5), np.float64(2.5)], "float64", (2,)),
        ([np.float32(1.5)], "float32", (1,)),
        ([np.ones(2), np.ones(2)], "float64", (2, 2)),
        (2**40, "int64", ()),
        (float("nan"), "float32", ()),
    ],
    ids=str,
)
def test_dtype_and_shape_of_python_objects(obj, dtype, shape):
    t = gg.tensor(obj)
    assert (str(t.dtype), t.shape) == (dtype, shape)
    np.testing.assert_array_equal(t.numpy(), np.asarray(obj, dtype))
    assert str(gg.asarray(obj).dtype) == dtype


@pytest.mark.parametrize("dtype", EVERY)
def test_arrays_keep_their_dtype(dtype):
    a = np.array([[0, 1], [1, 1]], dtype)
    for t in (gg.tensor(a), gg.asarray(a), gg.tensor(gg.tensor(a)), gg.asarray(a[:, ::-1])):
        assert t.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(gg.tensor(a).numpy(), a)


@pytest.mark.parametrize("dtype", EVERY)
def test_a_dtype_can_be_asked_for(dtype):
    for spec in (dtype, np.dtype(dtype), getattr(np, dtype if dtype != "bool" else "bool_")):
        t = gg.tensor([0.0, 1.0], dtype=spec)
        assert t.dtype == np.dtype(dtype)
        assert t.tolist() == [0, 1]
    assert gg.asarray(np.array([0, 1]), dtype=dtype).dtype == np.dtype(dtype)


def test_pythons_own_types_as_dtypes():
    assert gg.tensor(1, dtype=float).dtype == gg.float32
    assert gg.tensor(1.0, dtype=int).dtype == gg.int64
    assert gg.tensor(1, dtype=bool).dtype == gg.bool_


def test_dtypes_are_numpys():
    for name in EVERY:
        ours = getattr(gg, name if name != "bool" else "bool_")
        assert ours == np.dtype(name)


def test_a_big_endian_array_is_converted():
    a = np.arange(3, dtype=">f8")
    t = gg.asarray(a)
    assert t.dtype == gg.float64
    assert t.dtype.isnative
    assert t.tolist() == [0.0, 1.0, 2.0]


def test_set_default_dtype():
    gg.set_default_dtype("float64")
    assert gg.tensor(1.0).dtype == gg.float64
    assert (gg.tensor([1, 2]) / 2).dtype == gg.float64
    assert gg.tensor(np.float32(1)).dtype == gg.float32
    assert gg.tensor(1).dtype == gg.int64


# Construction: memory


def address(array):
    """Where an array of either device begins."""
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


def test_tensor_copies(device):
    for a in (np.ones(3), device.put(np.ones(3))):
        t = gg.tensor(a)
        a[0] = 5.0
        assert t.tolist() == [1.0, 1.0, 1.0]
    u = gg.tensor(t)
    assert not device.xp.may_share_memory(u.data, t.data)
    assert gg.tensor(np.ones((2, 3)).T).numpy().flags.c_contiguous


def test_asarray_shares(device):
    a = device.put(np.ones((2, 3)))
    for view in (a, a.T, a[:, ::2], a[::-1], a[0, 0:0]):
        t = gg.asarray(view)
        assert address(t.data) == address(view)
        assert (t.shape, t.data.strides) == (view.shape, view.strides)
    a[0, 0] = 5.0
    assert gg.asarray(a)[0, 0].item() == 5.0


def test_asarray_of_a_tensor_is_that_tensor():
    t = leaf()
    assert gg.asarray(t) is t
    assert gg.asarray(t, dtype="float64") is t
    converted = gg.asarray(t, dtype="float32")
    assert converted.dtype == gg.float32
    assert converted.requires_grad


def test_asarray_of_memory_on_another_device_is_a_copy(device):
    a = np.ones(3)
    t = gg.asarray(a)
    a[0] = 5.0
    assert t.device == device
    assert t.tolist() == [5.0 if device.xp.on_host else 1.0, 1.0, 1.0]
    on_cpu = gg.asarray(t, device="cpu")
    assert (on_cpu is t) == device.xp.on_host
    assert (str(on_cpu.device), on_cpu.tolist()) == ("cpu", t.tolist())


def test_asarray_copy(device):
    a = device.put(np.ones(3))
    shared = device.xp.may_share_memory
    assert not shared(gg.asarray(a, copy=True).data, a)
    assert shared(gg.asarray(a, copy=False).data, a)
    assert not shared(gg.asarray(a, dtype="float32").data, a)
    for obj, dtype in ([1.0], None), (a, "float32"), (1.0, None):
        with pytest.raises(
            OptionError, match=r"asarray\(copy=False\): .* cannot be shared as it is"
        ):
            gg.asarray(obj, dtype=dtype, copy=False)


def test_asarray_of_dlpack(device):
    class Foreign:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    a = np.ones(3)
    assert gg.asarray(Foreign(a)).device == device
    if device.xp.on_host:
        assert np.shares_memory(gg.asarray(Foreign(a)).data, a)
        assert not np.shares_memory(gg.tensor(Foreign(a)).data, a)
    x = gg.tensor([1.0, 2.0, 3.0], dtype="float64", requires_grad=True)
    loss = (x * gg.asarray(Foreign(a))).sum()
    a[:] = 7.0
    loss.backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


def test_requires_grad_at_construction():
    assert gg.tensor([1.0], requires_grad=True).requires_grad
    assert not gg.tensor(leaf()).requires_grad
    assert not gg.asarray(X).requires_grad


# Construction: refusals


@pytest.mark.parametrize(
    ("obj", "error", "message"),
    [
        (1j, DtypeError, "complex128.* is no dtype of gpugrad\n  help: choose one of bool, int8"),
        (np.ones(2, complex), DtypeError, "complex128"),
        ("text", DtypeError, "no dtype of gpugrad"),
        (["a", "b"], DtypeError, "no dtype of gpugrad"),
        (b"bytes", DtypeError, "no dtype of gpugrad"),
        (None, DtypeError, "no dtype of gpugrad"),
        ([1.0, None], DtypeError, "no dtype of gpugrad"),
        ({"a": 1}, DtypeError, "no dtype of gpugrad"),
        (object(), DtypeError, "no dtype of gpugrad"),
        (np.array([object()]), DtypeError, "no dtype of gpugrad"),
        (np.datetime64("2020-01-01"), DtypeError, "no dtype of gpugrad"),
        (np.zeros(2, [("a", float)]), DtypeError, "no dtype of gpugrad"),
        (np.longdouble(1), DtypeError, "no dtype of gpugrad"),
        (np.ma.masked_array([1.0], [True]), DtypeError,
         r"a masked array has no tensor form\n  help: fill it with obj\.filled"),
        ([[1.0, 2.0], [3.0]], ShapeError, "nested lists of different lengths make no tensor"),
        ([1.0, [2.0]], ShapeError, "nested lists of different lengths make no tensor"),
        ([np.ones(2), np.ones(3)], ShapeError, "different lengths"),
        (2**70, DtypeError, "no dtype of gpugrad"),
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("make", [gg.tensor, gg.asarray])
def test_what_cannot_be_a_tensor_says_why(make, obj, error, message):
    with pytest.raises(error, match=message):
        make(obj)


@pytest.mark.parametrize(
    "dtype", ["complex64", "float128x", "O", "S3", object, 17, "datetime64[s]"]
)
def test_unknown_dtypes_are_named(dtype):
    for call in (lambda: gg.tensor(1, dtype=dtype), lambda: gg.ones(2).astype(dtype),
                 lambda: gg.ones(2).to(dtype), lambda: gg.set_default_dtype(dtype)):  # fmt: skip
        with pytest.raises(DtypeError, match="is no dtype of gpugrad\n  help: choose one of bool"):
            call()


@pytest.mark.parametrize("spec", ["cuda:99", "cuda"])
def test_a_device_that_is_not_there(spec):
    if spec == "cuda" and gg.cuda.is_available():
        return
    for call in (lambda: gg.tensor(1, device=spec), lambda: gg.device(spec),
                 lambda: gg.ones(2).to(spec), lambda: gg.asarray(X, device=spec),
                 lambda: gg.ones(2).to(spec.partition(":")[0]).to(spec)):  # fmt: skip
        with pytest.raises(DeviceError, match=r"device\('cuda(:99)?'\): .*\n  help: "):
            call()


@pytest.mark.parametrize("spec", ["gpu", "cpu:x", "tpu", "", 3])
def test_an_unknown_device(spec):
    with pytest.raises(DeviceError, match="unknown device\n  help: use 'cpu', 'cuda'"):
        gg.device(spec)
    with pytest.raises(DeviceError, match="unknown device"):
        gg.tensor(1.0, device=spec)


def test_a_list_of_tensors():
    t = gg.tensor([gg.tensor([1.0, 2.0]), gg.tensor([3.0, 4.0])])
    assert t.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert gg.tensor([gg.tensor(1, dtype="int8")]).dtype == gg.int8
    with pytest.raises(GraphError, match=r"which a copy would drop\n  help: gg\.stack"):
        gg.tensor([leaf()])
    with pytest.raises(GraphError, match="an element requires a gradient"):
        gg.tensor([[1.0, leaf(2.0)]])


# What it shows


def test_attributes(device):
    t = gg.tensor(X)
    assert (t.shape, t.ndim, t.size, len(t)) == ((2, 3), 2, 6, 2)
    assert t.T.shape == (3, 2)
    assert t.mT.shape == (3, 2)
    assert t.device == device
    assert str(t.device) == ("cpu" if device.xp.on_host else "cuda:0")
    assert t.is_leaf
    assert t.grad is None


def test_item_tolist_and_conversions():
    t = gg.tensor([[2.5]])
    assert t.item() == 2.5
    assert type(t.item()) is float
    assert float(t) == 2.5
    assert int(t) == 2
    assert bool(t) is True
    assert f"{gg.tensor(2.5):.2f}" == "2.50"
    assert gg.tensor(X).tolist() == X.tolist()
    assert type(gg.tensor([1]).item()) is int
    assert type(gg.tensor(True).item()) is bool
    assert leaf([3.0]).item() == 3.0
    assert gg.tensor(2).tolist() == 2


def test_an_integer_tensor_is_an_index(device):
    assert [10, 20, 30][gg.tensor(2)] == 30
    assert operator.index(gg.tensor([1])) == 1
    assert list(range(gg.tensor(3))) == [0, 1, 2]
    with pytest.raises(
        DtypeError, match=rf"an index must be an integer, this is float32 \(\) on {device}"
    ):
        operator.index(gg.tensor(1.0))
    with pytest.raises(DtypeError, match="an index must be an integer, this is bool"):
        operator.index(gg.tensor(True))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: t.item(), ShapeError,
         r"item\(\): needs exactly one element, this is float64 \(2, 3\) on DEVICE\n  help: red"),
        (float, ShapeError, "needs exactly one element"),
        (int, ShapeError, "needs exactly one element"),
        (lambda t: operator.index(t.astype(int)), ShapeError, "needs exactly one element"),
        (bool, ShapeError, r"the truth of float64 \(2, 3\) on DEVICE is ambiguous\n  help: t\.any"),
        (lambda t: bool(t[:0]), ShapeError, "ambiguous"),
        (lambda t: t[:0].item(), ShapeError, "exactly one"),
        (lambda t: len(t[0, 0]), ShapeError, r"len\(\): this tensor has no axes"),
        (lambda t: list(t[0, 0]), ShapeError, r"has no axes\n  help: t\.item\(\)"),
        (lambda t: f"{t:.2f}", ShapeError, "exactly one"),
    ],
)  # fmt: skip
def test_what_needs_one_element_says_so(call, error, message, device):
    with pytest.raises(error, match=message.replace("DEVICE", str(device))):
        call(gg.tensor(X))


def test_iteration_gives_recorded_rows():
    x = leaf()
    rows = list(x)
    assert [r.tolist() for r in rows] == X.tolist()
    (rows[0] * rows[1]).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), X[::-1])
    first, second = gg.tensor([1.0, 2.0])
    assert (first.item(), second.item()) == (1.0, 2.0)


def test_membership_compares_elements():
    assert 3.0 in gg.tensor(X)[1]
    assert 7.0 not in gg.tensor(X)[1]


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: gg.tensor([1.0, 2.0]), "tensor([1., 2.])"),
        (lambda: gg.tensor(1), "tensor(1)"),
        (lambda: gg.tensor([True]), "tensor([ True])"),
        (lambda: gg.tensor([1.0], dtype="float64"), "tensor([1.], dtype=float64)"),
        (lambda: gg.tensor([1], dtype="int8"), "tensor([1], dtype=int8)"),
        (lambda: gg.tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
        (lambda: gg.exp(gg.tensor([0.0], requires_grad=True)), "tensor([1.], from=exp)"),
        (lambda: gg.zeros((0, 3)), "tensor([], shape=(0, 3), dtype=float32)"),
        (lambda: gg.tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
    ],
)
def test_repr(make, shown):
    assert repr(make()) == str(make()) == f"{make()}" == shown


def test_repr_of_a_large_tensor_is_short():
    assert len(repr(gg.zeros((1000, 1000)))) < 500


def test_equality_is_elementwise_and_hash_is_identity():
    a, b = gg.tensor([1.0, 2.0]), gg.tensor([1.0, 3.0])
    assert (a == b).tolist() == [True, False]
    assert (a != b).tolist() == [False, True]
    assert (a == 1.0).tolist() == [True, False]
    assert len({a, b, a}) == 2
    assert {a: 1}[a] == 1
    assert (a == "text") is False
    assert (a != None) is True  # noqa: E711


def test_data_and_numpy_are_read_only_views(device):
    t = gg.tensor(X)
    views = [t.numpy(), leaf().detach().numpy()]
    if device.xp.on_host:
        views += [t.data, np.asarray(t), leaf().data]
    for view in views:
        np.testing.assert_array_equal(view, X)
        assert not view.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0] = 1.0
        with pytest.raises(ValueError, match="read-only"):
            view += 1.0
    if device.xp.on_host:
        assert np.shares_memory(t.data, t.numpy())
    else:
        assert t.data is t.data  # the array itself, not a view made anew


COPIES = {
    "array": np.array,
    "asarray": lambda t: np.asarray(t, dtype="float32"),
    "asarray, a copy": lambda t: np.asarray(t, copy=True),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_by_numpy_is_the_callers_own(name, device):
    t = gg.tensor(X)
    if not device.xp.on_host:  # it would wait for the GPU without a word
        with pytest.raises(DeviceError, match=r"nothing moves by itself\n  help: t\.numpy\(\) cop"):
            COPIES[name](t)
    for copied in (COPIES[name](t.cpu()), t.numpy().copy()):
        copied[0, 0] = 9.0
    assert t[0, 0].item() == t.cpu()[0, 0].item() == 0.5


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.numpy(), np.asarray, np.array, np.from_dlpack, memoryview, np.ascontiguousarray,
        lambda t: np.zeros(2)[:].__setitem__(slice(None), t),
    ],
)  # fmt: skip
@pytest.mark.parametrize("make", [lambda: leaf([1.0, 2.0]), lambda: leaf([1.0, 2.0]) * 2])
def test_a_tensor_that_requires_a_gradient_is_not_handed_out(call, make):
    with pytest.raises((GraphError, NumpyFunctionError, TypeError)) as e:
        call(make())
    if not isinstance(e.value, TypeError) or isinstance(e.value, NumpyFunctionError):
        assert ".detach()" in str(e.value)


def test_dlpack_hands_out_a_copy(device):
    t = gg.tensor(X)
    if device.xp.on_host:
        a = np.from_dlpack(t)
        np.testing.assert_array_equal(a, X)
        assert not np.shares_memory(a, t.data)
    assert t.__dlpack_device__() == ((1, 0) if device.xp.on_host else (2, 0))
    with pytest.raises(GraphError, match=r"help: hand out t\.detach\(\)"):
        leaf().__dlpack__()


def test_to_devices_and_dtypes(device):
    t = gg.tensor(X)
    assert t.to(device) is t
    assert t.to(str(device)) is t
    assert t.to("auto").device == gg.device("auto")
    for on_cpu in (t.to("cpu"), t.to(gg.device("cpu")), t.cpu()):
        assert str(on_cpu.device) == "cpu"
        assert (on_cpu is t) == device.xp.on_host
        assert on_cpu.tolist() == X.tolist()
    assert t.to("float32").dtype == gg.float32
    assert t.to(np.float16).dtype == gg.float16
    assert t.to(gg.float64).tolist() == X.tolist()


def test_astype_records_and_cuts():
    x = gg.tensor([1.5, 2.5], requires_grad=True)
    y = x.astype("float64")
    assert y.requires_grad
    (y * gg.tensor([1.0, 3.0], dtype="float64")).sum().backward()
    assert (x.grad.tolist(), x.grad.dtype) == ([1.0, 3.0], gg.float32)
    assert not x.astype("int64").requires_grad
    assert not x.astype(bool).requires_grad


# Operators and promotion


@pytest.mark.parametrize("dtype", EVERY)
@pytest.mark.parametrize("number", [True, 2, 2.5])
@pytest.mark.parametrize("op", [operator.add, operator.mul, operator.sub])
def test_a_python_number_never_widens_a_tensor(dtype, number, op):
    t = gg.tensor([1, 0], dtype=dtype)
    if dtype == "bool" and op is operator.sub and number is True:
        with pytest.raises(DtypeError, match=r"subtract\(a, b\): numpy boolean subtract"):
            op(t, number)
        return
    kind = np.dtype(dtype).kind
    if isinstance(number, float) and kind != "f":
        wanted = "float32"
    elif kind == "b" and number is not True:
        wanted = "int64"
    else:
        wanted = dtype
    assert op(t, number).dtype == np.dtype(wanted)
    if not (kind == "u" and op is operator.sub):
        assert op(number, t).dtype == np.dtype(wanted)


@pytest.mark.parametrize("integer", ["bool", *INTEGERS])
@pytest.mark.parametrize("floating", FLOATS)
def test_an_integer_tensor_beside_a_float_tensor_takes_its_dtype(integer, floating):
    a, b = gg.ones(2, integer), gg.ones(2, floating)
    for y in (a + b, b * a, a / b, gg.maximum(a, b), gg.concat([a, b]), gg.where(a > 0, a, b),
              gg.stack([a, b]), b - a, a**b):  # fmt: skip
        assert y.dtype == np.dtype(floating)


@pytest.mark.parametrize("integer", ["bool", *INTEGERS])
def test_integers_where_floats_are_needed_take_the_default_float(integer):
    a = gg.ones(2, integer)
    for y in (a / a, a / 2, gg.mean(a), gg.exp(a), gg.sqrt(a), a + 0.5, gg.var(a), gg.sigmoid(a),
              gg.softmax(a), gg.std(a), gg.logsumexp(a)):  # fmt: skip
        assert y.dtype == gg.float32


@pytest.mark.parametrize(("a", "b"), [("float16", "float32"), ("float32", "float64"),
                                      ("float16", "float64"), ("int8", "int32"),
                                      ("uint8", "int16"), ("uint8", "int8"), ("bool", "int8"),
                                      ("int32", "uint32")])  # fmt: skip
def test_two_tensors_promote_as_the_standard_says(a, b):
    wanted = np.promote_types(a, b)
    assert (gg.ones(2, a) + gg.ones(2, b)).dtype == wanted
    assert (gg.ones(2, b) * gg.ones(2, a)).dtype == wanted


def test_no_integer_holds_int64_and_uint64():
    with pytest.raises(
        DtypeError, match=r"no integer dtype holds both .*int64.*\n  help: .*astype"
    ):
        gg.ones(2, "int64") + gg.ones(2, "uint64")


def test_integer_operations_stay_integer():
    a = gg.tensor([7, -7])
    for y, wanted in [(a // 2, [3, -4]), (a % 4, [3, 1]), (a**2, [49, 49]), (-a, [-7, 7]),
                      (abs(a), [7, 7]), (a & 3, [3, 1]), (a | 1, [7, -7]), (a ^ 1, [6, -8]),
                      (~a, [-8, 6]), (a.sum(), 0), (a.prod(), -49), (a.max(), 7)]:  # fmt: skip
        assert y.dtype == gg.int64
        assert y.tolist() == wanted


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32"])
def test_sums_of_small_integers_are_wide(dtype):
    wide = {"u": "uint64"}.get(np.dtype(dtype).kind, "int64")
    assert gg.ones(300, dtype).sum().item() == 300
    assert gg.ones(300, dtype).sum().dtype == np.dtype(wide)


def test_a_number_that_does_not_fit_is_refused():
    with pytest.raises(DtypeError, match=r"add\(a, b\): .*300.* out of bounds for uint8"):
        gg.ones(2, "uint8") + 300


@pytest.mark.parametrize(
    "op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod,
           operator.floordiv, operator.lt, operator.le, operator.gt, operator.ge, operator.eq,
           operator.ne],
)  # fmt: skip
def test_operators_on_either_side_with_numbers_arrays_and_tensors(op):
    a, b = np.array([1.5, 2.0, 3.0]), np.array([2.0, 2.0, 0.5])
    for left, right in [(gg.tensor(a), gg.tensor(b)), (gg.tensor(a), b), (a, gg.tensor(b))]:
        y = op(left, right)
        assert isinstance(y, gg.Tensor)
        np.testing.assert_allclose(y.numpy(), op(a, b))
    for number in (2, 2.0):
        np.testing.assert_allclose(op(gg.tensor(a), number).numpy(), op(a, number))
        np.testing.assert_allclose(op(number, gg.tensor(a)).numpy(), op(number, a))
    np.testing.assert_allclose(op(np.float64(2.0), gg.tensor(a)).numpy(), op(2.0, a))


def test_matmul_operators_with_arrays():
    for y in (gg.tensor(X) @ X.T, X @ gg.tensor(X.T), gg.tensor(X) @ gg.tensor(X.T)):
        assert isinstance(y, gg.Tensor)
        np.testing.assert_allclose(y.numpy(), X @ X.T)


@pytest.mark.parametrize(
    ("name", "args", "options"),
    [
        ("sum", (), {"axis": 0}), ("mean", (), {"axis": 1, "keepdims": True}), ("max", (1,), {}),
        ("min", (), {}), ("prod", (), {}), ("var", (), {}), ("std", (), {"axis": 0}),
        ("argmax", (), {"axis": 1}), ("argmin", (), {}), ("all", (), {}), ("any", (0,), {}),
        ("reshape", (3, 2), {}), ("reshape", ((3, 2),), {}), ("reshape", (-1,), {}),
        ("transpose", (), {}), ("transpose", (1, 0), {}), ("transpose", ((1, 0),), {}),
        ("ravel", (), {}), ("flatten", (), {}), ("squeeze", (), {}), ("swapaxes", (0, 1), {}),
        ("round", (), {}), ("round", (1,), {}), ("repeat", (2,), {"axis": 0}),
        ("clip", (-1, 1), {}), ("take", (np.array([0, 1]),), {"axis": 1}), ("astype", (int,), {}),
    ],
)  # fmt: skip
def test_methods_as_numpys(name, args, options):
    t = gg.tensor(X)
    expected = getattr(X, name)(*args, **options)
    found = getattr(t, name)(*args, **options)
    assert isinstance(found, gg.Tensor)
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.numpy(), expected)
    x = leaf()
    assert getattr(x, name)(*args, **options).requires_grad == (found.dtype.kind == "f")


def test_in_place_operators_make_a_new_value():
    x = leaf()
    before = x
    x += 1.0
    assert x is not before
    assert before.tolist() == X.tolist()
    assert x.requires_grad
    x *= 2
    x -= 1
    x /= 4
    np.testing.assert_allclose(x.detach().numpy(), ((X + 1) * 2 - 1) / 4)
    x.sum().backward()
    np.testing.assert_allclose(before.grad.numpy(), np.full((2, 3), 0.5))


def test_an_operand_of_another_kind_is_left_to_python():
    class Other:
        def __radd__(self, t):
            return "radd"

        def __rmatmul__(self, t):
            return "rmatmul"

    assert gg.tensor(1.0) + Other() == "radd"
    assert gg.tensor([1.0]) @ Other() == "rmatmul"
    with pytest.raises(TypeError):
        gg.tensor(1.0) + "text"
    with pytest.raises(TypeError):
        operator.lt(gg.tensor(1.0), None)


# Assignment


def test_assignment_is_recorded():
    x, v = leaf([1.0, 2.0, 3.0]), leaf(10.0)
    y = x * 2
    y[1] = v
    assert y.tolist() == [2.0, 10.0, 6.0]
    (y * gg.tensor([1.0, 2.0, 4.0])).sum().backward()
    assert x.grad.tolist() == [2.0, 0.0, 8.0]
    assert v.grad.item() == 2.0


def test_assignment_to_a_constant_makes_it_depend_on_the_value():
    out, v = gg.zeros(3), gg.tensor(2.0, requires_grad=True)
    for k in range(3):
        out[k] = v**k
    assert out.tolist() == [1.0, 2.0, 4.0]
    out.sum().backward()
    assert v.grad.item() == 5.0


def test_assignment_inside_a_differentiated_function():
    def f(x):
        y = gg.zeros(4, "float64")
        y[:2] = x
        y[2:] = x * y[:2]
        return (y * y).sum()

    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(gg.grad(f)(x), 2 * x + 4 * x**3)
    np.testing.assert_allclose(gg.hessian(f)(x), np.diag(2 + 12 * x**2))


def test_assignment_leaves_earlier_values_alone(device):
    y = leaf() * 2
    early, view = y, y[0]
    z = y + 0
    y[0] = 0.0
    assert early is y
    np.testing.assert_allclose(view.detach().numpy(), 2 * X[0])
    np.testing.assert_allclose(z.detach().numpy(), 2 * X)
    a = device.put(np.ones(3))
    t = gg.asarray(a)
    t[0] = 5.0
    assert a.tolist() == [1.0, 1.0, 1.0]
    assert t.tolist() == [5.0, 1.0, 1.0]
    c = gg.tensor(a)
    d = c.detach()
    c[0] = 7.0
    assert d.tolist() == [1.0, 1.0, 1.0]


def test_augmented_assignment_to_a_part():
    x = leaf([1.0, 2.0, 3.0])
    y = x * 1
    y[1:] *= x[:2]
    assert y.tolist() == [1.0, 2.0, 6.0]
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 4.0, 2.0]


@pytest.mark.parametrize(
    "key",
    [0, -1, slice(1, None), (slice(None), 1), ..., (1, 2), np.array([1, 0, 1]), [0, 1],
     np.array([[True, False, True], [False, True, False]]), (slice(None), np.array([2, 0])),
     (None, 1), "tensor [1, 0]", "tensor [True, False]"],
    ids=repr,
)  # fmt: skip
def test_assignment_by_every_kind_of_key(key):
    if isinstance(key, str):
        key = gg.tensor([1, 0] if key == "tensor [1, 0]" else [True, False])
    raw = key.numpy() if isinstance(key, gg.Tensor) else key
    expected = X.copy()
    expected[raw] = 9.0
    t = gg.tensor(X)
    t[key] = 9.0
    np.testing.assert_array_equal(t.numpy(), expected)
    assert t.dtype == gg.float64
    np.testing.assert_array_equal(gg.tensor(X).at[key].set(9.0).numpy(), expected)


def test_assignment_converts_to_the_tensors_dtype():
    t = gg.tensor([1.0, 2.0])
    t[0] = np.float64(0.1)
    assert t.dtype == gg.float32
    t = gg.tensor([1, 2])
    t[0] = 7
    assert t.tolist() == [7, 2]


def test_assignment_to_a_leaf_is_refused_and_says_what_to_write():
    x = leaf()
    with pytest.raises(
        GraphError, match=r"help: write t = t\.at\[\.\.\.\]\.set\(v\), or assign with"
    ):
        x[0] = 1.0
    assert x.tolist() == X.tolist()


def test_at_with_repeated_indices():
    t, key = gg.zeros(3), np.array([0, 0, 2])
    assert t.at[key].add(1.0).tolist() == [2.0, 0.0, 1.0]
    assert t.at[key].subtract(1.0).tolist() == [-2.0, 0.0, -1.0]
    assert t.at[key].set(gg.tensor([1.0, 2.0, 3.0])).tolist() == [2.0, 0.0, 3.0]
    assert t.tolist() == [0.0, 0.0, 0.0]
    v = leaf([1.0, 2.0, 3.0])
    x = leaf([5.0, 6.0, 7.0])
    (x.at[key].set(v) * gg.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert v.grad.tolist() == [0.0, 1.0, 100.0]  # only the write that stayed
    assert x.grad.tolist() == [0.0, 10.0, 0.0]
    v.grad = x.grad = None
    (x.at[key].add(v) * gg.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert v.grad.tolist() == [1.0, 1.0, 100.0]
    assert x.grad.tolist() == [1.0, 10.0, 100.0]


def test_at_writes_each_value_to_its_own_place():
    t = gg.zeros((2, 3))
    assert t.at[:, np.array([2, 0])].set(gg.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist() == [
        [2.0, 0.0, 1.0],
        [4.0, 0.0, 3.0],
    ]
    assert t.at[np.array([1, -1, 0]), np.array([0, 0, 1])].set(
        gg.tensor([1.0, 2.0, 3.0])
    ).tolist() == [[0.0, 3.0, 0.0], [2.0, 0.0, 0.0]]
    assert t.at[np.array([], int)].set(gg.ones((0, 3))).tolist() == t.tolist()
    with gg.no_grad():
        leaf = gg.zeros(3).requires_grad_()
        leaf[np.array([1, 1, 2])] = gg.tensor([1.0, 2.0, 3.0])
    assert leaf.tolist() == [0.0, 2.0, 3.0]


@pytest.mark.parametrize("dtype", EVERY)
def test_at_adds_in_every_dtype(dtype):
    v = [1, 2, 3] if dtype == "bool" or dtype[0] == "u" else [-1, 2, -3]
    t, v = gg.tensor([1, 0, 1], dtype=dtype), gg.tensor(v, dtype=dtype)
    wanted = t.numpy().copy()
    np.add.at(wanted, [0, 0, 2], v.numpy())
    found = t.at[np.array([0, 0, 2])].add(v)
    np.testing.assert_array_equal(found.numpy(), wanted, strict=True)


def test_at_get_and_dtypes():
    t = gg.tensor([1.0, 2.0])
    assert t.at[1].get().item() == 2.0
    assert gg.tensor([1, 2]).at[0].add(3).dtype == gg.int64
    assert t.at[0].set(1).dtype == gg.float32


# Indexing errors


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (5, IndexRangeError, "index 5 is out of bounds for axis 0 with size 2"),
        (-3, IndexRangeError, "index -3 is out of bounds"),
        ((0, 3), IndexRangeError, "index 3 is out of bounds for axis 1 with size 3"),
        ((0, 0, 0), IndexRangeError, r"more indices than axes\n  x: float64 \(2, 3\)"),
        (np.array([True, False, True]), IndexRangeError, r"a mask has the shape of the axes"),
        (np.ones((3, 2), bool), IndexRangeError, r"here \(3, 2\)\n  x: float64 \(2, 3\)"),
        (1.0, IndexRangeError, "an index must be an integer, slice, or array of integers or bools"),
        (np.array([0.0, 1.0]), IndexRangeError, "not float64"),
        (lambda: gg.tensor([1.0]), IndexRangeError, "not float32"),
        ((np.array([0, 1]), np.array([0, 1, 2])), IndexRangeError, "could not be broadcast"),
        ([[0], [0, 1]], IndexRangeError, r"\[\[0\], \[0, 1\]\] is no array of integers or bools"),
        (slice(0.5, None), IndexRangeError, r"0\.5 cannot bound a slice; use an integer"),
        ("a", IndexRangeError, "an index must be"),
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("tracked", [False, True])
def test_wrong_keys_say_what_is_wrong(key, error, message, tracked):
    t = gg.tensor(X, requires_grad=tracked)
    key = key() if callable(key) else key
    with pytest.raises(error, match=message):
        t[key]
    with pytest.raises(error, match="index"):
        t.at[key].set(0.0)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (np.array([0, 2]), "index 2 is out of bounds for axis 0"),
        (lambda: gg.tensor([0, -5]), "index -5 is out of bounds"),
    ],
)
@pytest.mark.parametrize("use", [lambda t, key: t[key], lambda t, key: t.at[key].set(0.0),
                                 lambda t, key: t.at[key].add(1.0)])  # fmt: skip
@pytest.mark.parametrize("tracked", [False, True])
def test_an_array_of_wrong_indices_says_what_is_wrong(key, message, use, tracked, device):
    """On a GPU those of tensors only where anomalies are looked for: it waits for the values."""
    t = gg.tensor(X, requires_grad=tracked)
    key = key() if callable(key) else key
    if device.xp.on_host or isinstance(key, np.ndarray):
        with pytest.raises(IndexRangeError, match=message):
            use(t, key)
    else:
        with pytest.raises(IndexRangeError, match="an index is out of range"), gg.detect_anomaly():
            use(t, key)


def test_index_errors_are_index_errors():
    with pytest.raises(IndexError):
        gg.tensor(X)[9]
    assert list(iter(gg.tensor([1.0]))) is not None


def test_a_value_that_does_not_fit(device):
    with pytest.raises(
        ShapeError, match=rf"index_set\(x, v\): .*\n  x: float64 \(2, 3\) on {device}\n  v: "
    ):
        gg.tensor(X).at[0].set(gg.ones(2))
    with pytest.raises(ShapeError, match="index_add"):
        gg.tensor(X).at[0].add(gg.ones(2))


def test_slices_take_tensors_and_numpy_integers():
    t = gg.arange(10)
    assert t[gg.tensor(2) : np.int64(8) : gg.tensor(3)].tolist() == [2, 5]
    assert t[gg.tensor(3)].item() == 3


def test_an_index_array_may_be_changed_afterwards():
    key = np.array([0, 1])
    part = gg.tensor(X)[key]
    key[:] = 0
    np.testing.assert_array_equal(part.numpy(), X)


# Copies, pickles


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, copy.copy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_clones_of_a_leaf(clone, device):
    x = leaf()
    (x * x).sum().backward()
    y = clone(x)
    assert y is not x
    assert y.requires_grad
    assert y.dtype == x.dtype
    assert y.tolist() == x.tolist()
    assert y.grad.tolist() == x.grad.tolist()
    assert y.device == device
    assert not device.xp.may_share_memory(y.data, x.data)
    y.copy_(np.zeros((2, 3)))
    y.grad = None
    assert x.tolist() == X.tolist()
    assert x.grad is not None
    (y * 2).sum().backward()
    assert y.grad.tolist() == np.full((2, 3), 2.0).tolist()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", EVERY)
def test_pickles_of_constants(dtype, protocol):
    t = gg.tensor([[0, 1], [1, 0]], dtype=dtype)
    u = pickle.loads(pickle.dumps(t, protocol))
    assert u.dtype == t.dtype
    assert not u.requires_grad
    np.testing.assert_array_equal(u.numpy(), t.numpy())


def test_a_pickle_can_be_loaded_in_another_process(tmp_path):
    path = tmp_path / "t.pickle"
    path.write_bytes(pickle.dumps([leaf(), gg.device("cpu")]))
    code = (
        "import pickle, sys\n"
        f"t, d = pickle.load(open({str(path)!r}, 'rb'))\n"
        "print(t.tolist(), t.requires_grad, d)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == f"{X.tolist()} True cpu"


def test_a_deep_copy_keeps_shared_tensors_shared():
    x = leaf()
    pair = copy.deepcopy([x, x])
    assert pair[0] is pair[1]


@pytest.mark.parametrize("clone", [copy.deepcopy, pickle.dumps])
def test_a_recorded_tensor_is_not_cloned(clone):
    with pytest.raises(GraphError, match=r"its graph cannot be copied\n  help: copy t\.detach\(\)"):
        clone(leaf() * 2)
    copy.deepcopy((leaf() * 2).detach())


def test_numpy_save_works_on_a_constant():
    buffer = io.BytesIO()
    np.save(buffer, gg.tensor(X).numpy())
    buffer.seek(0)
    np.testing.assert_array_equal(np.load(buffer), X)


@pytest.mark.once  # what NumPy converts is on the CPU: see the test of copies by NumPy
def test_numpy_gets_no_copy_where_it_asked_for_none():
    t = gg.tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(t, copy=False), t.data)
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    with pytest.raises(OptionError, match=r"float32 becomes .*float64.* by a copy only"):
        np.asarray(t, dtype=np.float64, copy=False)


def test_to_a_device_and_a_dtype_together(device):
    t = gg.tensor(X)
    for moved in (t.to(device, "float32"), t.to("float32", device=device),
                  t.to(dtype="float32"), t.to(gg.zeros(1))):  # fmt: skip
        assert (moved.dtype, moved.device) == (gg.float32, device)
    with pytest.raises(OptionError, match=r"to\(\): name a device or a dtype"):
        t.to(None)
