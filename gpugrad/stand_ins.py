"""What array modules lack, or do otherwise than the array API standard and NumPy say.

`STAND_INS` are NumPy's, for speed and for its older versions. `CUDA_STAND_INS` are CuPy's: names
that it has not, and functions whose results differ from NumPy's. Each is a function of the module
that returns the function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

Function = Callable[..., Any]


def _astype(module: Any) -> Function:
    return lambda x, dtype: x.astype(dtype, copy=False)


def _cumulative_sum(module: Any) -> Function:
    return lambda x, axis: module.cumsum(x, axis=axis)


def _reduction(ufunc: str) -> Callable[[Any], Function]:
    """A reduction without the Python layers around it, about 1 us less for a small array."""

    def of(module: Any) -> Function:
        reduce = getattr(module, ufunc).reduce

        def reduction(
            x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None, **more: Any
        ) -> Any:
            return reduce(x, axis, dtype, None, keepdims, **more)

        return reduction

    return of


STAND_INS: dict[str, Callable[[Any], Function]] = {  # of NumPy
    "astype": _astype,  # NumPy 2.0 has neither this name
    "cumulative_sum": _cumulative_sum,  # nor this one
    "dot": lambda module: module.ndarray.dot,  # 0.1 us less than the function around it
    # A permutation is in range; "clip" spares the check of it.
    "rows": lambda module: lambda x, index: x.take(index, 0, None, "clip"),
    "sum": _reduction("add"),
    "max": _reduction("maximum"),
    "min": _reduction("minimum"),
}


def _keyword_axis(reduction: Function) -> Function:
    """A reduction of CuPy with the order of arguments that the rules use."""
    return lambda x, axis=None, keepdims=False: reduction(x, axis=axis, keepdims=keepdims)


def _rows(module: Any) -> Function:
    """x[index] by gpugrad's own kernel, if it takes x."""
    from gpugrad.fast_path import Kernel

    kernel = Kernel("gpugrad.kernels.gather_rows.gather_rows")
    return partial(kernel.before(lambda xp, x, index: xp.take(x, index, axis=0)), module)


def _sign(module: Any) -> Function:
    """CuPy's sign of NaN is 0, which would hide it."""

    def sign(x: Any) -> Any:
        plain = module.sign(x)
        return plain if x.dtype.kind != "f" else module.where(module.isnan(x), x, plain)

    return sign


def _kind(*operands: Any) -> str:
    """The kind of the result of operands, of which one may be a Python number."""
    kinds = {getattr(x, "dtype", np.dtype(type(x))).kind for x in operands}
    return "f" if "f" in kinds else "i"


def _remainder(module: Any) -> Function:
    """CuPy computes a - floor(a / b) * b, which is wrong where the quotient is large or b infinite.

    fmod is exact; it has the sign of a, so where that is not b's, b is added (as Python does).
    """

    def remainder(a: Any, b: Any) -> Any:
        if _kind(a, b) != "f":
            return module.remainder(a, b)
        exact = module.fmod(a, b)
        shifted = module.where((exact != 0) & ((exact < 0) != (b < 0)), exact + b, exact)
        return module.where(shifted == 0, module.copysign(shifted, b), shifted)

    return remainder


def _floor_divide(module: Any) -> Function:
    """floor(a / b) of the exact quotient, by fmod as in NumPy; CuPy floors the rounded one."""

    def floor_divide(a: Any, b: Any) -> Any:
        if _kind(a, b) != "f":
            return module.floor_divide(a, b)
        exact = module.fmod(a, b)
        whole = (a - exact) / b  # all but an integer
        whole = module.where((exact != 0) & ((exact < 0) != (b < 0)), whole - 1, whole)
        floored = module.floor(whole)
        floored = module.where(whole - floored > 0.5, floored + 1, floored)
        floored = module.where(whole == 0, module.copysign(floored * 0, a / b), floored)
        return module.where(b == 0, a / b, floored)

    return floor_divide


def _comparison(name: str) -> Callable[[Any], Function]:
    """CuPy refuses a Python integer that the array's dtype cannot hold; NumPy compares it."""

    def of(module: Any) -> Function:
        compare = getattr(module, name)

        def comparison(a: Any, b: Any) -> Any:
            try:
                return compare(a, b)
            except OverflowError:  # no integer of 64 bits is lost between these two in float64:
                wide = [x.astype(np.float64) if hasattr(x, "astype") else float(x) for x in (a, b)]
                return compare(*wide)  # the number is beyond the array's range

        return comparison

    return of


# Of CuPy 14, and of the simulated device, which does as CuPy does.
CUDA_STAND_INS: dict[str, Callable[[Any], Function]] = {
    "astype": _astype,
    "bitwise_invert": lambda module: module.invert,
    "cumulative_sum": _cumulative_sum,
    "floor_divide": _floor_divide,
    "matrix_transpose": lambda module: lambda x: module.swapaxes(x, -1, -2),
    "max": lambda module: _keyword_axis(module.max),  # CuPy's own take fewer options
    "min": lambda module: _keyword_axis(module.min),
    "remainder": _remainder,
    "rows": _rows,
    "sign": _sign,
    **{
        name: _comparison(name)
        for name in ("equal", "greater", "greater_equal", "less", "less_equal", "not_equal")
    },
}
