"""Comparisons, logic, classification and rounding: piecewise constant, so never a gradient."""

from __future__ import annotations

from typing import Any

from gpugrad.ops.core import broadcast_error
from gpugrad.primitive import primitive

__all__ = [
    "bitwise_and", "bitwise_invert", "bitwise_or", "bitwise_xor", "ceil", "equal", "floor",
    "greater", "greater_equal", "isfinite", "isinf", "isnan", "less", "less_equal", "logical_and",
    "logical_not", "logical_or", "logical_xor", "not_equal", "round", "signbit", "trunc",
]  # fmt: skip


@primitive(methods=["__eq__"])
def equal(xp: Any, a: Any, b: Any, /) -> Any:
    """a == b, elementwise."""
    return xp.equal(a, b)


@primitive(methods=["__ne__"])
def not_equal(xp: Any, a: Any, b: Any, /) -> Any:
    """a != b, elementwise."""
    return xp.not_equal(a, b)


@primitive(methods=["__lt__"])
def less(xp: Any, a: Any, b: Any, /) -> Any:
    """a < b, elementwise."""
    return xp.less(a, b)


@primitive(methods=["__le__"])
def less_equal(xp: Any, a: Any, b: Any, /) -> Any:
    """a <= b, elementwise."""
    return xp.less_equal(a, b)


@primitive(methods=["__gt__"])
def greater(xp: Any, a: Any, b: Any, /) -> Any:
    """a > b, elementwise."""
    return xp.greater(a, b)


@primitive(methods=["__ge__"])
def greater_equal(xp: Any, a: Any, b: Any, /) -> Any:
    """a >= b, elementwise."""
    return xp.greater_equal(a, b)


@primitive
def logical_and(xp: Any, a: Any, b: Any, /) -> Any:
    """Whether a and b are both true (non-zero), elementwise."""
    return xp.logical_and(a, b)


@primitive
def logical_or(xp: Any, a: Any, b: Any, /) -> Any:
    """Whether a or b is true (non-zero), elementwise."""
    return xp.logical_or(a, b)


@primitive
def logical_xor(xp: Any, a: Any, b: Any, /) -> Any:
    """Whether exactly one of a and b is true (non-zero), elementwise."""
    return xp.logical_xor(a, b)


@primitive
def logical_not(xp: Any, x: Any, /) -> Any:
    """Whether x is false (zero), elementwise."""
    return xp.logical_not(x)


@primitive(methods=["__and__", "__rand__"])
def bitwise_and(xp: Any, a: Any, b: Any, /) -> Any:
    """a & b, on the bits of integers or on bools."""
    return xp.bitwise_and(a, b)


@primitive(methods=["__or__", "__ror__"])
def bitwise_or(xp: Any, a: Any, b: Any, /) -> Any:
    """a | b, on the bits of integers or on bools."""
    return xp.bitwise_or(a, b)


@primitive(methods=["__xor__", "__rxor__"])
def bitwise_xor(xp: Any, a: Any, b: Any, /) -> Any:
    """a ^ b, on the bits of integers or on bools."""
    return xp.bitwise_xor(a, b)


@primitive(methods=["__invert__"])
def bitwise_invert(xp: Any, x: Any, /) -> Any:
    """~x, on the bits of integers or on bools."""
    return xp.bitwise_invert(x)


@primitive
def isnan(xp: Any, x: Any, /) -> Any:
    """Whether an element is NaN."""
    return xp.isnan(x)


@primitive
def isinf(xp: Any, x: Any, /) -> Any:
    """Whether an element is infinite."""
    return xp.isinf(x)


@primitive
def isfinite(xp: Any, x: Any, /) -> Any:
    """Whether an element is neither infinite nor NaN."""
    return xp.isfinite(x)


@primitive
def signbit(xp: Any, x: Any, /) -> Any:
    """Whether the sign bit is set, that of -0.0 included."""
    return xp.signbit(x)


@primitive
def floor(xp: Any, x: Any, /) -> Any:
    """The largest integer at most x; its derivative is 0."""
    return xp.floor(x) if x.dtype.kind == "f" else x  # NumPy 2.0 makes floats of integers


@primitive
def ceil(xp: Any, x: Any, /) -> Any:
    """The smallest integer at least x; its derivative is 0."""
    return xp.ceil(x) if x.dtype.kind == "f" else x


@primitive
def trunc(xp: Any, x: Any, /) -> Any:
    """x without its fraction; its derivative is 0."""
    return xp.trunc(x) if x.dtype.kind == "f" else x


@primitive(methods=["round"])
def round(xp: Any, x: Any, /, decimals: int = 0) -> Any:
    """x rounded to `decimals`, ties to even; its derivative is 0.

    >>> import gpugrad as gg
    >>> gg.round(gg.tensor([0.5, 1.5, 2.5]))
    tensor([0., 2., 2.])
    """
    return xp.round(x, decimals)


@floor.partial("x")
@ceil.partial("x")
@trunc.partial("x")
@round.partial("x")
def dstep_dx() -> Any:
    return 0


for _operation in (equal, not_equal, less, less_equal, greater, greater_equal, logical_and,
                   logical_or, logical_xor, bitwise_and, bitwise_or, bitwise_xor):  # fmt: skip
    _operation.explain(broadcast_error)
