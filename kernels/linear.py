"""linear: the product by cuBLAS, then bias and activation in one kernel, in place.

Arrays    x (batch, in_features), weight (out_features, in_features), bias (out_features,);
          float32, C-contiguous
Mapping   that of bias_activation
Traffic   the product's, and 8 bytes an element of the output
Used by   ops/products.py linear on "cuda"; its reference is that op's forward
"""

from __future__ import annotations

from typing import Any

from gpugrad.kernels.bias_activation import FORWARD, bias_activation, bias_activation_backward
from gpugrad.kernels.launch import suits


def linear(xp: Any, x: Any, weight: Any, bias: Any = None, activation: str | None = None) -> Any:
    """activation(x @ weight.T + bias), or NotImplemented for what the kernel does not take."""
    if (bias is None and activation is None) or activation not in FORWARD:
        return NotImplemented
    if getattr(x, "ndim", 0) != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[1]:
        return NotImplemented
    if x.dtype != "float32" or not suits(bias):
        return NotImplemented
    if bias is not None and bias.shape != weight.shape[:1]:
        return NotImplemented
    y = xp.dot(x, weight.T)
    return bias_activation(xp, y, bias, activation, out=y)


def linear_dz(xp: Any, g: Any, y: Any, activation: str) -> Any:
    """The cotangents of x @ weight.T + bias and of bias, for that of the output y."""
    return bias_activation_backward(xp, g, y, activation)
