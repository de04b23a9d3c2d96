"""Axes, counts and sizes as users name them: an integer of any kind, or several in a row."""

from __future__ import annotations

import operator
from typing import Any

from gpugrad.errors import OptionError

Axis = int | tuple[int, ...] | None


def is_one(value: Any) -> bool:
    """Whether `value` is one integer (NumPy's and 0-d tensors included), not a row of them."""
    try:
        operator.index(value)
    except (TypeError, ValueError):
        return False
    return True


def as_tuple(value: Any) -> tuple[int, ...]:
    """One integer, or several, as a tuple of Python's own.

    Raises:
        OptionError: it is neither.
    """
    try:
        return (operator.index(value),) if is_one(value) else tuple(map(operator.index, value))
    except TypeError:
        raise OptionError(f"{value!r} is neither an integer nor several of them") from None


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """`axis` (all axes if None) as a tuple of axes from 0 to ndim - 1."""
    if not ndim:
        return ()
    return tuple(range(ndim)) if axis is None else tuple(k % ndim for k in as_tuple(axis))
