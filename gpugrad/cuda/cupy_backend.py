"""The backend on a GPU: CuPy's arrays, pool and streams."""

from __future__ import annotations

import sys
import threading
from contextlib import AbstractContextManager
from typing import Any

import cupy
import numpy as np
from cupy._core import _routines_linalg as linalg

from gpugrad.cuda.backend import Properties
from gpugrad.cuda.cupy_launch import load, run

FAILURES: tuple[type[Exception], ...] = (
    cupy.cuda.memory.OutOfMemoryError,
    cupy.cuda.runtime.CUDARuntimeError,
    cupy.cuda.driver.CUDADriverError,
)


class CupyBackend:
    """See `gpugrad.cuda.backend.Backend`."""

    simulated = False
    module = cupy
    array = cupy.ndarray
    Stream = cupy.cuda.Stream
    Event = cupy.cuda.Event
    load = staticmethod(load)
    run = staticmethod(run)

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        cublas = sys.modules.get("cupy_backends.cuda.libs.cublas")  # CuPy loads it when needed
        return FAILURES if cublas is None else (*FAILURES, cublas.CUBLASError)

    def __init__(self) -> None:
        self._peaks: dict[int, _Peak] = {}

    def device_count(self) -> int:
        try:
            return int(cupy.cuda.runtime.getDeviceCount())
        except cupy.cuda.runtime.CUDARuntimeError:
            return 0

    def device_index(self) -> int:
        return int(cupy.cuda.runtime.getDevice())

    def use(self, index: int) -> AbstractContextManager[Any]:
        device: AbstractContextManager[Any] = cupy.cuda.Device(index)
        return device

    def index_of(self, array: Any) -> int:
        return int(array.data.device_id)

    def properties(self, index: int) -> Properties:
        with cupy.cuda.Device(index) as device:
            free, total = device.mem_info
            major, minor = divmod(int(device.compute_capability), 10)
            name = cupy.cuda.runtime.getDeviceProperties(index)["name"].decode()
            return Properties(
                name=name,
                compute_capability=(major, minor),
                free_bytes=int(free),
                total_bytes=int(total),
                driver_version=_version(cupy.cuda.runtime.driverGetVersion()),
                runtime_version=_version(cupy.cuda.get_local_runtime_version()),
            )

    def put(self, host: np.ndarray[Any, Any]) -> Any:
        return cupy.array(host, order="C")

    def get(self, array: Any) -> np.ndarray[Any, Any]:
        host: np.ndarray[Any, Any] = array.get()
        return host

    def foreign(self, obj: Any) -> Any:
        if isinstance(obj, cupy.ndarray):
            return obj
        if hasattr(obj, "__dlpack__"):
            return cupy.from_dlpack(obj)
        # CuPy would copy it to the current device; it waits for the stream that is named there.
        pointer = obj.__cuda_array_interface__["data"][0]
        with cupy.cuda.Device(self._device_of(pointer)):
            return cupy.asarray(obj)

    def _device_of(self, pointer: int) -> int:
        if not pointer:  # of an array without elements
            return self.device_index()
        return int(cupy.cuda.runtime.pointerGetAttributes(pointer).device)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        from cupyx import empty_pinned

        host: np.ndarray[Any, Any] = empty_pinned(shape, dtype)
        return host

    def copy(self, host: np.ndarray[Any, Any], array: Any, stream: Any) -> None:
        array.data.copy_from_host_async(host.ctypes.data, host.nbytes, stream)

    def current_stream(self) -> Any:
        return cupy.cuda.get_current_stream()

    def synchronize(self) -> None:
        cupy.cuda.Device().synchronize()

    def free_bytes(self) -> int:
        pool = cupy.get_default_memory_pool()
        free = int(cupy.cuda.Device().mem_info[0]) + int(pool.free_bytes())
        limit = int(pool.get_limit())  # that the user may have set
        return min(free, limit - int(pool.used_bytes())) if limit else free

    def used_bytes(self) -> int:
        return int(cupy.get_default_memory_pool().used_bytes())

    def peak_bytes(self) -> int:
        peak = self._peaks.get(self.device_index())
        return self.used_bytes() if peak is None else max(peak.bytes, self.used_bytes())

    def reset_peak(self) -> None:
        index = self.device_index()
        if index not in self._peaks:
            self._peaks[index] = _Peak(index)
            self._peaks[index].__enter__()
        self._peaks[index].bytes = self.used_bytes()

    def release(self) -> None:
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()

    def allow_tf32(self, allowed: bool) -> None:
        kind = linalg.COMPUTE_TYPE_TF32 if allowed else linalg.COMPUTE_TYPE_DEFAULT
        linalg.set_compute_type(np.float32, kind)

    def tf32_allowed(self) -> bool:
        return bool(linalg.get_compute_type(np.float32) == linalg.COMPUTE_TYPE_TF32)


class _Peak(cupy.cuda.MemoryHook):  # type: ignore[misc]
    """Watches what is in use after each allocation of this thread; CuPy keeps no peak itself."""

    name = "gpugrad peak"

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index
        self.name = f"gpugrad peak of cuda:{index}, thread {threading.get_ident()}"
        self.bytes = 0

    def malloc_postprocess(self, **allocation: Any) -> None:
        if allocation["device_id"] == self.index:
            self.bytes = max(self.bytes, int(cupy.get_default_memory_pool().used_bytes()))


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
