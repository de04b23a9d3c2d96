"""Losses of regression: each compares a prediction with a target of the same shape."""

from __future__ import annotations

from typing import Any

from gpugrad.errors import OptionError
from gpugrad.nn.functional.reduction import alike, reduced
from gpugrad.primitive import primitive


@primitive(floating=True)
def squared_error(xp: Any, x: Any, target: Any, /, reduction: str = "mean") -> Any:
    """(x - target)**2 for arrays of one shape: its mean, its sum, or each of them ("none")."""
    difference = x - target
    if reduction == "none":
        return difference * difference
    flat = difference.reshape(-1)
    total = xp.vdot(flat, flat)
    return total / difference.size if reduction == "mean" else total


@squared_error.vjp("x")
def squared_error_dx(xp: Any, g: Any, x: Any, target: Any, reduction: str) -> Any:
    return (x - target) * (g * (2.0 / x.size if reduction == "mean" else 2.0))


@squared_error.vjp("target")
def squared_error_dtarget(xp: Any, g: Any, x: Any, target: Any, reduction: str) -> Any:
    return squared_error_dx(xp, g, target, x, reduction)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The mean of (input - target)**2.

    Args:
        input, target: of one shape.
        reduction: "mean", "sum", or "none" for a loss of each element.
    Raises:
        ShapeError: the shapes differ (they are never broadcast), or the mean of nothing.

    >>> import gpugrad as gg
    >>> mse_loss(gg.tensor([1.0, 2.0]), gg.tensor([1.0, 4.0]))
    tensor(2.)
    """
    input, target = alike("mse_loss", input, target, reduction)
    return squared_error(input, target, reduction=reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The mean of abs(input - target); the arguments of `mse_loss`."""
    input, target = alike("l1_loss", input, target, reduction)
    return reduced(abs(input - target), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """The mean of d**2 / 2 where d = abs(input - target) < delta, else of delta * (d - delta / 2).

    Source: Huber, "Robust estimation of a location parameter" (1964).

    >>> import gpugrad as gg
    >>> huber_loss(gg.tensor([0.5, 3.0]), gg.tensor([0.0, 0.0]), reduction="none")
    tensor([0.125, 2.5  ])
    """
    if delta <= 0:
        raise OptionError(f"huber_loss: delta={delta} must be positive")
    input, target = alike("huber_loss", input, target, reduction)
    difference = input - target
    # Clipping instead of choosing: d is quadratic as far as the clip, and linear beyond it.
    near = difference.clip(-delta, delta)
    return reduced(near * (difference - near * 0.5), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """`huber_loss` with delta = beta, divided by beta; with beta = 0 it is `l1_loss`."""
    if beta < 0:
        raise OptionError(f"smooth_l1_loss: beta={beta} must not be negative")
    if beta == 0:
        return l1_loss(input, target, reduction)
    input, target = alike("smooth_l1_loss", input, target, reduction)
    return huber_loss(input, target, reduction, beta) / beta
