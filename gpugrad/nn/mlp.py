"""MLP: linear layers with an activation, and dropout, between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Any

from gpugrad.device import Device
from gpugrad.errors import OptionError
from gpugrad.nn import functional
from gpugrad.nn.containers import ModuleList
from gpugrad.nn.dropout import Dropout
from gpugrad.nn.linear import Linear, positive
from gpugrad.nn.module import Module
from gpugrad.ops.products import LINEAR_ACTIVATIONS, linear
from gpugrad.random import Generator

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    name: getattr(functional, name)
    for name in ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "sigmoid", "tanh")
}


class MLP(Module):
    """A multilayer perceptron: (..., sizes[0]) to (..., sizes[-1]).

    Args:
        sizes: the number of features from the input to the output, at least two.
        activation: after every layer but the last: "relu", "leaky_relu", "elu", "gelu", "silu",
            "softplus", "sigmoid", "tanh", None for none, or a function or module.
        dropout: the probability of dropping each output of each activation while training.
        bias: whether the layers have one.
        generator: draws the weights, and later what is dropped; the default one if None.
    Raises:
        OptionError: fewer than two sizes, a size that is not positive, an unknown activation.

    >>> import gpugrad as gg
    >>> model = MLP([64, 32, 10])
    >>> model(gg.zeros((5, 64))).shape
    (5, 10)
    >>> [name for name, _ in model.named_parameters()]
    ['layers.0.weight', 'layers.0.bias', 'layers.1.weight', 'layers.1.bias']
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Callable[[Any], Any] | None = "relu",
        dropout: float = 0.0,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        if isinstance(sizes, str) or not isinstance(sizes, Sized) or len(sizes) < 2:
            raise OptionError(
                f"MLP(sizes={sizes!r}): at least two sizes, those of the input and of the output\n"
                "  help: MLP([64, 32, 10]) has one hidden layer"
            )
        if isinstance(activation, str) and activation not in ACTIVATIONS:
            raise OptionError(
                f"MLP(activation={activation!r}): unknown activation\n"
                f"  help: one of {', '.join(ACTIVATIONS)}, a function, a module, or None"
            )
        self.sizes = [positive("MLP", f"sizes[{k}]", size) for k, size in enumerate(sizes)]
        self.activation = activation
        self.layers = ModuleList(
            Linear(self.sizes[k], self.sizes[k + 1], bias, device, dtype, generator=generator)
            for k in range(len(self.sizes) - 1)
        )
        self.dropout = Dropout(dropout, generator=generator) if dropout else None

    def forward(self, x: Any) -> Any:
        """x (..., sizes[0]) to (..., sizes[-1])."""
        *hidden, last = self.layers
        activation = self.activation
        dropout = self.dropout
        if activation in FUSED:
            for layer in hidden:
                x = linear(x, layer.weight, layer.bias, activation)
                if dropout is not None:
                    x = dropout(x)
        else:
            function: Any = activation if callable(activation) else ACTIVATIONS[str(activation)]
            for layer in hidden:
                x = function(linear(x, layer.weight, layer.bias))
                if dropout is not None:
                    x = dropout(x)
        return linear(x, last.weight, last.bias)

    def extra_repr(self) -> str:
        return f"activation={self.activation!r}" if isinstance(self.activation, str) else ""


FUSED = frozenset([None, *LINEAR_ACTIVATIONS])
