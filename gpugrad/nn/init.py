"""How parameters begin: each function overwrites a tensor in place, and returns it.

Whatever draws takes `generator=None`, which means the default one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpugrad.errors import GraphError, OptionError, ShapeError
from gpugrad.nn.parameter import overwrite
from gpugrad.random import Generator, default_generator
from gpugrad.tensor import Tensor, describe


def _fill(tensor: Tensor, values: Any, name: str) -> Tensor:
    if not tensor.is_leaf:
        raise GraphError(f"init.{name}: a recorded operation made this tensor; it is never changed")
    overwrite(tensor, values, f"init.{name}")
    return tensor


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform numbers from [a, b).

    >>> import gpugrad as gg
    >>> uniform_(gg.zeros(3), 2.0, 3.0).min().item() >= 2.0
    True
    """
    if b < a:
        raise OptionError(f"init.uniform_: b={b} is less than a={a}")
    drawn = (generator or default_generator()).uniform(tensor.shape, a, b, tensor.dtype)
    return _fill(tensor, drawn, "uniform_")


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal numbers."""
    _check_std("normal_", std)
    drawn = (generator or default_generator()).normal(tensor.shape, mean, std, tensor.dtype)
    return _fill(tensor, drawn, "normal_")


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers, those outside [a, b] drawn anew."""
    _check_std("trunc_normal_", std)
    source = generator or default_generator()
    low, high = (_normal_cdf((edge - mean) / std) if std else 0.0 for edge in (a, b))
    if not a < b or (std and high - low < 1e-3):
        raise OptionError(
            f"init.trunc_normal_: hardly a number of mean={mean}, std={std} lies in [{a}, {b}]"
        )
    drawn = source.normal(tensor.shape, mean, std, "float64").reshape(-1)
    if not std:
        return _fill(tensor, np.clip(drawn, a, b).reshape(tensor.shape), "trunc_normal_")
    outside = np.flatnonzero((drawn < a) | (drawn > b))
    while outside.size:
        drawn[outside] = source.normal(outside.size, mean, std, "float64")
        outside = outside[(drawn[outside] < a) | (drawn[outside] > b)]
    return _fill(tensor, drawn.reshape(tensor.shape), "trunc_normal_")


def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere."""
    return _fill(tensor, val, "constant_")


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return _fill(tensor, 0, "zeros_")


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return _fill(tensor, 1, "ones_")


def eye_(tensor: Tensor) -> Tensor:
    """Ones on the diagonal of a matrix, zeros elsewhere."""
    if tensor.ndim != 2:
        raise ShapeError(f"init.eye_: a matrix has two axes, this is {describe(tensor)}")
    return _fill(tensor, np.eye(tensor.shape[0], tensor.shape[1]), "eye_")


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform in [-a, a), a = gain * sqrt(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (2010), equation 16.
    """
    bound = gain * math.sqrt(6.0 / sum(_fans(tensor, "xavier_uniform_")))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with standard deviation gain * sqrt(2 / (fan_in + fan_out))."""
    std = gain * math.sqrt(2.0 / sum(_fans(tensor, "xavier_normal_")))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform in [-b, b), b = gain * sqrt(3 / fan).

    Args:
        a: the slope that `leaky_relu` has below 0, for the gain.
        mode: "fan_in" keeps the variance of the forward pass, "fan_out" that of the backward pass.
        nonlinearity: what follows the layer; see `calculate_gain`.
    Source: He et al., "Delving deep into rectifiers" (2015).
    """
    fan = _fan(tensor, mode, "kaiming_uniform_")
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / fan)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan); the arguments of `kaiming_uniform_`."""
    fan = _fan(tensor, mode, "kaiming_normal_")
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(fan), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """A matrix with orthonormal rows or columns, whichever are fewer, times `gain`.

    More than two axes count as (shape[0], the rest).

    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks" (2014).
    """
    if tensor.ndim < 2:
        raise ShapeError(f"init.orthogonal_: needs at least two axes, this is {describe(tensor)}")
    if not tensor.size:
        return tensor
    rows = tensor.shape[0]
    columns = tensor.size // rows
    drawn = (generator or default_generator()).normal((rows, columns), dtype="float64")
    q, r = np.linalg.qr(drawn if rows >= columns else drawn.T)
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)  # makes the distribution uniform (Mezzadri, 2007)
    matrix = q if rows >= columns else q.T
    return _fill(tensor, (gain * matrix).reshape(tensor.shape), "orthogonal_")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights must grow so that activations keep their variance.

    Args:
        nonlinearity: "linear", "sigmoid", "tanh", "relu", "leaky_relu" or "selu".
        param: the negative slope of "leaky_relu" (0.01 if None).
    Raises:
        OptionError: no gain is known for it.

    >>> calculate_gain("relu")
    1.4142135623730951
    """
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3, "relu": math.sqrt(2), "selu": 0.75}
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in gains:
        raise OptionError(
            f"init.calculate_gain: no gain is known for {nonlinearity!r}\n"
            f"  help: one of {', '.join([*gains, 'leaky_relu'])}"
        )
    return gains[nonlinearity]


def _fans(tensor: Tensor, name: str) -> tuple[int, int]:
    """How many inputs an output has, and outputs an input: weight is (out, in, ...)."""
    if tensor.ndim < 2:
        raise ShapeError(
            f"init.{name}: the fans are those of a weight (out, in, ...), this is "
            f"{describe(tensor)}\n  help: init.zeros_ or init.uniform_ for a bias"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _fan(tensor: Tensor, mode: str, name: str) -> int:
    fan_in, fan_out = _fans(tensor, name)
    if mode not in ("fan_in", "fan_out"):
        raise OptionError(f"init.{name}: mode={mode!r} is neither 'fan_in' nor 'fan_out'")
    return max(1, fan_in if mode == "fan_in" else fan_out)


def _check_std(name: str, std: float) -> None:
    if std < 0:
        raise OptionError(f"init.{name}: std={std} must not be negative")


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0
