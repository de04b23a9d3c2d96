"""Numba's CUDA compiler and NVIDIA's libraries beside it, used where there is no driver."""

from __future__ import annotations

import importlib
import importlib.metadata
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from gpugrad.simulate.faults import CompileError

_lock = threading.RLock()  # one compilation at a time: `offline` replaces names in Numba's modules
_ready: list[Any] = []


def numba_cuda() -> Any:
    """The module `numba.cuda`, from the distribution numba-cuda.

    Raises:
        CompileError: numba-cuda is missing or does not work, or NUMBA_ENABLE_CUDASIM is set.
    """
    if not _ready:
        try:  # the distribution: numba has a numba/cuda of its own, which imports without it
            importlib.metadata.version("numba-cuda")
        except importlib.metadata.PackageNotFoundError:
            raise missing("the package numba-cuda") from None
        from numba import cuda

        if getattr(cuda, "compile", None) is None:
            raise CompileError(
                "NUMBA_ENABLE_CUDASIM is set, so Numba interprets kernels and compiles none\n"
                "  help: unset NUMBA_ENABLE_CUDASIM before anything imports numba"
            )
        try:  # what a first compilation would load
            importlib.import_module("numba.cuda.cudaimpl")
        except AttributeError as error:  # of a NumPy that is newer than numba-cuda
            raise CompileError(
                f"numba-cuda {importlib.metadata.version('numba-cuda')} does not work beside "
                f"NumPy {importlib.metadata.version('numpy')}: {error}\n"
                "  help: pip install 'numpy<2.5'"
            ) from None
        _ready.append(cuda)
    return _ready[0]


def missing(what: str) -> CompileError:
    """The error for a part of the toolchain that is not installed."""
    from gpugrad._address import install_command

    command = install_command("simulate")
    return CompileError(
        f"gpugrad.simulate compiles kernels with {what}, which is not installed\n"
        f"  help: {command}   (Linux and Windows: NVIDIA has no wheels for macOS)"
    )


def absent(error: BaseException) -> CompileError | None:
    """What to raise where a library of NVIDIA's could not be found; None for another error."""
    if type(error).__name__ in ("DynamicLibNotFoundError", "NvvmSupportError"):
        return missing("NVIDIA's libraries NVVM, NVRTC and nvJitLink")
    return None


@contextmanager
def offline(cc: tuple[int, int], lines: bool = True) -> Iterator[None]:
    """Let Numba compile for a GPU that is not there.

    A kernel that calls a `@cuda.jit(device=True)` function asks the driver for the current GPU's
    compute capability, and leaves line information out of that function; CUDA C++ sources that
    Numba brings along (its float16 arithmetic) are compiled by a class that asks for the driver's
    version. Other threads go on seeing the real ones.

    Args:
        cc: the compute capability that the absent GPU has.
        lines: compile device functions with line information.
    """
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv import nvrtc

    with _lock:
        thread = threading.get_ident()
        real_device, real_compile = dispatcher.get_current_device, dispatcher.compile_cuda
        real_program = nvrtc.Program

        def get_current_device() -> Any:
            if threading.get_ident() != thread:
                return real_device()
            return SimpleNamespace(compute_capability=cc)

        def compile_cuda(*args: Any, **options: Any) -> Any:
            if lines and threading.get_ident() == thread and not options.get("debug"):
                options["lineinfo"] = True
            return real_compile(*args, **options)

        def program(source: Any, language: Any, options: Any) -> Any:
            here = threading.get_ident() == thread and not options.link_time_optimization
            return (_Program if here else real_program)(source, language, options=options)

        dispatcher.get_current_device, dispatcher.compile_cuda = get_current_device, compile_cuda
        nvrtc.Program = program
        try:
            yield
        finally:
            dispatcher.get_current_device, dispatcher.compile_cuda = real_device, real_compile
            nvrtc.Program = real_program


class _Program:
    """NVRTC, with the interface of `cuda.core.Program` as far as Numba uses it."""

    def __init__(self, source: str, language: str, options: Any) -> None:
        self.source, self.options = source, options

    def compile(self, kind: str, logs: Any = None) -> str:
        from cuda.bindings import nvrtc

        architecture = self.options.arch.replace("sm_", "compute_")
        flags = [f"--gpu-architecture={architecture}", "--relocatable-device-code=true"]
        flags += [f"--include-path={folder}" for folder in self.options.include_path]
        _, program = nvrtc.nvrtcCreateProgram(self.source.encode(), b"source.cu", 0, [], [])
        try:
            (failed,) = nvrtc.nvrtcCompileProgram(program, len(flags), [f.encode() for f in flags])
            what = "ProgramLog" if failed else "PTX"
            _, length = getattr(nvrtc, f"nvrtcGet{what}Size")(program)
            buffer = bytes(length)  # which NVRTC fills
            getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
        finally:
            nvrtc.nvrtcDestroyProgram(program)
        answer = buffer.decode().rstrip("\0")
        if failed:
            raise CompileError(f"CUDA C++ that the kernel needs does not compile\n{answer}")
        return answer


def link(
    code: str | bytes,
    cc: tuple[int, int],
    flags: tuple[str, ...] = (),
    libraries: tuple[str, ...] = (),
) -> tuple[bytes, str]:
    """Machine code for cc from PTX or, as bytes, from LTO-IR.

    Args:
        flags: for the linker, beside the architecture.
        libraries: files to link with.
    Returns: the cubin and the account of registers and memory that the linker gives.
    """
    try:
        from cuda.bindings import nvjitlink
    except ImportError:
        raise missing("cuda.bindings.nvjitlink of the package cuda-bindings") from None

    options = [f"-arch=sm_{cc[0]}{cc[1]}", "-Xptxas=-v", *flags]
    kind = nvjitlink.InputType.PTX
    if isinstance(code, str):
        code = code.encode()
    else:
        options.append("-lto")
        kind = nvjitlink.InputType.LTOIR
    try:
        handle = nvjitlink.create(len(options), options)
    except Exception as error:
        reason = f"nvJitLink refuses {' '.join(options)}: {error}"
        raise absent(error) or CompileError(reason) from None

    def get(what: str) -> bytes:
        buffer = bytearray(getattr(nvjitlink, f"get_{what}_size")(handle))
        getattr(nvjitlink, f"get_{what}")(handle, buffer)
        return bytes(buffer)

    try:
        nvjitlink.add_data(handle, kind, code, len(code), "kernel")
        for path in libraries:
            nvjitlink.add_file(handle, nvjitlink.InputType.LIBRARY, path)
        nvjitlink.complete(handle)
        return get("linked_cubin"), get("info_log").rstrip(b"\0").decode()
    except nvjitlink.nvJitLinkError:
        log = get("error_log").rstrip(b"\0").decode().strip()
        raise CompileError(
            f"the kernel does not link\n  {log}\n  help: nvJitLink, here "
            f"{'.'.join(map(str, nvjitlink.version()))}, has to be at least as new as what it links"
        ) from None
    finally:
        nvjitlink.destroy(handle)
