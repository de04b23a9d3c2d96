"""Activations: the operations of `gg.*`, with `dim` for an axis, as PyTorch says it."""

from __future__ import annotations

from typing import Any

from gpugrad.errors import OptionError
from gpugrad.making import asarray
from gpugrad.ops.activation import elu, gelu, leaky_relu, relu, sigmoid, silu, softplus
from gpugrad.ops.activation import log_sigmoid as logsigmoid
from gpugrad.ops.activation import log_softmax as _log_softmax
from gpugrad.ops.activation import softmax as _softmax
from gpugrad.ops.elementary import tanh

__all__ = [
    "elu", "gelu", "leaky_relu", "log_softmax", "logsigmoid", "relu", "sigmoid", "silu", "softmax",
    "softplus", "tanh",
]  # fmt: skip


def softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """exp(input) / sum(exp(input)) along `dim`.

    Args:
        dtype: convert the input to this one first.
    Raises:
        OptionError: no `dim`.

    >>> import gpugrad as gg
    >>> softmax(gg.tensor([[0.0, 0.0]]), dim=1).tolist()
    [[0.5, 0.5]]
    """
    return _softmax(_converted(input, dtype), axis=_given("softmax", dim))


def log_softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """log(softmax(input)) along `dim`, without overflow; the arguments of `softmax`."""
    return _log_softmax(_converted(input, dtype), axis=_given("log_softmax", dim))


def _given(name: str, dim: int | None) -> int:
    if dim is None:
        raise OptionError(f"{name}: say along which axis\n  help: dim=-1 is the last, the classes")
    return dim


def _converted(x: Any, dtype: Any) -> Any:
    return x if dtype is None else asarray(x).astype(dtype)
