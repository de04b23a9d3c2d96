"""Reading elements (t[i], take, take_along_axis) and the functional writes (t.at[i].set(v))."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpugrad.determinism import is_deterministic
from gpugrad.device import device_of, foreign_array, to_host
from gpugrad.dtypes import float16, float32
from gpugrad.errors import GradError, GraphError, IndexRangeError, OptionError
from gpugrad.graph import Node
from gpugrad.later import check_later
from gpugrad.mode import is_grad_enabled
from gpugrad.primitive import method, primitive
from gpugrad.tensor import Tensor, asarray
from gpugrad.version import FOREIGN, Version

__all__ = ["scatter_add_rows", "take", "take_along_axis"]

# A key is kept as a template: a tuple in which ARRAY stands for the next of the index arrays. The
# arrays are arguments like any other, the template is a static option.
ARRAY = "array"


def _split(key: Any, x: Tensor) -> tuple[tuple[Any, ...], list[Any]]:
    """A user's key into x as (template, index arrays); what is of the host goes to x's device."""
    template: list[Any] = []
    arrays: list[Any] = []
    for part in key if isinstance(key, tuple) else (key,):
        if part is None or part is Ellipsis or isinstance(part, (bool, int, slice)):
            if isinstance(part, slice):
                part = slice(*[None if edge is None else _edge(edge) for edge in
                               (part.start, part.stop, part.step)])  # fmt: skip
            if isinstance(part, bool):
                template.append(ARRAY)
                arrays.append(asarray(np.asarray(part), device=x.device))
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
        moves = isinstance(index, np.ndarray)
        arrays.append(asarray(index, device=x.device) if moves else asarray(index))
    return tuple(template), arrays


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


def _key(template: tuple[Any, ...], indices: tuple[Any, ...]) -> tuple[Any, ...]:
    """The NumPy key that a template and its index arrays stand for."""
    if not indices:
        return template
    rest = iter(indices)
    return tuple(next(rest) if isinstance(part, str) else part for part in template)


@primitive(separate=["indices"])
def index(xp: Any, x: Any, /, *indices: Any, template: Any) -> Any:
    """The elements of x that a key names; see `Tensor.__getitem__`."""
    if not xp.on_host:
        _check_ranges(x, indices, template)
    return x[_key(template, indices)]


def _check_ranges(x: Any, indices: tuple[Any, ...], template: tuple[Any, ...]) -> None:
    """What NumPy checks itself, for a GPU: each index array against the axis it chooses from."""
    rest, axis = iter(indices), 0
    named = sum(part is not None and part is not Ellipsis for part in template)
    for part in template:
        if isinstance(part, str):
            array = next(rest)
            if array.dtype.kind == "b":
                axis += array.ndim
                named += array.ndim - 1
                continue
            if axis < x.ndim:
                _check_range("index", array, x.shape[axis])
        if part is Ellipsis:
            axis += x.ndim - named
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


@primitive(linear=True, separate=["indices"])
def index_add_to_zeros(xp: Any, v: Any, /, *indices: Any, template: Any, shape: Any) -> Any:
    """Zeros of `shape` with v added at a key, where an element named twice gets both."""
    rows_only = template == (ARRAY,) and indices[0].dtype.kind in "iu"
    if not xp.on_host and rows_only and v.dtype.kind == "f" and shape:
        whole = xp.broadcast_to(v, (*indices[0].shape, *shape[1:]))
        return xp.scatter_add_rows(
            whole, indices[0], rows=shape[0], deterministic=is_deterministic()
        )
    out = xp.zeros(shape, dtype=v.dtype)
    if not indices:
        out[template] = v
    else:
        _add_at(xp, out, _key(template, indices), v)
    return out


def _add_at(xp: Any, out: Any, key: tuple[Any, ...], v: Any) -> None:
    """out[key] += v, where an element named twice gets both.

    On a GPU CuPy's own `add.at` adds floats in whatever order its threads come, so their last bits
    would differ from run to run: there the places are put in order first.
    """
    if xp.on_host or out.dtype.kind != "f" or not is_deterministic():
        xp.add.at(out, key, v)
        return
    places = xp.reshape(xp.arange(out.size), out.shape)[key]
    values = xp.broadcast_to(v, places.shape)
    sums = xp.scatter_add_rows(values, places, rows=out.size, deterministic=True)
    out += xp.reshape(sums, out.shape)


@primitive(linear=True, separate=["index"], cuda="gpugrad.kernels.scatter_add_rows")
def scatter_add_rows(
    xp: Any, v: Any, index: Any, /, rows: int, deterministic: bool = True
) -> Any:
    """Zeros (rows, ...) with v[i] added to row index[i]; v is index.shape + the shape of a row.

    Args:
        deterministic: in the order of i, so that the bits repeat.

    >>> import gpugrad as gg
    >>> gg.scatter_add_rows(gg.tensor([1.0, 2.0, 3.0]), gg.tensor([1, 0, 1]), rows=2)
    tensor([2., 4.])
    """
    if not xp.on_host and deterministic and v.dtype == float16:
        wide = xp.scatter_add_rows(xp.astype(v, float32), index, rows=rows, deterministic=True)
        return xp.astype(wide, float16)
    if not xp.on_host and deterministic and v.dtype.kind == "f":
        raise OptionError(
            "scatter_add_rows: for so many elements only an order that differs from run to run is "
            "left\n  help: allow it with gg.deterministic(False)"
        )
    out = xp.zeros((rows, *v.shape[index.ndim :]), dtype=v.dtype)
    xp.add.at(out, index, v)
    return out


@scatter_add_rows.vjp("v")
def scatter_add_rows_dv(xp: Any, g: Any, index: Any) -> Any:
    return xp.take(g, index, axis=0)


@index_add_to_zeros.vjp("v")
def index_add_to_zeros_dv(xp: Any, g: Any, indices: Any, template: Any) -> Any:
    return xp.index(g, *indices, template=template)


@primitive(separate=["indices"])
def index_set(xp: Any, x: Any, v: Any, /, *indices: Any, template: Any) -> Any:
    """A copy of x with the elements at a key replaced by v; of equal keys the last one counts."""
    out = x.copy()
    out[_key(template, indices)] = v
    return out


@index_set.vjp("x")
def index_set_dx(xp: Any, g: Any, indices: Any, template: Any) -> Any:
    return xp.index_set(g, 0, *indices, template=template)


@index_set.vjp("v")
def index_set_dv(xp: Any, g: Any, v_shape: Any, indices: Any, template: Any) -> Any:
    taken = xp.index(g, *indices, template=template)
    if not indices:
        return taken
    # Where a key names an element twice, only the write that stayed has a gradient: number the
    # writes, write the numbers, and see whose number is read back.
    raw = tuple(i._data if isinstance(i, Tensor) else i for i in indices)
    host = tuple(map(to_host, raw))
    numbers = np.arange(math.prod(taken.shape)).reshape(taken.shape)
    last = np.empty(g.shape, dtype=np.int64)
    last[_key(template, host)] = numbers
    stayed = last[_key(template, host)] == numbers
    if stayed.all():
        return taken
    return xp.where(_beside(raw[0], stayed), taken, xp.zeros_like(taken))


@primitive(separate=["indices"])
def index_add(xp: Any, x: Any, v: Any, /, *indices: Any, template: Any) -> Any:
    """A copy of x with v added at a key, where an element named twice gets both."""
    out = x.copy()
    _add_at(xp, out, _key(template, indices), v)
    return out


@index_add.vjp("x")
def index_add_dx(g: Any) -> Any:
    return g


@index_add.vjp("v")
def index_add_dv(xp: Any, g: Any, indices: Any, template: Any) -> Any:
    return xp.index(g, *indices, template=template)


@index_set.explain
@index_add.explain
def explain_write(x: Any, v: Any, *indices: Any, template: Any) -> str | GradError | None:
    return explain_index(x, *indices, template=template)


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
    check_later(
        lambda: (indices < -size) | (indices >= size),
        lambda: IndexRangeError(
            f"{name}: an index is out of range: the axis has {size} elements"
        ),
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
    keys = [_beside(raw, places) for places in np.indices(x_shape, sparse=True)]
    keys[axis] = raw
    return xp.index_add_to_zeros(g, *keys, template=(ARRAY,) * raw.ndim, shape=x_shape)


def _beside(array: Any, host: Any) -> Any:
    """A host array on the device of another array."""
    return device_of(array).put(host)


class At:
    """`t.at[key]`: the elements at a key, to be replaced or added to in a copy of t."""

    def __init__(self, x: Tensor, key: Any = None) -> None:
        self._x = x
        self._key = key

    def __getitem__(self, key: Any) -> At:
        return At(self._x, key)

    def get(self) -> Any:
        """t[key]."""
        return self._x[self._key]

    def set(self, v: Any) -> Any:
        """A copy of t with v at the key.

        >>> import gpugrad as gg
        >>> gg.tensor([1.0, 2.0, 3.0]).at[1:].set(0.0)
        tensor([1., 0., 0.])
        """
        return self._written(index_set, v)

    def add(self, v: Any) -> Any:
        """A copy of t with v added at the key; an element named twice gets both."""
        return self._written(index_add, v)

    def subtract(self, v: Any) -> Any:
        """A copy of t with v subtracted at the key; an element named twice loses both."""
        return self.add(-asarray(v))

    def _written(self, write: Any, v: Any) -> Any:
        template, arrays = _split(self._key, self._x)
        number = isinstance(v, (bool, int, float))
        value = asarray(v, self._x.dtype if number else None, self._x.device if number else None)
        if value.dtype != self._x.dtype:
            value = value.astype(self._x.dtype)
        return write(self._x, value, *arrays, template=template)


Tensor.at = property(At, doc="The functional writes: t.at[key].set(v), t.at[key].add(v).")  # type: ignore[attr-defined]


@method("__getitem__")
def getitem(x: Tensor, key: Any) -> Tensor:
    """The elements that `key` names, as in NumPy: integers, slices, integer arrays, masks."""
    template, arrays = _split(key, x)
    picked: Tensor = index(x, *arrays, template=template)
    return picked


@method("__setitem__")
def setitem(x: Tensor, key: Any, value: Any) -> None:
    """t[key] = value: recorded like any operation; in place only for a leaf under `gg.no_grad()`.

    Raises:
        GraphError: t is a leaf that requires a gradient, or was recorded and is written in no_grad.
        IndexRangeError, ShapeError: the key, or the value, does not fit.
    """
    if isinstance(x._node, Node) and not is_grad_enabled():
        raise GraphError(
            "t[...] = v: a recorded operation made this tensor; it cannot be changed in no_grad\n"
            "  help: write t = t.detach() first"
        )
    if x._node is not None and x._node.is_leaf:
        if is_grad_enabled():
            raise GraphError(
                "t[...] = v: a leaf that requires a gradient is not assigned to\n"
                "  help: write t = t.at[...].set(v), or assign within gg.no_grad()"
            )
        template, arrays = _split(key, x)
        value = value if isinstance(value, Tensor) else asarray(value, device=x.device)
        if x._version is None or x._version is FOREIGN:  # memory of somebody else is not written
            x._data, x._version = x._data.copy(), Version()
        try:
            x._data[_key(template, tuple(a._data for a in arrays))] = value._data
        except (ValueError, IndexError):
            index_set(x, value, *arrays, template=template)  # fails too, and says why
            raise
        x._written("t[...] = v")
        return
    after = x.at[key].set(value)
    x._data, x._node, x._version = after._data, after._node, None
