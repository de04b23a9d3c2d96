"""Normalisation of batches and of layers, and dropout."""

from __future__ import annotations

import math
from typing import Any

from gpugrad.errors import GradError, ShapeError
from gpugrad.ops.axes import as_tuple
from gpugrad.primitive import primitive

__all__ = ["masked_scale", "standardize"]


@primitive(floating=True, outputs=["normal", "mean", "var"])
def standardize(xp: Any, x: Any, /, axis: Any, eps: float) -> Any:
    """(x - mean) / sqrt(var + eps) along `axis`, with the mean and the (biased) variance.

    The mean and variance keep the reduced axes, of size 1. Batch and layer normalisation share it.

    Source: Ioffe and Szegedy, "Batch normalization" (2015), algorithm 1.
    """
    mean = xp.mean(x, axis=axis, keepdims=True)
    centred = x - mean
    var = xp.mean(centred * centred, axis=axis, keepdims=True)
    return centred / xp.sqrt(var + eps), mean, var


@standardize.vjp("x")
def standardize_dx(
    xp: Any, g: Any, normal: Any, var: Any, x_shape: Any, axis: Any, eps: float
) -> Any:
    count = math.prod(x_shape[k] for k in as_tuple(axis))
    deviation = xp.sqrt(var + eps)
    share = xp.zeros_like(normal)
    g_normal, g_mean, g_var = g.get(0), g.get(1), g.get(2)
    if g_normal is not None:
        level = xp.mean(g_normal, axis=axis, keepdims=True)
        tilt = xp.mean(g_normal * normal, axis=axis, keepdims=True)
        share = (g_normal - level - normal * tilt) / deviation
    if g_mean is not None:
        share = share + g_mean / count
    if g_var is not None:
        share = share + normal * deviation * (g_var * (2.0 / count))
    return share


@standardize.explain
def explain_standardize(x: Any, axis: Any, eps: float) -> str | GradError | None:
    return ShapeError(f"normalisation along axes {axis}: x is {tuple(x.shape)}")


@primitive(linear=True, separate=["keep"])
def masked_scale(xp: Any, x: Any, keep: Any, /, scale: float) -> Any:
    """x * scale where `keep` is true, 0 elsewhere."""
    return xp.where(keep, x * scale, 0)


@masked_scale.vjp("x")
def dropout_dx(xp: Any, g: Any, keep: Any, scale: float) -> Any:
    return xp.where(keep, g * scale, 0)
