"""Kernels on a GPU: their machine code is loaded by CuPy and launched on its current stream."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import cupy
from cupy.cuda.function import CPointer, Module

from gpugrad.cuda.compiler import compiled
from gpugrad.cuda.failures import with_help
from gpugrad.simulate.faults import LaunchError

# Of cuda.h and driver_types.h
SHARED_ATTRIBUTE = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
SHARED_LIMIT = 97  # cudaDevAttrMaxSharedMemoryPerBlockOptin
SHARED_BYTES = 48 << 10  # dynamic, that a kernel may have without having asked for more
# The second where CuPy makes the context.
REFUSALS = (cupy.cuda.driver.CUDADriverError, cupy.cuda.runtime.CUDARuntimeError)


@dataclass(frozen=True)
class Limits:
    """What a block may have on a device."""

    name: str
    block_shared_bytes: int


class CupyKernel:
    """A kernel loaded on the device that was the current one."""

    def __init__(self, kernel: Any, types: tuple[Any, ...]) -> None:
        device = cupy.cuda.runtime.getDevice()
        major, minor = divmod(int(cupy.cuda.Device(device).compute_capability), 10)
        self.code = code = compiled(kernel, types, (major, minor), "cubin")
        self.limits = Limits(
            f"cuda:{device}", cupy.cuda.runtime.deviceGetAttribute(SHARED_LIMIT, device)
        )
        self.shared_bytes = SHARED_BYTES
        module = Module()
        try:
            module.load(code.code)
            self.function = module.get_function(code.entry)
        except REFUSALS as error:
            raise LaunchError(f"{code.name} cannot be loaded: {with_help(error)}") from error

    def parameters(self, words: ctypes.Array[ctypes.c_int64]) -> tuple[CPointer, ...]:
        """The parameters that `run` takes: where each of the words is, so they may change."""
        base = ctypes.addressof(words)
        return tuple(CPointer(base + 8 * k) for k in range(len(words)))


def load(kernel: Any, types: tuple[Any, ...]) -> CupyKernel:
    """A kernel for arguments of Numba's types, compiled and on the current device."""
    return CupyKernel(kernel, types)


def run(kernel: CupyKernel, grid: Any, block: Any, parameters: Any, shared: int) -> None:
    """Launch a kernel on CuPy's current stream; the driver copies the parameters here and now.

    Raises:
        LaunchError: the driver refuses.
    """
    try:
        if shared > kernel.shared_bytes:
            cupy.cuda.driver.funcSetAttribute(kernel.function.ptr, SHARED_ATTRIBUTE, shared)
            kernel.shared_bytes = shared
        kernel.function(grid, block, parameters, shared)
    except REFUSALS as error:
        threads = block[0] * block[1] * block[2]
        raise LaunchError(
            f"{kernel.code.name} was not launched on {kernel.limits.name}, with grid {grid}, block "
            f"{block} ({threads} threads) and {shared} bytes of dynamic shared memory: "
            f"{with_help(error)}"
        ) from error
