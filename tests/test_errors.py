"""Errors: what was wrong, the operands, what to do instead; and which built-in each one is."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

import gpugrad as gg
from gpugrad import errors
from gpugrad.errors import (
    DtypeError,
    IndexRangeError,
    LabelError,
    OptionError,
    ShapeError,
)

BUILTINS = {
    "ShapeError": ValueError, "DtypeError": TypeError, "DeviceError": RuntimeError,
    "LabelError": ValueError, "IndexRangeError": IndexError, "OptionError": ValueError,
    "GraphError": RuntimeError, "VersionError": RuntimeError, "AnomalyError": ArithmeticError,
    "GradientCheckError": AssertionError, "NumpyFunctionError": TypeError, "DataError": ValueError,
    "FileError": OSError, "StateError": ValueError,
}  # fmt: skip


def test_every_error_is_a_grad_error_and_a_builtin_one():
    classes = {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    for name, cls in classes.items():
        assert issubclass(cls, errors.GradError)
        assert cls.__doc__
        if name != "GradError":
            assert issubclass(cls, BUILTINS.get(name, Exception))
    assert set(BUILTINS) <= set(classes)


def ones(*shape, dtype="float32"):
    return gg.ones(shape, dtype)


# What is called, the error, and the whole message.
MESSAGES = {
    "matmul transposed": (
        lambda: ones(64, 784) @ ones(10, 784), ShapeError,
        """matmul(a, b): a has 784 columns but b has 10 rows
  a: float32 (64, 784) on DEVICE
  b: float32 (10, 784) on DEVICE
  help: b looks transposed; write matmul(a, b.T)"""),
    "matmul transposed first": (
        lambda: ones(784, 64) @ ones(784, 10), ShapeError,
        """matmul(a, b): a has 64 columns but b has 784 rows
  a: float32 (784, 64) on DEVICE
  b: float32 (784, 10) on DEVICE
  help: a looks transposed; write matmul(a.T, b)"""),
    "matmul": (
        lambda: ones(2, 3) @ ones(4, 5), ShapeError,
        """matmul(a, b): a has 3 columns but b has 4 rows
  a: float32 (2, 3) on DEVICE
  b: float32 (4, 5) on DEVICE"""),
    "matmul of vectors": (
        lambda: ones(3) @ ones(4), ShapeError,
        """matmul(a, b): a has 3 elements but b has 4 elements
  a: float32 (3,) on DEVICE
  b: float32 (4,) on DEVICE"""),
    "matmul of a number": (
        lambda: ones(3) @ gg.tensor(2.0), ShapeError,
        """matmul(a, b): a matrix product needs axes
  a: float32 (3,) on DEVICE
  b: float32 () on DEVICE
  help: multiply by a number with *"""),
    "matmul of batches": (
        lambda: ones(2, 3, 3) @ ones(4, 3, 3), ShapeError,
        """matmul(a, b): the batches (2,) and (4,) do not broadcast
  a: float32 (2, 3, 3) on DEVICE
  b: float32 (4, 3, 3) on DEVICE"""),
    "broadcasting": (
        lambda: ones(32, 10) + ones(32), ShapeError,
        """add(a, b): the shapes (32, 10) and (32,) do not fit: axis -1 has 10 and 32 elements
  a: float32 (32, 10) on DEVICE
  b: float32 (32,) on DEVICE
  help: aligned from the right, sizes must be equal or 1; reshape or expand_dims"""),
    "broadcast_to": (
        lambda: gg.broadcast_to(ones(2), (3,)), ShapeError,
        """broadcast_to(x): (2,) cannot be broadcast to (3,)
  x: float32 (2,) on DEVICE
  shape=(3,)
  help: aligned from the right, sizes must be equal or 1"""),
    "reshape": (
        lambda: ones(2, 3).reshape(4, 2), ShapeError,
        """reshape(x): 6 elements do not fill the shape (4, 2)
  x: float32 (2, 3) on DEVICE
  shape=(4, 2)
  help: the sizes must multiply to 6, here 8 with any -1 left out"""),
    "concat": (
        lambda: gg.concat([ones(2, 3), ones(2, 4)]), ShapeError,
        """concat(arrays[0], arrays[1]): the shapes (2, 3), (2, 4) must be equal except along axis 0
  arrays[0]: float32 (2, 3) on DEVICE
  arrays[1]: float32 (2, 4) on DEVICE
  axis=0"""),
    "linear": (
        lambda: gg.linear(ones(5, 3), ones(2, 4)), ShapeError,
        """linear(x, weight, bias): x has 3 features but the layer takes 4
  x: float32 (5, 3) on DEVICE
  weight: float32 (2, 4) on DEVICE
  bias: None
  help: the last axis of x holds the features"""),
}  # fmt: skip


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("name", MESSAGES)
def test_whole_messages(name, tracked, monkeypatch, device):
    call, error, message = MESSAGES[name]
    if tracked:
        plain = gg.ones
        monkeypatch.setattr(gg, "ones", lambda *args: plain(*args).requires_grad_())
    with pytest.raises(error) as e:
        call()
    assert str(e.value) == message.replace("DEVICE", str(device))
    assert e.value.__cause__ is None
    assert e.value.__suppress_context__


LOGITS = np.zeros((3, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        # broadcasting, in every operation that broadcasts
        *[(lambda f=f: f(ones(2), ones(3)), ShapeError, r"axis -1 has 2 and 3 elements\n  a: ")
          for f in (gg.subtract, gg.multiply, gg.divide, gg.pow, gg.maximum, gg.minimum, gg.hypot,
                    gg.atan2, gg.logaddexp, gg.floor_divide, gg.remainder, gg.equal, gg.less,
                    gg.logical_and)],
        (lambda: gg.where(np.ones(2, bool), ones(3), 0), ShapeError, "where"),
        (lambda: gg.clip(ones(2), ones(3)), ShapeError, "axis -1 has 2 and 3 elements"),
        (lambda: ones(2, 3) + ones(2, 1, 4), ShapeError,
         r"\(2, 3\) and \(2, 1, 4\) do not fit: axis -1 has 3 and 4"),
        # joining
        (lambda: gg.concat([]), OptionError, "concat: no arrays were given"),
        (lambda: gg.stack([]), OptionError, "stack: no arrays were given"),
        (lambda: gg.stack([ones(2), ones(3)]), ShapeError, r"\(1, 2\), \(1, 3\)|\(2,\), \(3,\)"),
        (lambda: gg.concat([ones(2), ones(2, 2)]), ShapeError, "must be equal except"),
        (lambda: gg.concat([ones(2), ones(2)], axis=1), ShapeError, "axis 1"),
        # shapes
        (lambda: gg.reshape(ones(6), (-1, 4)), ShapeError, r"6 elements do not fill .*\(-1, 4\)"),
        (lambda: gg.reshape(ones(6), (-1, -1)), ShapeError, "reshape"),
        (lambda: gg.permute_dims(ones(2, 3), (0, 0)), ShapeError, r"axes=\(0, 0\) must name each"),
        (lambda: gg.permute_dims(ones(2, 3), (0,)), ShapeError, "must name each of the 2 axes"),
        (lambda: gg.swapaxes(ones(2, 3), 0, 2), ShapeError, "swapaxes: x has 2 axes"),
        (lambda: gg.moveaxis(ones(2, 3), 5, 0), ShapeError, "moveaxis: axis 5 does not exist"),
        (lambda: gg.moveaxis(ones(2, 3), (0, 1), 0), OptionError, "2 axes for 1 places"),
        (lambda: gg.matrix_transpose(ones(3)), ShapeError, "a matrix has two axes"),
        (lambda: ones(3).mT, ShapeError, "a matrix has two axes"),
        (lambda: gg.squeeze(ones(2, 1), axis=0), ShapeError,
         r"axis=0 does not name axes of size 1 of \(2, 1\)"),
        (lambda: gg.expand_dims(ones(2), axis=5), ShapeError, "expand_dims"),
        (lambda: ones(2, 3).flatten(1, 0), OptionError, "start_dim=1 comes after end_dim=0"),
        (lambda: gg.flip(ones(2), axis=1), ShapeError, "flip"),
        (lambda: gg.roll(ones(2), 1, axis=1), ShapeError, "roll"),
        (lambda: gg.repeat(ones(2), -1), OptionError, "repeats=-1 must be an integer >= 0"),
        (lambda: gg.repeat(ones(2), 1.5), OptionError, r"repeats=1\.5 must be an integer"),
        (lambda: gg.tile(ones(2), -1), (OptionError, ShapeError), "tile"),
        # reductions
        *[(lambda f=f: f(ones(2, 3), axis=2), ShapeError, r"axis 2 does not exist: x has 2 axes")
          for f in (gg.sum, gg.mean, gg.prod, gg.max, gg.min, gg.argmax, gg.all, gg.any, gg.var,
                    gg.std, gg.logsumexp, gg.cumulative_sum)],
        *[(lambda f=f: f(ones(2, 3), axis=-3), ShapeError, "axis -3 does not exist")
          for f in (gg.softmax, gg.log_softmax, gg.sum, gg.var, gg.logsumexp)],
        (lambda: gg.sum(ones(2, 3), axis=(0, 0)), ShapeError, "sum"),
        (lambda: gg.max(ones(0)), ShapeError, "an empty x has no such element"),
        (lambda: gg.argmin(ones(2, 0), axis=1), ShapeError, "an empty x has no such element"),
        (lambda: gg.cumulative_sum(ones(2, 3)), OptionError, r"say along which \(axis=\.\.\.\)"),
        # axes and shapes that are no integers
        (lambda: gg.sum(ones(2, 3), axis="a"), OptionError, "'a' is neither an integer nor sev"),
        (lambda: gg.reshape(ones(6), (2, 3.0)), OptionError, r"\(2, 3\.0\) is neither an integer"),
        # einsum
        (lambda: gg.einsum("ij,jk", ones(2, 3)), ShapeError, "2 terms for 1 operands"),
        (lambda: gg.einsum("ij,jk", ones(2, 3), ones(4, 5)), ShapeError,
         r"the axis 'j' has 3 and 4 elements\n  operands: \(2, 3\), \(4, 5\)"),
        (lambda: gg.einsum("ijk", ones(2, 3)), ShapeError, "not as many axes"),
        (lambda: gg.einsum("ij->ik", ones(2, 3)), ShapeError, "names an unknown axis, or one"),
        (lambda: gg.einsum("ij->ii", ones(2, 3)), ShapeError, "names an unknown axis, or one"),
        (lambda: gg.einsum("i1", ones(2, 3)), ShapeError, "'1' is no letter"),
        # linear, gelu, softplus
        (lambda: gg.linear(ones(5, 3), ones(3)), ShapeError, r"weight is \(out_features, in_feat"),
        (lambda: gg.linear(ones(5, 3), ones(2, 3), ones(3)), ShapeError, r"bias must be \(2,\)"),
        (lambda: gg.linear(ones(5, 3), ones(2, 3), ones(5, 2)), ShapeError, r"bias must be \(2,\)"),
        (lambda: gg.linear(ones(), ones(2, 3)), ShapeError, "x needs an axis"),
        (lambda: gg.linear(2.0, ones(2, 3)), ShapeError, "x needs an axis"),
        (lambda: gg.linear(ones(5, 3), ones(2, 3), activation="gelu"), OptionError,
         r"activation='gelu' is none of .*\n  help: call another activation on the result"),
        (lambda: gg.gelu(ones(2), approximate="sigmoid"), OptionError, "neither 'none' nor 'tanh'"),
        (lambda: gg.softplus(ones(2), beta=0), OptionError, "beta=0 must be positive"),
        # indices
        (lambda: gg.take(ones(3), gg.tensor([0.0])), IndexRangeError, "indices must be integers"),
        (lambda: gg.take(ones(3), gg.tensor([0]), axis=1), (ShapeError, IndexRangeError), "take"),
        (lambda: gg.take_along_axis(ones(2, 3), gg.tensor([0])), (ShapeError, IndexRangeError),
         "take_along_axis"),
        # labels
        (lambda: gg.softmax_cross_entropy(LOGITS, np.zeros(3)), LabelError,
         r"labels are class numbers, so integers, not float64\n  help: labels\.astype"),
        (lambda: gg.softmax_cross_entropy(LOGITS, np.zeros(4, int)), ShapeError,
         r"logits \(3, 4\) and labels \(4,\) do not fit"),
        (lambda: gg.softmax_cross_entropy(LOGITS, np.zeros((3, 4), int)), ShapeError, "do not fit"),
        (lambda: gg.softmax_cross_entropy(LOGITS, np.zeros(3, int), np.ones(3)), ShapeError,
         r"weight is \(3,\), but there are 4 classes"),
        (lambda: gg.softmax_cross_entropy(LOGITS, np.zeros(3, int), reduction="max"), OptionError,
         "reduction='max' is none of 'mean', 'sum', 'none'"),
        (lambda: gg.softmax_cross_entropy(LOGITS, np.zeros(3, int), label_smoothing=1.5),
         OptionError, r"label_smoothing=1\.5 must lie in \[0, 1\]"),
        # dtypes
        (lambda: gg.bitwise_and(ones(2), 1), DtypeError, r"bitwise_and\(a, b\)"),
        (lambda: ~ones(2), DtypeError, "bitwise_invert"),
        (lambda: -gg.tensor([True]), DtypeError, "negative"),
    ],
)  # fmt: skip
def test_messages_name_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "error", "on_cpu", "on_gpu"),
    [
        (lambda: gg.take(ones(3), gg.tensor([3])), IndexRangeError,
         """take(x, indices): index 3 is out of bounds for axis 0 with size 3
  x: float32 (3,) on cpu
  indices: int64 (1,) on cpu""", "take: an index is out of range: the axis has 3 elements"),
        (lambda: gg.take(ones(3), gg.tensor([-4])), IndexRangeError,
         "index -4 is out of bounds", "take: an index is out of range"),
        (lambda: gg.take_along_axis(ones(2, 3), gg.tensor([[3], [0]])), IndexRangeError,
         "index 3 is out of bounds",
         "take_along_axis: an index is out of range: the axis has 3 elements"),
        (lambda: ones(2, 3)[:, gg.tensor([0, 3])], IndexRangeError,
         "index 3 is out of bounds for axis 1 with size 3",
         "index: an index is out of range: the axis has 3 elements"),
        (lambda: gg.softmax_cross_entropy(LOGITS, np.array([0, 4, 0])), LabelError,
         "label 4 in row 1 is out of range: there are 4 classes, so labels run from 0 to 3",
         "there are 4 classes, so labels run from 0 to 3"),
        (lambda: gg.softmax_cross_entropy(LOGITS, np.array([0, 0, -1])), LabelError,
         "label -1 in row 2 is out of range", "labels run from 0 to 3"),
    ],
)  # fmt: skip
def test_values_out_of_range(call, error, on_cpu, on_gpu, device):
    """On a GPU values are looked at only where that was asked for."""
    if device.xp.on_host:
        with pytest.raises(error, match=re.escape(on_cpu)):
            call()
    else:
        call()
        with pytest.raises(error, match=re.escape(on_gpu)), gg.detect_anomaly():
            call()


def test_an_operation_that_failed_leaves_nothing_behind():
    x = gg.tensor(np.ones(3), requires_grad=True)
    y = x * 2
    with pytest.raises(ShapeError):
        y + gg.ones(2)
    y.sum().backward()
    assert x.grad.tolist() == [2.0] * 3


def test_errors_can_be_caught_as_builtins():
    with pytest.raises(ValueError, match="do not fit"):
        gg.ones(2) + gg.ones(3)
    with pytest.raises(IndexError):
        gg.ones(2)[2]
    with pytest.raises(TypeError):
        gg.tensor("a")
    with pytest.raises(RuntimeError):
        gg.device("cuda:99")
    with pytest.raises(errors.GradError):
        gg.ones(2) + gg.ones(3)
