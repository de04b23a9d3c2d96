"""Facts about this machine's GPU software, each asked for by itself; none of them raises.

The driver is asked through its own library, so that these answers need no package at all. What
the facts mean is said in `gpugrad.cuda.diagnosis`.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import os
import re
import sys
from dataclasses import dataclass
from typing import Any

Version = tuple[int, ...]

LIBCUDA = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
CUPY = ("cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x")  # only one may be installed
NVVM = ("nvidia-cuda-nvcc-cu12", "nvidia-nvvm")  # what brings it for CUDA 12, and from 13 on

# CUdevice_attribute of cuda.h
MAJOR, MINOR = 75, 76


@dataclass(frozen=True)
class GPU:
    """A GPU as the driver describes it."""

    name: str
    compute_capability: tuple[int, int]
    total_bytes: int

    @property
    def gib(self) -> float:
        """Its memory."""
        return self.total_bytes / 2**30


@dataclass(frozen=True)
class GPUs:
    """The GPUs that the driver gives this process; why it gives none, as an error of CUDA's."""

    found: tuple[GPU, ...] = ()
    refusal: str = ""


def libcuda() -> Any:
    """The driver's library, or None."""
    try:
        return ctypes.CDLL(LIBCUDA)
    except OSError:
        return None


def driver_version() -> Version | None:
    """The newest CUDA that the driver knows, such as (12, 4); None without a driver."""
    library, number = libcuda(), ctypes.c_int()
    if library is None or library.cuDriverGetVersion(ctypes.byref(number)):
        return None
    return number.value // 1000, number.value % 1000 // 10


def gpus() -> GPUs:
    """The GPUs that the driver gives this process."""
    library, count = libcuda(), ctypes.c_int()
    if library is None:
        return GPUs()
    failed = library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count))
    if failed:
        return GPUs(refusal=_error_name(library, failed))
    return GPUs(tuple(_gpu(library, index) for index in range(count.value)))


def _gpu(library: Any, index: int) -> GPU:
    name, total = ctypes.create_string_buffer(256), ctypes.c_size_t()
    library.cuDeviceGetName(name, len(name), index)
    library.cuDeviceTotalMem_v2(ctypes.byref(total), index)

    def attribute(which: int) -> int:
        value = ctypes.c_int()
        library.cuDeviceGetAttribute(ctypes.byref(value), which, index)
        return value.value

    return GPU(name.value.decode(), (attribute(MAJOR), attribute(MINOR)), total.value)


def _error_name(library: Any, number: int) -> str:
    name = ctypes.c_char_p()
    if library.cuGetErrorName(number, ctypes.byref(name)) or name.value is None:
        return f"CUDA error {number}"
    return name.value.decode()


def visible_devices() -> str | None:
    """CUDA_VISIBLE_DEVICES, or None if it is not set."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def on_colab() -> bool:
    """Whether this is a Colab runtime."""
    return "COLAB_RELEASE_TAG" in os.environ


def in_container() -> bool:
    """Whether this runs in a container, which has a driver only if it was started with one."""
    return any(map(os.path.exists, ("/.dockerenv", "/run/.containerenv")))


def installed(distribution: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def cupy_distributions() -> list[str]:
    """The distributions of CuPy that are installed."""
    return [name for name in CUPY if installed(name)]


def numbers(version: str) -> Version:
    """The numbers that a version begins with.

    >>> numbers("14.0.1rc2")
    (14, 0, 1)
    """
    begin = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, begin[0].split("."))) if begin else ()


def import_failure(module: str) -> str:
    """Why a module cannot be imported, on one line; empty if it can."""
    try:
        importlib.import_module(module)
    except Exception as error:
        return one_line(error)
    return ""


def cupy_toolkit() -> Version | None:
    """The CUDA that CuPy was built for, such as (12, 9)."""
    try:
        number = importlib.import_module("cupy").cuda.runtime.runtimeGetVersion()
    except Exception:
        return None
    return number // 1000, number % 1000 // 10


def cublas_failure() -> str:
    """Why CuPy cannot load cuBLAS, which multiplies matrices; empty if it can."""
    try:
        _ = importlib.import_module("cupy.cuda").cublas  # loaded when it is asked for
    except Exception as error:
        return one_line(error)
    return ""


def compiler_failure() -> Exception | None:
    """What stops Numba's compiler for CUDA, without compiling anything; None if it is complete."""
    from gpugrad.simulate.frontend.toolchain import absent, numba_cuda

    try:
        numba_cuda()
        importlib.import_module("numba.cuda.cudadrv.nvvm").NVVM()
    except Exception as error:
        return absent(error) or error
    return None


def nvjitlink_version() -> Version | None:
    """The version of nvJitLink, such as (12, 8); None if it cannot be loaded."""
    try:
        version = importlib.import_module("cuda.bindings.nvjitlink").version()
    except Exception:
        return None
    return tuple(version)


def nvvm_version() -> Version | None:
    """The CUDA that NVVM comes from; None if it is no package's, as in a toolkit's folder.

    NVVM itself only tells the version of its interface.
    """
    for distribution in NVVM:
        version = installed(distribution)
        if version:
            return numbers(version)[:2]
    return None


def one_line(error: BaseException) -> str:
    """An error's first line with words in it, with its type where it says little by itself."""
    lines = [line.strip(" \t=") for line in str(error).splitlines()]
    first = next((line for line in lines if line), "")
    return first if " " in first else f"{type(error).__name__}: {first}".rstrip(": ")
