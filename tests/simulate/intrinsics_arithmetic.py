"""Rows for Numba's own arithmetic: bits, fused products, selection, vectors of a few numbers."""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, float32

from tests.simulate import references
from tests.simulate.kernels.case import Case

SIGNED = (np.int8, np.int16, np.int32, np.int64)
UNSIGNED = (np.uint8, np.uint16, np.uint32, np.uint64)
SELECTED = (np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64)


@cuda.jit
def popc(x, out):
    i = cuda.grid(1)
    out[i] = cuda.popc(x[i])


@cuda.jit
def bit_count(x, out):
    i = cuda.grid(1)
    out[i] = x[i].bit_count()


@cuda.jit
def clz(x, out):
    i = cuda.grid(1)
    out[i] = cuda.clz(x[i])


@cuda.jit
def ffs(x, out):
    i = cuda.grid(1)
    out[i] = cuda.ffs(x[i])


@cuda.jit
def brev(x, out):
    i = cuda.grid(1)
    out[i] = cuda.brev(x[i])


@cuda.jit
def fma(x, y, z, out):
    i = cuda.grid(1)
    out[i] = cuda.fma(x[i], y[i], z[i])


@cuda.jit
def cbrt(x, out):
    i = cuda.grid(1)
    out[i] = cuda.cbrt(x[i])


@cuda.jit
def selp(test, x, y, out):
    i = cuda.grid(1)
    out[i] = cuda.selp(test[i], x[i], y[i])


@cuda.jit
def frexp_ldexp(x, fraction, exponent, back):
    i = cuda.grid(1)
    f, e = math.frexp(x[i])
    fraction[i], exponent[i], back[i] = f, e, math.ldexp(f, e + 1)


@cuda.jit
def vectors(x, out):
    i = cuda.grid(1)
    a = cuda.float32x4(x[4 * i], x[4 * i + 1], x[4 * i + 2], x[4 * i + 3])
    b = cuda.float2(a.w, a.x)
    c = cuda.float32x3(b, a.y)
    n = cuda.int32x2(cuda.threadIdx.x, 7)
    out[0, i], out[1, i], out[2, i], out[3, i] = c.x, c.y, c.z, float32(n.x + n.y)


def _bits(reference):
    def by_element(x, out):
        out[:] = [reference(value, 8 * x.itemsize) for value in x.tolist()]

    return by_element


def _popc(value, bits):
    return (value % 2**bits).bit_count()


def _brev(value, bits):
    return references.reversed_bits(value, bits) % 2**bits


def _fma(x, y, z, out):
    for i, values in enumerate(zip(x.tolist(), y.tolist(), z.tolist(), strict=True)):
        a, b, c = map(references.Fraction, values)
        out[i] = references.rounded(a * b + c, out.dtype.type, "rn")


def _cbrt(x, out):
    out[:] = np.cbrt(x.astype(np.float64))


def _selp(test, x, y, out):
    out[:] = np.where(test, x, y)


def _frexp_ldexp(x, fraction, exponent, back):
    fraction[:], exponent[:] = np.frexp(x)
    back[:] = 2 * x


def _vectors(x, out):
    rows = x.reshape(-1, 4)
    out[0], out[1], out[2], out[3] = rows[:, 3], rows[:, 0], rows[:, 1], np.arange(len(rows)) + 7


def _numbers(dtype, n=40):
    def arguments(generator):
        if np.issubdtype(dtype, np.floating):
            return generator.standard_normal(n).astype(dtype)
        limits = np.iinfo(dtype)
        x = generator.integers(limits.min, limits.max, n, dtype, endpoint=True)
        x[:4] = 0, 1, limits.max, limits.min
        return x

    return arguments


def _row(kernel, reference, dtype, result, count=1, **options):
    make = _numbers(dtype)
    return Case(
        f"{kernel.py_func.__name__} {np.dtype(dtype)}",
        kernel,
        1,
        40,
        lambda g: (*(make(g) for _ in range(count)), np.zeros(40, result)),
        reference,
        **options,
    )


def _cancelling(dtype):
    """Products of which the sum leaves only what rounding them would have lost."""

    def arguments(generator):
        x, y = _numbers(dtype)(generator), _numbers(dtype)(generator)
        return x, y, -(x * y), np.zeros(40, dtype)

    return arguments


ROWS = [
    *(_row(popc, _bits(_popc), dtype, np.int64) for dtype in (*SIGNED, *UNSIGNED)),
    *(_row(bit_count, _bits(_popc), dtype, np.int64) for dtype in (np.int32, np.uint64)),
    *(
        _row(clz, _bits(references.leading_zeros), dtype, np.int64)
        for dtype in (*SIGNED, *UNSIGNED)
    ),
    *(
        _row(ffs, _bits(references.first_set), dtype, np.int64)
        for dtype in (*SIGNED[2:], *UNSIGNED[2:])
    ),
    *(_row(brev, _bits(_brev), dtype, dtype) for dtype in (np.uint32, np.uint64)),
    *(
        Case(f"fma {np.dtype(dtype)}", fma, 1, 40, _cancelling(dtype), _fma)
        for dtype in (np.float32, np.float64)
    ),
    _row(cbrt, _cbrt, np.float32, np.float32, relative=2e-7, why="libdevice: 1 ulp"),
    _row(cbrt, _cbrt, np.float64, np.float64, relative=4e-16, why="libdevice: 1 ulp"),
    *(
        Case(
            f"selp {np.dtype(dtype)}",
            selp,
            1,
            40,
            lambda g, dtype=dtype: (
                g.integers(0, 2, 40).astype(np.bool_),
                _numbers(dtype)(g),
                _numbers(dtype)(g),
                np.zeros(40, dtype),
            ),
            _selp,
        )
        for dtype in SELECTED
    ),
    *(
        Case(
            f"math.frexp math.ldexp {np.dtype(dtype)}",
            frexp_ldexp,
            1,
            40,
            lambda g, dtype=dtype: (
                _numbers(dtype)(g),
                np.zeros(40, dtype),
                np.zeros(40, np.int32),
                np.zeros(40, dtype),
            ),
            _frexp_ldexp,
        )
        for dtype in (np.float32, np.float64)
    ),
    Case(
        "float32x4 float2 float32x3 int32x2",
        vectors,
        1,
        40,
        lambda g: (g.standard_normal(160).astype(np.float32), np.zeros((4, 40), np.float32)),
        _vectors,
    ),
]
