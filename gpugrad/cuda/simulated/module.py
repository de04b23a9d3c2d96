"""The array functions of the simulated device: CuPy's names and parameters, NumPy's arithmetic.

It offers only what CuPy offers (`cupy_names.json`, written from CuPy itself by
`scripts/cupy_names.py`): a function that CuPy lacks is absent, and a parameter that CuPy's function
lacks is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpugrad.cuda.simulated.arithmetic import as_cupy
from gpugrad.cuda.simulated.array import (
    EXPECTED,
    HOOK,
    SimArray,
    called,
    empty,
    is_tensor,
    wrapped,
)
from gpugrad.cuda.simulated.names import check_parameters, cupy_names

# CuPy's functions that call a method of what they are given, whatever it is.
METHODS = {
    **{name: name for name in (
        "argmax", "argmin", "argsort", "clip", "copy", "diagonal", "dot", "max", "mean", "min",
        "prod", "ravel", "repeat", "reshape", "squeeze", "std", "sum", "swapaxes", "take", "trace",
        "transpose", "var")},
    "amax": "max", "amin": "min", "permute_dims": "transpose", "sort": "copy",
}  # fmt: skip
# The dtypes for which CuPy's ufuncs work at index arrays.
AT = {
    "add": ("int32", "float16", "float32", "float64", "uint32", "uint64"),
    "subtract": ("int32", "uint32"),
    **dict.fromkeys(["maximum", "minimum"], ("int32", "float32", "float64", "uint32", "uint64")),
    **{f"bitwise_{name}": ("int32", "int64", "uint32", "uint64") for name in ("and", "or", "xor")},
}
UFUNC_OPTIONS = ["out", "dtype", "casting"]
CONSTANTS = frozenset(["e", "euler_gamma", "inf", "nan", "newaxis", "pi"])


class Ufunc:
    """One of NumPy's universal functions, on arrays of the device."""

    def __init__(self, ufunc: np.ufunc) -> None:
        self.ufunc = ufunc
        self.__name__ = ufunc.__name__
        self.name = f"cupy_{ufunc.__name__}"
        self.nin = ufunc.nin

    def __call__(self, *args: Any, **options: Any) -> Any:
        for argument in args:
            if is_tensor(argument):
                return getattr(argument, HOOK)(self, *args, **options)
        check_parameters(f"cupy.{self.__name__}", ["*args", *UFUNC_OPTIONS], args, options)
        return called(as_cupy(self.ufunc), args, options)

    def reduce(
        self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> Any:
        """The sum or product along an axis; CuPy reduces with no other operation."""
        method = {"add": "sum", "multiply": "prod"}.get(self.__name__)
        if method is None:
            raise NotImplementedError(f"`{self.name}.reduce` is not supported yet")
        return getattr(array, method)(axis, dtype, out, keepdims)

    def at(self, a: Any, indices: Any, b: Any) -> None:
        """The operation at index arrays, in place; CuPy has it for a few dtypes only."""
        if a.dtype.name not in AT.get(self.__name__, ()):
            raise TypeError(
                f"cupy.{self.__name__}.at only supports {AT.get(self.__name__)} as data type"
            )
        called(self.ufunc.at, (a, indices, b), {})


class _Where:
    """CuPy's ufunc behind `where`."""

    name, nin, reduce = "cupy_where", 3, None


class Module:
    """What `import cupy as cp` gives."""

    __name__ = "simulated cupy"
    ndarray = SimArray

    def __getattr__(self, name: str) -> Any:
        names = cupy_names()
        if name in CONSTANTS or isinstance(getattr(np, name, None), type):
            found = getattr(np, name)
        elif name in names["ufuncs"] and hasattr(np, name):
            found = Ufunc(getattr(np, name))
        elif name in names["functions"] and hasattr(np, name):
            found = _function(name, getattr(np, name), names["functions"][name])
        else:
            raise AttributeError(f"module 'cupy' has no attribute {name!r}")
        setattr(self, name, found)
        return found

    # What makes arrays says where their memory begins

    def empty(self, shape: Any, dtype: Any = float, order: str = "C") -> SimArray:
        """An array of memory that nobody wrote."""
        return empty(shape, dtype, order)

    def empty_like(self, prototype: Any, dtype: Any = None, order: str = "K") -> SimArray:
        """Unwritten memory of an array's shape and dtype."""
        template = np.empty_like(prototype._host, dtype=dtype, order=order)  # type: ignore[call-overload]
        fortran = template.flags.f_contiguous and not template.flags.c_contiguous
        return empty(template.shape, template.dtype, "F" if fortran else "C")

    def asarray(self, a: Any, dtype: Any = None) -> Any:
        """`a` on the device: itself if it is there, a copy of a host array or number."""
        if isinstance(a, SimArray):
            return a if dtype is None else a.astype(dtype, copy=False)
        return wrapped(np.asarray(a, dtype=dtype), [])

    def array(self, obj: Any, dtype: Any = None, copy: bool = True, order: str = "K") -> Any:
        """A copy of `obj` on the device."""
        host = obj._host if isinstance(obj, SimArray) else obj
        return wrapped(np.array(host, dtype=dtype, order=order), [])  # type: ignore[call-overload]

    def ascontiguousarray(self, a: Any, dtype: Any = None) -> Any:
        """`a` in C order: itself if it is."""
        same = a._c_contiguous and (dtype is None or a.dtype == dtype)
        return a if same else wrapped(np.ascontiguousarray(a._host, dtype=dtype), [])

    def asnumpy(self, a: Any) -> np.ndarray[Any, Any]:
        """A copy on the host."""
        host: np.ndarray[Any, Any] = a.get()
        return host

    def may_share_memory(self, a: Any, b: Any) -> bool:
        """Whether two arrays lie in one allocation and overlap."""
        return a.allocation is b.allocation and np.may_share_memory(a._host, b._host)


def _function(name: str, function: Callable[..., Any], parameters: list[str]) -> Any:
    """NumPy's function with the parameters of CuPy's (those of Cython have no signature)."""
    function = WRAPPING.get(name, function)

    def on_device(*args: Any, **options: Any) -> Any:
        if any(map(is_tensor, args)) or any(map(is_tensor, options.values())):
            return _with_tensors(name, args, options)
        check_parameters(f"cupy.{name}", parameters, args, options)
        return called(function, args, options)

    on_device.__name__ = name
    on_device.__code__ = on_device.__code__.replace(co_name=name)  # what tracebacks show
    return on_device


def _with_tensors(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What CuPy's function does with tensors: it calls a method or a ufunc, or refuses them."""
    if name == "where" and len(args) == 3:
        condition = args[0].astype("?", copy=False)
        tensor = next(filter(is_tensor, (condition, *args[1:])))
        return getattr(tensor, HOOK)(_Where, condition, *args[1:])
    if name in METHODS and args and is_tensor(args[0]):
        return getattr(args[0], METHODS[name])(*args[1:], **options)
    kind = next(type(value) for value in (*args, *options.values()) if is_tensor(value))
    raise TypeError(f"Argument has incorrect type ({EXPECTED}, got {kind.__name__})")


def _wrapping_take(a: Any, indices: Any, axis: int | None = None, out: Any = None) -> Any:
    """As in CuPy, an index that reaches outside wraps around."""
    return np.take(a, indices, axis, out, mode="wrap")


def _wrapping_take_along_axis(a: Any, indices: Any, axis: int | None) -> Any:
    size = a.size if axis is None else a.shape[axis]
    return np.take_along_axis(a, indices % size if size else indices, axis)


WRAPPING = {"take": _wrapping_take, "take_along_axis": _wrapping_take_along_axis}
MODULE = Module()
