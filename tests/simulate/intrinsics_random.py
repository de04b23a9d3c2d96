"""Rows for `numba.cuda.random`, the generator xoroshiro128+."""

from __future__ import annotations

import math

import numpy as np
from numba import cuda
from numba.cuda import random

from tests.simulate.kernels.case import Case

MASK = 2**64 - 1


@cuda.jit
def uniform(states, single, double):
    i = cuda.grid(1)
    single[i] = random.xoroshiro128p_uniform_float32(states, i)
    double[i] = random.xoroshiro128p_uniform_float64(states, i)


@cuda.jit
def normal(states, single, double):
    i = cuda.grid(1)
    single[i] = random.xoroshiro128p_normal_float32(states, i)
    double[i] = random.xoroshiro128p_normal_float64(states, i)


def _rotated(x, k):
    return (x << k | x >> (64 - k)) & MASK


def _draws(states, i, count):
    """Numbers in [0, 1) with 53 bits, by Blackman and Vigna's definition of 2016."""
    s0, s1 = map(int, states[i])
    for _ in range(count):
        yield ((s0 + s1 & MASK) >> 11) * 2.0**-53
        s1 ^= s0
        s0, s1 = _rotated(s0, 55) ^ s1 ^ (s1 << 14 & MASK), _rotated(s1, 36)
    states[i] = s0, s1


def _uniform(states, single, double):
    for i in range(states.size):
        single[i], double[i] = _draws(states, i, 2)


def _normal(states, single, double):
    """Box and Muller's transform of two uniform numbers each."""
    for i in range(states.size):
        a, b, c, d = _draws(states, i, 4)
        a, b = np.float32(a), np.float32(b)
        angle = np.float32(2 * math.pi) * b
        single[i] = math.sqrt(-2 * math.log(a)) * math.cos(angle)
        double[i] = math.sqrt(-2 * math.log(c)) * math.cos(2 * math.pi * d)


def _arguments(generator, n=40):
    states = np.zeros(n, random.xoroshiro128p_dtype)
    for name in ("s0", "s1"):
        states[name] = generator.integers(0, MASK, n, np.uint64)
    return states, np.zeros(n, np.float32), np.zeros(n, np.float64)


ROWS = [
    Case("random uniform", uniform, 1, 40, _arguments, _uniform),
    Case(
        "random normal",
        normal,
        1,
        40,
        _arguments,
        _normal,
        relative=1e-6,
        absolute=1e-6,
        why="log and cos in single precision, of an angle up to 2 pi",
    ),
]
