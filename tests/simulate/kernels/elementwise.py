"""An element a thread, or several: from one line to the update of an optimizer."""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, float32, int32

from tests.simulate.kernels.case import Case, floats, fused


@cuda.jit
def increment(x):
    x[cuda.grid(1)] += int32(1)


@cuda.jit
def saxpy(a, x, y, out):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = a * x[i] + y[i]


@cuda.jit
def square_by_range(x, out):
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # 64 bits, with a division
        out[i] = x[i] * x[i]


@cuda.jit
def square_by_while(x, out):
    i, n, step = int32(cuda.grid(1)), int32(x.size), int32(cuda.gridsize(1))
    while i < n:
        out[i] = x[i] * x[i]
        i = int32(i + step)


@cuda.jit
def bias_relu(x, bias, out):
    rows, columns = int32(x.shape[0]), int32(x.shape[1])
    r = int32(cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y)
    c = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    if r < rows and c < columns:
        z = x[r, c] + bias[c]
        out[r, c] = float32(0) if z < float32(0) else z


@cuda.jit
def fill_volume(out):
    x, y, z = cuda.grid(3)
    if z < out.shape[0] and y < out.shape[1] and x < out.shape[2]:
        out[z, y, x] = int32(x + 10 * y + 100 * z)


@cuda.jit
def copy_matrix(source, target):
    c, r = cuda.grid(2)
    if r < target.shape[0] and c < target.shape[1]:
        target[r, c] = source[r, c]


@cuda.jit
def adam(parameter, gradient, mean, variance, rate, beta1, beta2, epsilon):
    i = int32(cuda.grid(1))
    if i < int32(parameter.size):
        g = gradient[i]
        m = beta1 * mean[i] + (float32(1) - beta1) * g
        v = beta2 * variance[i] + (float32(1) - beta2) * g * g
        mean[i] = m
        variance[i] = v
        parameter[i] -= rate * m / (math.sqrt(v) + epsilon)


def _increment(x):
    x += 1


def _saxpy(a, x, y, out):
    out[:] = fused(a, x, y)


def _square(x, out):
    out[:] = x * x


def _bias_relu(x, bias, out):
    out[:] = np.maximum(x + bias, 0)


def _fill_volume(out):
    z, y, x = np.indices(out.shape)
    out[:] = x + 10 * y + 100 * z


def _copy(source, target):
    target[:] = source


def _adam(parameter, gradient, mean, variance, rate, beta1, beta2, epsilon):
    mean[:] = beta1 * mean + (1 - beta1) * gradient
    variance[:] = beta2 * variance + (1 - beta2) * gradient**2
    parameter -= rate * mean / (np.sqrt(variance) + epsilon)


def _adam_arguments(generator, n=321):
    scalars = (np.float32(value) for value in (1e-3, 0.9, 0.999, 1e-8))
    return (
        floats(generator, n),
        floats(generator, n),
        floats(generator, n),
        np.abs(floats(generator, n)),
        *scalars,
    )


def _strided(make):
    """A case's arguments: a matrix of 37 x 45 as `make` lays it out, and where to copy it."""

    def arguments(generator):
        source = make(generator.standard_normal((74, 90), dtype=np.float32))
        return source, np.zeros((37, 45), np.float32)

    return arguments


CASES = [
    Case("increment", increment, 3, 64, lambda g: (g.integers(0, 99, 192, np.int32),), _increment),
    Case(
        "saxpy",
        saxpy,
        4,
        128,
        lambda g: (np.float32(2.5), floats(g, 500), floats(g, 500), floats(g, 500)),
        _saxpy,
    ),
    *(
        Case(
            f"{kernel.__name__}-{n}",
            kernel,
            2,
            96,
            lambda g, n=n: (floats(g, n), floats(g, n)),
            _square,
        )
        for kernel in (square_by_range, square_by_while)
        for n in (1, 768, 1001)
    ),
    Case(
        "bias_relu",
        bias_relu,
        (2, 5),
        (32, 4),
        lambda g: (floats(g, 19, 45), floats(g, 45), floats(g, 19, 45)),
        _bias_relu,
    ),
    Case(
        "fill_volume",
        fill_volume,
        (2, 3, 2),
        (16, 2, 4),
        lambda g: (np.zeros((7, 5, 21), np.int32),),
        _fill_volume,
    ),
    Case(
        "adam",
        adam,
        3,
        128,
        _adam_arguments,
        _adam,
        relative=1e-6,
        absolute=1e-8,
        why="which product is fused with a sum is the compiler's choice",
    ),
    Case(
        "copy_reversed", copy_matrix, (2, 5), (32, 8), _strided(lambda x: x[36::-1, 44::-1]), _copy
    ),
    Case("copy_sliced", copy_matrix, (2, 5), (32, 8), _strided(lambda x: x[::2, ::2]), _copy),
    Case(
        "copy_fortran",
        copy_matrix,
        (2, 5),
        (32, 8),
        _strided(lambda x: np.asfortranarray(x[:37, :45])),
        _copy,
        findings={"uncoalesced": "neighbouring threads read along a row, which F order scatters"},
    ),
]
