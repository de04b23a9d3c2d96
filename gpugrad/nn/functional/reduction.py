"""What all losses share: the reduction, and the checks of what they are given."""

from __future__ import annotations

from typing import Any

from gpugrad.device import common_device
from gpugrad.errors import OptionError, ShapeError
from gpugrad.making import asarray
from gpugrad.tensor import Tensor, describe

REDUCTIONS = ("mean", "sum", "none")


def as_tensors(name: str, input: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Input and target as tensors; of two there is nothing to ask, as `asarray` would.

    Raises:
        DeviceError: one is a list or NumPy array, and the other on another device.
    """
    if isinstance(input, Tensor) and isinstance(target, Tensor):
        return input, target
    made = asarray(input), asarray(target)
    given = {"input": input, "target": target}
    common_device(name, dict(zip(given, made, strict=True)), given)
    return made


def reduced(loss: Any, reduction: str) -> Any:
    """The mean or the sum of `loss`, or all of it."""
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


def check_reduction(name: str, reduction: str) -> None:
    """Refuse an unknown reduction."""
    if reduction not in REDUCTIONS:
        raise OptionError(f"{name}: reduction={reduction!r} is none of 'mean', 'sum', 'none'")


def check_batch(name: str, input: Tensor, reduction: str) -> None:
    """Refuse the mean of nothing."""
    if not input.size and reduction == "mean":
        raise ShapeError(
            f"{name}: the batch is empty, so its mean loss is undefined\n"
            f"  input: {describe(input)}\n  help: skip empty batches, or use reduction='sum'"
        )


def alike(name: str, input: Any, target: Any, reduction: str) -> tuple[Tensor, Tensor]:
    """Input and target as tensors of one shape, for a loss that compares them element by element.

    Raises:
        ShapeError: the shapes differ, even if they would broadcast; an empty batch and "mean".
        OptionError: an unknown reduction.
    """
    input, target = as_tensors(name, input, target)
    if input.dtype.kind == "f" and target.dtype.kind != "f":
        target = target.astype(input.dtype)
    if input.shape != target.shape:
        raise ShapeError(_shapes_differ(name, input, target))
    check_reduction(name, reduction)
    check_batch(name, input, reduction)
    return input, target


def _shapes_differ(name: str, input: Tensor, target: Tensor) -> str:
    hint = "a target has its prediction's shape"
    if input.size == target.size:
        hint = f"target.reshape({input.shape})"
        if input.ndim < target.ndim:
            hint = f"input.reshape({target.shape})"
    return (
        f"{name}: input and target differ in shape\n  input: {describe(input)}\n"
        f"  target: {describe(target)}\n  help: {hint}; they are never broadcast"
    )
