"""SimArray: an array of the simulated device, as strict as CuPy's.

It computes with NumPy on the bytes of simulated memory, so that kernels and array functions see the
same ones. Like `cupy.ndarray` it never becomes a NumPy array by itself, does not mix with one, and
gives 0-d arrays where NumPy gives scalars. It is stricter in one thing: asking it for a Python
number (`float(a)`, `if a:`) raises, because on a GPU that waits for the device without a word.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from gpugrad.cuda.simulated.arithmetic import as_cupy
from gpugrad.cuda.simulated.memory import POOL, Allocation, OutOfMemoryError, placed, unwritten
from gpugrad.cuda.simulated.names import check_parameters, cupy_names

HostArray = np.ndarray[Any, Any]
HOOK = "__cupy_override_elementwise_kernel__"  # what CuPy's ufuncs ask of their arguments
EXPECTED = "expected cupy._core.core._ndarray_base"  # as CuPy's errors say


def is_tensor(value: Any) -> bool:
    """Whether CuPy's ufuncs would leave the work to this argument."""
    return hasattr(type(value), HOOK)


class Pointer:
    """Where an array begins: what `cupy.ndarray.data` is."""

    __slots__ = ("device_id", "mem", "ptr")

    def __init__(self, ptr: int, mem: Allocation) -> None:
        self.ptr, self.mem = ptr, mem
        self.device_id = 0


class SimArray(NDArrayOperatorsMixin):
    """An array in simulated memory. Make one with the module's functions, not by hand."""

    __slots__ = ("__weakref__", "_c_contiguous", "_host", "allocation", "base")

    def __init__(self, host: HostArray, allocation: Allocation, base: SimArray | None) -> None:
        self._host = host
        self.allocation = allocation
        self.base = base
        self._c_contiguous = host.flags.c_contiguous

    # What it is

    dtype = property(lambda self: self._host.dtype)
    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    flags = property(lambda self: self._host.flags)

    @property
    def data(self) -> Pointer:
        """Where it begins in simulated memory."""
        start = self.allocation.bytes.__array_interface__["data"][0]
        begin = self._host.__array_interface__["data"][0]
        place = self.allocation.ptr + (begin - start if self._host.size else 0)
        return Pointer(place, self.allocation)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "strides": None if self._c_contiguous else self.strides,
            "data": (self.data.ptr, False),
            "version": 3,
            "stream": 1,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0  # kDLCUDA of dlpack.h

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("simulated memory cannot be handed to another library")

    # To the host, on purpose

    def get(self) -> HostArray:
        """A copy on the host."""
        return self._host.copy()

    def item(self) -> Any:
        """The only element as a Python number."""
        return self._host.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._host.tolist()

    def set(self, host: HostArray) -> None:
        """Overwrite it with what a host array holds."""
        self._host[...] = host
        self.allocation.wrote(self._host)

    # To the host, not on purpose

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> HostArray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __bool__(self) -> bool:
        raise TypeError("bool() of an array on the device waits for it: write .item()")

    def __float__(self) -> float:
        raise TypeError("float() of an array on the device waits for it: write .item()")

    def __int__(self) -> int:
        raise TypeError("int() of an array on the device waits for it: write .item()")

    def __index__(self) -> int:
        raise TypeError("an array on the device is no index by itself: write .item()")

    __hash__ = None  # type: ignore[assignment]

    # Computing

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        tensors = [x for x in (*inputs, *options.get("out", ())) if is_tensor(x)]
        if tensors:
            # CuPy leaves the answer to a tensor whose memory it cannot see, and calls its own
            # function if it sees that of all: a ufunc would then ask the tensor, the product not.
            if ufunc is np.matmul and not any(t.requires_grad for t in tensors):
                raise TypeError(f"Argument has incorrect type ({EXPECTED}, got Tensor)")
            return NotImplemented
        function = as_cupy(ufunc) if method == "__call__" else getattr(ufunc, method)
        return called(function, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if any(kind not in (SimArray, np.ndarray) for kind in types):
            return NotImplemented
        return called(function, args, options)

    def __getattr__(self, name: str) -> Any:
        names = cupy_names()
        if name not in names["methods"] and name not in names["attributes"]:
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        value = getattr(self._host, name)
        if not callable(value):
            return wrapped(value, [self])

        def method(*args: Any, **options: Any) -> Any:
            check_parameters(f"cupy.ndarray.{name}", names["methods"][name], args, options)
            return called(value, args, options, self)

        return method

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "shape":
            raise AttributeError("shape: reshape makes a new view")
        object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self._host)))

    def __getitem__(self, key: Any) -> Any:
        return wrapped(self._host[_key(key, self._host.shape)], [self])

    def __setitem__(self, key: Any, value: Any) -> None:
        place = _key(key, self._host.shape)
        self._host[place] = unwrapped(value)
        if not self.allocation.written:
            target = self._host[place]
            if _inside(target, self.allocation):
                self.allocation.wrote(target)
            else:  # a copy: the key has arrays
                marked = np.zeros(self._host.shape, np.bool_)
                marked[place] = True
                for at in np.argwhere(marked):
                    self.allocation.wrote(self._host[(*at[:-1], slice(at[-1], at[-1] + 1))])

    def __repr__(self) -> str:
        return f"SimArray({self._host!r})"

    def __copy__(self) -> SimArray:
        return wrapped(self._host.copy(), [])  # type: ignore[no-any-return]

    def __deepcopy__(self, memo: Any) -> SimArray:
        return self.__copy__()


def _key(key: Any, shape: tuple[int, ...]) -> Any:
    """A key for the host array. As in CuPy an index array that reaches outside wraps around."""
    parts = key if isinstance(key, tuple) else (key,)
    plain = tuple(unwrapped(part) for part in parts)
    if not any(isinstance(part, np.ndarray) and part.dtype.kind in "iu" for part in plain):
        return plain if isinstance(key, tuple) else plain[0]
    taken = sum(
        part.ndim if isinstance(part, np.ndarray) and part.dtype.kind == "b" else 1
        for part in plain
        if part is not None and part is not Ellipsis
    )
    axis, wrapping = 0, []
    for part in plain:
        if part is Ellipsis:
            axis += len(shape) - taken
        elif part is not None:
            if isinstance(part, np.ndarray) and part.dtype.kind in "iu" and axis < len(shape):
                part = part.astype(np.int64) % shape[axis] if shape[axis] else part
            axis += part.ndim if isinstance(part, np.ndarray) and part.dtype.kind == "b" else 1
        wrapping.append(part)
    return tuple(wrapping)


def called(
    function: Callable[..., Any], args: Any, options: dict[str, Any], self: Any = None
) -> Any:
    """What a NumPy function gives for the arrays' bytes, as arrays of the device."""
    sources: list[SimArray] = [] if self is None else [self]
    plain = [unwrapped(value, sources) for value in args]
    more = {name: unwrapped(value, sources) for name, value in options.items()}
    with np.errstate(all="ignore"):  # a device raises no floating-point warnings
        try:
            result = function(*plain, **more)
        except OutOfMemoryError:
            raise
        except MemoryError:  # the host has less than the device would
            raise OutOfMemoryError(POOL.total, POOL.used) from None
    out = options.get("out")
    if out is not None:
        given = out if isinstance(out, tuple) else (out,)
        for written in given:
            if written is not None:
                written.allocation.wrote(written._host)
        if result is more["out"] or len(given) == 1:
            return given[0]
    if function.__class__ is np.ufunc or result is None:
        for source in sources[:1]:  # `ufunc.at` writes to its first argument
            if result is None:
                source.allocation.wrote(source._host)
    return wrapped(result, sources)


def unwrapped(value: Any, sources: list[SimArray] | None = None) -> Any:
    """A value with host arrays in the places of device arrays.

    Raises:
        TypeError: it holds a NumPy array, which has no business on the device, or a tensor.
    """
    kind = type(value)
    if kind is SimArray:
        if sources is not None:
            sources.append(value)
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {kind}: it is on the host")
    if is_tensor(value):
        raise TypeError(f"Unsupported type {kind}")
    if kind in (tuple, list):
        return kind([unwrapped(item, sources) for item in value])
    return value


def wrapped(value: Any, sources: list[SimArray]) -> Any:
    """A NumPy result as device arrays: on the memory of a source where it is a view of one."""
    if isinstance(value, np.ndarray):
        for source in sources:
            if value is source._host:
                return source
            if value.base is not None and _inside(value, source.allocation):
                base = source if source.base is None else source.base
                return SimArray(value, source.allocation, base)
        return SimArray(*placed(value), None)
    if isinstance(value, np.generic):
        return SimArray(*placed(np.asarray(value)), None)
    if type(value) in (tuple, list):
        return type(value)(wrapped(item, sources) for item in value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(wrapped(item, sources) for item in value))
    return value


def _inside(host: HostArray, allocation: Allocation) -> bool:
    start = allocation.bytes.__array_interface__["data"][0]
    offset = host.__array_interface__["data"][0] - start
    return bool(host.size) and 0 <= offset < max(allocation.nbytes, 1)


def empty(shape: Any, dtype: Any, order: str = "C") -> SimArray:
    """An array of unwritten memory."""
    if isinstance(shape, (SimArray, np.ndarray)):
        raise TypeError("a shape is a tuple of integers")
    sizes = (shape,) if not isinstance(shape, (tuple, list)) else tuple(shape)
    return SimArray(*unwritten(tuple(map(operator.index, sizes)), dtype, order), None)
