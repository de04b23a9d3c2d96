"""bias_activation: out = activation(x + bias) in one pass, and the way back in another.

Arrays    x, out, g, y, dz (rows, cols); bias, dbias (cols,); float32, C-contiguous
Mapping   forward: elements over threads, flat; out may be x. Backward: columns over the
          lanes of a block, rows over its other axis and over blocks, each of which leaves its
          sums of dz; `reduce` adds them up to dbias. Any grid is correct
Traffic   forward reads x and bias (out of the cache) and writes out, 12 bytes an element;
          backward reads g and y and writes dz, 12 bytes. Bound by memory bandwidth
Used by   the linear layer on "cuda"; the activations are those of LINEAR_ACTIVATIONS in
          ops/products.py, whose derivatives are read off the output
"""

from __future__ import annotations

import math
from typing import Any

from numba import cuda, float32, int32, uint32

from gpugrad.kernels import reduce
from gpugrad.kernels.across_threads import column_sum, tiles
from gpugrad.kernels.launch import launch, suits

THREADS = 256
ELEMENTS = 4  # of a thread, which divides twice to find its columns


@cuda.jit(device=True)
def _identity(z: Any) -> Any:
    return z


@cuda.jit(device=True)
def _relu(z: Any) -> Any:
    return float32(0) if z < float32(0) else z  # this way round, NaN stays NaN


@cuda.jit(device=True)
def _tanh(z: Any) -> Any:
    return math.tanh(z)


@cuda.jit(device=True)
def _sigmoid(z: Any) -> Any:
    return float32(1) / (float32(1) + math.exp(-z))  # exp may be infinite: 1 / inf is 0


@cuda.jit(device=True)
def _drelu(y: Any) -> Any:
    return float32(1) if y > float32(0) else float32(0)


@cuda.jit(device=True)
def _dtanh(y: Any) -> Any:
    return float32(1) - y * y


@cuda.jit(device=True)
def _dsigmoid(y: Any) -> Any:
    return y * (float32(1) - y)


def _forward(activation: Any) -> Any:
    def kernel(x: Any, bias: Any, out: Any) -> None:
        n, cols = int32(x.size), int32(bias.size)
        i, step = int32(cuda.grid(1)), int32(cuda.gridsize(1))
        if cols == 0:  # no bias
            while i < n:
                out[i] = activation(x[i])
                i = int32(i + step)
        elif i < n:
            c, turn = int32(uint32(i) % uint32(cols)), int32(uint32(step) % uint32(cols))
            while i < n:
                out[i] = activation(x[i] + bias[c])
                i, c = int32(i + step), int32(c + turn)
                if c >= cols:
                    c = int32(c - cols)

    kernel.__name__ = kernel.__qualname__ = f"bias{activation.py_func.__name__}"
    return cuda.jit(kernel)


def _backward(derivative: Any) -> Any:
    def kernel(g: Any, y: Any, dz: Any, sums: Any) -> None:
        rows, cols, parts = int32(y.shape[0]), int32(y.shape[1]), int32(sums.shape[0])
        share = int32(uint32(rows + parts - 1) // uint32(parts))
        first = int32(cuda.blockIdx.x * cuda.blockDim.x)
        while first < cols:  # first and part are the same in all of a block: there are barriers
            c, part = int32(first + cuda.threadIdx.x), int32(cuda.blockIdx.y)
            while part < parts:
                total = float32(0)
                if c < cols:
                    r = int32(part * share + cuda.threadIdx.y)
                    end = min(rows, int32((part + int32(1)) * share))
                    while r < end:
                        slope = derivative(y[r, c])
                        d = g[r, c] * slope
                        # A cotangent of exactly 0 stays 0, whatever the partial (see `chain`).
                        if g[r, c] == float32(0) and not math.isfinite(slope):
                            d = float32(0)
                        dz[r, c] = d
                        total += d
                        r = int32(r + cuda.blockDim.y)
                total = column_sum(total)
                if c < cols and cuda.threadIdx.y == 0:
                    sums[part, c] = total
                part = int32(part + cuda.gridDim.y)
            first = int32(first + cuda.gridDim.x * cuda.blockDim.x)

    kernel.__name__ = kernel.__qualname__ = f"bias{derivative.py_func.__name__}"
    return cuda.jit(kernel)


FORWARD = {
    None: _forward(_identity),
    "relu": _forward(_relu),
    "tanh": _forward(_tanh),
    "sigmoid": _forward(_sigmoid),
}
BACKWARD = {
    "relu": _backward(_drelu),
    "tanh": _backward(_dtanh),
    "sigmoid": _backward(_dsigmoid),
}


def bias_activation(xp: Any, x: Any, bias: Any, activation: str | None, out: Any = None) -> Any:
    """activation(x + bias) for x (rows, cols) and bias (cols,) or None.

    Args:
        out: where to write it, which may be x; by default, a new array.
    Returns: out; NotImplemented for arrays that the kernel does not take.
    """
    if x.ndim != 2 or x.dtype != "float32" or not suits(x, bias, out):
        return NotImplemented
    if bias is not None and (bias.dtype != x.dtype or bias.shape != x.shape[1:]):
        return NotImplemented
    out = xp.empty_like(x) if out is None else out
    offsets = xp.empty((0,), x.dtype) if bias is None else bias
    blocks = -(-x.size // (THREADS * ELEMENTS))
    launch(FORWARD[activation], blocks, THREADS, x.reshape(-1), offsets, out.reshape(-1))
    return out


def bias_activation_backward(xp: Any, g: Any, y: Any, activation: str | None) -> Any:
    """The gradients of bias_activation, its output being y (rows, cols), whose cotangent is g.

    Returns: (that of x (rows, cols), that of bias (cols,)); NotImplemented for arrays that the
        kernels do not take.
    """
    if y.ndim != 2 or y.dtype != "float32" or not suits(g, y):
        return NotImplemented
    if g.shape != y.shape or g.dtype != y.dtype:
        return NotImplemented
    if not y.size:
        return xp.empty_like(y), xp.zeros(y.shape[1:], y.dtype)
    if activation is None:
        return g, reduce.sum(xp, g, 0)
    blocks, threads = tiles(*y.shape)
    dz, sums = xp.empty_like(y), xp.empty((blocks[1], y.shape[1]), y.dtype)
    launch(BACKWARD[activation], blocks, threads, g, y, dz, sums)
    return dz, sums.reshape(-1) if blocks[1] == 1 else reduce.sum(xp, sums, 0)
