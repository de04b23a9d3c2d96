"""clip: the norm of many gradients together, and the gradients scaled down to a limit on it.

Arrays    gradients float32, anywhere; scaled (elements,) float32, all of them end to end
Mapping   chunks over blocks, elements over threads, both strided; one block for the coefficient
Traffic   reads the gradients twice, writes them once, 12 bytes an element
Used by   optim/clip.py on "cuda"; its reference is the expression there

Three launches and no wait: the sum of squares in two stages, whose order depends on the sizes
alone, so bits repeat; then the product with a coefficient that only the device knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda, float32, int32

from gpugrad.kernels.across_threads import row_sum
from gpugrad.kernels.launch import launch, suits
from gpugrad.kernels.many_arrays import (
    THREADS,
    ManyArrays,
    float32_at,
    for_each_element,
    one_behind_another,
)

PARTS = 1024  # partial sums: as many blocks of 256 as the largest card runs at a time, about


@cuda.jit
def _square_sums(chunks: Any, addresses: Any, sums: Any) -> None:
    total = float32(0)
    chunk = int32(cuda.blockIdx.x)
    while chunk < int32(chunks.shape[0]):
        array = float32_at(addresses[chunks[chunk, 0]])
        i, end = int32(chunks[chunk, 1] + cuda.threadIdx.x), chunks[chunk, 2]
        while i < end:
            total += array[i] * array[i]
            i = int32(i + cuda.blockDim.x)
        chunk = int32(chunk + cuda.gridDim.x)
    total = row_sum(total)
    if cuda.threadIdx.x == 0:
        sums[cuda.blockIdx.x] = total


@cuda.jit
def _coefficient(sums: Any, limit: Any, norm: Any, coefficient: Any) -> None:
    if cuda.blockIdx.x > 0:
        return
    total = float32(0)
    i = int32(cuda.threadIdx.x)
    while i < int32(sums.size):
        total += sums[i]
        i = int32(i + cuda.blockDim.x)
    total = row_sum(total)
    if cuda.threadIdx.x == 0:
        length = math.sqrt(total)
        norm[0] = length
        factor = limit / (length + float32(1e-6))
        coefficient[0] = float32(1) if factor > float32(1) else factor  # NaN stays NaN


@cuda.jit(device=True)
def _scale_element(gradient: Any, i: Any, place: Any, options: Any) -> None:
    coefficient, scaled = options
    scaled[place] = coefficient[0] * gradient[i]


@cuda.jit
def _scale(chunks: Any, addresses: Any, coefficient: Any, scaled: Any) -> None:
    for_each_element(chunks, addresses, _scale_element, (coefficient, scaled))


_TABLES: dict[Any, ManyArrays] = {}  # by device and sizes: those of the last few models
_KEPT = 8


def clip_grad_norm(xp: Any, gradients: Sequence[Any], max_norm: float, norm_type: float) -> Any:
    """The norm of all elements, and the gradients times min(1, max_norm / (norm + 1e-6)).

    Args:
        gradients: any shapes, at least one; a strided one is copied first.
        norm_type: 2; other norms are left to the expression.
    Returns: (norm, scaled): () float32 on the device, and new arrays, views of one; or
        NotImplemented.
    """
    if norm_type != 2 or any(gradient.dtype != np.float32 for gradient in gradients):
        return NotImplemented
    bounds = one_behind_another(gradients)
    whole = xp.empty(bounds[-1][1], dtype=np.float32)
    gradients = [
        gradient if gradient.flags.c_contiguous else xp.ascontiguousarray(gradient)
        for gradient in gradients
    ]
    if not suits(whole, *gradients):
        return NotImplemented
    tables = _tables(xp, whole, bounds)
    addresses = tables.addresses(gradients)
    parts = max(1, min(PARTS, tables.blocks))  # one for arrays without elements: their norm is 0
    sums = xp.empty(parts, dtype=np.float32)
    norm, coefficient = xp.empty(1, dtype=np.float32), xp.empty(1, dtype=np.float32)
    launch(_square_sums, parts, THREADS, tables.chunks, addresses, sums)
    launch(_coefficient, 1, THREADS, sums, np.float32(max_norm), norm, coefficient)
    launch(_scale, tables.blocks, THREADS, tables.chunks, addresses, coefficient, whole)
    scaled = [
        whole[begin:end].reshape(gradient.shape)
        for gradient, (begin, end) in zip(gradients, bounds, strict=True)
    ]
    return norm.reshape(()), scaled


def _tables(xp: Any, array: Any, bounds: tuple[tuple[int, int], ...]) -> ManyArrays:
    key = array.data.device_id, bounds
    tables = _TABLES.get(key)
    if tables is None:
        if len(_TABLES) >= _KEPT:
            _TABLES.pop(next(iter(_TABLES)), None)
        tables = _TABLES[key] = ManyArrays(xp, bounds)
    return tables
