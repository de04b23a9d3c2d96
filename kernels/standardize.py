"""standardize: mean 0 and variance 1 along the last axes (layer_norm) or the first (batch_norm).

Used by   ops/normalization.py standardize and its derivative on "cuda"; its reference is that op's
          forward. Other axes, as those of images, take the NumPy expression
"""

from __future__ import annotations

import math
from typing import Any

from gpugrad.kernels.batch_norm import batch_norm, batch_norm_backward
from gpugrad.kernels.launch import suits
from gpugrad.kernels.layer_norm import layer_norm, layer_norm_backward


def _split(x: Any, axis: Any) -> tuple[bool, int, int] | None:
    """Whether axis are x's last axes, and rows and columns; None where they are neither end's."""
    axes = sorted(k % x.ndim for k in ((axis,) if isinstance(axis, int) else axis))
    count = len(axes)
    if not 0 < count <= x.ndim or not x.size:
        return None
    if axes == list(range(x.ndim - count, x.ndim)):
        cols = math.prod(x.shape[-count:])
        return True, x.size // cols, cols
    if axes == list(range(count)):
        rows = math.prod(x.shape[:count])
        return False, rows, x.size // rows
    return None


def _reduced(x: Any, axis: Any) -> tuple[int, ...]:
    axes = {k % x.ndim for k in ((axis,) if isinstance(axis, int) else axis)}
    return tuple(1 if k in axes else n for k, n in enumerate(x.shape))


def standardize(xp: Any, x: Any, /, axis: Any, eps: float) -> Any:
    """(normal, mean, var) of x along axis; NotImplemented for what the kernels do not take."""
    if x.dtype != "float32" or not suits(x) or (split := _split(x, axis)) is None:
        return NotImplemented
    last, rows, cols = split
    forward = layer_norm if last else batch_norm
    normal, mean, var = forward(xp, x.reshape(rows, cols), eps)
    kept = _reduced(x, axis)
    return normal.reshape(x.shape), mean.reshape(kept), var.reshape(kept)


def standardize_backward(
    xp: Any, g_normal: Any, normal: Any, var: Any, axis: Any, eps: float
) -> Any:
    """The gradient in x of standardize's normal alone, whose cotangent is g_normal."""
    if any(a.dtype != "float32" for a in (g_normal, normal, var)) or g_normal.shape != normal.shape:
        return NotImplemented
    if not suits(g_normal, normal, var) or (split := _split(normal, axis)) is None:
        return NotImplemented
    last, rows, cols = split
    backward = layer_norm_backward if last else batch_norm_backward
    g, flat = g_normal.reshape(rows, cols), normal.reshape(rows, cols)
    return backward(xp, g, flat, var.reshape(-1), eps).reshape(normal.shape)


def standardize_dx(
    xp: Any, g: Any, normal: Any, var: Any, x_shape: Any, axis: Any, eps: float
) -> Any:
    """The rule of standardize, for the cotangent of normal alone."""
    if g.get(0) is None or g.get(1) is not None or g.get(2) is not None:
        return NotImplemented
    return standardize_backward(xp, g.get(0), normal, var, axis, eps)
