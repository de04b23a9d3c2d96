"""The device answers every hardware question: which array module computes, and where memory is.

Above this module nothing knows whether an array is NumPy's or CuPy's: `device_of(array).xp` has the
functions for it. CuPy and Numba are loaded when the first "cuda" device is asked for.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from functools import cache, cached_property
from typing import Any

import numpy as np

from gpugrad.cuda.failures import Translated, failures, told
from gpugrad.errors import DeviceError
from gpugrad.namespace import Elsewhere, Namespace

Array = Any  # NumPy's, or that of the device


class Device:
    """A place that holds arrays and computes on them; compare devices with ==.

    >>> import gpugrad as gg
    >>> gg.device("cpu")
    device('cpu')
    """

    kind: str
    index: int
    xp: Namespace

    def __init__(self, kind: str, index: int, xp: Namespace) -> None:
        self.kind, self.index, self.xp = kind, index, xp

    def __str__(self) -> str:
        return self.kind

    def __repr__(self) -> str:
        return f"device({str(self)!r})"

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Device) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __deepcopy__(self, memo: Any) -> Device:
        return self

    def __reduce__(self) -> Any:
        return as_device, (str(self),)

    # Arrays of this device

    def put(self, array: Array) -> Array:
        """An array's elements here: itself if it is here, a copy otherwise."""
        return array if type(array) is np.ndarray else to_host(array)

    def use(self, doing: str = "") -> AbstractContextManager[Any]:
        """Make this the device on which its array module works, within the block.

        Args:
            doing: what is done there, for the error if the device refuses.
        """
        return nullcontext()


class CudaDevice(Device):
    """A GPU, or the simulated one; its arrays are CuPy's, or their stand-in's."""

    def __init__(self, index: int) -> None:
        from gpugrad.cuda.backend import backend

        self._backend = backend()
        xp: Any = cuda_namespace()
        if self._backend.device_count() > 1:
            xp = Elsewhere(xp, self.use)
        super().__init__("cuda", index, xp)

    def __str__(self) -> str:
        return f"cuda:{self.index}"

    def __repr__(self) -> str:
        return f"device('cuda:{self.index}'{', simulated' if self._backend.simulated else ''})"

    def put(self, array: Array) -> Array:
        if type(array) is self._backend.array:
            if self._backend.index_of(array) == self.index:
                return array
            with self.use():
                return array.copy()
        with self.use():
            return self._backend.put(np.asarray(array))

    def use(self, doing: str = "") -> AbstractContextManager[Any]:
        return Translated(doing or str(self), self._backend.use(self.index))

    @cached_property
    def name(self) -> str:
        """What the card calls itself."""
        return str(self.properties.name)

    @property
    def properties(self) -> Any:
        """The name, compute capability, free and total bytes, driver and runtime versions."""
        return self._backend.properties(self.index)


CPU = Device("cpu", 0, Namespace(np))
ARRAYS: set[type] = {np.ndarray}  # the types that tensors hold; that of the GPU joins at first use
_default: ContextVar[Device] = ContextVar("gpugrad_default_device", default=CPU)


@cache
def cuda_namespace() -> Namespace:
    from gpugrad.cuda.backend import backend

    found = backend()
    ARRAYS.add(found.array)
    return Namespace(found.module, on_host=False)


@cache
def cuda_device(index: int) -> CudaDevice:
    """The GPU with this number.

    Raises:
        DeviceError: there is none.
    """
    from gpugrad.cuda.backend import backend

    count = backend().device_count()
    if not 0 <= index < count:
        raise DeviceError(
            f"device('cuda:{index}'): there {'is 1 GPU' if count == 1 else f'are {count} GPUs'} "
            f"here, numbered from 0\n  help: {', '.join(f'cuda:{k}' for k in range(count))}"
        )
    return CudaDevice(index)


def device_of(array: Array) -> Device:
    """Where an array's elements are."""
    if type(array) in ARRAYS and type(array) is not np.ndarray:
        from gpugrad.cuda.backend import backend

        return cuda_device(backend().index_of(array))
    return CPU


def namespace_of(*operands: Array) -> Namespace | None:
    """The functions for these arrays (and numbers), ready to work where they are.

    None where no single current device has them all: the caller then finds out why.
    """
    from gpugrad.cuda.backend import backend

    gpu = backend()
    several = gpu.device_count() > 1
    for array in operands:
        kind = type(array)
        if kind in ARRAYS and (
            kind is np.ndarray or (several and gpu.index_of(array) != gpu.device_index())
        ):
            return None
    return cuda_namespace()


def beside(array: Array) -> AbstractContextManager[Any]:
    """Make the GPU that holds an array the current one within the block, if there are several."""
    from gpugrad.cuda.backend import in_use

    gpu = in_use()
    return nullcontext() if gpu is None or gpu.device_count() < 2 else device_of(array).use()


def to_host(array: Array) -> np.ndarray[Any, Any]:
    """An array's elements in a NumPy array: itself if it is one; from a GPU this waits."""
    if type(array) in ARRAYS and type(array) is not np.ndarray:
        from gpugrad.cuda.backend import backend
        from gpugrad.later import raise_pending

        raise_pending()
        try:
            return backend().get(array)
        except failures() as error:
            raise told("copying to the host", error) from None
    return np.asarray(array)


def as_array(value: Any) -> Array:
    """A result as an array: NumPy's functions give scalars where there are no axes."""
    return value if type(value) in ARRAYS else np.asarray(value)


def as_device(spec: Device | str | None = None) -> Device:
    """The device that `spec` names; the default one for None.

    Args:
        spec: "cpu", "cuda" (the current GPU), "cuda:1", "auto" (a GPU if there is one), a Device,
            or None.
    Raises:
        DeviceError: no such device here; it says why, and what would mend it.
    """
    if spec is None:
        return _default.get()
    if isinstance(spec, Device):
        return spec
    if spec == "cpu":
        return CPU
    if spec == "auto":
        from gpugrad.cuda import is_available

        spec = "cuda" if is_available() else "cpu"
        return as_device(spec)
    kind, _, number = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    if kind != "cuda" or (number and not number.isdecimal()) or spec == "cuda:":
        raise DeviceError(
            f"device({spec!r}): unknown device\n  help: use 'cpu', 'cuda', 'cuda:1' or 'auto'"
        )
    try:
        from gpugrad.cuda.backend import backend

        return cuda_device(int(number) if number else backend().device_index())
    except DeviceError as error:
        told = str(error).partition("): ")[2] or str(error)
        raise DeviceError(f"device({spec!r}): {told}") from None


def devices() -> list[Device]:
    """Every device here, the CPU first.

    >>> import gpugrad as gg
    >>> gg.devices()[0]
    device('cpu')
    """
    from gpugrad.cuda import device_count

    return [CPU, *(cuda_device(index) for index in range(device_count()))]


class default_device:
    """Make tensors that name no device on this one: from now on, or within a `with` block.

    It holds for this thread and context.

    Raises:
        DeviceError: no such device here.

    >>> import gpugrad as gg
    >>> with gg.default_device("cpu"):
    ...     gg.tensor(1.0).device
    device('cpu')
    """

    def __init__(self, spec: Device | str) -> None:
        self._device = as_device(spec)
        self._before = _default.get()
        _default.set(self._device)

    def __enter__(self) -> Device:
        return self._device

    def __exit__(self, *error: Any) -> None:
        _default.set(self._before)


def common_device(name: str, operands: dict[str, Any], given: dict[str, Any] | None = None) -> None:
    """Refuse tensors that are on different devices.

    Args:
        name: of the operation.
        operands: its arguments by name, tensors among them.
        given: what the caller gave for them, if tensors were made of them since.
    Raises:
        DeviceError: which is where, and how to move it, to a GPU rather than from it.
    """
    places = {key: x.device for key, x in operands.items() if hasattr(x, "_data")}
    if len(set(places.values())) < 2:
        return
    from gpugrad.tensor import describe

    given = operands if given is None else given
    target = next(place for place in places.values() if place != CPU)
    other = next(key for key, place in places.items() if place != target)
    move = f"{other}.to({str(target)!r})"
    if not hasattr(given[other], "_data"):
        move = f"gg.asarray({other}, device={str(target)!r})"
    lines = []
    for key, place in places.items():
        known = hasattr(given[key], "_data") or type(given[key]) in ARRAYS
        made = f"{type(given[key]).__name__} {operands[key].shape} on {place}"
        lines.append(f"  {key}: {describe(given[key]) if known else made}")
    raise DeviceError(
        "\n".join(
            [
                f"{name}({', '.join(operands)}): its arguments are on different devices",
                *lines,
                f"  help: move one of them: {move}",
            ]
        )
    )
