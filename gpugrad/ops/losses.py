"""Softmax cross-entropy with class labels, loss and gradient from one softmax."""

from __future__ import annotations

from typing import Any

from gpugrad.errors import LabelError, OptionError, ShapeError
from gpugrad.primitive import primitive

__all__ = ["softmax_cross_entropy"]


@primitive(floating=True, outputs=["loss", "softmax"], separate=["labels", "weight"])
def softmax_cross_entropy(
    xp: Any,
    logits: Any,
    labels: Any,
    weight: Any = None,
    /,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """The cross-entropy of softmax(logits) and class labels, in nats, and that softmax.

    Args:
        logits: (batch, classes) float.
        labels: (batch,) int, each in [0, classes), or `ignore_index`. Not differentiated.
        weight: (classes,) a factor for each class, or None. Not differentiated.
        ignore_index: a label that counts for nothing.
        label_smoothing: from 0 to 1, the share of the target spread evenly over all classes
            (Szegedy et al., "Rethinking the Inception architecture", 2016).
        reduction: "mean" (over the labels' weights), "sum", or "none" for one loss a row.
    Returns: (the loss () or (batch,), the softmax (batch, classes)).
    Raises:
        LabelError: a label out of range or not an integer.
        ShapeError: labels are not (batch,), weight is not (classes,).
    Source: Bishop, Pattern Recognition and Machine Learning (2006), section 4.3.4.

    >>> import gpugrad as gg
    >>> loss, softmax = gg.softmax_cross_entropy(gg.tensor([[2.0, -1.0]]), gg.tensor([0]))
    >>> round(loss.item(), 4)
    0.0486
    """
    _check(xp, logits, labels, weight, ignore_index, label_smoothing, reduction)
    rows, classes = logits.shape
    if rows == 0:
        empty = xp.zeros((0,) if reduction == "none" else (), dtype=logits.dtype)
        return (empty + xp.nan if reduction == "mean" else empty), xp.zeros_like(logits)
    shifted = logits - xp.max(logits, axis=1, keepdims=True)
    softmax = xp.exp(shifted)
    total = xp.sum(softmax, axis=1, keepdims=True)
    softmax /= total
    plain = weight is None and not label_smoothing
    if plain and not _may_ignore(labels, ignore_index):
        loss = xp.log(total[:, 0]) - shifted[xp.arange(rows), labels]
    else:
        target = _target(xp, labels, weight, classes, ignore_index, label_smoothing, logits.dtype)
        # A target of 0 leaves out even an infinite log-probability.
        terms = xp.where(target == 0, 0, (shifted - xp.log(total)) * target)
        loss = -xp.sum(terms, axis=1)
    if reduction != "none":
        loss = xp.sum(loss)
    if reduction == "mean":
        loss = loss / _divisor(xp, labels, weight, ignore_index)
    return loss, softmax


@softmax_cross_entropy.vjp("logits")
def softmax_cross_entropy_dlogits(
    xp: Any,
    g: Any,
    softmax: Any,
    labels: Any,
    weight: Any,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> Any:
    g_loss, g_softmax = g.get(0), g.get(1)
    share = None
    if g_loss is not None:
        classes = softmax.shape[1]
        target = _target(xp, labels, weight, classes, ignore_index, label_smoothing, softmax.dtype)
        if reduction == "mean":
            g_loss = g_loss / _divisor(xp, labels, weight, ignore_index)
        elif reduction == "none":
            g_loss = xp.expand_dims(g_loss, 1)
        if weight is None and not _may_ignore(labels, ignore_index):
            share = (softmax - target) * g_loss  # a row of the target sums to 1
        else:
            share = (softmax * xp.sum(target, axis=1, keepdims=True) - target) * g_loss
    if g_softmax is not None:
        inner = g_softmax - xp.sum(g_softmax * softmax, axis=1, keepdims=True)
        share = softmax * inner if share is None else share + softmax * inner
    return share


def _may_ignore(labels: Any, ignore_index: int) -> bool:
    return bool((labels == ignore_index).any())


def _target(
    xp: Any,
    labels: Any,
    weight: Any,
    classes: int,
    ignore_index: int,
    label_smoothing: float,
    dtype: Any,
) -> Any:
    """What each log-probability is multiplied by, (batch, classes): the weighted, smoothed label."""
    labels = xp.expand_dims(labels, 1)
    target = labels == xp.arange(classes)
    if weight is None and not label_smoothing:
        return target if ignore_index < 0 or ignore_index >= classes else xp.logical_and(
            target, labels != ignore_index
        )  # fmt: skip
    target = xp.astype(target, dtype)
    if weight is not None:
        target = target * xp.astype(weight, dtype)
    if label_smoothing:
        even = 1.0 if weight is None else xp.astype(weight, dtype)
        target = target * (1 - label_smoothing) + xp.ones_like(target) * even * (
            label_smoothing / classes
        )
    return xp.where(labels == ignore_index, xp.zeros_like(target), target)


def _divisor(xp: Any, labels: Any, weight: Any, ignore_index: int) -> Any:
    """What "mean" divides by: the number, or the summed weights, of the labels that count."""
    counts = labels != ignore_index
    if weight is None:
        return float(counts.sum()) or xp.nan
    return float(xp.sum(xp.where(counts, weight[xp.where(counts, labels, 0)], 0))) or xp.nan


def _check(
    xp: Any,
    logits: Any,
    labels: Any,
    weight: Any,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> None:
    name = "softmax_cross_entropy"
    if reduction not in ("mean", "sum", "none"):
        raise OptionError(f"{name}: reduction={reduction!r} is none of 'mean', 'sum', 'none'")
    if not 0.0 <= label_smoothing <= 1.0:
        raise OptionError(f"{name}: label_smoothing={label_smoothing} must lie in [0, 1]")
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ShapeError(
            f"{name}: logits {tuple(logits.shape)} and labels {tuple(labels.shape)} do not fit\n"
            "  help: logits are (batch, classes), labels (batch,)"
        )
    if labels.dtype.kind not in "iu":
        raise LabelError(
            f"{name}: labels are class numbers, so integers, not {labels.dtype}\n"
            "  help: labels.astype(gg.int64); or give probabilities of logits' shape"
        )
    rows, classes = logits.shape
    if weight is not None and weight.shape != (classes,):
        raise ShapeError(f"{name}: weight is {tuple(weight.shape)}, but there are {classes} classes")
    if not rows:
        return
    low, high = xp.min(labels), xp.max(labels)
    if low < 0 or high >= classes:
        wrong = ((labels < 0) | (labels >= classes)) & (labels != ignore_index)
        if wrong.any():
            row = int(wrong.argmax())
            raise LabelError(
                f"{name}: label {int(labels[row])} in row {row} is out of range: there are "
                f"{classes} classes, so labels run from 0 to {classes - 1}"
            )
