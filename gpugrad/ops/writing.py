"""Writing elements into a copy: t.at[i].set(v), t.at[i].add(v), t[i] = v; sums by index.

On a GPU what a key names twice would be written in whatever order its threads come: elements are
put in order first, so that a set keeps the last value and a sum repeats its bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpugrad.determinism import is_deterministic
from gpugrad.device import device_of
from gpugrad.dtypes import float16, float32
from gpugrad.errors import GradError, GraphError, OptionError
from gpugrad.graph import Node
from gpugrad.making import asarray
from gpugrad.mode import is_grad_enabled
from gpugrad.ops.indexing import ARRAY, check_ranges, explain_index, numpy_key, split_key
from gpugrad.primitive import method, primitive
from gpugrad.tensor import Tensor
from gpugrad.version import FOREIGN, Version

__all__ = ["scatter_add_rows"]


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
        _add_at(xp, out, numpy_key(template, indices), v, is_deterministic())
    return out


def _add_at(xp: Any, out: Any, key: Any, v: Any, deterministic: bool) -> None:
    """out[key] += v, where an element named twice gets both."""
    if xp.on_host or (out.dtype.kind == "f" and not deterministic):
        xp.add.at(out, key, v)
    elif out.dtype.kind != "f":  # CuPy has no int64 here; unsigned words wrap to the same bits
        words = xp.astype(out, np.int64).view(np.uint64)
        xp.add.at(words, key, xp.astype(v, np.int64).view(np.uint64))
        out[...] = words.view(np.int64)
    else:
        places = _places(xp, out.shape, key)
        values = xp.broadcast_to(v, places.shape)
        sums = xp.scatter_add_rows(values, places, rows=out.size, deterministic=True)
        out += xp.reshape(sums, out.shape)


def _set_at(xp: Any, out: Any, template: tuple[Any, ...], indices: Any, v: Any) -> None:
    """out[key] = v, where the last value stays of those for an element named twice."""
    key = numpy_key(template, indices)
    if xp.on_host or not indices or getattr(v, "size", 1) == 1:
        out[key] = v
        return
    places = _places(xp, out.shape, key)
    last = _last_writes(xp, out.size, places)
    values = xp.reshape(xp.broadcast_to(v, places.shape), -1)
    if values.size:
        chosen = xp.reshape(values[xp.maximum(last, 1) - 1], out.shape)
        out[...] = xp.where(xp.reshape(last > 0, out.shape), chosen, out)


def _places(xp: Any, shape: tuple[int, ...], key: tuple[Any, ...]) -> Any:
    """The places in the flat array of `shape` that a key names."""
    return xp.reshape(xp.arange(math.prod(shape)), shape)[key]


def _last_writes(xp: Any, size: int, places: Any) -> Any:
    """For each of `size` elements, which of the writes to `places` was its last, from 1; else 0."""
    last = xp.zeros(size, dtype=np.uint64)  # CuPy's maximum.at does not take int64
    xp.maximum.at(last, xp.reshape(places, -1), _numbers(xp, places.size))
    return xp.astype(last, np.int64)


def _numbers(xp: Any, count: int) -> Any:
    return xp.arange(1, count + 1, dtype=np.uint64)


@primitive(linear=True, separate=["index"], cuda="gpugrad.kernels.scatter_add_rows")
def scatter_add_rows(xp: Any, v: Any, index: Any, /, rows: int, deterministic: bool = True) -> Any:
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
    _add_at(xp, out, index, v, deterministic)
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
    check_ranges(xp, x, indices, template)
    out = x.copy()
    _set_at(xp, out, template, indices, v)
    return out


@index_set.vjp("x")
def index_set_dx(xp: Any, g: Any, indices: Any, template: Any) -> Any:
    return xp.index_set(g, 0, *indices, template=template)


@index_set.vjp("v")
def index_set_dv(xp: Any, g: Any, v_shape: Any, indices: Any, template: Any) -> Any:
    taken = xp.index(g, *indices, template=template)
    if not indices:
        return taken
    # Where a key names an element twice, only the write that stayed has a gradient.
    raw = tuple(i._data if isinstance(i, Tensor) else i for i in indices)
    there = device_of(raw[0]).xp
    places = _places(there, g.shape, numpy_key(template, raw))
    last = _last_writes(there, math.prod(g.shape), places)
    stayed = last[places] == there.reshape(_numbers(there, places.size), places.shape)
    if there.on_host and stayed.all():
        return taken
    return xp.where(stayed, taken, xp.zeros_like(taken))


@primitive(separate=["indices"])
def index_add(xp: Any, x: Any, v: Any, /, *indices: Any, template: Any) -> Any:
    """A copy of x with v added at a key, where an element named twice gets both."""
    check_ranges(xp, x, indices, template)
    out = x.copy()
    _add_at(xp, out, numpy_key(template, indices), v, is_deterministic())
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
        template, arrays = split_key(self._key, self._x)
        number = isinstance(v, (bool, int, float))
        scalar = number or isinstance(v, np.generic)
        value = asarray(v, self._x.dtype if number else None, self._x.device if scalar else None)
        if value.dtype != self._x.dtype:
            value = value.astype(self._x.dtype)
        return write(self._x, value, *arrays, template=template)


Tensor.at = property(At, doc="The functional writes: t.at[key].set(v), t.at[key].add(v).")  # type: ignore[attr-defined]


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
        template, arrays = split_key(key, x)
        value = value if isinstance(value, Tensor) else asarray(value, device=x.device)
        if x._version is None or x._version is FOREIGN:  # memory of somebody else is not written
            x._data, x._version = x._data.copy(), Version()
        raw, xp = tuple(a._data for a in arrays), x.device.xp
        check_ranges(xp, x._data, raw, template)
        try:
            _set_at(xp, x._data, template, raw, value._data)
        except (ValueError, IndexError):
            index_set(x, value, *arrays, template=template)  # fails too, and says why
            raise
        x._written("t[...] = v")
        return
    after = x.at[key].set(value)
    x._data, x._node, x._version = after._data, after._node, None
