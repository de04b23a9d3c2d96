"""ManyArrays: one launch over many arrays that lie anywhere in the device's memory.

Two tables in device memory stand for the arrays. `chunks` (chunk, 4) int32 cuts them into pieces
of at most 1024 elements: the array's number, the first element, the one past the last, and the
piece's place in a flat array that has all of them end to end. `addresses` (array,) int64 says where
each array begins. A block takes a chunk, so neither the number of arrays nor their sizes cost a
launch; the tables cost 24 bytes of traffic a chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda, int32
from numba.cuda import types
from numba.cuda.extending import intrinsic

from gpugrad.kernels.launch import current_stream

CHUNK = 1024  # elements: 4 a thread for blocks of 256, and many more blocks than multiprocessors
THREADS = 256
_KEPT = 8  # tables of addresses: a training step alternates between very few sets of arrays


@intrinsic
def float32_at(typing_context: Any, address: Any) -> Any:
    """The float32 array without bounds that begins at an address, an int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(address), generate


@cuda.jit(device=True)
def for_each_element(chunks: Any, addresses: Any, visit: Any, options: Any) -> None:
    """Call visit(array, i, place, options) for every element; `place` is that in the flat one."""
    chunk = int32(cuda.blockIdx.x)
    while chunk < int32(chunks.shape[0]):
        array = float32_at(addresses[chunks[chunk, 0]])
        begin, end = chunks[chunk, 1], chunks[chunk, 2]
        to_flat = int32(chunks[chunk, 3] - begin)
        i = int32(begin + cuda.threadIdx.x)
        while i < end:
            visit(array, i, int32(i + to_flat), options)
            i = int32(i + cuda.blockDim.x)
        chunk = int32(chunk + cuda.gridDim.x)


class ManyArrays:
    """The tables for arrays of given sizes, on the current device.

    Args:
        bounds: (begin, end) of each array in the flat one.
    """

    def __init__(self, xp: Any, bounds: Sequence[tuple[int, int]]) -> None:
        self._xp = xp
        rows = [
            (number, first, min(first + CHUNK, end - begin), begin + first)
            for number, (begin, end) in enumerate(bounds)
            for first in range(0, end - begin, CHUNK)
        ]
        self._table = np.array(rows, dtype=np.int32).reshape(-1, 4)
        self.blocks = len(rows)
        # A copy to the device is in order with its own stream only, so each stream has its tables.
        self._chunks: dict[int, Any] = {}
        self._addresses: dict[tuple[int, ...], Any] = {}

    @property
    def chunks(self) -> Any:
        """(chunk, 4) int32: which array, where its elements begin and end, and their flat place."""
        stream = current_stream()
        chunks = self._chunks.get(stream)
        if chunks is None:
            chunks = self._chunks[stream] = self._xp.asarray(self._table)
        return chunks

    def addresses(self, arrays: Sequence[Any]) -> Any:
        """Where the arrays begin, (array,) int64 on the device.

        A pool hands out the same memory step after step, so this copies to the device only until
        the addresses repeat.
        """
        key = (current_stream(), *[array.data.ptr for array in arrays])
        table = self._addresses.get(key)
        if table is None:
            if len(self._addresses) >= _KEPT:
                self._addresses.pop(next(iter(self._addresses)), None)
            table = self._addresses[key] = self._xp.asarray(np.array(key[1:], dtype=np.int64))
        return table


def one_behind_another(arrays: Sequence[Any]) -> tuple[tuple[int, int], ...]:
    """(begin, end) of each array in a flat one that has all of them end to end."""
    ends = np.cumsum([array.size for array in arrays]).tolist()
    return tuple(zip([0, *ends[:-1]], ends, strict=True))
