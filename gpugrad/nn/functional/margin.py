"""Hinge losses: linear in how far a score falls short of a margin."""

from __future__ import annotations

from typing import Any

from gpugrad import ops
from gpugrad.errors import LabelError, OptionError, ShapeError
from gpugrad.later import check_later, nan_where
from gpugrad.making import asarray
from gpugrad.nn.functional.classification import check_labels
from gpugrad.nn.functional.reduction import alike, as_tensors, check_batch, check_reduction, reduced
from gpugrad.ops.activation import relu
from gpugrad.ops.indexing import take_along_axis
from gpugrad.ops.losses import out_of_range
from gpugrad.tensor import Tensor, describe


def hinge_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """The mean of max(0, margin - target * input), with targets -1 and 1.

    Args:
        input: scores.
        target: -1 or 1 for each, of the input's shape.
    Raises:
        LabelError: a target that is neither (on a GPU within `gg.detect_anomaly()` only).
        ShapeError: the shapes differ, or the mean of nothing.

    >>> import gpugrad as gg
    >>> hinge_loss(gg.tensor([0.25, -2.0]), gg.tensor([1, -1]), reduction="none")
    tensor([0.75, 0.  ])
    """
    input, target = alike("hinge_loss", input, target, reduction)
    signs = target._data
    if not target.device.xp.on_host:
        check_later(lambda: abs(signs) != 1, _no_signs)
    elif (abs(signs) != 1).any():
        raise _no_signs()
    loss = relu(margin - target * input)
    loss = nan_where(ops, lambda: Tensor._wrap(abs(signs) != 1), loss)
    return reduced(loss, reduction)


def _no_signs() -> LabelError:
    return LabelError(
        "hinge_loss: the targets must be -1 or 1\n"
        "  help: of labels 0 and 1 make them by 2 * labels - 1"
    )


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """For each row, the sum over the wrong classes of max(0, margin - right + wrong)**p, over C.

    Args:
        input: scores, (N, C) or (C,).
        target: class numbers, (N,) or ().
        p: 1 or 2.
        weight: (C,), a factor for the rows of each class.
    Raises:
        LabelError: class numbers out of range or no integers.
        ShapeError: input and target do not fit, or the mean of an empty batch.
    Source: Crammer and Singer, "On the algorithmic implementation of multiclass kernel-based vector
    machines" (2001), which takes the largest term where this takes the sum.

    >>> import gpugrad as gg
    >>> multi_margin_loss(gg.tensor([[0.1, 0.2, 0.4, 0.8]]), gg.tensor([3]))
    tensor(0.325)
    """
    input, target = as_tensors("multi_margin_loss", input, target)
    check_reduction("multi_margin_loss", reduction)
    if p not in (1, 2):
        raise OptionError(f"multi_margin_loss: p={p} is neither 1 nor 2")
    if input.ndim not in (1, 2) or target.shape != input.shape[:-1]:
        raise ShapeError(
            f"multi_margin_loss: input and target do not fit\n  input: {describe(input)}\n"
            f"  target: {describe(target)}\n  help: (N, C) goes with class numbers (N,)"
        )
    check_batch("multi_margin_loss", input, reduction)
    classes = input.shape[-1]
    rows, labels = input.reshape(-1, classes), target.reshape(-1)
    check_labels("multi_margin_loss", labels, classes, ignore_index=0)
    column = labels._data[:, None]
    right = take_along_axis(rows, Tensor._wrap(column), axis=1)
    short = relu(margin - right + rows)
    short = short if p == 1 else short * short
    # The right class itself is left out of the sum.
    xp = labels.device.xp
    factor = (column != xp.arange(classes)).astype(rows.dtype) / classes
    factor = nan_where(xp, lambda: out_of_range(xp, column, classes, 0), factor)
    if weight is not None:
        weight = asarray(weight)
        if weight.shape != (classes,):
            raise ShapeError(
                f"multi_margin_loss: weight is {weight.shape}, but there are {classes} classes"
            )
        factor = factor * weight._data[column].astype(rows.dtype)
    loss = (short * Tensor._wrap(factor.astype(rows.dtype))).sum(axis=1)
    return reduced(loss if input.ndim == 2 else loss.reshape(()), reduction)
