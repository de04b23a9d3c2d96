"""Batches of data that stays on the host: copied to the GPU while it computes with the last one.

Two buffers of pinned memory take turns. A batch is gathered into one and copied from there on a
stream of its own, one batch ahead of the consumer:

    consumer's stream   allocate n+1 | compute n-1 ... | wait for copied n | compute n ...
    the copies' stream                 wait for that;    copy n+1, record copied n+1
    host                gather n+1     give the copy     go on

Four things must come one after another, and only the last of them makes the host wait:
- the copy after whatever used the batch's memory before, which is work on the consumer's stream,
  since the memory comes from that stream's pool: the copies' stream waits for an event there;
- the consumer's work after the copy: its stream waits for the event `copied`;
- what reuses the memory after the copy, also of a batch that nobody took: that waits likewise;
- a gathering after the last copy out of the same buffer, which was two batches ago.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpugrad.device import CudaDevice

Host = NDArray[Any]
BUFFERS = 2


@dataclass
class Buffer:
    """Pinned memory for one batch, and the event after the last copy out of it."""

    parts: list[Host]
    copied: Any


@dataclass
class Batch:
    """Arrays on the device that are being copied to, from `stream`'s memory, till `copied`."""

    arrays: list[Any]
    stream: Any
    copied: Any


class Prefetcher:
    """Copies batches of host arrays to a GPU, each while the one before is in use.

    Args:
        device: the GPU.
        rows: the most of a batch.
    """

    def __init__(self, device: CudaDevice, rows: int) -> None:
        self.device, self.rows = device, rows
        self._gpu = device._backend
        self._buffers: list[Buffer] = []
        self._turn = 0
        self._copies: Any = None

    def __del__(self) -> None:
        # The buffers go back to a pool, so no copy may read them any more.
        if self._copies is not None and not sys.is_finalizing():
            self._copies.synchronize()

    def batches(self, arrays: list[Host], which: Iterable[Any]) -> Generator[list[Any], None, None]:
        """The batches of these arrays, on the device and ready for its current stream.

        Args:
            which: the rows of each batch: a slice, or an array of their numbers.
        """
        ahead: Batch | None = None
        try:
            for rows in which:
                ready, ahead = ahead, self._copied(arrays, rows)
                if ready is not None:
                    yield self._taken(ready)
            if ahead is not None:
                ready, ahead = ahead, None
                yield self._taken(ready)
        finally:
            if ahead is not None:
                ahead.stream.wait_event(ahead.copied)

    def _taken(self, batch: Batch) -> list[Any]:
        with self.device.use():
            now = self._gpu.current_stream()
            now.wait_event(batch.copied)
            if batch.stream is not now:
                batch.stream.wait_event(batch.copied)
        return batch.arrays

    def _copied(self, arrays: list[Host], rows: Any) -> Batch:
        """A batch whose copy was given to the device."""
        with self.device.use():
            if not self._buffers:
                self._open(arrays)
            buffer = self._buffers[self._turn]
            self._turn = (self._turn + 1) % BUFFERS
            buffer.copied.synchronize()
            parts = [
                _gathered(array, rows, part)
                for array, part in zip(arrays, buffer.parts, strict=True)
            ]
            stream = self._gpu.current_stream()
            places = [self._gpu.module.empty(part.shape, part.dtype) for part in parts]
            self._copies.wait_event(stream.record(self._event()))
            for part, place in zip(parts, places, strict=True):
                self._gpu.copy(part, place, self._copies)
            buffer.copied = self._copies.record(self._event())
            return Batch(places, stream, buffer.copied)

    def _event(self) -> Any:
        return self._gpu.Event(disable_timing=True)

    def _open(self, arrays: list[Host]) -> None:
        self._copies = self._gpu.Stream(non_blocking=True)
        self._buffers = [
            Buffer(
                [self._gpu.pinned((self.rows, *array.shape[1:]), array.dtype) for array in arrays],
                self._event(),
            )
            for _ in range(BUFFERS)
        ]


def _gathered(array: Host, rows: Any, into: Host) -> Host:
    """The rows of a host array, at the beginning of a buffer."""
    if isinstance(rows, slice):
        chosen = array[rows]
        part = into[: len(chosen)]
        np.copyto(part, chosen)
        return part
    part = into[: len(rows)]
    # A permutation is in range; "clip" spares the check of it, and a second buffer.
    np.take(array, rows, axis=0, out=part, mode="clip")
    return part
