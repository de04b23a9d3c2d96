"""Normalisation of batches and of layers, and dropout."""

from __future__ import annotations

import math
from typing import Any

from gpugrad.errors import GradError, ShapeError
from gpugrad.fast_path import Kernel
from gpugrad.ops.axes import as_tuple
from gpugrad.primitive import primitive
from gpugrad.random import Generator, threshold

__all__ = ["dropout", "masked_scale", "standardize"]


@primitive(floating=True, outputs=["normal", "mean", "var"], cuda="gpugrad.kernels.standardize")
def standardize(xp: Any, x: Any, /, axis: Any, eps: float) -> Any:
    """(x - mean) / sqrt(var + eps) along `axis`, with the mean and the (biased) variance.

    The mean and variance keep the reduced axes, of size 1. Batch and layer normalisation share it.

    Source: Ioffe and Szegedy, "Batch normalization" (2015), algorithm 1.
    """
    mean = xp.mean(x, axis=axis, keepdims=True)
    centred = x - mean
    var = xp.mean(centred * centred, axis=axis, keepdims=True)
    return centred / xp.sqrt(var + eps), mean, var


@standardize.vjp("x", cuda="gpugrad.kernels.standardize.standardize_dx")
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


DROPOUT = Kernel("gpugrad.kernels.dropout.dropout")


def _dropout_on_gpu(xp: Any, x: Any, /, seed: int, start: int, keep: float, scale: float) -> Any:
    return DROPOUT(xp, x, seed, start, threshold(keep), scale)


@primitive(linear=True, cuda=_dropout_on_gpu)
def dropout(xp: Any, x: Any, /, seed: int, start: int, keep: float, scale: float) -> Any:
    """x * scale with probability `keep`, else 0; the draws are made again for the gradient.

    Args:
        seed, start: where in a `Generator`'s stream the draws begin, one for each element.

    >>> import gpugrad as gg
    >>> gg.dropout(gg.ones(4), seed=0, start=0, keep=0.5, scale=2.0)
    tensor([2., 2., 0., 2.])
    """
    source = Generator(seed)
    source.position = start
    kept = xp.asarray(source.bernoulli(tuple(x.shape), keep))
    return xp.where(kept, x * scale, xp.zeros_like(x))


@dropout.vjp("x")
def dropout_dx(xp: Any, g: Any, seed: int, start: int, keep: float, scale: float) -> Any:
    return xp.dropout(g, seed=seed, start=start, keep=keep, scale=scale)


@primitive(linear=True, separate=["keep"])
def masked_scale(xp: Any, x: Any, keep: Any, /, scale: float) -> Any:
    """x * scale where `keep` is true, 0 elsewhere."""
    return xp.where(keep, x * scale, 0)


@masked_scale.vjp("x")
def masked_scale_dx(xp: Any, g: Any, keep: Any, scale: float) -> Any:
    return xp.where(keep, g * scale, 0)
