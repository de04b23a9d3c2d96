"""The layers and losses as functions, with PyTorch's names and arguments.

>>> import gpugrad as gg
>>> import gpugrad.nn.functional as F
>>> round(F.cross_entropy(gg.tensor([[2.0, -1.0]]), gg.tensor([0])).item(), 4)
0.0486
"""

from __future__ import annotations

from gpugrad.nn.functional.activation import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    logsigmoid,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from gpugrad.nn.functional.classification import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    nll_loss,
)
from gpugrad.nn.functional.layers import batch_norm, dropout, embedding, layer_norm, linear
from gpugrad.nn.functional.margin import hinge_loss, multi_margin_loss
from gpugrad.nn.functional.regression import huber_loss, l1_loss, mse_loss, smooth_l1_loss

__all__ = [
    "batch_norm", "binary_cross_entropy_with_logits", "cross_entropy", "dropout", "elu",
    "embedding", "gelu", "hinge_loss", "huber_loss", "l1_loss", "layer_norm", "leaky_relu",
    "linear", "log_softmax", "logsigmoid", "mse_loss", "multi_margin_loss", "nll_loss", "relu",
    "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "tanh",
]  # fmt: skip
