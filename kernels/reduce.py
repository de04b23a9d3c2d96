"""reduce: sums, largest elements, means and variances along leading, trailing or all axes.

Arrays    x float32, C-contiguous, seen as (rows, cols); out (rows,), (cols,) or ()
Mapping   along rows: a row, or a part of one, over up to 256 threads, by shuffles; along columns: a
          thread a column and a part of its rows, then shared memory. Strided: any grid is correct
Traffic   reads x once (twice for a variance), 4 bytes an element; bound by memory bandwidth
Used by   ops/reductions.py on "cuda"; its reference is the primitive of the same name

Two stages where the result is small and x large: the parts' results are reduced once more, so that
about 1024 blocks share the work. The parts depend on the shape alone, so bits repeat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda, float32, int32

from gpugrad.kernels.across_threads import WARP, add, column_total, larger, row_total
from gpugrad.kernels.launch import launch, suits

THREADS = 256
BLOCKS = 1024  # enough for the largest card: 132 multiprocessors with 8 such blocks each
LOADS = 8  # of a thread, at least, before a row or column is worth cutting into parts


@cuda.jit(device=True)
def _element(x: Any, mean: Any, r: Any, c: Any) -> Any:
    return x[r, c]


@cuda.jit(device=True)
def _squared_from_row(x: Any, mean: Any, r: Any, c: Any) -> Any:
    deviation = x[r, c] - mean[r]
    return deviation * deviation


@cuda.jit(device=True)
def _squared_from_column(x: Any, mean: Any, r: Any, c: Any) -> Any:
    deviation = x[r, c] - mean[c]
    return deviation * deviation


@cuda.jit(device=True)
def _along_rows(
    x: Any, mean: Any, out: Any, span: Any, divisor: Any, term: Any, combine: Any, start: Any
) -> None:
    """out[r, part] = what `term` gives for row r and `span` columns, combined, over `divisor`."""
    rows, cols, parts = int32(x.shape[0]), int32(x.shape[1]), int32(out.shape[1])
    part = int32(cuda.blockIdx.y)
    while part < parts:
        begin = int32(part * span)
        end = int32(begin + min(span, int32(cols - begin)))
        base = int32(cuda.blockIdx.x * cuda.blockDim.y)
        while base < rows:  # the same for all threads of a block: row_total needs them all
            r = int32(base + cuda.threadIdx.y)
            total = start
            if r < rows:
                c = int32(begin + cuda.threadIdx.x)
                while c < end:
                    total = combine(total, term(x, mean, r, c))
                    c = int32(c + cuda.blockDim.x)
            total = row_total(total, combine, start)
            if cuda.threadIdx.x == 0 and r < rows:
                out[r, part] = total / divisor
            base = int32(base + cuda.gridDim.x * cuda.blockDim.y)
        part = int32(part + cuda.gridDim.y)


@cuda.jit(device=True)
def _along_columns(
    x: Any, mean: Any, out: Any, span: Any, divisor: Any, term: Any, combine: Any, start: Any
) -> None:
    """out[part, c] = what `term` gives for column c and `span` rows, combined, over `divisor`."""
    rows, cols, parts = int32(x.shape[0]), int32(x.shape[1]), int32(out.shape[0])
    width = int32(cuda.blockDim.x)
    part = int32(cuda.blockIdx.y)
    while part < parts:
        begin = int32(part * span)
        end = int32(begin + min(span, int32(rows - begin)))
        base = int32(cuda.blockIdx.x * width)
        while base < cols:  # the same for all threads of a block: column_total needs them all
            c = int32(base + cuda.threadIdx.x)
            total = start
            if c < cols:
                r = int32(begin + cuda.threadIdx.y)
                while r < end:
                    total = combine(total, term(x, mean, r, c))
                    r = int32(r + cuda.blockDim.y)
            total = column_total(total, combine)
            if cuda.threadIdx.y == 0 and c < cols:
                out[part, c] = total / divisor
            base = int32(base + cuda.gridDim.x * width)
        part = int32(part + cuda.gridDim.y)


@cuda.jit
def _sum_rows(x: Any, out: Any, span: Any, divisor: Any) -> None:
    _along_rows(x, x, out, span, divisor, _element, add, float32(0))


@cuda.jit
def _sum_columns(x: Any, out: Any, span: Any, divisor: Any) -> None:
    _along_columns(x, x, out, span, divisor, _element, add, float32(0))


@cuda.jit
def _max_rows(x: Any, out: Any, span: Any, divisor: Any) -> None:
    _along_rows(x, x, out, span, divisor, _element, larger, float32(-math.inf))


@cuda.jit
def _max_columns(x: Any, out: Any, span: Any, divisor: Any) -> None:
    _along_columns(x, x, out, span, divisor, _element, larger, float32(-math.inf))


@cuda.jit
def _deviation_rows(x: Any, mean: Any, out: Any, span: Any, divisor: Any) -> None:
    _along_rows(x, mean, out, span, divisor, _squared_from_row, add, float32(0))


@cuda.jit
def _deviation_columns(x: Any, mean: Any, out: Any, span: Any, divisor: Any) -> None:
    _along_columns(x, mean, out, span, divisor, _squared_from_column, add, float32(0))


Pair = tuple[Any, Any]  # a kernel along rows, and the same along columns
_SUM, _MAX = (_sum_rows, _sum_columns), (_max_rows, _max_columns)
_DEVIATION = (_deviation_rows, _deviation_columns)


def sum(xp: Any, x: Any, /, axis: Any = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    if dtype is not None and np.dtype(dtype) != x.dtype:
        return NotImplemented
    return _reduced(xp, x, axis, keepdims, _SUM)


def max(xp: Any, x: Any, /, axis: Any = None, *, keepdims: bool = False) -> Any:
    return _reduced(xp, x, axis, keepdims, _MAX)


def mean(xp: Any, x: Any, /, axis: Any = None, *, keepdims: bool = False) -> Any:
    return _reduced(xp, x, axis, keepdims, _SUM, correction=0)


def var(
    xp: Any, x: Any, /, axis: Any = None, *, correction: float = 0, keepdims: bool = False
) -> Any:
    centre = mean(xp, x, axis)
    if centre is NotImplemented:
        return NotImplemented
    return _reduced(xp, x, axis, keepdims, _SUM, correction, _DEVIATION, [centre.reshape(-1)])


def _reduced(
    xp: Any,
    x: Any,
    axis: Any,
    keepdims: bool,
    pair: Pair,
    correction: float | None = None,
    first: Pair | None = None,
    beside: Sequence[Any] = (),
) -> Any:
    """The reduction by `pair`, or NotImplemented.

    Args:
        correction: divide by the number of elements less this, if given.
        first: the kernels of the first stage, if not the same, and what they take beside x.
    """
    axes = _axes(axis, x.ndim)
    if axes is None or x.dtype != np.float32 or not x.size or not suits(x):
        return NotImplemented
    form = _as_matrix(x.shape, axes)
    if form is None:
        return NotImplemented
    (rows, cols), down = form
    length = rows if down else cols
    divisor = 1.0
    if correction is not None:
        divisor = length - correction if length > correction else math.nan
    kept = enumerate(x.shape)
    shape = [1 if k in axes else n for k, n in kept if keepdims or k not in axes]
    out = xp.empty(tuple(shape), dtype=np.float32)
    kernel = (first or pair)[down]
    arrays = [x.reshape(rows, cols), *beside]
    parts = _parts(rows, cols, down)
    if parts > 1:
        partial = xp.empty((parts, cols) if down else (rows, parts), dtype=np.float32)
        _launch(kernel, down, arrays, partial, 1.0)
        kernel, arrays = pair[down], [partial]
    _launch(kernel, down, arrays, out.reshape((1, cols) if down else (rows, 1)), divisor)
    return out


def _launch(kernel: Any, down: bool, arrays: Sequence[Any], out: Any, divisor: float) -> None:
    rows, cols = arrays[0].shape
    across, deep = _threads(cols, down)
    blocks = (-(-cols // across), out.shape[0]) if down else (-(-rows // deep), out.shape[1])
    span = np.int32(_span(rows if down else cols, blocks[1]))
    launch(kernel, blocks, (across, deep), *arrays, out, span, np.float32(divisor))


def _threads(cols: int, down: bool) -> tuple[int, int]:
    """The width and height of a block."""
    across = min(WARP, 1 << (cols - 1).bit_length())
    if not down and cols > 4 * WARP:  # more than a warp, if each thread still has 4 elements
        across = min(THREADS, 1 << (cols // 4 - 1).bit_length())
    return across, THREADS // across


def _parts(rows: int, cols: int, down: bool) -> int:
    """Into how many parts each row or column is cut, so that there are enough blocks."""
    across, deep = _threads(cols, down)
    beside, length, threads = (-(-cols // across), rows, deep) if down else (
        -(-rows // deep), cols, across)  # fmt: skip
    parts = min(-(-BLOCKS // beside), length // (threads * LOADS))
    return -(-length // _span(length, parts)) if parts > 1 else 1


def _span(length: int, parts: int) -> int:
    """How many elements a part has: whole sectors, so that none is read for two parts."""
    return -(-length // (parts * 8)) * 8


def _axes(axis: Any, ndim: int) -> set[int] | None:
    """The axes that are reduced; None where the expression has to say what is wrong with them."""
    given = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = {k + ndim if k < 0 else k for k in given}
    return axes if len(axes) == len(given) and axes <= set(range(ndim)) else None


def _as_matrix(shape: tuple[int, ...], axes: set[int]) -> tuple[tuple[int, int], bool] | None:
    """(rows, cols) of x as a matrix, and whether columns are reduced; None where it is none."""
    reduced = [k in axes for k, n in enumerate(shape) if n != 1]
    count = math.prod(n for k, n in enumerate(shape) if k in axes)
    rest = math.prod(shape) // count
    if reduced == sorted(reduced):  # trailing axes, or all or none
        return (rest, count), False
    if reduced == sorted(reduced, reverse=True):
        return (count, rest), True
    return None
