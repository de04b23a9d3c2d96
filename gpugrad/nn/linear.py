"""Linear: x @ weight.T + bias."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpugrad.device import Device, as_device
from gpugrad.dtypes import as_dtype, default_float
from gpugrad.errors import DtypeError, OptionError
from gpugrad.nn import init
from gpugrad.nn.module import Module
from gpugrad.nn.parameter import Parameter
from gpugrad.ops.products import linear
from gpugrad.random import Generator


class Linear(Module):
    """An affine map of the last axis: (..., in_features) to (..., out_features).

    `weight` is (out_features, in_features), `bias` (out_features,) or None. Both begin uniform in
    [-1/sqrt(in_features), 1/sqrt(in_features)).

    Args:
        dtype: of the parameters; the default float if None.
        generator: draws them; the default one if None.
    Raises:
        OptionError: a size that is not a positive integer.

    >>> import gpugrad as gg
    >>> layer = Linear(3, 2)
    >>> layer(gg.zeros((5, 3))).shape
    (5, 2)
    >>> layer
    Linear(in_features=3, out_features=2, bias=True)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        self.in_features = positive("Linear", "in_features", in_features)
        self.out_features = positive("Linear", "out_features", out_features)
        self.weight = new_parameter((out_features, in_features), device, dtype)
        self.bias = new_parameter((out_features,), device, dtype) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform_(self.bias, -bound, bound, generator=generator)

    def forward(self, x: Any) -> Any:
        """x (..., in_features) to (..., out_features)."""
        return linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


def positive(layer: str, name: str, value: Any) -> int:
    """`value` if it is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise OptionError(f"{layer}: {name}={value!r} must be a positive integer")
    return int(value)


def new_parameter(
    shape: tuple[int, ...], device: Device | str | None = None, dtype: Any = None
) -> Parameter:
    """A parameter of zeros, of the default float unless `dtype` says otherwise."""
    wanted = default_float() if dtype is None else as_dtype(dtype)
    if wanted.kind != "f":
        raise DtypeError(f"a layer's parameters are floating, not {wanted}")
    place = as_device(device)
    with place.use():
        return Parameter._made(place.xp.zeros(shape, dtype=wanted))
