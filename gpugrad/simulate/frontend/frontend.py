"""From a kernel and the types of its arguments to PTX, once for each."""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from gpugrad.simulate.faults import CompileError, LaunchError, UnsupportedError
from gpugrad.simulate.frontend.cards import card
from gpugrad.simulate.frontend.compile_errors import compile_error
from gpugrad.simulate.frontend.toolchain import absent, numba_cuda, offline

Function = Callable[..., Any]


@dataclass(frozen=True)
class Options:
    """What `@cuda.jit` was told that changes the code; line information is always on."""

    fastmath: bool = False
    opt: bool = True
    launch_bounds: int | tuple[int, ...] | None = None
    max_registers: int | None = None  # for the linker: PTX does not hold it

    @property
    def max_threads(self) -> int | None:
        """The threads of a block that the kernel is compiled for, where it names them."""
        bounds = self.launch_bounds
        return bounds[0] if isinstance(bounds, tuple) else bounds


@dataclass(frozen=True)
class Kernel:
    """A kernel as the user wrote it."""

    function: Function
    options: Options
    signatures: tuple[tuple[Any, ...], ...] = ()  # all it takes, if `@cuda.jit` named them

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def source(self) -> tuple[str, int]:
        """The file, and the line where the kernel begins, its decorator if there is one."""
        code = self.function.__code__
        return code.co_filename, code.co_firstlineno

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.function).parameters)


@dataclass(frozen=True)
class Compiled:
    """A kernel's PTX for one set of argument types and one compute capability."""

    name: str  # of the Python function
    entry: str  # of the PTX's entry
    ptx: str  # with line information
    types: tuple[Any, ...]
    cc: tuple[int, int]
    source: tuple[str, int]
    options: Options
    externals: bool  # whether functions from CUDA C++ that Numba brings are part of the PTX

    @cached_property
    def shared_bytes(self) -> int:
        """Static shared memory of a block, as declared."""
        end = 0
        for alignment, nbytes in _SHARED.findall(self.ptx):
            end = -(-end // int(alignment)) * int(alignment) + int(nbytes)
        return end

    @cached_property
    def float32(self) -> bool:
        """Whether the kernel is meant to be float32: no argument is float64 or complex128."""
        return is_float32(self.types)


_ENTRY = re.compile(r"\.visible\s+\.entry\s+([\w$]+)")
_SHARED = re.compile(r"^(?:\s*\.visible)?\s*\.shared\s+\.align (\d+) \.b8 [\w$]+\[(\d+)\];", re.M)
_DECLARED = r"\.extern\s+\.func\s*(?:\([^)]*\)\s*)?{}\s*\([^)]*\)\s*;"  # of a function
_HEADER = re.compile(r"^\.address_size.*$", re.M)
_compiled: WeakKeyDictionary[Function, dict[Any, Compiled]] = WeakKeyDictionary()


def as_kernel(kernel: Any) -> Kernel:
    """What `@cuda.jit` made, or a Python function, as a Kernel.

    Raises:
        LaunchError: it is neither, or cannot be launched.
    """
    if "numba.cuda.dispatcher" not in sys.modules:  # where there are kernels, it is there
        numba_cuda()
    from numba.cuda.dispatcher import CUDADispatcher

    if isinstance(kernel, CUDADispatcher):
        return _from_dispatcher(kernel)
    if inspect.isfunction(kernel):
        return Kernel(kernel, Options())
    if isinstance(getattr(kernel, "dispatcher", None), CUDADispatcher):
        name = kernel.dispatcher.py_func.__name__
        raise LaunchError(
            f"{name}[...] is a kernel with its grid and block\n"
            f"  help: write simulate.run({name}, grid, block, ...)"
        )
    if hasattr(kernel, "py_func"):
        raise LaunchError(
            f"{kernel!r} is compiled for the CPU\n  help: decorate it with numba.cuda.jit"
        )
    raise LaunchError(f"a kernel is a function that numba.cuda.jit can compile, not {kernel!r}")


def _from_dispatcher(kernel: Any) -> Kernel:
    told, name = kernel.targetoptions, kernel.py_func.__name__
    if told.get("device"):
        raise LaunchError(
            f"{name} is a device function, for kernels to call\n"
            "  help: launch a kernel that calls it, declared without device=True"
        )
    if told.get("link"):
        raise UnsupportedError(f"{name} links files ({told['link']!r}), which is not simulated")
    if told.get("extensions"):
        raise UnsupportedError(f"{name} has argument extensions, which are not simulated")
    if told.get("debug"):
        warnings.warn(
            f"{name} has debug=True; it is simulated without, so what it raises is not reported",
            stacklevel=4,
        )
    bounds = told.get("launch_bounds")
    options = Options(
        bool(told.get("fastmath")),
        bool(told.get("opt", True)),
        tuple(bounds) if isinstance(bounds, (tuple, list)) else bounds,
        told.get("max_registers"),
    )
    fixed = () if kernel._can_compile else tuple(map(tuple, kernel.overloads))
    return Kernel(kernel.py_func, options, fixed)


def compiled(kernel: Any, types: tuple[Any, ...], cc: tuple[int, int]) -> Compiled:
    """The PTX of a kernel for arguments of these types; the second time it costs a look-up.

    As with `@cuda.jit`, globals that the kernel reads are constants from its first compilation on.

    Args:
        kernel: what `@cuda.jit` made, a Python function, or a Kernel.
        types: Numba's types of the arguments.
        cc: the compute capability, such as (7, 5).
    Raises:
        CompileError: Numba cannot compile it, or is not installed.
        LaunchError: it is no kernel, or the compute capability is unknown.
        UnsupportedError: it needs code from elsewhere.
    """
    if not isinstance(kernel, Kernel):
        kernel = as_kernel(kernel)
    cc = card(cc).cc
    known = _compiled.setdefault(kernel.function, {})
    key = (types, cc, kernel.options)
    if key not in known:
        parts = build(kernel, types, cc, "ptx")
        ptx = merged(parts, kernel)
        entries = _ENTRY.findall(ptx)
        if len(entries) != 1:
            raise CompileError(f"{kernel.name}: {len(entries)} entries in its PTX, not one")
        known[key] = Compiled(
            name=kernel.name,
            entry=entries[0],
            ptx=ptx,
            types=types,
            cc=cc,
            source=kernel.source,
            options=kernel.options,
            externals=len(parts) > 1,
        )
    return known[key]


def build(kernel: Kernel, types: tuple[Any, ...], cc: tuple[int, int], output: str) -> list[Any]:
    """Numba's output, "ptx" or "ltoir", for a kernel: its own code, then what that needs."""
    cuda = numba_cuda()
    from numba.cuda.core.errors import NumbaDebugInfoWarning

    options = kernel.options
    try:
        with offline(cc, lines=output == "ptx"), warnings.catch_warnings():
            warnings.simplefilter("ignore", NumbaDebugInfoWarning)  # typed in, or from exec
            codes, _ = cuda.compile_all(
                kernel.function,
                types,
                device=False,
                abi="numba",
                lineinfo=output == "ptx",
                debug=False,
                fastmath=options.fastmath,
                opt=options.opt,
                launch_bounds=options.launch_bounds,
                cc=cc,
                output=output,
            )
            if "numba_attempt_nocopy_reshape" in str(codes[0]):
                codes.append(_reshape(cc))
            return list(codes)
    except CompileError:
        raise
    except Exception as error:
        what = absent(error) or compile_error(
            error, kernel.name, kernel.source, kernel.parameters, types
        )
        raise what from None


def _reshape(cc: tuple[int, int]) -> Any:
    """The PTX of what Numba links to kernels that reshape an array."""
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv import nvrtc

    name = "reshape_funcs.cu"
    source = Path(dispatcher.__file__).with_name(name).read_text(encoding="utf-8")
    return nvrtc.compile(source, name, cc)[0]


def merged(codes: list[Any], kernel: Kernel) -> str:
    """One PTX text of several: the functions that the first one calls, then itself."""
    text = str(codes[0])
    for code in codes[1:]:
        if not isinstance(code, str):
            name = getattr(code, "name", None) or type(code).__name__
            raise UnsupportedError(f"{kernel.name} links {name}, which is not PTX")
        body = _HEADER.split(code)[1].replace("$L__", "$L__external_")
        for function in re.findall(r"\.func\s*(?:\([^)]*\)\s*)?([\w$]+)\s*\(", body):
            text = re.sub(_DECLARED.format(re.escape(function)), "", text)
        header = _HEADER.search(text)
        assert header is not None
        text = text[: header.end()] + body + text[header.end() :]
    return text


def is_float32(types: tuple[Any, ...]) -> bool:
    """Whether no argument is float64 or complex128."""
    return not any(map(_is_double, types))


def _is_double(kind: Any) -> bool:
    from numba.cuda import types

    if isinstance(kind, types.Record):
        return any(_is_double(kind.typeof(name)) for name, _ in kind.members)
    if isinstance(kind, types.BaseTuple):
        return any(_is_double(item) for item in kind)
    return getattr(kind, "dtype", kind) in (types.float64, types.complex128) or (
        isinstance(getattr(kind, "dtype", None), types.Record) and _is_double(kind.dtype)
    )
