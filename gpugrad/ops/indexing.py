"""Reading elements: t[i], take, take_along_axis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gpugrad.device import device_of
from gpugrad.errors import IndexRangeError
from gpugrad.foreign import foreign_array
from gpugrad.later import check_later
from gpugrad.making import asarray
from gpugrad.primitive import method, primitive
from gpugrad.tensor import Tensor, describe

__all__ = ["take", "take_along_axis"]

# A key is kept as a template: a tuple in which ARRAY stands for the next of the index arrays. The
# arrays are arguments like any other, the template is a static option.
ARRAY = "array"


def split_key(key: Any, x: Tensor) -> tuple[tuple[Any, ...], list[Any]]:
    """A user's key into x as (template, index arrays); what is of the host goes to x's device."""
    template: list[Any] = []
    arrays: list[Any] = []
    given: list[Any] = []  # the same, before those of the host are moved
    for part in key if isinstance(key, tuple) else (key,):
        if part is None or part is Ellipsis or isinstance(part, (bool, int, slice)):
            if isinstance(part, slice):
                part = slice(*[None if edge is None else _edge(edge) for edge in
                               (part.start, part.stop, part.step)])  # fmt: skip
            if isinstance(part, bool):
                template.append(ARRAY)
                given.append(np.asarray(part))
                arrays.append(asarray(given[-1], device=x.device))
            else:
                template.append(part)
            continue
        index: Any = part
        if not isinstance(part, Tensor) and foreign_array(part) is None:
            index = _index_array(part)
        if index.dtype.kind not in "iub":
            raise IndexRangeError(
                f"index: an index must be an integer, slice, or array of integers or bools, "
                f"not {index.dtype}"
            )
        template.append(ARRAY)
        given.append(index)
        moves = isinstance(index, np.ndarray)
        arrays.append(asarray(index, device=x.device) if moves else asarray(index))
    if type(x._data) is not np.ndarray:  # NumPy checks its own
        for index, axis in _chosen_axes(x.ndim, given, template):
            if isinstance(index, np.ndarray):
                check_on_host("index", index, x, axis)
    return tuple(template), arrays


def check_on_host(name: str, index: np.ndarray[Any, Any], x: Tensor, axis: int) -> None:
    """Refuse an index out of range into a tensor on a GPU, while the host still has it.

    Raises:
        IndexRangeError: naming the first.
    """
    size = x.shape[axis]
    outside = index[(index < -size) | (index >= size)]
    if outside.size:
        raise IndexRangeError(
            f"{name}: index {outside.flat[0]} is out of bounds for axis {axis} with size {size}\n"
            f"  x: {describe(x)}"
        )


def _index_array(part: Any) -> np.ndarray[Any, Any]:
    """A list, or whatever was given as an index, as an array; an empty list chooses nothing."""
    try:
        index = np.asarray(part)
    except ValueError:
        raise IndexRangeError(f"index: {part!r} is no array of integers or bools") from None
    return index if index.size or isinstance(part, np.ndarray) else index.astype(np.int64)


def _edge(edge: Any) -> int:
    try:
        return int(edge.__index__())
    except AttributeError:
        raise IndexRangeError(f"index: {edge!r} cannot bound a slice; use an integer") from None


def numpy_key(template: tuple[Any, ...], indices: tuple[Any, ...]) -> tuple[Any, ...]:
    """The NumPy key that a template and its index arrays stand for."""
    if not indices:
        return template
    rest = iter(indices)
    return tuple(next(rest) if isinstance(part, str) else part for part in template)


@primitive(separate=["indices"])
def index(xp: Any, x: Any, /, *indices: Any, template: Any) -> Any:
    """The elements of x that a key names; see `Tensor.__getitem__`."""
    check_ranges(xp, x, indices, template)
    return x[numpy_key(template, indices)]


def check_ranges(xp: Any, x: Any, indices: tuple[Any, ...], template: tuple[Any, ...]) -> None:
    """What NumPy checks itself, for a GPU: each index array against the axis it chooses from."""
    if not xp.on_host:
        for array, axis in _chosen_axes(x.ndim, indices, template):
            _check_range("index", array, x.shape[axis])


def _chosen_axes(
    ndim: int, indices: Sequence[Any], template: Sequence[Any]
) -> Iterator[tuple[Any, int]]:
    """Each index array of integers with the axis that it chooses from."""
    rest, axis = iter(indices), 0
    named = sum(part is not None and part is not Ellipsis for part in template)
    for part in template:
        if isinstance(part, str):
            array = next(rest)
            if array.dtype.kind == "b":
                axis += array.ndim
                named += array.ndim - 1
                continue
            if axis < ndim:
                yield array, axis
        if part is Ellipsis:
            axis += ndim - named
        elif part is not None:
            axis += 1


@index.vjp("x")
def index_dx(xp: Any, g: Any, x_shape: Any, indices: Any, template: Any) -> Any:
    return xp.index_add_to_zeros(g, *indices, template=template, shape=x_shape)


@index.explain
def explain_index(x: Any, *indices: Any, template: Any) -> str | IndexRangeError | None:
    if (
        sum(part not in (None, Ellipsis) for part in template if not isinstance(part, str))
        + sum(i.ndim if i.dtype.kind == "b" else 1 for i in indices)
        > x.ndim
    ):
        return IndexRangeError(f"index: more indices than axes\n  x: {x.dtype} {tuple(x.shape)}")
    for k in indices:
        if k.dtype.kind == "b":
            return IndexRangeError(
                f"index: a mask has the shape of the axes it selects from, here {tuple(k.shape)}\n"
                f"  x: {x.dtype} {tuple(x.shape)}"
            )
    return None


@primitive(separate=["indices"], methods=["take"], cuda="gpugrad.kernels.gather_rows")
def take(xp: Any, x: Any, indices: Any, /, axis: int | None = None) -> Any:
    """The elements of x at `indices` along `axis` (of the flat array if None).

    Raises:
        IndexRangeError: an index lies outside the axis.

    >>> import gpugrad as gg
    >>> gg.take(gg.tensor([10.0, 20.0, 30.0]), gg.tensor([2, 0]))
    tensor([30., 10.])
    """
    if indices.dtype.kind not in "iu":
        raise IndexRangeError(f"take: indices must be integers, not {indices.dtype}")
    if not xp.on_host:
        _check_range("take", indices, x.shape[axis] if axis is not None and x.ndim else x.size)
    return xp.take(x, indices, axis=axis)


def _check_range(name: str, indices: Any, size: int) -> None:
    """What NumPy checks itself, for a GPU; see `check_later`."""

    def outside() -> Any:
        wide = indices.astype(np.int64)  # few bits may not hold the size
        return (wide < -size) | (wide >= size)

    check_later(
        outside,
        lambda: IndexRangeError(f"{name}: an index is out of range: the axis has {size} elements"),
    )


@take.vjp("x")
def take_dx(xp: Any, g: Any, x_shape: Any, indices: Any, axis: int | None) -> Any:
    if axis is None or not x_shape:
        flat = xp.index_add_to_zeros(g, indices, template=(ARRAY,), shape=(math.prod(x_shape),))
        return xp.reshape(flat, x_shape)
    template = (slice(None),) * (axis % len(x_shape)) + (ARRAY,)
    return xp.index_add_to_zeros(g, indices, template=template, shape=x_shape)


@primitive(separate=["indices"], methods=["take_along_axis"])
def take_along_axis(xp: Any, x: Any, indices: Any, /, axis: int = -1) -> Any:
    """For each place along `axis`, the element of x that `indices` names there.

    >>> import gpugrad as gg
    >>> gg.take_along_axis(gg.tensor([[1.0, 2.0], [3.0, 4.0]]), gg.tensor([[1], [0]])).tolist()
    [[2.0], [3.0]]
    """
    if indices.dtype.kind not in "iu":
        raise IndexRangeError(f"take_along_axis: indices must be integers, not {indices.dtype}")
    if not xp.on_host:
        size = x.size if axis is None else x.shape[axis]
        _check_range("take_along_axis", indices, size)
    return xp.take_along_axis(x, indices, axis=axis)


@take_along_axis.vjp("x")
def take_along_axis_dx(xp: Any, g: Any, x_shape: Any, indices: Any, axis: int) -> Any:
    raw = indices._data if isinstance(indices, Tensor) else indices
    if axis is None:  # of the flat array
        flat = xp.index_add_to_zeros(g, raw, template=(ARRAY,), shape=(math.prod(x_shape),))
        return xp.reshape(flat, x_shape)
    # The places of x beside the axis: the indices broadcast with them, as in the forward.
    there = device_of(raw).xp
    sparse = [[-1 if k == n else 1 for n in range(raw.ndim)] for k in range(raw.ndim)]
    keys = [there.reshape(there.arange(n), one) for n, one in zip(x_shape, sparse, strict=True)]
    keys[axis] = raw
    return xp.index_add_to_zeros(g, *keys, template=(ARRAY,) * raw.ndim, shape=x_shape)


@method("__getitem__")
def getitem(x: Tensor, key: Any) -> Tensor:
    """The elements that `key` names, as in NumPy: integers, slices, integer arrays, masks."""
    template, arrays = split_key(key, x)
    picked: Tensor = index(x, *arrays, template=template)
    return picked
