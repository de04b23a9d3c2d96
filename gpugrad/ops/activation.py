"""Activation functions, elementwise, and the softmax along an axis."""

from __future__ import annotations

import math
from typing import Any

from gpugrad.dtypes import float16, float32
from gpugrad.errors import OptionError
from gpugrad.ops.reductions import explain_axis
from gpugrad.primitive import primitive

__all__ = [
    "elu", "gelu", "leaky_relu", "log_sigmoid", "log_softmax", "relu", "sigmoid", "silu", "softmax",
    "softplus",
]  # fmt: skip


@primitive(methods=["relu"])
def relu(xp: Any, x: Any, /) -> Any:
    """max(x, 0); its derivative at 0 is 0.

    >>> import gpugrad as gg
    >>> gg.relu(gg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return xp.maximum(x, 0)


@relu.partial("x")
def drelu_dx(y: Any) -> Any:
    return y > 0


@primitive(floating=True)
def leaky_relu(xp: Any, x: Any, /, negative_slope: float = 0.01) -> Any:
    """x for x > 0, negative_slope * x elsewhere."""
    return xp.where(x > 0, x, x * negative_slope)


@leaky_relu.partial("x")
def dleaky_relu_dx(xp: Any, x: Any, negative_slope: float) -> Any:
    # Ones of x's dtype: two Python numbers alone would make the default float.
    return xp.where(x > 0, xp.ones_like(x), negative_slope)


@primitive(floating=True)
def elu(xp: Any, x: Any, /, alpha: float = 1.0) -> Any:
    """x for x > 0, alpha * (exp(x) - 1) elsewhere.

    Source: Clevert et al., "Fast and accurate deep network learning by exponential linear units"
    (2016).
    """
    return xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0)) * alpha)


@elu.partial("x")
def delu_dx(xp: Any, x: Any, alpha: float) -> Any:
    # Not minimum(x, 0), which shares its slope at 0 between x and 0.
    return xp.where(x > 0, 1, xp.exp(xp.where(x > 0, 0, x)) * alpha)


@primitive(floating=True, methods=["sigmoid"])
def sigmoid(xp: Any, x: Any, /) -> Any:
    """1 / (1 + exp(-x)), without overflow.

    >>> import gpugrad as gg
    >>> gg.sigmoid(0.0)
    tensor(0.5)
    """
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, small) / (small + 1)


@sigmoid.partial("x")
def dsigmoid_dx(y: Any) -> Any:
    return y * (1 - y)


@primitive(floating=True)
def log_sigmoid(xp: Any, x: Any, /) -> Any:
    """log(sigmoid(x)), without overflow."""
    return xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x)))


@log_sigmoid.partial("x")
def dlog_sigmoid_dx(xp: Any, x: Any) -> Any:
    return xp.sigmoid(-x)


@primitive(floating=True)
def softplus(xp: Any, x: Any, /, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta * x)) / beta; x itself where beta * x exceeds the threshold."""
    if beta <= 0:
        raise OptionError(f"softplus: beta={beta} must be positive")
    scaled = x * beta
    smooth = (xp.maximum(scaled, 0) + xp.log1p(xp.exp(-xp.abs(scaled)))) / beta
    return xp.where(scaled > threshold, x, smooth)


@softplus.partial("x")
def dsoftplus_dx(xp: Any, x: Any, beta: float, threshold: float) -> Any:
    scaled = x * beta
    return xp.where(scaled > threshold, 1, xp.sigmoid(scaled))


@primitive(floating=True)
def gelu(xp: Any, x: Any, /, approximate: str = "none") -> Any:
    """x times the normal distribution function at x; `approximate="tanh"` is a quicker fit.

    Source: Hendrycks and Gimpel, "Gaussian error linear units" (2016).

    >>> import gpugrad as gg
    >>> gg.round(gg.gelu(gg.tensor([-1.0, 1.0])), 4)
    tensor([-0.1587,  0.8413])
    """
    return x * _gelu_gate(xp, x, approximate)


def _gelu_gate(xp: Any, x: Any, approximate: str) -> Any:
    if approximate == "none":
        return (xp.erf(x * math.sqrt(0.5)) + 1) * 0.5
    if approximate == "tanh":
        return (xp.tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)) + 1) * 0.5
    raise OptionError(f"gelu: approximate={approximate!r} is neither 'none' nor 'tanh'")


@gelu.partial("x")
def dgelu_dx(xp: Any, x: Any, approximate: str) -> Any:
    gate = _gelu_gate(xp, x, approximate)
    if approximate == "none":
        return gate + x * xp.exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
    inner = (x * x * (3 * 0.044715) + 1) * math.sqrt(2 / math.pi)
    return gate + x * gate * (1 - gate) * inner * 2


@primitive(floating=True)
def silu(xp: Any, x: Any, /) -> Any:
    """x * sigmoid(x)."""
    return x * xp.sigmoid(x)


@silu.partial("x")
def dsilu_dx(xp: Any, x: Any) -> Any:
    gate = xp.sigmoid(x)
    return gate + x * gate * (1 - gate)


def _stable(xp: Any, x: Any, axis: int) -> Any:
    """x less its largest element along the axis, so that exp cannot overflow."""
    return x - xp.max(x, axis=axis, keepdims=True) if x.size else x


@primitive(floating=True, methods=["softmax"])
def softmax(xp: Any, x: Any, /, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x)) along `axis`.

    >>> import gpugrad as gg
    >>> gg.softmax(gg.tensor([0.0, 0.0]))
    tensor([0.5, 0.5])
    """
    if x.dtype == float16:  # a long sum may not fit
        return xp.astype(softmax.forward(xp, xp.astype(x, float32), axis), float16)
    unnormalised = xp.exp(_stable(xp, x, axis))
    return unnormalised / xp.sum(unnormalised, axis=axis, keepdims=True)


@softmax.vjp("x")
def softmax_dx(xp: Any, g: Any, y: Any, axis: int) -> Any:
    return y * (g - xp.sum(g * y, axis=axis, keepdims=True))


@primitive(floating=True, methods=["log_softmax"])
def log_softmax(xp: Any, x: Any, /, axis: int = -1) -> Any:
    """log(softmax(x)) along `axis`, without overflow."""
    if x.dtype == float16:  # a long sum may not fit
        return xp.astype(log_softmax.forward(xp, xp.astype(x, float32), axis), float16)
    shifted = _stable(xp, x, axis)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


@log_softmax.vjp("x")
def log_softmax_dx(xp: Any, g: Any, y: Any, axis: int) -> Any:
    return g - xp.exp(y) * xp.sum(g, axis=axis, keepdims=True)


softmax.explain(explain_axis)
log_softmax.explain(explain_axis)
