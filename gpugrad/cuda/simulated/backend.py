"""The backend without a GPU: one simulated device, which runs the PTX that Numba compiles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gpugrad.cuda.backend import Properties
from gpugrad.cuda.simulated.array import SimArray, wrapped
from gpugrad.cuda.simulated.launch import load, run
from gpugrad.cuda.simulated.memory import POOL, OutOfMemoryError
from gpugrad.cuda.simulated.module import MODULE
from gpugrad.cuda.simulated.stream import Event, Stream


class SimulatedBackend:
    """See `gpugrad.cuda.backend.Backend`."""

    simulated = True
    module = MODULE
    array = SimArray
    Stream = Stream
    Event = Event
    load = staticmethod(load)
    run = staticmethod(run)
    failures: tuple[type[Exception], ...] = (OutOfMemoryError,)

    def device_count(self) -> int:
        return 1

    def device_index(self) -> int:
        return 0

    @contextmanager
    def use(self, index: int) -> Iterator[None]:
        yield

    def index_of(self, array: Any) -> int:
        return 0

    def properties(self, index: int) -> Properties:
        return Properties(
            name="simulated (no GPU)",
            compute_capability=POOL.device.cc,
            free_bytes=self.free_bytes(),
            total_bytes=POOL.total,
            driver_version="simulated",
            runtime_version="simulated",
        )

    def put(self, host: np.ndarray[Any, Any]) -> Any:
        return wrapped(np.array(host, order="C"), [])

    def get(self, array: Any) -> np.ndarray[Any, Any]:
        host: np.ndarray[Any, Any] = array.get()
        return host

    def foreign(self, obj: Any) -> Any:
        return obj if isinstance(obj, SimArray) else None

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        return np.empty(shape, dtype)

    def copy(self, host: np.ndarray[Any, Any], array: Any, stream: Any) -> None:
        stream.give(lambda: array.set(host))

    def current_stream(self) -> Any:
        return Stream.current()

    def synchronize(self) -> None:
        for stream in list(Stream.alive):
            stream.synchronize()

    def free_bytes(self) -> int:
        return POOL.total - POOL.used

    def used_bytes(self) -> int:
        return POOL.used

    def peak_bytes(self) -> int:
        return POOL.peak

    def reset_peak(self) -> None:
        POOL.peak = POOL.used

    def release(self) -> None:
        pass

    def allow_tf32(self, allowed: bool) -> None:
        pass

    def tf32_allowed(self) -> bool:
        return False
