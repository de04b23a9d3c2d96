"""Where CuPy's elementwise functions give other results than NumPy's: done as CuPy does.

What gpugrad wants instead stands in `gpugrad.stand_ins`; without these, a stand-in that is missing
would be noticed on a GPU only. Read in CuPy 14.0.1: `_core/_routines_math`, `_math/misc.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

COMPARISONS = frozenset(
    [np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal]
)


def _sign(x: Any, **options: Any) -> Any:
    return np.nan_to_num(np.sign(x, **options), nan=0)


def _floor_divide(a: Any, b: Any, **options: Any) -> Any:
    if np.result_type(a, b).kind != "f":
        return np.floor_divide(a, b, **options)
    return np.floor(np.true_divide(a, b), **options)


def _remainder(a: Any, b: Any, **options: Any) -> Any:
    if np.result_type(a, b).kind != "f":
        return np.remainder(a, b, **options)
    return np.subtract(a, _floor_divide(a, b) * b, **options)


def _power(a: Any, b: Any, **options: Any) -> Any:
    if np.result_type(a, b).kind == "f" or not np.any(np.less(b, 0)):
        return np.power(a, b, **options)
    powers = np.power(a, np.maximum(b, 0))
    ones = np.where(np.equal(a, -1), 1 - 2 * (np.asarray(b) & 1), np.equal(a, 1))
    return np.where(np.less(b, 0), ones, powers).astype(powers.dtype)


def _compared(ufunc: np.ufunc) -> Callable[..., Any]:
    def compare(a: Any, b: Any, **options: Any) -> Any:
        for number, other in ((a, b), (b, a)):
            if type(number) is int and getattr(other, "dtype", np.dtype(float)).kind in "iu":
                other.dtype.type(number)  # OverflowError where it does not fit
        return ufunc(a, b, **options)

    return compare


AS_CUPY: dict[Any, Callable[..., Any]] = {
    np.sign: _sign,
    np.floor_divide: _floor_divide,
    np.remainder: _remainder,
    np.power: _power,
    **{ufunc: _compared(ufunc) for ufunc in COMPARISONS},
}


def as_cupy(ufunc: np.ufunc) -> Callable[..., Any]:
    """The universal function with CuPy's results."""
    return AS_CUPY.get(ufunc, ufunc)
