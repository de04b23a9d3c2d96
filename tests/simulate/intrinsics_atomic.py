"""Rows for atomic operations: every operation on every type that Numba gives it."""

from __future__ import annotations

from functools import reduce

import numpy as np
from numba import cuda, int32

from tests.simulate.kernels.case import Case

INTEGERS = (np.int32, np.uint32, np.int64, np.uint64)
UNSIGNED = (np.uint32, np.uint64)
NUMBERS = (*INTEGERS, np.float32, np.float64)
THREADS = 64


@cuda.jit
def add(x, values, old):
    i = cuda.grid(1)
    old[i] = cuda.atomic.add(x, i % x.size, values[i])


@cuda.jit
def sub(x, values, old):
    i = cuda.grid(1)
    old[i] = cuda.atomic.sub(x, i % x.size, values[i])


@cuda.jit
def and_(x, values, old):
    i = cuda.grid(1)
    old[i] = cuda.atomic.and_(x, i % x.size, values[i])


@cuda.jit
def or_(x, values, old):
    i = cuda.grid(1)
    old[i] = cuda.atomic.or_(x, i % x.size, values[i])


@cuda.jit
def xor(x, values, old):
    i = cuda.grid(1)
    old[i] = cuda.atomic.xor(x, i % x.size, values[i])


@cuda.jit
def inc(x, values, old):
    i = cuda.grid(1)
    old[i] = cuda.atomic.inc(x, i % x.size, values[i])


@cuda.jit
def dec(x, values, old):
    i = cuda.grid(1)
    old[i] = cuda.atomic.dec(x, i % x.size, values[i])


@cuda.jit
def exch(x, values, old):
    i = cuda.grid(1)
    old[i] = cuda.atomic.exch(x, i % x.size, values[i])


@cuda.jit
def largest(x, values, old):
    i = cuda.grid(1)
    old[i] = cuda.atomic.max(x, i % x.size, values[i])


@cuda.jit
def smallest(x, values, old):
    i = cuda.grid(1)
    old[i] = cuda.atomic.min(x, i % x.size, values[i])


@cuda.jit
def nanmax(x, values, old):
    i = cuda.grid(1)
    old[i] = cuda.atomic.nanmax(x, i % x.size, values[i])


@cuda.jit
def nanmin(x, values, old):
    i = cuda.grid(1)
    old[i] = cuda.atomic.nanmin(x, i % x.size, values[i])


@cuda.jit
def cas(x, expected, values, old):
    i = cuda.grid(1)
    old[i] = cuda.atomic.cas(x, i % x.size, expected[i], values[i])


@cuda.jit
def compare_and_swap(x, expected, values, old):
    i = cuda.grid(1)
    old[i] = cuda.atomic.compare_and_swap(x[i:], expected[i], values[i])


@cuda.jit
def add_shared(x, values):
    """Sums of each third element, in shared memory first; x has two dimensions."""
    sums = cuda.shared.array(3, int32)
    t = cuda.threadIdx.x
    if t < 3:
        sums[t] = 0
    cuda.syncthreads()
    cuda.atomic.add(sums, t % 3, values[cuda.grid(1)])
    cuda.syncthreads()
    if t < 3:
        cuda.atomic.add(x, (t, 1), sums[t])


def _inc(x, limit):
    return x * 0 if x >= limit else x + x.dtype.type(1)


def _dec(x, limit):
    return limit if x == 0 or x > limit else x - x.dtype.type(1)


# name: (kernel, the step, types, whether the end depends on the order of the threads)
OPERATIONS = {
    "add": (add, lambda x, v: x + v, NUMBERS, False),
    "sub": (sub, lambda x, v: x - v, NUMBERS, False),
    "and_": (and_, lambda x, v: x & v, INTEGERS, False),
    "or_": (or_, lambda x, v: x | v, INTEGERS, False),
    "xor": (xor, lambda x, v: x ^ v, INTEGERS, False),
    "inc": (inc, _inc, UNSIGNED, True),
    "dec": (dec, _dec, UNSIGNED, True),
    "exch": (exch, lambda x, v: v, INTEGERS, True),
    "max": (largest, max, NUMBERS, False),
    "min": (smallest, min, NUMBERS, False),
    "nanmax": (nanmax, np.fmax, NUMBERS, False),
    "nanmin": (nanmin, np.fmin, NUMBERS, False),
}


def _apply(step):
    """As if one thread came after the other."""

    def reference(x, values, old):
        with np.errstate(over="ignore"):
            if x.size == THREADS:
                old[:] = x
            for k in range(x.size):
                x[k] = reduce(step, values[k :: x.size], x[k])

    return reference


def _swap(x, expected, values, old):
    old[:] = x
    x[:] = np.where(x == expected, values, x)


def _add_shared(x, values):
    x[:, 1] += [values[k::3].sum(dtype=np.int32) for k in range(3)]


def _operands(name, dtype, places):
    """Whole numbers, so that sums of floats do not depend on the order."""

    def arguments(generator):
        low = 0 if name in ("inc", "dec") or dtype in UNSIGNED else -99
        high = 9 if name in ("inc", "dec") else 100
        x, values = generator.integers(low, high, (2, THREADS)).astype(dtype)
        if name.startswith("nan") and dtype in (np.float32, np.float64):
            x[0] = values[1] = values[5] = np.nan
        if dtype in (np.int64, np.uint64) and name not in ("inc", "dec"):
            x <<= dtype(40)
            values <<= dtype(41)
        return x[:places].copy(), values, np.zeros(THREADS, dtype)

    return arguments


def _swapped(dtype):
    def arguments(generator):
        x, expected, values = generator.integers(0, 3, (3, THREADS)).astype(dtype)
        return x, expected, values, np.zeros(THREADS, dtype)

    return arguments


ROWS = [
    *(
        Case(
            f"atomic.{name} {np.dtype(dtype)} {'apart' if places == THREADS else 'together'}",
            kernel,
            1,
            THREADS,
            _operands(name, dtype, places),
            _apply(step),
            unordered=() if places == THREADS else (2,),
        )
        for name, (kernel, step, dtypes, ordered) in OPERATIONS.items()
        for dtype in dtypes
        for places in ((THREADS,) if ordered else (THREADS, 3))
    ),
    *(
        Case(
            f"atomic.{kernel.py_func.__name__} {np.dtype(dtype)}",
            kernel,
            1,
            THREADS,
            _swapped(dtype),
            _swap,
        )
        for kernel in (cas, compare_and_swap)
        for dtype in INTEGERS
    ),
    Case(
        "atomic.add shared",
        add_shared,
        1,
        THREADS,
        lambda g: (np.zeros((3, 2), np.int32), g.integers(-99, 99, THREADS, np.int32)),
        _add_shared,
    ),
]
