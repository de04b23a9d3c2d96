"""The backend without a GPU: one simulated device, whose kernels run as the PTX that Numba compiles."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gpugrad.cuda.backend import Properties
from gpugrad.cuda.simulated.array import SimArray, wrapped
from gpugrad.cuda.simulated.launch import load, run
from gpugrad.cuda.simulated.memory import POOL, TOTAL
from gpugrad.cuda.simulated.module import MODULE


class Stream:
    """Streams are one queue here: whatever is given to one is done when the call returns."""

    ptr = 0

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        self.null, self.non_blocking = null, non_blocking

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def synchronize(self) -> None:
        """Nothing is left to wait for."""

    def record(self, event: Any = None) -> Any:
        """Record an event, a new one by default."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Any) -> None:
        """Nothing is left to wait for."""


class Event:
    """A moment on a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        self.moment = 0.0

    def record(self, stream: Any = None) -> None:
        """Note the moment."""
        self.moment = time.perf_counter()

    def synchronize(self) -> None:
        """It has passed."""


class SimulatedBackend:
    """See `gpugrad.cuda.backend.Backend`."""

    simulated = True
    module = MODULE
    array = SimArray
    Stream = Stream
    Event = Event
    load = staticmethod(load)
    run = staticmethod(run)

    def device_count(self) -> int:
        return 1

    def device_index(self) -> int:
        return 0

    @contextmanager
    def use(self, index: int) -> Iterator[None]:
        yield

    def index_of(self, array: Any) -> int:
        return 0

    def compute_capability(self) -> tuple[int, int]:
        return POOL.device.cc

    def properties(self, index: int) -> Properties:
        return Properties(
            name="simulated (no GPU)",
            compute_capability=POOL.device.cc,
            free_bytes=TOTAL - POOL.used,
            total_bytes=TOTAL,
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

    def synchronize(self) -> None:
        pass

    def used_bytes(self) -> int:
        return POOL.used

    def peak_bytes(self) -> int:
        return POOL.peak

    def reset_peak(self) -> None:
        POOL.peak = POOL.used

    def release(self) -> None:
        pass
