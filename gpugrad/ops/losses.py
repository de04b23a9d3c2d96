"""Softmax cross-entropy with class labels, loss and gradient from one softmax."""

from __future__ import annotations

from typing import Any

from gpugrad.dtypes import int64, uint64
from gpugrad.errors import LabelError, OptionError, ShapeError
from gpugrad.fast_path import Kernel
from gpugrad.later import check_later, nan_where
from gpugrad.primitive import primitive

__all__ = ["softmax_cross_entropy"]

KERNEL = Kernel("gpugrad.kernels.softmax_cross_entropy.softmax_cross_entropy")


def _on_gpu(xp: Any, logits: Any, labels: Any, weight: Any = None, /, **options: Any) -> Any:
    """The kernel, which does not look for labels that are out of range, after the checks."""
    _check(xp, logits, labels, weight, **options)
    return KERNEL(xp, logits, labels, weight, **options)


FEW = 64  # classes; at 1000, and 64 rows, reducing over the first axis takes 3 to 6 times longer


@primitive(
    floating=True,
    outputs=["loss", "gradient"],
    separate=["labels", "weight"],
    cuda=_on_gpu,
)
def softmax_cross_entropy(
    xp: Any,
    logits: Any,
    labels: Any,
    weight: Any = None,
    /,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """The cross-entropy of softmax(logits) and class labels, in nats, and its gradient.

    Args:
        logits: (batch, classes) float.
        labels: (batch,) int, each in [0, classes), or `ignore_index`. Not differentiated.
        weight: (classes,) a factor for each class, or None. Not differentiated.
        ignore_index: a label that counts for nothing.
        label_smoothing: from 0 to 1, the share of the target spread evenly over all classes
            (Szegedy et al., "Rethinking the Inception architecture", 2016).
        reduction: "mean" (over the labels' weights), "sum", or "none" for one loss a row.
    Returns: (the loss () or (batch,), the gradient in the logits (batch, classes)).
    Raises:
        LabelError: a label out of range or not an integer.
        ShapeError: labels are not (batch,), weight is not (classes,).
    Source: Bishop, Pattern Recognition and Machine Learning (2006), section 4.3.4.

    >>> import gpugrad as gg
    >>> loss, gradient = gg.softmax_cross_entropy(gg.tensor([[2.0, -1.0]]), gg.tensor([0]))
    >>> round(loss.item(), 4)
    0.0486
    """
    ignored = _check(xp, logits, labels, weight, ignore_index, label_smoothing, reduction)
    rows, classes = logits.shape
    if rows == 0:
        nothing = xp.zeros((0,) if reduction == "none" else (), dtype=logits.dtype)
        return (nothing + xp.nan if reduction == "mean" else nothing), xp.zeros_like(logits)
    # Of few classes, reduce over the first axis: that runs along the batch, three times quicker.
    few = classes <= FEW
    along = 0 if few else 1
    shifted = logits.T.copy() if few else logits.copy()
    shifted -= xp.max(shifted, axis=along, keepdims=True)
    gradient = xp.exp(shifted)
    total = xp.sum(gradient, axis=along, keepdims=True)
    gradient /= total
    if weight is None and not label_smoothing and not ignored:
        own = labels if labels.dtype == int64 else xp.astype(labels, int64)  # of few bits: overflow
        own = own * rows + xp.arange(rows) if few else own + xp.arange(0, rows * classes, classes)
        loss = xp.log(total).ravel() - shifted.ravel().take(own)
        gradient.ravel()[own] -= 1
        divisor = float(rows)
    else:
        target = _target(xp, labels, weight, classes, ignore_index, label_smoothing, logits.dtype)
        target = target.T if few else target
        # A target of 0 leaves out even an infinite log-probability.
        terms = xp.where(target == 0, 0, (shifted - xp.log(total)) * target)
        loss = -xp.sum(terms, axis=along)
        gradient *= xp.sum(target, axis=along, keepdims=True)
        gradient -= target
        divisor = _divisor(xp, labels, weight, ignore_index, logits.dtype)
    if reduction != "none":
        loss = xp.sum(loss)
    if reduction == "mean":
        loss = loss / divisor
        gradient *= 1 / divisor
    return loss, gradient.T if few else gradient


@softmax_cross_entropy.vjp("logits")
def softmax_cross_entropy_dlogits(
    xp: Any,
    g: Any,
    gradient: Any,
    labels: Any,
    weight: Any,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> Any:
    g_loss, g_gradient = g.get(0), g.get(1)
    share = None
    if g_loss is not None:
        share = (xp.expand_dims(g_loss, 1) if reduction == "none" else g_loss) * gradient
    if g_gradient is not None:
        # gradient = (s * softmax - target) / d with s the target's sum in each row. So
        # q = d * gradient + target = s * softmax, and its own derivative is that of a softmax.
        classes = gradient.shape[1]
        target = _target(xp, labels, weight, classes, ignore_index, label_smoothing, gradient.dtype)
        d: Any = 1.0
        if reduction == "mean":
            d = _divisor(xp, labels, weight, ignore_index, gradient.dtype)
        q = gradient * d + target
        s = xp.sum(target, axis=1, keepdims=True)
        inner = xp.sum(g_gradient * q, axis=1, keepdims=True) / xp.where(s == 0, 1, s)
        curvature = q * (g_gradient - inner) / d
        share = curvature if share is None else share + curvature
    return share


def _target(
    xp: Any,
    labels: Any,
    weight: Any,
    classes: int,
    ignore_index: int,
    label_smoothing: float,
    dtype: Any,
) -> Any:
    """The factor of each log-probability, (batch, classes): the weighted, smoothed label.

    On a GPU it is NaN for a label out of range.
    """
    labels = xp.expand_dims(xp.astype(labels, int64), 1)  # of few bits they hold no -100
    target = xp.astype(labels == xp.arange(classes), dtype)
    if weight is not None:
        target = target * xp.astype(weight, dtype)
    if label_smoothing:
        even = xp.ones_like(target) if weight is None else xp.astype(weight, dtype)
        target = target * (1 - label_smoothing) + even * (label_smoothing / classes)
    target = xp.where(labels == ignore_index, xp.zeros_like(target), target)
    return nan_where(xp, lambda: out_of_range(xp, labels, classes, ignore_index), target)


def _divisor(xp: Any, labels: Any, weight: Any, ignore_index: int, dtype: Any) -> Any:
    """What "mean" divides by: the number, or the summed weights, of the labels that count."""
    labels = xp.astype(labels, int64)
    counts = labels != ignore_index
    if weight is not None:
        known = counts & (labels >= 0) & (labels < weight.shape[0])  # a GPU may have others
        counts = xp.where(known, weight[xp.where(known, labels, 0)], 0)
    total = xp.astype(xp.sum(counts), dtype)  # () on the device: nobody waits for it
    return xp.where(total == 0, xp.astype(total * xp.nan, dtype), total)


def _check(
    xp: Any,
    logits: Any,
    labels: Any,
    weight: Any,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> bool:
    """Refuse what does not fit; return whether some label is ignored."""
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
        raise ShapeError(
            f"{name}: weight is {tuple(weight.shape)}, but there are {classes} classes"
        )
    if not rows:
        return False
    if not xp.on_host:
        check_later(
            lambda: out_of_range(xp, labels, classes, ignore_index),
            lambda: LabelError(
                f"{name}: a label is out of range: there are {classes} classes, so labels run "
                f"from 0 to {classes - 1}"
            ),
        )
        return True  # perhaps
    # Read as unsigned, a negative label is a huge one: one comparison finds either.
    if labels.dtype == int64 and xp.max(labels.view(uint64)) < classes:
        return bool(0 <= ignore_index < classes and (labels == ignore_index).any())
    if labels.min() >= 0 and labels.max() < classes:
        return bool(0 <= ignore_index < classes and (labels == ignore_index).any())
    wrong = out_of_range(xp, labels, classes, ignore_index)
    if wrong.any():
        row = int(wrong.argmax())
        raise LabelError(
            f"{name}: label {int(labels[row])} in row {row} is out of range: there are "
            f"{classes} classes, so labels run from 0 to {classes - 1}"
        )
    return True


def out_of_range(xp: Any, labels: Any, classes: int, ignore_index: int) -> Any:
    """Which labels name no class and are not the ignored one."""
    labels = xp.astype(labels, int64)  # of few bits they may not hold these numbers
    return ((labels < 0) | (labels >= classes)) & (labels != ignore_index)
