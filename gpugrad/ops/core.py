"""The operations that the chain rule itself is made of: chain, sum_to, astype, broadcast_to."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from gpugrad.dtypes import as_dtype
from gpugrad.errors import OptionError, ShapeError
from gpugrad.primitive import primitive

__all__ = ["astype", "broadcast_to", "chain", "column_sums", "sum_to", "to_device"]


@primitive(cuda="gpugrad.kernels.chain")
def chain(xp: Any, cotangent: Any, partial: Any, /, either: bool = False) -> Any:
    """The chain rule's product cotangent * partial, where a cotangent of exactly 0 stays 0.

    0 times an infinite or undefined partial is 0, so that the branch not taken (of `where`, say)
    gives no NaN. Where the partial is finite this is the plain product, and so is its derivative.
    With `either`, a partial of exactly 0 also wins over such a cotangent: forward mode meets the
    branch before it meets the choice.
    """
    if isinstance(partial, (bool, int, float)):
        if math.isfinite(partial) and not (either and partial == 0):
            return cotangent if partial == 1 else cotangent * partial
        partial = xp.full_like(cotangent, partial)
    if partial.dtype is not cotangent.dtype:
        if partial.dtype.kind == "b" and not either:
            return cotangent * partial  # finite throughout
        partial = xp.astype(partial, cotangent.dtype)
    product = cotangent * partial
    # The sum of squares is NaN exactly if an element is: one pass, and no infinity cancels another.
    flat = product.ravel("K") if xp.on_host else None
    if flat is None or math.isnan(flat.dot(flat)):
        undefined = (cotangent == 0) & ~xp.isfinite(partial)
        if either:
            undefined = undefined | ((partial == 0) & ~xp.isfinite(cotangent))
        product = xp.where(undefined, xp.zeros_like(product), product)
    return product


@chain.vjp("cotangent")
def chain_dcotangent(xp: Any, g: Any, partial: Any) -> Any:
    return xp.chain(g, partial, either=True)


@chain.vjp("partial")
def chain_dpartial(xp: Any, g: Any, cotangent: Any) -> Any:
    return xp.chain(cotangent, g, either=True)


@primitive(linear=True)
def sum_to(xp: Any, x: Any, /, shape: Any) -> Any:
    """The sum of x over the axes along which `shape` was broadcast to x's shape."""
    lead = x.ndim - len(shape)
    if lead < 0:
        return xp.broadcast_to(x, shape)
    axes = [k for k in range(x.ndim) if k < lead or (shape[k - lead] == 1 and x.shape[k] != 1)]
    return xp.reshape(xp.sum(x, axis=tuple(axes), keepdims=True) if axes else x, shape)


@sum_to.vjp("x")
def sum_to_dx(xp: Any, g: Any, x_shape: Any) -> Any:
    return xp.broadcast_to(_aligned(xp, g, len(x_shape)), x_shape)


@functools.lru_cache(maxsize=64)
def _ones(count: int, dtype: Any) -> Any:
    """A row of ones, for sums by BLAS; kept, since a training step asks for the same few again."""
    return np.ones(count, dtype)


@primitive(linear=True)
def to_device(xp: Any, x: Any, /, target: Any, source: Any) -> Any:
    """x's elements on the device `target`, copied there from `source`.

    The gradient goes the way back. `t.to(device)` is the public spelling.
    """
    return target.put(x)


@to_device.vjp("x")
def to_device_dx(xp: Any, g: Any, target: Any, source: Any) -> Any:
    return xp.to_device(g, target=source, source=target)


@primitive(linear=True)
def column_sums(xp: Any, x: Any, /) -> Any:
    """The sum over the first axis of x (rows, columns), as a row of ones times x.

    BLAS sums rows two to four times quicker than a reduction does.
    """
    if not xp.on_host:
        return xp.sum(x, axis=0)
    return _ones(x.shape[0], x.dtype).dot(x)


@column_sums.vjp("x")
def column_sums_dx(xp: Any, g: Any, x_shape: Any) -> Any:
    return xp.broadcast_to(g, x_shape)


def _aligned(xp: Any, x: Any, ndim: int) -> Any:
    return xp.reshape(x, (1,) * (ndim - x.ndim) + tuple(x.shape)) if x.ndim < ndim else x


@primitive(linear=True, methods=["broadcast_to"])
def broadcast_to(xp: Any, x: Any, /, shape: Any) -> Any:
    """x repeated along new axes and axes of size 1 until it has `shape` (a view).

    >>> import gpugrad as gg
    >>> gg.broadcast_to(gg.tensor([1.0, 2.0]), (2, 2)).tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """
    return xp.broadcast_to(x, shape)


@broadcast_to.vjp("x")
def broadcast_to_dx(g: Any) -> Any:
    return g  # every cotangent is summed to its argument's shape


@broadcast_to.explain
def explain_broadcast_to(x: Any, shape: Any) -> str:
    return f"{tuple(x.shape)} cannot be broadcast to {shape}\n  help: aligned from the right, sizes must be equal or 1"  # noqa: E501


@primitive(linear=True, methods=["astype"])
def astype(xp: Any, x: Any, /, dtype: Any) -> Any:
    """x with its elements converted to `dtype`; the same memory if they have it already.

    The gradient is converted back. Converting to integers cuts the graph.

    >>> import gpugrad as gg
    >>> gg.astype(gg.tensor([1.7, -1.7]), gg.int64)
    tensor([ 1, -1])
    """
    return xp.astype(x, as_dtype(dtype))


@astype.vjp("x")
def astype_dx(g: Any) -> Any:
    return g  # every cotangent is converted to its argument's dtype


def broadcast_error(*operands: Any) -> ShapeError | OptionError | str | None:
    """What to say when operands do not broadcast: the axis at which they differ."""
    shapes = [tuple(x.shape) for x in operands if hasattr(x, "shape")]
    ndim = max(map(len, shapes), default=0)
    for axis in range(1, ndim + 1):
        sizes = sorted({shape[-axis] for shape in shapes if len(shape) >= axis} - {1})
        if len(sizes) > 1:
            return (
                f"the shapes {' and '.join(map(str, shapes))} do not fit: axis -{axis} has "
                f"{' and '.join(map(str, sizes))} elements\n"
                "  help: aligned from the right, sizes must be equal or 1; reshape or expand_dims"
            )
    return None
