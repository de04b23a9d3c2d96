"""Where data lies: local and constant arrays, records, and the frames of called functions."""

from __future__ import annotations

import numpy as np
from numba import cuda, float32, int32, int64

from tests.simulate.kernels.case import Case, floats, fused

TAPS = np.array([0.25, -0.5, 1.0, 0.125, 2.0], np.float32)
PARTICLE = np.dtype(
    [("place", np.float32, (2,)), ("speed", np.float32), ("alive", np.int16), ("id", np.int64)],
    align=True,
)


@cuda.jit
def median_filter(x, radius, out):
    """The middle of 2 * radius + 1 neighbours, by sorting them in a local array."""
    i, n = int32(cuda.grid(1)), int32(x.size)
    window = cuda.local.array(9, float32)
    if i >= radius and i < int32(n - radius):
        count = int32(0)
        while count < int32(2 * radius + 1):
            value = x[int32(i - radius + count)]
            k = count
            while k > 0 and window[int32(k - 1)] > value:
                window[k] = window[int32(k - 1)]
                k = int32(k - 1)
            window[k] = value
            count = int32(count + int32(1))
        out[i] = window[radius]


@cuda.jit
def convolve(x, out):
    taps = cuda.const.array_like(TAPS)
    i = int32(cuda.grid(1))
    if i < int32(out.size):
        total = float32(0)
        for k in range(int32(5)):
            total += taps[k] * x[int32(i + k)]
        out[i] = total


@cuda.jit
def rotate_taps(shifts, out):
    """A constant array read at an index that differs from lane to lane."""
    taps = cuda.const.array_like(TAPS)
    i = int32(cuda.grid(1))
    if i < int32(out.size):
        out[i] = taps[shifts[i]]


@cuda.jit
def move(particles, time):
    i = int32(cuda.grid(1))
    if i < int32(particles.size):
        particle = particles[i]
        if particle.alive != 0:
            particle.place[0] += particle.speed * time
            particle.id += int64(100)
        else:
            particle.speed = float32(0)


@cuda.jit(device=True)
def fibonacci(n):
    if n < 2:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)


@cuda.jit
def recurse(x, out):
    i = int32(cuda.grid(1))
    if i < int32(x.size):
        out[i] = fibonacci(x[i])


def _median_filter(x, radius, out):
    windows = np.lib.stride_tricks.sliding_window_view(x, 2 * radius + 1)
    out[radius:-radius] = np.median(windows, axis=1)


def _convolve(x, out):
    out[:] = 0
    for k, tap in enumerate(TAPS):
        out[:] = fused(tap, x[k : k + len(out)], out)


def _rotate_taps(shifts, out):
    out[:] = TAPS[shifts]


def _move(particles, time):
    alive = particles["alive"] != 0
    place, speed = particles["place"], particles["speed"]
    place[alive, 0] = fused(speed[alive], time, place[alive, 0])
    particles["id"][alive] += 100
    speed[~alive] = 0


def _recurse(x, out):
    for i, n in enumerate(x.tolist()):
        a, b = 0, 1
        for _ in range(n):
            a, b = b, a + b
        out[i] = a


def _particles(generator, n=45):
    particles = np.zeros(n, PARTICLE)
    particles["place"], particles["speed"] = floats(generator, n, 2), floats(generator, n)
    particles["alive"], particles["id"] = generator.integers(0, 2, n), np.arange(n)
    return particles, np.float32(0.1)


CASES = [
    Case(
        "median_filter",
        median_filter,
        3,
        64,
        lambda g: (floats(g, 150), np.int32(3), np.zeros(150, np.float32)),
        _median_filter,
    ),
    Case(
        "convolve",
        convolve,
        2,
        64,
        lambda g: (floats(g, 104), np.zeros(100, np.float32)),
        _convolve,
    ),
    Case(
        "rotate_taps",
        rotate_taps,
        2,
        64,
        lambda g: (g.integers(0, 5, 90, np.int32), np.zeros(90, np.float32)),
        _rotate_taps,
    ),
    Case("move", move, 2, 32, _particles, _move),
    Case(
        "recurse",
        recurse,
        1,
        64,
        lambda g: (g.integers(0, 8, 50), np.zeros(50, np.int64)),
        _recurse,
    ),
]
