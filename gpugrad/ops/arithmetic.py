"""Elementwise arithmetic: sums, products, powers, and choices between two values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpugrad.errors import DtypeError
from gpugrad.later import check_later
from gpugrad.ops.core import broadcast_error
from gpugrad.primitive import primitive

__all__ = [
    "abs", "add", "clip", "divide", "floor_divide", "hypot", "maximum", "minimum", "multiply",
    "negative", "positive", "pow", "reciprocal", "remainder", "sign", "sqrt", "square", "subtract",
    "where",
]  # fmt: skip


@primitive(methods=["__add__", "__radd__", "add"])
def add(xp: Any, a: Any, b: Any, /) -> Any:
    """a + b, elementwise.

    >>> import gpugrad as gg
    >>> gg.add(gg.tensor([1.0, 2.0]), 0.5)
    tensor([1.5, 2.5])
    """
    return xp.add(a, b)


@add.partial("a", "b")
def dadd() -> Any:
    return 1


@primitive(methods=["__sub__", "__rsub__", "subtract"])
def subtract(xp: Any, a: Any, b: Any, /) -> Any:
    """a - b, elementwise."""
    return xp.subtract(a, b)


@subtract.partial("a")
def dsubtract_da() -> Any:
    return 1


@subtract.partial("b")
def dsubtract_db() -> Any:
    return -1


@primitive(methods=["__mul__", "__rmul__", "multiply"])
def multiply(xp: Any, a: Any, b: Any, /) -> Any:
    """a * b, elementwise."""
    return xp.multiply(a, b)


@multiply.partial("a")
def dmultiply_da(b: Any) -> Any:
    return b


@multiply.partial("b")
def dmultiply_db(a: Any) -> Any:
    return a


@primitive(floating=True, methods=["__truediv__", "__rtruediv__", "divide"])
def divide(xp: Any, a: Any, b: Any, /) -> Any:
    """a / b, elementwise; integers are divided as the default float.

    >>> import gpugrad as gg
    >>> gg.tensor([1, 2]) / 4
    tensor([0.25, 0.5 ])
    """
    return xp.divide(a, b)


@divide.partial("a")
def ddivide_da(xp: Any, b: Any) -> Any:
    if isinstance(b, (bool, int, float)):  # two numbers would make the default float
        return float(np.divide(1.0, b))
    return xp.divide(1.0, b)


@divide.partial("b")
def ddivide_db(xp: Any, y: Any, b: Any) -> Any:
    return xp.negative(xp.divide(y, b))


@primitive(methods=["__floordiv__", "__rfloordiv__", "floor_divide"])
def floor_divide(xp: Any, a: Any, b: Any, /) -> Any:
    """The largest integer at most a / b; piecewise constant, so its derivative is 0."""
    return xp.floor_divide(a, b)


@floor_divide.partial("a", "b")
def dfloor_divide() -> Any:
    return 0


@primitive(methods=["__mod__", "__rmod__", "remainder"])
def remainder(xp: Any, a: Any, b: Any, /) -> Any:
    """a - floor(a / b) * b, elementwise; it has the sign of b."""
    return xp.remainder(a, b)


@remainder.partial("a")
def dremainder_da() -> Any:
    return 1


@remainder.partial("b")
def dremainder_db(xp: Any, a: Any, b: Any) -> Any:
    return xp.negative(xp.floor_divide(a, b))


@primitive(methods=["__neg__", "negative"])
def negative(xp: Any, x: Any, /) -> Any:
    """-x, elementwise."""
    return xp.negative(x)


@negative.partial("x")
def dnegative_dx() -> Any:
    return -1


@primitive(methods=["__pos__"])
def positive(xp: Any, x: Any, /) -> Any:
    """+x: a copy of x."""
    return xp.positive(x)


@positive.partial("x")
def dpositive_dx() -> Any:
    return 1


@primitive(methods=["__abs__", "abs"])
def abs(xp: Any, x: Any, /) -> Any:
    """|x|, elementwise; its derivative at 0 is 0."""
    return xp.abs(x)


@abs.partial("x")
def dabs_dx(xp: Any, x: Any) -> Any:
    return xp.sign(x)


@primitive
def sign(xp: Any, x: Any, /) -> Any:
    """-1, 0 or 1 by the sign of x; its derivative is 0."""
    return xp.sign(x)


@sign.partial("x")
def dsign_dx() -> Any:
    return 0


@primitive(methods=["square"])
def square(xp: Any, x: Any, /) -> Any:
    """x * x, elementwise."""
    return xp.square(x)


@square.partial("x")
def dsquare_dx(x: Any) -> Any:
    return x * 2


@primitive(floating=True, methods=["sqrt"])
def sqrt(xp: Any, x: Any, /) -> Any:
    """The square root; its derivative at 0 is infinite, and 0 times it is 0."""
    return xp.sqrt(x)


@sqrt.partial("x")
def dsqrt_dx(xp: Any, y: Any) -> Any:
    return xp.divide(0.5, y)


@primitive(floating=True, methods=["reciprocal"])
def reciprocal(xp: Any, x: Any, /) -> Any:
    """1 / x, elementwise."""
    return xp.reciprocal(x)


@reciprocal.partial("x")
def dreciprocal_dx(xp: Any, y: Any) -> Any:
    return xp.negative(xp.square(y))


@primitive(methods=["__pow__", "__rpow__", "pow"])
def pow(xp: Any, a: Any, b: Any, /) -> Any:
    """a ** b, elementwise.

    At a = 0 the derivative in a is that of the polynomial (0 for b > 1, 1 for b = 1, 0 for b = 0),
    and the derivative in b is 0 for b >= 0.

    >>> import gpugrad as gg
    >>> gg.grad(lambda x: x**3)(2.0)
    tensor(12.)
    """
    if not xp.on_host:
        _check_exponent(a, b)
    return xp.pow(a, b)


def _check_exponent(a: Any, b: Any) -> None:
    """Integers to negative powers: NumPy refuses them, CuPy gives 0."""
    if getattr(a, "dtype", np.dtype(type(a))).kind == "f" or isinstance(b, float):
        return
    if isinstance(b, int):
        if b < 0:
            raise ValueError("Integers to negative integer powers are not allowed.")
    elif b.dtype.kind == "i":
        check_later(lambda: b < 0, lambda: DtypeError(
            "pow: integers to negative integer powers are not allowed\n"
            "  help: a.astype(gg.float32) ** b"
        ))  # fmt: skip


@pow.partial("a")
def dpow_da(xp: Any, a: Any, b: Any) -> Any:
    if isinstance(b, (bool, int, float)):
        return 0 if b == 0 else xp.pow(a, b - 1) * b
    return xp.where(b == 0, 0, xp.chain(b, xp.pow(a, xp.where(b == 0, 1, b - 1))))


@pow.partial("b")
def dpow_db(xp: Any, y: Any, a: Any, b: Any) -> Any:
    if isinstance(a, (bool, int, float)):
        if a > 0:
            return y * math.log(a)
        return y * math.nan if a < 0 else xp.where(b >= 0, 0, y * math.nan)
    zero = xp.logical_and(a == 0, b >= 0)
    return xp.where(zero, 0, y * xp.log(xp.where(zero, 1, a)))


@primitive(floating=True)
def hypot(xp: Any, a: Any, b: Any, /) -> Any:
    """sqrt(a*a + b*b) without overflow; both derivatives at the origin are 0."""
    return xp.hypot(a, b)


@hypot.partial("a")
def dhypot_da(xp: Any, y: Any, a: Any) -> Any:
    return xp.where(y == 0, 0, xp.divide(a, xp.where(y == 0, 1, y)))


@hypot.partial("b")
def dhypot_db(xp: Any, y: Any, b: Any) -> Any:
    return xp.where(y == 0, 0, xp.divide(b, xp.where(y == 0, 1, y)))


@primitive(methods=["maximum"])
def maximum(xp: Any, a: Any, b: Any, /) -> Any:
    """The larger of a and b; equal ones share the gradient equally. NaN wins.

    >>> import gpugrad as gg
    >>> gg.grad(lambda a: gg.maximum(a, 1.0))(1.0)
    tensor(0.5)
    """
    return xp.maximum(a, b)


@maximum.partial("a")
def dmaximum_da(xp: Any, a: Any, b: Any) -> Any:
    return xp.where(a == b, 0.5, xp.where(a > b, 1.0, 0.0))


@maximum.partial("b")
def dmaximum_db(xp: Any, a: Any, b: Any) -> Any:
    return xp.where(a == b, 0.5, xp.where(b > a, 1.0, 0.0))


@primitive(methods=["minimum"])
def minimum(xp: Any, a: Any, b: Any, /) -> Any:
    """The smaller of a and b; equal ones share the gradient equally. NaN wins."""
    return xp.minimum(a, b)


@minimum.partial("a")
def dminimum_da(xp: Any, a: Any, b: Any) -> Any:
    return xp.where(a == b, 0.5, xp.where(a < b, 1.0, 0.0))


@minimum.partial("b")
def dminimum_db(xp: Any, a: Any, b: Any) -> Any:
    return xp.where(a == b, 0.5, xp.where(b < a, 1.0, 0.0))


@primitive(methods=["clip"])
def clip(xp: Any, x: Any, min: Any = None, max: Any = None, /) -> Any:
    """x limited to [min, max]; at a limit the gradient goes to x, beyond it to the limit.

    >>> import gpugrad as gg
    >>> gg.clip(gg.tensor([-2.0, 0.5, 2.0]), -1, 1)
    tensor([-1. ,  0.5,  1. ])
    """
    if min is None and max is None:
        return xp.positive(x)
    above = x if min is None else xp.maximum(x, min)
    return above if max is None else xp.minimum(above, max)


@clip.partial("x")
def dclip_dx(xp: Any, x: Any, min: Any, max: Any) -> Any:
    inside = xp.ones_like(x, dtype=bool)
    if min is not None:
        inside = xp.logical_and(inside, x >= min)
    if max is not None:
        inside = xp.logical_and(inside, x <= max)
    return inside


@clip.partial("min")
def dclip_dmin(xp: Any, x: Any, min: Any, max: Any) -> Any:
    below = x < min
    return below if max is None else xp.logical_and(below, min <= max)


@clip.partial("max")
def dclip_dmax(xp: Any, x: Any, min: Any, max: Any) -> Any:
    above = x > max
    return above if min is None else xp.logical_or(above, min > max)


@primitive(separate=["condition"])
def where(xp: Any, condition: Any, a: Any, b: Any, /) -> Any:
    """a where `condition` is true, b elsewhere; the branch not taken gets the gradient 0.

    >>> import gpugrad as gg
    >>> x = gg.tensor([4.0, 0.0])
    >>> gg.grad(lambda x: gg.where(x > 0, gg.sqrt(x), 0).sum())(x)
    tensor([0.25, 0.  ])
    """
    return xp.where(condition, a, b)


@where.vjp("a")
def where_da(xp: Any, g: Any, condition: Any) -> Any:
    return xp.where(condition, g, xp.zeros_like(g))


@where.vjp("b")
def where_db(xp: Any, g: Any, condition: Any) -> Any:
    return xp.where(condition, xp.zeros_like(g), g)


for _operation in (add, subtract, multiply, divide, floor_divide, remainder, pow, hypot, maximum,
                   minimum, clip, where):  # fmt: skip
    _operation.explain(broadcast_error)
