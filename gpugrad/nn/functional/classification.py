"""Losses of classification: cross-entropy, negative log-likelihood, binary cross-entropy."""

from __future__ import annotations

import math
from typing import Any

from gpugrad.dtypes import int64
from gpugrad.errors import LabelError, OptionError, ShapeError
from gpugrad.later import check_later, nan_where
from gpugrad.making import asarray
from gpugrad.nn.functional.reduction import alike, as_tensors, check_batch, check_reduction, reduced
from gpugrad.ops.activation import log_sigmoid
from gpugrad.ops.activation import log_softmax as _log_softmax
from gpugrad.ops.arithmetic import where
from gpugrad.ops.indexing import take_along_axis
from gpugrad.ops.losses import out_of_range, softmax_cross_entropy
from gpugrad.ops.manipulation import moveaxis
from gpugrad.tensor import Tensor, describe


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """The cross-entropy of softmax(input) and the target, in nats.

    Args:
        input: logits, (N, C), (N, C, d1, ...) or (C,).
        target: class numbers, (N,), (N, d1, ...) or (), integers in [0, C) or `ignore_index`; or
            probabilities, floats of the input's shape.
        weight: (C,), a factor for each class.
        ignore_index: a class number that counts for nothing.
        reduction: "mean" (over the classes' weights; with probabilities over the rows), "sum", or
            "none" for a loss of each row.
        label_smoothing: from 0 to 1, the share of the target spread evenly over all classes.
    Raises:
        ShapeError: input and target do not fit, or the mean of an empty batch.
        LabelError: class numbers out of range or no integers; integers of the input's shape.

    >>> import gpugrad as gg
    >>> logits = gg.tensor([[2.0, -1.0], [-1.0, 2.0]])
    >>> cross_entropy(logits, gg.tensor([0, 1]), reduction="none").shape
    (2,)
    """
    input, target = as_tensors("cross_entropy", input, target)
    logits = input._data
    if logits.ndim == 2 and target._data.ndim == 1 and logits.size:  # the usual case
        return softmax_cross_entropy.first(
            input, target, weight, ignore_index, label_smoothing, reduction
        )
    check_reduction("cross_entropy", reduction)
    if input.ndim == 0:
        raise ShapeError("cross_entropy: the input needs an axis of classes, (N, C)")
    check_batch("cross_entropy", input, reduction)
    if input.shape == target.shape:
        return _with_probabilities(input, target, weight, reduction, label_smoothing)
    rows, labels, shape = _rows_of_classes("cross_entropy", input, target)
    loss = softmax_cross_entropy.first(
        rows, labels, weight, ignore_index, label_smoothing, reduction
    )
    return loss.reshape(shape) if reduction == "none" else loss


def _rows_of_classes(
    name: str, input: Tensor, target: Tensor
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Input as (rows, C), target as (rows,), and the target's shape."""
    axis = 1 if input.ndim > 1 else 0
    if target.shape != input.shape[:axis] + input.shape[axis + 1 :]:
        raise ShapeError(
            f"{name}: input and target do not fit\n"
            f"  input: {describe(input)}\n  target: {describe(target)}\n"
            "  help: (N, C) goes with class numbers (N,), (N, C, d) with (N, d)"
        )
    classes = input.shape[axis]
    if input.ndim > 2:
        input = moveaxis(input, 1, -1)
    return input.reshape(-1, classes), target.reshape(-1), target.shape


def _with_probabilities(
    input: Tensor, target: Tensor, weight: Any, reduction: str, label_smoothing: float
) -> Any:
    if target.dtype.kind != "f":
        raise LabelError(
            f"cross_entropy: a target of the input's shape holds probabilities, so floats\n"
            f"  target: {describe(target)}\n  help: class numbers are (N,) for logits (N, C)"
        )
    if not 0.0 <= label_smoothing <= 1.0:
        raise OptionError(f"cross_entropy: label_smoothing={label_smoothing} must lie in [0, 1]")
    axis = 1 if input.ndim > 1 else 0
    classes = input.shape[axis]
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / classes
    if weight is not None:
        weight = asarray(weight, input.dtype)
        if weight.shape != (classes,):
            raise ShapeError(
                f"cross_entropy: weight is {weight.shape}, but there are {classes} classes"
            )
        target = target * weight.reshape((classes,) + (1,) * (input.ndim - 1 - axis))
    loss = -(_log_softmax(input, axis=axis) * target).sum(axis=axis)
    return reduced(loss, reduction)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """The negative log-likelihood of the target's classes: minus the element of input they name.

    Args:
        input: log-probabilities, (N, C), (N, C, d1, ...) or (C,).
        The others as for `cross_entropy`; the target holds class numbers.

    >>> import gpugrad as gg
    >>> nll_loss(gg.tensor([[-0.5, -1.0]]), gg.tensor([1]))
    tensor(1.)
    """
    input, target = as_tensors("nll_loss", input, target)
    check_reduction("nll_loss", reduction)
    if input.ndim == 0:
        raise ShapeError("nll_loss: the input needs an axis of classes, (N, C)")
    check_batch("nll_loss", input, reduction)
    rows, labels, shape = _rows_of_classes("nll_loss", input, target)
    check_labels("nll_loss", labels, rows.shape[1], ignore_index)
    xp, own = labels.device.xp, labels._data.astype(int64, copy=False)
    counts = own != ignore_index
    safe = own * counts
    factor = counts.astype(rows.dtype)
    if weight is not None:
        weight = asarray(weight, rows.dtype)
        if weight.shape != rows.shape[1:]:
            raise ShapeError(
                f"nll_loss: weight is {weight.shape}, but there are {rows.shape[1]} classes"
            )
        factor = factor * weight._data[safe]
    picked = take_along_axis(rows, Tensor._wrap(safe[:, None]), axis=1).reshape(-1)
    marked = nan_where(xp, lambda: out_of_range(xp, own, rows.shape[1], ignore_index), factor)
    loss = where(Tensor._wrap(counts), -picked * Tensor._wrap(marked), 0.0)
    if reduction == "mean":
        total = factor.sum()
        total = xp.where(total == 0, total * math.nan, total)
        return loss.sum() / Tensor._wrap(total)
    return loss.sum() if reduction == "sum" else loss.reshape(shape)


def check_labels(name: str, labels: Tensor, classes: int, ignore_index: int = -100) -> None:
    """Refuse labels (rows,) that are no integers or out of range.

    Raises:
        LabelError: naming the first wrong one; on a GPU values are looked at within
            `gg.detect_anomaly()` only, and the loss is to become NaN by `nan_where`.
    """
    if labels.dtype.kind not in "iu":
        raise LabelError(
            f"{name}: labels are class numbers, so integers, not {labels.dtype}\n"
            "  help: labels.astype(gg.int64)"
        )
    data, xp = labels._data, labels.device.xp

    def wrong() -> Any:
        return out_of_range(xp, data, classes, ignore_index)

    def error() -> LabelError:
        row = wrong().argmax().item()
        return LabelError(
            f"{name}: label {data[row].item()} in row {row} is out of range: there are {classes} "
            f"classes, so labels run from 0 to {classes - 1}"
        )

    if not xp.on_host:
        check_later(wrong, error)
    elif wrong().any():
        raise error()


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """The cross-entropy of sigmoid(input) and the target, a probability, in nats.

    Args:
        input: logits.
        target: from 0 to 1, of the input's shape.
        weight: a factor for each element; broadcast to the input's shape.
        pos_weight: a factor for the positive part, target * log(sigmoid(input)); broadcast too.
    Raises:
        ShapeError: the shapes differ, or the mean of nothing.

    >>> import gpugrad as gg
    >>> round(binary_cross_entropy_with_logits(gg.tensor([2.0]), gg.tensor([1.0])).item(), 4)
    0.1269
    """
    name = "binary_cross_entropy_with_logits"
    input, target = alike(name, input, target, reduction)
    weight = _factor(name, "weight", weight, input)
    pos_weight = _factor(name, "pos_weight", pos_weight, input)
    positive = log_sigmoid(input)
    if pos_weight is None:  # -log(1 - sigmoid(x)) = x - log(sigmoid(x))
        loss = (1.0 - target) * input - positive
    else:
        loss = (1.0 - target) * input - ((pos_weight - 1.0) * target + 1.0) * positive
    return reduced(loss if weight is None else loss * weight, reduction)


def _factor(name: str, which: str, factor: Any, input: Tensor) -> Any:
    """`factor` as a tensor of the input's dtype that broadcasts to its shape, or None."""
    if factor is None:
        return None
    factor = asarray(factor, input.dtype if input.dtype.kind == "f" else None)
    pairs = zip(reversed(factor.shape), reversed(input.shape), strict=False)
    if factor.ndim > input.ndim or any(n not in (1, m) for n, m in pairs):
        raise ShapeError(
            f"{name}: {which} cannot be broadcast to the input\n  input: {describe(input)}\n"
            f"  {which}: {describe(factor)}"
        )
    return factor
