"""Rows for Python's operators on float16, and for conversions between it and other numbers."""

from __future__ import annotations

import numpy as np
from numba import cuda, float32, float64, int32
from numba.core.types import float16

from tests.simulate.kernels.case import Case


@cuda.jit
def operators(x, y, out):
    i = cuda.grid(1)
    a, b = x[i], y[i]
    out[0, i], out[1, i], out[2, i], out[3, i] = a + b, a - b, a * b, a / b
    out[4, i], out[5, i] = -a, abs(a)
    a += b
    a *= b
    out[6, i] = a


@cuda.jit
def comparisons(x, y, out):
    i = cuda.grid(1)
    a, b = x[i], y[i]
    out[0, i], out[1, i], out[2, i] = a == b, a != b, a < b
    out[3, i], out[4, i], out[5, i] = a <= b, a > b, a >= b


@cuda.jit
def conversions(x, halves, singles, doubles, whole):
    i = cuda.grid(1)
    h = float16(x[i])
    halves[i], singles[i], doubles[i], whole[i] = h, float32(h), float64(h), int32(h)


def _operators(x, y, out):
    out[:4] = x + y, x - y, x * y, x / y
    out[4], out[5], out[6] = -x, abs(x), (x + y) * y


def _comparisons(x, y, out):
    out[:] = x == y, x != y, x < y, x <= y, x > y, x >= y


def _conversions(x, halves, singles, doubles, whole):
    h = x.astype(np.float16)
    halves[:], singles[:], doubles[:] = h, h, h
    whole[:] = np.rint(h)  # Numba rounds here, where Python would cut


def _halves(generator):
    x = generator.standard_normal(64).astype(np.float16)
    y = (2.0 ** generator.integers(-3, 4, 64)).astype(np.float16)  # so that quotients are exact
    x[:8], x[8], y[9] = y[:8], np.nan, np.nan
    return x, y


ROWS = [
    Case(
        "float16 operators",
        operators,
        1,
        64,
        lambda g: (*_halves(g), np.zeros((7, 64), np.float16)),
        _operators,
    ),
    Case(
        "float16 comparisons",
        comparisons,
        1,
        64,
        lambda g: (*_halves(g), np.zeros((6, 64), np.bool_)),
        _comparisons,
    ),
    Case(
        "float16 conversions",
        conversions,
        1,
        64,
        lambda g: (
            100 * g.standard_normal(64, dtype=np.float32),
            np.zeros(64, np.float16),
            np.zeros(64, np.float32),
            np.zeros(64, np.float64),
            np.zeros(64, np.int32),
        ),
        _conversions,
    ),
]
