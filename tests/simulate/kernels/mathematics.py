"""Functions of real and complex numbers, most of them through libdevice."""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, float32, float64, int32
from numba.core.types import float16

from tests.simulate.kernels.case import Case, each, floats


@cuda.jit
def gelu(x, out):
    i = int32(cuda.grid(1))
    if i < int32(x.size):
        z = x[i]
        out[i] = float32(0.5) * z * (float32(1) + math.erf(z * float32(0.70710678)))


@cuda.jit
def special(x, tanh, log1p, expm1, power):
    i = int32(cuda.grid(1))
    if i < int32(x.size):
        z = x[i]
        tanh[i] = math.tanh(z)
        log1p[i] = math.log1p(abs(z))
        expm1[i] = math.expm1(z)
        power[i] = math.pow(abs(z), float32(1.7))


@cuda.jit
def escape(real, imaginary, counts, limit):
    i = int32(cuda.grid(1))
    if i < int32(counts.size):
        a, b = float64(0), float64(0)
        count = int32(0)
        while count < limit and a * a + b * b <= float64(4):
            a, b = a * a - b * b + real[i], float64(2) * a * b + imaginary[i]
            count = int32(count + int32(1))
        counts[i] = count  # the same however products are fused, unless a point is on the edge


@cuda.jit
def complex_square(z, c, out):
    i = int32(cuda.grid(1))
    if i < int32(z.size):
        out[i] = z[i] * z[i] + c


@cuda.jit
def half_axpy(a, x, y):
    i = int32(cuda.grid(1))
    if i < int32(x.size):
        y[i] = float16(a * float32(x[i]) + float32(y[i]))


def _gelu(x, out):
    z = x.astype(np.float64)
    out[:] = 0.5 * z * (1 + each(math.erf)(z * math.sqrt(0.5)).astype(np.float64))


def _special(x, tanh, log1p, expm1, power):
    z = x.astype(np.float64)
    tanh[:], log1p[:], expm1[:], power[:] = (
        np.tanh(z),
        np.log1p(abs(z)),
        np.expm1(z),
        abs(z) ** np.float32(1.7).astype(np.float64),
    )


def _escape(real, imaginary, counts, limit):
    z = np.zeros(real.shape, np.complex128)
    for _ in range(limit):
        inside = z.real**2 + z.imag**2 <= 4
        counts += inside
        z[inside] = z[inside] ** 2 + (real + 1j * imaginary)[inside]


def _complex_square(z, c, out):
    out[:] = z.astype(np.complex128) ** 2 + c


def _half_axpy(a, x, y):
    y[:] = (np.float64(a) * x + y).astype(np.float32).astype(np.float16)


def _complex_arguments(generator, n=77):
    z = (floats(generator, n) + 1j * floats(generator, n)).astype(np.complex64)
    return z, np.complex64(0.25 - 0.5j), np.zeros_like(z)


CASES = [
    Case(
        "gelu",
        gelu,
        3,
        128,
        lambda g: (floats(g, 300), np.zeros(300, np.float32)),
        _gelu,
        relative=1e-6,
        absolute=2e-7,
        why="erf is good to 2 units in the last place of 1, times at most 2",
    ),
    Case(
        "special",
        special,
        2,
        128,
        lambda g: (3 * floats(g, 211), *np.zeros((4, 211), np.float32)),
        _special,
        relative=5e-7,
        why="libdevice: at most 4 units in the last place, of pow",
    ),
    Case(
        "escape",
        escape,
        2,
        64,
        lambda g: (
            g.uniform(-2, 1, 120),
            g.uniform(-1, 1, 120),
            np.zeros(120, np.int32),
            np.int32(40),
        ),
        _escape,
    ),
    Case(
        "complex_square",
        complex_square,
        3,
        32,
        _complex_arguments,
        _complex_square,
        relative=5e-7,
        absolute=1e-6,
        why="real and imaginary part are differences and sums of rounded products",
    ),
    Case(
        "half_axpy",
        half_axpy,
        2,
        96,
        lambda g: (
            np.float32(1.5),
            floats(g, 177).astype(np.float16),
            floats(g, 177).astype(np.float16),
        ),
        _half_axpy,
    ),
]
