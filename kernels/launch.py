"""The one place where kernels are launched: `launch(kernel, blocks, threads, *args)`.

What a launch needs beside its pointers and numbers is worked out once for each device, kernel and
set of shapes, and kept: the machine code, and a buffer of parameters, eight bytes each. An array is
5 + 2 * ndim of them (0, 0, size, itemsize, pointer, shape..., strides...), a number one. A later
launch fills in the pointers and numbers and goes: nothing is copied, converted or waited for.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import numpy as np

from gpugrad.cuda.backend import backend
from gpugrad.errors import DeviceError, DtypeError

TAKEN = frozenset("f?bBhHiIlLqQ")  # dtypes that the library's kernels compute with
PASSED = TAKEN | {"d", "e"}  # dtypes of arrays that any kernel may be given
# Kernels step through arrays with int32: index + step, where the step is the size rounded up to
# whole blocks at most, has to stay below 2**31.
TOO_MANY = 1 << 30
PLANS = 4096  # of a thread; more sizes than that are no reason to run out of memory
CELLS = {
    "f": ctypes.c_float, "d": ctypes.c_double, "?": ctypes.c_bool, "b": ctypes.c_int8,
    "B": ctypes.c_uint8, "h": ctypes.c_int16, "H": ctypes.c_uint16, "i": ctypes.c_int32,
    "I": ctypes.c_uint32, "l": ctypes.c_int64, "L": ctypes.c_uint64, "q": ctypes.c_int64,
    "Q": ctypes.c_uint64,
}  # fmt: skip


class _Own(threading.local):
    """A thread's plans: two threads must not fill one buffer."""

    def __init__(self) -> None:
        self.plans: dict[Any, _Plan] = {}


_own = _Own()
_loaded: dict[Any, Any] = {}
_loading = threading.Lock()


def suits(*arrays: Any) -> bool:
    """Whether kernels take these arrays; None among them is left out.

    They have to be C-contiguous, float32, an integer dtype or bool, and not too large for indices
    of 32 bits.
    """
    try:
        for array in arrays:
            if array is not None and not (
                array._c_contiguous and array.dtype.char in TAKEN and array.size < TOO_MANY
            ):
                return False
    except AttributeError:  # a number, say
        return False
    return True


def launch(kernel: Any, blocks: Any, threads: Any, *args: Any, shared: int = 0) -> None:
    """Launch a kernel on the current device and stream; nothing happens for zero blocks.

    Args:
        kernel: what `@cuda.jit` made, without a signature.
        blocks: of the grid, a number or a tuple of up to three.
        threads: of a block, likewise.
        args: arrays of the current device, C-contiguous, and NumPy scalars, which say their type.
        shared: bytes of dynamic shared memory of a block.
    Raises:
        DeviceError: an argument is not on the current device.
        DtypeError: an argument is of a type that no kernel takes, or says none.
        LaunchError: an array is strided, or the device would refuse the launch.
        CompileError: the kernel does not compile.
    """
    cuda = backend()
    array: Any = cuda.array
    # fmt: off
    key = (
        cuda, cuda.device_index(), kernel, blocks, threads, shared,
        *[(a.dtype, a.shape, a._c_contiguous, a.data.device_id) if isinstance(a, array) else type(a)
          for a in args],
    )
    # fmt: on
    plan = _own.plans.get(key)
    if plan is None:
        plan = _planned(key, args)
    if plan.kernel is None:
        return
    for cell, a in zip(plan.cells, args, strict=True):
        cell.value = a.data.ptr if isinstance(a, array) else a.item()
    plan.run(plan.kernel, plan.grid, plan.block, plan.parameters, shared)


def _planned(key: tuple[Any, ...], args: tuple[Any, ...]) -> _Plan:
    plans = _own.plans
    if len(plans) >= PLANS:
        plans.clear()
    plan = plans[key] = _Plan(key[:6], args)
    return plan


def current_stream() -> int:
    """The handle of the stream that a launch would go to."""
    return int(backend().current_stream().ptr)


class _Plan:
    """A launch of a kernel with arguments of these shapes, but for the pointers and numbers."""

    def __init__(self, told: tuple[Any, ...], args: tuple[Any, ...]) -> None:
        from gpugrad.simulate.frontend.frontend import as_kernel
        from gpugrad.simulate.launch import check_launch, dimensions

        cuda, device, kernel, blocks, threads, shared = told
        user = as_kernel(kernel)
        _check_arguments(cuda, device, user, args)
        self.kernel: Any = None
        if not (all(blocks) if isinstance(blocks, tuple) else blocks):
            return
        self.grid, self.block = dimensions("blocks", blocks), dimensions("threads", threads)
        loaded = _load(cuda, device, kernel, tuple(map(_type_of, args)))
        check_launch(loaded.code, self.grid, self.block, shared, loaded.limits)
        words: list[int] = []
        cells = []
        for a in args:
            if isinstance(a, np.generic):
                cells.append((len(words), CELLS[a.dtype.char]))
                words.append(0)
            else:
                cells.append((len(words) + 4, ctypes.c_int64))
                words += [0, 0, a.size, a.itemsize, 0, *a.shape, *a.strides]
        self.words = (ctypes.c_int64 * len(words))(*words)
        base = ctypes.addressof(self.words)
        self.cells: list[Any] = [kind.from_address(base + 8 * at) for at, kind in cells]
        self.parameters = loaded.parameters(self.words)
        self.run = cuda.run
        self.kernel = loaded


def _load(cuda: Any, device: int, kernel: Any, types: tuple[Any, ...]) -> Any:
    """The kernel on the current device; a module belongs to one."""
    key = cuda, device, kernel, types
    with _loading:
        if key not in _loaded:
            _loaded[key] = cuda.load(kernel, types)
        return _loaded[key]


def _type_of(argument: Any) -> Any:
    from numba.cuda import types

    name = "boolean" if argument.dtype.char == "?" else argument.dtype.name
    kind = getattr(types, name)
    return kind if isinstance(argument, np.generic) else types.Array(kind, argument.ndim, "C")


def _check_arguments(cuda: Any, device: int, user: Any, args: tuple[Any, ...]) -> None:
    """Refuse what a kernel would misread."""
    from gpugrad.simulate.faults import LaunchError

    names = user.parameters
    said = f"{user.name}({', '.join(names)})"
    if len(args) != len(names):
        raise LaunchError(f"{said} takes {len(names)} arguments, and {len(args)} were given")
    places = {}
    for name, a in zip(names, args, strict=True):
        where = f"{said}: argument {name} is"
        if not isinstance(a, cuda.array):
            _check_scalar(where, name, a)
            continue
        about = f"{a.dtype} {a.shape}"
        if a.dtype.char not in PASSED:
            raise DtypeError(
                f"{where} an array of {a.dtype}, which kernels do not take\n"
                "  help: they take float16, float32, float64, integers and bool"
            )
        if not a._c_contiguous:
            raise LaunchError(
                f"{where} strided: {about} with strides of {a.strides} bytes\n"
                f"  help: pass a copy whose elements lie side by side, xp.ascontiguousarray({name})"
            )
        places[name] = a.data.device_id
    if len(set(places.values())) > 1:
        held = "\n".join(f"  {name} is on cuda:{place}" for name, place in places.items())
        raise DeviceError(
            f"{said}: its arrays are on different devices\n{held}\n"
            '  help: move them to one, x.to("cuda:0")'
        )
    for name, place in places.items():
        if place != device:
            raise DeviceError(
                f"{said}: argument {name} is on cuda:{place}, and the current device is "
                f"cuda:{device}\n  help: launch it within `with cupy.cuda.Device({place}):`"
            )


def _check_scalar(where: str, name: str, value: Any) -> None:
    if isinstance(value, np.ndarray):
        raise DeviceError(
            f"{where} a NumPy array, {value.dtype} {value.shape}, in the host's memory\n"
            f'  help: pass an array of the device, gg.tensor({name}, device="cuda").data'
        )
    if isinstance(value, np.generic):
        if value.dtype.char not in CELLS:
            raise DtypeError(
                f"{where} a scalar of {value.dtype}, which cannot be passed\n"
                f"  help: convert it, np.float32({name}), or pass an array of one element"
            )
        return
    if isinstance(value, (bool, int, float)):
        kind = {bool: "bool_", int: "int32", float: "float32"}[type(value)]
        raise DtypeError(
            f"{where} the Python {type(value).__name__} {value!r}, which does not say its type\n"
            f"  help: np.{kind}({value!r})"
        )
    raise DtypeError(
        f"{where} a {type(value).__module__}.{type(value).__qualname__}, which is no array of the "
        "device\n  help: pass arrays of the device (a tensor's .data) and NumPy scalars"
    )
