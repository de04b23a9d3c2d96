"""Layers, losses and what they are made of, with PyTorch's names, defaults and numbers.

>>> import gpugrad as gg
>>> model = gg.nn.Sequential(gg.nn.Linear(4, 8), gg.nn.Tanh(), gg.nn.Linear(8, 3))
>>> loss = gg.nn.CrossEntropyLoss()(model(gg.zeros((2, 4))), gg.tensor([0, 2]))
>>> loss.backward()
>>> model[0].weight.grad.shape
(8, 4)
"""

from __future__ import annotations

from gpugrad.nn import functional, init
from gpugrad.nn.activations import (
    ELU,
    GELU,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from gpugrad.nn.containers import ModuleList, Sequential
from gpugrad.nn.dropout import Dropout
from gpugrad.nn.embedding import Embedding
from gpugrad.nn.linear import Linear
from gpugrad.nn.losses import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HingeLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    MultiMarginLoss,
    NLLLoss,
    SmoothL1Loss,
)
from gpugrad.nn.mlp import MLP
from gpugrad.nn.module import Module
from gpugrad.nn.normalization import BatchNorm1d, LayerNorm
from gpugrad.nn.parameter import Parameter
from gpugrad.nn.shape import Flatten, Identity

__all__ = [
    "ELU", "GELU", "MLP", "BCEWithLogitsLoss", "BatchNorm1d", "CrossEntropyLoss", "Dropout",
    "Embedding", "Flatten", "HingeLoss", "HuberLoss", "Identity", "L1Loss", "LayerNorm",
    "LeakyReLU", "Linear", "LogSoftmax", "MSELoss", "Module", "ModuleList", "MultiMarginLoss",
    "NLLLoss", "Parameter", "ReLU", "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss", "Softmax",
    "Softplus", "Tanh", "functional", "init",
]  # fmt: skip
