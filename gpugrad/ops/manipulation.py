"""Shape and order: reshape, permute, join, flip, repeat. Every one is linear."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from gpugrad.errors import OptionError, ShapeError
from gpugrad.making import asarray
from gpugrad.ops.axes import as_tuple, is_one
from gpugrad.primitive import method, primitive
from gpugrad.tensor import Tensor

__all__ = [
    "concat", "expand_dims", "flatten", "flip", "matrix_transpose", "moveaxis", "permute_dims",
    "ravel", "repeat", "reshape", "roll", "squeeze", "stack", "swapaxes", "tile", "transpose",
]  # fmt: skip


@primitive(linear=True)
def reshape(xp: Any, x: Any, /, shape: Any) -> Any:
    """x with the same elements in another shape; one size may be -1, to be worked out.

    >>> import gpugrad as gg
    >>> gg.reshape(gg.tensor([1.0, 2.0, 3.0, 4.0]), (2, -1)).shape
    (2, 2)
    """
    return xp.reshape(x, shape)


@reshape.vjp("x")
def reshape_dx(xp: Any, g: Any, x_shape: Any) -> Any:
    return xp.reshape(g, x_shape)


@reshape.explain
def explain_reshape(x: Any, shape: Any) -> str:
    known = math.prod(n for n in as_tuple(shape) if n != -1)
    return (
        f"{x.size} elements do not fill the shape {shape}\n"
        f"  help: the sizes must multiply to {x.size}, here {known} with any -1 left out"
    )


@method("reshape")
def _reshape_method(x: Any, *shape: Any) -> Any:
    """x in another shape: t.reshape(2, 3), or t.reshape((2, 3))."""
    return reshape(x, shape=shape[0] if len(shape) == 1 else shape)


@method("ravel")
def ravel(x: Any) -> Any:
    """x as one axis."""
    return reshape(x, shape=(-1,))


@method("flatten")
def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """x with its axes from `start_dim` to `end_dim` made one."""
    if x.ndim == 0:
        return reshape(x, shape=(1,))
    first, last = start_dim % x.ndim, end_dim % x.ndim
    if first > last:
        raise OptionError(f"flatten: start_dim={start_dim} comes after end_dim={end_dim}")
    merged = math.prod(x.shape[first : last + 1])
    return reshape(x, shape=(*x.shape[:first], merged, *x.shape[last + 1 :]))


@primitive(linear=True, methods=["permute_dims"])
def permute_dims(xp: Any, x: Any, /, axes: Any) -> Any:
    """x with its axes in the order `axes` (a view).

    >>> import gpugrad as gg
    >>> gg.permute_dims(gg.asarray([[1, 2, 3]]), (1, 0)).shape
    (3, 1)
    """
    return xp.permute_dims(x, axes)


@permute_dims.vjp("x")
def permute_dims_dx(xp: Any, g: Any, axes: Any) -> Any:
    order = [k % len(axes) for k in axes]
    return xp.permute_dims(g, tuple(order.index(k) for k in range(len(order))))


@permute_dims.explain
def explain_permute_dims(x: Any, axes: Any) -> str:
    return f"axes={axes} must name each of the {x.ndim} axes of x once"


@method("transpose")
def transpose(x: Any, *axes: Any) -> Any:
    """x with its axes reversed, or in the order `axes`, as in NumPy."""
    given = axes[0] if len(axes) == 1 and not is_one(axes[0]) else axes
    return permute_dims(x, axes=tuple(given) if given else tuple(range(x.ndim))[::-1])


Tensor.T = property(transpose, doc="The tensor with its axes reversed.")  # type: ignore[attr-defined]


@method("swapaxes")
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """x with two axes exchanged."""
    order = list(range(x.ndim))
    try:
        order[axis1], order[axis2] = order[axis2], order[axis1]
    except IndexError:
        raise ShapeError(f"swapaxes: x has {x.ndim} axes, not {axis1} and {axis2}") from None
    return permute_dims(x, axes=tuple(order))


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """x with the axes `source` moved to the places `destination`."""
    sources = list(as_tuple(source))
    places = list(as_tuple(destination))
    if len(sources) != len(places):
        raise OptionError(f"moveaxis: {len(sources)} axes for {len(places)} places")
    for k in (*sources, *places):
        if not -x.ndim <= k < x.ndim:
            raise ShapeError(f"moveaxis: axis {k} does not exist, x is {tuple(x.shape)}")
    sources, places = [k % x.ndim for k in sources], [k % x.ndim for k in places]
    order = [k for k in range(x.ndim) if k not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return permute_dims(x, axes=tuple(order))


@method("matrix_transpose")
def matrix_transpose(x: Any) -> Any:
    """x with its last two axes exchanged."""
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose: x is {tuple(x.shape)}; a matrix has two axes")
    return permute_dims(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


Tensor.mT = property(matrix_transpose, doc="The transposed matrices.")  # type: ignore[attr-defined]


@primitive(linear=True)
def expand_dims(xp: Any, x: Any, /, axis: Any = 0) -> Any:
    """x with a new axis of size 1 at `axis`."""
    return xp.expand_dims(x, axis)


@primitive(linear=True, methods=["squeeze"])
def squeeze(xp: Any, x: Any, /, axis: Any = None) -> Any:
    """x without its axes of size 1, or without the given ones."""
    return xp.squeeze(x, axis)


@expand_dims.vjp("x")
@squeeze.vjp("x")
def same_elements_dx(xp: Any, g: Any, x_shape: Any) -> Any:
    return xp.reshape(g, x_shape)


@squeeze.explain
def explain_squeeze(x: Any, axis: Any) -> str:
    return f"axis={axis} does not name axes of size 1 of {tuple(x.shape)}"


@primitive
def _concat(xp: Any, /, *arrays: Any, axis: int) -> Any:
    """The arrays one after the other along `axis`."""
    return xp.concat(arrays, axis=axis)


@_concat.vjp("arrays")
def concat_darray(xp: Any, g: Any, position: int, arrays_shape: Any, axis: int) -> Any:
    along = axis % len(arrays_shape[0])
    ends = list(itertools.accumulate((shape[along] for shape in arrays_shape), initial=0))
    start, stop = ends[position], ends[position + 1]
    return g[(slice(None),) * along + (slice(start, stop),)]


@_concat.explain
def explain_concat(*arrays: Any, axis: int) -> str:
    shapes = ", ".join(str(tuple(x.shape)) for x in arrays)
    return f"the shapes {shapes} must be equal except along axis {axis}"


def concat(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """The arrays one after the other along `axis`; as one axis if None.

    >>> import gpugrad as gg
    >>> gg.concat([gg.tensor([1.0]), gg.tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """
    if not len(arrays):
        raise OptionError("concat: no arrays were given")
    if axis is None:
        return _joined([reshape(x, shape=(-1,)) for x in arrays], 0)
    return _joined(arrays, axis)


def _joined(arrays: Sequence[Any], axis: int) -> Any:
    """The arrays joined in groups of at most 32, as calls are compiled for their arity."""
    while len(arrays) > 32:
        groups = range(0, len(arrays), 32)
        arrays = [_concat(*arrays[start : start + 32], axis=axis) for start in groups]
    return _concat(*arrays, axis=axis)


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """The arrays, all of one shape, side by side along a new axis.

    >>> import gpugrad as gg
    >>> gg.stack([gg.tensor([1.0, 2.0]), gg.tensor([3.0, 4.0])]).shape
    (2, 2)
    """
    if not len(arrays):
        raise OptionError("stack: no arrays were given")
    try:
        return _joined([expand_dims(x, axis=axis) for x in arrays], axis)
    except ShapeError:
        shapes = [asarray(x).shape for x in arrays]
        if len(set(shapes)) == 1:
            raise
        raise ShapeError(f"stack: the shapes {', '.join(map(str, shapes))} must be equal") from None


@primitive(linear=True, methods=["flip"])
def flip(xp: Any, x: Any, /, axis: Any = None) -> Any:
    """x with the order of its elements reversed along `axis` (all axes if None)."""
    return xp.flip(x, axis=axis)


@flip.vjp("x")
def flip_dx(xp: Any, g: Any, axis: Any) -> Any:
    return xp.flip(g, axis=axis)


@primitive(linear=True, methods=["roll"])
def roll(xp: Any, x: Any, /, shift: Any, axis: Any = None) -> Any:
    """x with its elements moved by `shift` places along `axis`; the last come in first."""
    return xp.roll(x, as_tuple(shift), axis=axis)


@roll.vjp("x")
def roll_dx(xp: Any, g: Any, shift: Any, axis: Any) -> Any:
    return xp.roll(g, tuple(-s for s in as_tuple(shift)), axis=axis)


@primitive(linear=True, methods=["tile"])
def tile(xp: Any, x: Any, /, repetitions: Any) -> Any:
    """x laid out `repetitions` times along each axis."""
    return xp.tile(x, as_tuple(repetitions))


@tile.vjp("x")
def tile_dx(xp: Any, g: Any, x_shape: Any, repetitions: Any) -> Any:
    times = as_tuple(repetitions)
    ndim = max(len(times), len(x_shape))
    times = (1,) * (ndim - len(times)) + times
    shape = (1,) * (ndim - len(x_shape)) + tuple(x_shape)
    pairs = [size for pair in zip(times, shape, strict=True) for size in pair]
    summed = xp.sum(xp.reshape(g, tuple(pairs)), axis=tuple(range(0, 2 * ndim, 2)))
    return xp.reshape(summed, x_shape)


@primitive(linear=True, methods=["repeat"])
def repeat(xp: Any, x: Any, /, repeats: int, axis: int | None = None) -> Any:
    """x with each element `repeats` times in a row along `axis` (of the flat array if None)."""
    if not is_one(repeats) or repeats < 0:
        raise OptionError(f"repeat: repeats={repeats!r} must be an integer >= 0")
    return xp.repeat(x, repeats, axis=axis)


@repeat.vjp("x")
def repeat_dx(xp: Any, g: Any, x_shape: Any, repeats: int, axis: int | None) -> Any:
    flat = axis is None or not x_shape
    shape = (math.prod(x_shape),) if flat else tuple(x_shape)
    along = 0 if axis is None else axis % len(shape)
    split = (*shape[: along + 1], repeats, *shape[along + 1 :])
    return xp.reshape(xp.sum(xp.reshape(g, split), axis=along + 1), x_shape)
