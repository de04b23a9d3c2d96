"""Exponential, logarithmic, trigonometric and hyperbolic functions, elementwise."""

from __future__ import annotations

import math
from typing import Any

from gpugrad.ops.core import broadcast_error
from gpugrad.primitive import primitive

__all__ = [
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "exp", "exp2",
    "expm1", "log", "log1p", "log2", "log10", "logaddexp", "sin", "sinh", "tan", "tanh",
]  # fmt: skip


@primitive(floating=True, methods=["exp"])
def exp(xp: Any, x: Any, /) -> Any:
    """e to the power x.

    >>> import gpugrad as gg
    >>> gg.grad(gg.exp)(0.0)
    tensor(1.)
    """
    return xp.exp(x)


@exp.partial("x")
def dexp_dx(y: Any) -> Any:
    return y


@primitive(floating=True)
def exp2(xp: Any, x: Any, /) -> Any:
    """2 to the power x."""
    return xp.exp2(x)


@exp2.partial("x")
def dexp2_dx(y: Any) -> Any:
    return y * math.log(2.0)


@primitive(floating=True)
def expm1(xp: Any, x: Any, /) -> Any:
    """exp(x) - 1, accurate near 0."""
    return xp.expm1(x)


@expm1.partial("x")
def dexpm1_dx(y: Any) -> Any:
    return y + 1


@primitive(floating=True, methods=["log"])
def log(xp: Any, x: Any, /) -> Any:
    """The natural logarithm; its derivative at 0 is infinite, and 0 times it is 0."""
    return xp.log(x)


@log.partial("x")
def dlog_dx(xp: Any, x: Any) -> Any:
    return xp.divide(1.0, x)


@primitive(floating=True)
def log1p(xp: Any, x: Any, /) -> Any:
    """log(1 + x), accurate near 0."""
    return xp.log1p(x)


@log1p.partial("x")
def dlog1p_dx(xp: Any, x: Any) -> Any:
    return xp.divide(1.0, x + 1)


@primitive(floating=True)
def log2(xp: Any, x: Any, /) -> Any:
    """The logarithm to base 2."""
    return xp.log2(x)


@log2.partial("x")
def dlog2_dx(xp: Any, x: Any) -> Any:
    return xp.divide(1.0 / math.log(2.0), x)


@primitive(floating=True)
def log10(xp: Any, x: Any, /) -> Any:
    """The logarithm to base 10."""
    return xp.log10(x)


@log10.partial("x")
def dlog10_dx(xp: Any, x: Any) -> Any:
    return xp.divide(1.0 / math.log(10.0), x)


@primitive(floating=True)
def logaddexp(xp: Any, a: Any, b: Any, /) -> Any:
    """log(exp(a) + exp(b)) without overflow."""
    return xp.logaddexp(a, b)


@logaddexp.partial("a")
def dlogaddexp_da(xp: Any, y: Any, a: Any) -> Any:
    return xp.exp(a - _lifted(xp, y))


@logaddexp.partial("b")
def dlogaddexp_db(xp: Any, y: Any, b: Any) -> Any:
    return xp.exp(b - _lifted(xp, y))


def _lifted(xp: Any, y: Any) -> Any:
    """y with 0 for -inf: where both are -inf, exp(-inf - 0) = 0 is the derivative of either."""
    return xp.where(y == -math.inf, 0, y)


@primitive(floating=True, methods=["sin"])
def sin(xp: Any, x: Any, /) -> Any:
    """The sine of x, in radians."""
    return xp.sin(x)


@sin.partial("x")
def dsin_dx(xp: Any, x: Any) -> Any:
    return xp.cos(x)


@primitive(floating=True, methods=["cos"])
def cos(xp: Any, x: Any, /) -> Any:
    """The cosine of x, in radians."""
    return xp.cos(x)


@cos.partial("x")
def dcos_dx(xp: Any, x: Any) -> Any:
    return xp.negative(xp.sin(x))


@primitive(floating=True, methods=["tan"])
def tan(xp: Any, x: Any, /) -> Any:
    """The tangent of x, in radians."""
    return xp.tan(x)


@tan.partial("x")
def dtan_dx(y: Any) -> Any:
    return y * y + 1


@primitive(floating=True)
def asin(xp: Any, x: Any, /) -> Any:
    """The angle in [-pi/2, pi/2] whose sine is x."""
    return xp.asin(x)


@asin.partial("x")
def dasin_dx(xp: Any, x: Any) -> Any:
    return xp.divide(1.0, xp.sqrt((1 - x) * (1 + x)))


@primitive(floating=True)
def acos(xp: Any, x: Any, /) -> Any:
    """The angle in [0, pi] whose cosine is x."""
    return xp.acos(x)


@acos.partial("x")
def dacos_dx(xp: Any, x: Any) -> Any:
    return xp.divide(-1.0, xp.sqrt((1 - x) * (1 + x)))


@primitive(floating=True)
def atan(xp: Any, x: Any, /) -> Any:
    """The angle in (-pi/2, pi/2) whose tangent is x."""
    return xp.atan(x)


@atan.partial("x")
def datan_dx(xp: Any, x: Any) -> Any:
    return xp.divide(1.0, x * x + 1)


@primitive(floating=True)
def atan2(xp: Any, a: Any, b: Any, /) -> Any:
    """The angle in [-pi, pi] of the point with height a and width b; at the origin its slope is 0.

    >>> import gpugrad as gg
    >>> gg.atan2(1.0, -1.0)
    tensor(2.3561945)
    """
    return xp.atan2(a, b)


@atan2.partial("a")
def datan2_da(xp: Any, a: Any, b: Any) -> Any:
    distance = _distance(xp, a, b)
    return xp.divide(xp.divide(b, distance), distance)


@atan2.partial("b")
def datan2_db(xp: Any, a: Any, b: Any) -> Any:
    distance = _distance(xp, a, b)
    return xp.negative(xp.divide(xp.divide(a, distance), distance))


def _distance(xp: Any, a: Any, b: Any) -> Any:
    """That of (a, b) from the origin, by hypot because squares overflow; 1 at the origin."""
    distance = xp.hypot(a, b)
    return xp.where(distance == 0, 1, distance)


@primitive(floating=True)
def sinh(xp: Any, x: Any, /) -> Any:
    """The hyperbolic sine."""
    return xp.sinh(x)


@sinh.partial("x")
def dsinh_dx(xp: Any, x: Any) -> Any:
    return xp.cosh(x)


@primitive(floating=True)
def cosh(xp: Any, x: Any, /) -> Any:
    """The hyperbolic cosine."""
    return xp.cosh(x)


@cosh.partial("x")
def dcosh_dx(xp: Any, x: Any) -> Any:
    return xp.sinh(x)


@primitive(floating=True, methods=["tanh"])
def tanh(xp: Any, x: Any, /) -> Any:
    """The hyperbolic tangent."""
    return xp.tanh(x)


@tanh.partial("x")
def dtanh_dx(y: Any) -> Any:
    return 1 - y * y


@primitive(floating=True)
def asinh(xp: Any, x: Any, /) -> Any:
    """The number whose hyperbolic sine is x."""
    return xp.asinh(x)


@asinh.partial("x")
def dasinh_dx(xp: Any, x: Any) -> Any:
    return xp.divide(1.0, xp.hypot(x, 1.0))  # x * x + 1 would overflow, in float16 from 256 on


@primitive(floating=True)
def acosh(xp: Any, x: Any, /) -> Any:
    """The number >= 0 whose hyperbolic cosine is x, for x >= 1."""
    return xp.acosh(x)


@acosh.partial("x")
def dacosh_dx(xp: Any, x: Any) -> Any:
    return xp.divide(1.0, xp.sqrt(x - 1) * xp.sqrt(x + 1))


@primitive(floating=True)
def atanh(xp: Any, x: Any, /) -> Any:
    """The number whose hyperbolic tangent is x, for |x| <= 1."""
    return xp.atanh(x)


@atanh.partial("x")
def datanh_dx(xp: Any, x: Any) -> Any:
    return xp.divide(1.0, (1 - x) * (1 + x))


logaddexp.explain(broadcast_error)
atan2.explain(broadcast_error)
