"""Making tensors: of numbers, nested lists and any library's arrays, copied or shared."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpugrad.device import ARRAYS, Device, as_device, device_of, to_host
from gpugrad.dtypes import KNOWN, as_dtype, default_float
from gpugrad.errors import DeviceError, DtypeError, GraphError, OptionError, ShapeError
from gpugrad.foreign import foreign_array
from gpugrad.tensor import ArrayLike, Tensor
from gpugrad.version import FOREIGN


def tensor(
    obj: ArrayLike,
    dtype: Any = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor with a copy of `obj`.

    Args:
        obj: a number, nested lists of numbers, a NumPy array or a tensor. Python floats become the
            default float (float32), integers int64; arrays keep their dtype.
        dtype: convert to this one.
        device: where it is made; if None, where the elements are, or for numbers and NumPy arrays
            the default device.
        requires_grad: record what is computed from it.
    Raises:
        DeviceError: the device is unknown or absent.
        DtypeError: no dtype of gpugrad holds it, or integers should require a gradient.
        ShapeError: nested lists of different lengths.

    >>> import gpugrad as gg
    >>> gg.tensor([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    return Tensor(obj, dtype, device, requires_grad)


def asarray(
    obj: ArrayLike,
    dtype: Any = None,
    device: Device | str | None = None,
    copy: bool | None = None,
) -> Tensor:
    """`obj` as a tensor, sharing its memory where it is an array of the right dtype.

    A tensor comes back as it is. Should the array be written later, gradients of what was computed
    before stay right: the graph keeps a copy of what it needs.

    Args:
        obj: as for `tensor`, or whatever speaks DLPack or has `__cuda_array_interface__` (PyTorch's
            tensors, CuPy's and Numba's arrays).
        dtype: convert to this one.
        device: as for `tensor`.
        copy: True always copies, False never, None where it must.
    Raises:
        OptionError: copy=False, and a copy is unavoidable.

    >>> import gpugrad as gg, numpy as np
    >>> a = np.zeros(2)
    >>> t = gg.asarray(a)
    >>> a[0] = 1
    >>> t
    tensor([1., 0.], dtype=float64)
    """
    if copy:
        return Tensor(obj, dtype, device)
    if isinstance(obj, Tensor):
        same = dtype is None or as_dtype(dtype) == obj.dtype
        if same and (device is None or as_device(device) == obj.device):
            return obj
        shared = None
    else:
        shared = _shared(obj)
        if shared is not None and dtype is not None and as_dtype(dtype) != shared.dtype:
            shared = None
        if shared is not None and _place(shared, device) != device_of(shared):
            shared = None
    if shared is not None:
        return Tensor._wrap(shared, None, FOREIGN)
    if copy is False:
        raise OptionError(f"asarray(copy=False): {type(obj).__name__} cannot be shared as it is")
    if not isinstance(obj, Tensor):
        return Tensor(obj, dtype, device)
    moved = obj if device is None else moved_to(obj, as_device(device))
    return moved if dtype is None else moved.astype(dtype)


def _place(array: Any, device: Device | str | None) -> Device:
    """Where the elements of an array shall be: where they are on a GPU, if nobody says."""
    if device is None and type(array) is not np.ndarray and type(array) in ARRAYS:
        return device_of(array)
    return as_device(device)


def moved_to(t: Tensor, target: Device) -> Tensor:
    """A tensor on another device: recorded, so that its gradient comes back."""
    if t.device == target:
        return t
    from gpugrad.namespace import PRIMITIVES

    moved: Tensor = PRIMITIVES["to_device"](t, target=target, source=t.device)
    return moved


def _shared(obj: Any) -> Any:
    """The memory of `obj` as an array of a known dtype, or None."""
    on_gpu = foreign_array(obj)
    if on_gpu is not None:
        return on_gpu if on_gpu.dtype in KNOWN else None
    if isinstance(obj, np.ndarray):
        plain = type(obj) is np.ndarray
    elif hasattr(obj, "__dlpack__") and not isinstance(obj, np.generic):
        try:
            obj, plain = np.from_dlpack(obj), True
        except (BufferError, RuntimeError, TypeError) as error:
            raise DtypeError(
                f"asarray: {type(obj).__name__} cannot be shared by DLPack: {error}\n"
                "  help: detach it and move it to the CPU first"
            ) from None
    else:
        return None
    return obj if plain and obj.dtype.isnative and obj.dtype in KNOWN else None


def copied(obj: Any, dtype: Any, device: Device | str | None) -> Any:
    """A new array with the elements of `obj`, of a dtype that gpugrad knows."""
    on_gpu = foreign_array(obj._data if isinstance(obj, Tensor) else obj)
    if on_gpu is not None:
        target = _place(on_gpu, device)
        wanted = as_dtype(on_gpu.dtype if dtype is None else dtype)
        with target.use():
            moved = target.put(on_gpu)
            return moved.astype(wanted, order="C", copy=moved is on_gpu)
    places: list[Device] = []
    array = _host_copy(obj, dtype, places)
    if device is not None or not places:
        return as_device(device).put(array)
    if len(set(places)) > 1:
        found = " and ".join(map(str, dict.fromkeys(places)))
        raise DeviceError(
            f"tensor([...]): its elements are on different devices, {found}\n"
            f"  help: say where it shall be: gg.tensor([...], device={str(places[0])!r})"
        )
    return places[0].put(array)


def _host_copy(obj: Any, dtype: Any, places: list[Device]) -> np.ndarray[Any, Any]:
    """The elements of `obj` in a NumPy array; `places` learns where the tensors among them are."""
    if isinstance(obj, np.ma.MaskedArray):
        raise DtypeError("a masked array has no tensor form\n  help: fill it with obj.filled(...)")
    if hasattr(obj, "__dlpack__") and not isinstance(obj, (Tensor, np.ndarray, np.generic)):
        obj = _shared(obj)
    source = _plain(obj, places)
    try:
        array = np.array(source)
    except ValueError:
        raise ShapeError("nested lists of different lengths make no tensor") from None
    if dtype is not None:
        wanted = as_dtype(dtype)
    elif array.dtype == np.float64 and not _carries_dtype(source):
        wanted = default_float()
    else:
        wanted = as_dtype(array.dtype)
    if wanted.kind in "iu" and array.dtype.kind in "iu" and not _carries_dtype(source):
        limits = np.iinfo(wanted)
        if array.size and not limits.min <= array.min() <= array.max() <= limits.max:
            raise DtypeError(f"tensor: {wanted} holds {limits.min} to {limits.max}, not {obj!r}")
    return np.array(array, wanted, order="C", copy=None)


def _carries_dtype(obj: Any) -> bool:
    """Whether the numbers in `obj` are NumPy's, which keep their dtype, or Python's."""
    while isinstance(obj, (list, tuple)) and obj:
        obj = obj[0]
    return hasattr(obj, "dtype")


def _plain(obj: Any, places: list[Device]) -> Any:
    """`obj` with the arrays of tensors in their tensors' places."""
    if isinstance(obj, Tensor):
        places.append(obj.device)
        return to_host(obj._data)
    if isinstance(obj, (list, tuple)):
        if any(isinstance(item, Tensor) and item._node is not None for item in obj):
            raise GraphError(
                "tensor([...]): an element requires a gradient, which a copy would drop\n"
                "  help: gg.stack([...]) records it"
            )
        return [_plain(item, places) for item in obj]
    return obj
