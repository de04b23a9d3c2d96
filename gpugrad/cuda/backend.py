"""What stands behind `device="cuda"`: CuPy, or the simulated device in its place.

Nothing else knows which. A backend has the array module and its array type, and answers what
depends on the driver: the devices there are, which one is current, copies, memory, streams, and
how a compiled kernel is loaded and launched. It is made at first use, so that `import gpugrad` is
quick and silent on a machine without a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np

from gpugrad.errors import DeviceError, OptionError

SIMULATE = "GPUGRAD_SIMULATE_CUDA"
SWITCH = {"1": True, "true": True, "yes": True, "on": True,
          "0": False, "false": False, "no": False, "off": False, "": False}  # fmt: skip

Array = Any  # of the backend's array type


@dataclass(frozen=True)
class Properties:
    """What a device says of itself; memory in bytes, versions as CUDA writes them (12.8)."""

    name: str
    compute_capability: tuple[int, int]
    free_bytes: int
    total_bytes: int
    driver_version: str
    runtime_version: str


class Backend(Protocol):
    """What `gpugrad.cuda.cupy_backend` and `gpugrad.cuda.simulated.backend` both are."""

    simulated: bool
    module: Any  # of array functions, as CuPy spells them
    Stream: Any
    Event: Any

    @property
    def array(self) -> type[Any]:
        """The type of its arrays."""

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What it raises by itself; of these a `MemoryError` says that memory is exhausted."""

    def device_count(self) -> int:
        """How many devices there are."""

    def device_index(self) -> int:
        """The number of the current device of this thread."""

    def use(self, index: int) -> AbstractContextManager[Any]:
        """Make a device the current one within the block."""

    def index_of(self, array: Array) -> int:
        """The number of the device that holds an array."""

    def properties(self, index: int) -> Properties:
        """What the device says of itself."""

    def put(self, host: np.ndarray[Any, Any]) -> Array:
        """A copy of a host array on the current device."""

    def get(self, array: Array) -> np.ndarray[Any, Any]:
        """A copy on the host; it waits for what computes the array."""

    def foreign(self, obj: Any) -> Array | None:
        """An array on the memory of another library's device array, or None if it is none."""

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        """A host array that the device copies from while the host goes on."""

    def copy(self, host: np.ndarray[Any, Any], array: Array, stream: Any) -> None:
        """Copy a pinned array to one of its shape on the device, on a stream; nothing waits."""

    def current_stream(self) -> Any:
        """The stream on which work of this thread goes to the current device."""

    def synchronize(self) -> None:
        """Wait for all that was given to the current device."""

    def free_bytes(self) -> int:
        """Bytes that new arrays may take on the current device."""

    def used_bytes(self) -> int:
        """Bytes of arrays that are alive on the current device."""

    def peak_bytes(self) -> int:
        """The most there were at a time since `reset_peak`."""

    def reset_peak(self) -> None:
        """Begin counting the peak from what is in use now."""

    def release(self) -> None:
        """Give memory that is kept for new arrays back to the driver."""

    def allow_tf32(self, allowed: bool) -> None:
        """Let products of float32 matrices use TensorFloat-32, which every card must have."""

    def tf32_allowed(self) -> bool:
        """Whether they do."""

    @property
    def load(self) -> Callable[[Any, tuple[Any, ...]], Any]:
        """(kernel, Numba's types of its arguments): the kernel on the current device."""

    @property
    def run(self) -> Callable[..., None]:
        """(loaded kernel, grid, block, parameters, shared): launch it on the current stream."""


def is_simulated() -> bool:
    """Whether `device="cuda"` is a simulated one.

    Raises:
        OptionError: the environment says neither yes nor no. It is no DeviceError, for which
            "auto" would take the CPU.
    """
    said = os.environ.get(SIMULATE, "")
    if said.strip().lower() not in SWITCH:
        raise OptionError(
            f"the environment variable {SIMULATE} is {said!r}, which is neither yes nor no\n"
            "  help: 1, true, yes or on simulates a GPU; 0, false, no, off or nothing does not"
        )
    return SWITCH[said.strip().lower()]


@cache
def backend() -> Backend:
    """The backend of this process.

    Raises:
        DeviceError: there is no GPU to be used here, and why.
    """
    if is_simulated():
        from gpugrad.cuda.checks import numba_cuda
        from gpugrad.cuda.simulated.backend import SimulatedBackend

        packages = numba_cuda()  # reads metadata and imports nothing, so it is quick
        if packages.problem:
            raise DeviceError(str(packages))
        return SimulatedBackend()
    found = on_a_gpu()
    if isinstance(found, str):
        raise DeviceError(found)
    return found


def in_use() -> Backend | None:
    """The backend, if something has asked for it."""
    return backend() if backend.cache_info().currsize else None


@cache
def on_a_gpu() -> Backend | str:
    """The backend of CuPy, or why there is none: whoever asks again is told the same at once."""
    from gpugrad.cuda.probes import driver_version

    if driver_version() is None:  # asked first: to import CuPy takes a second
        return _why_not(None)
    try:
        from gpugrad.cuda.cupy_backend import CupyBackend

        found = CupyBackend()
    except Exception as error:
        return _why_not(error)
    return found if found.device_count() else _why_not(None)


def _why_not(error: Exception | None) -> str:
    from gpugrad.cuda.diagnosis import first_problem

    problem = first_problem()
    if problem is not None:
        return str(problem)
    return f"CuPy finds no device ({error})" if error else "CuPy finds no device"
