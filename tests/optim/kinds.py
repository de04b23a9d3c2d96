"""The optimizers under test, with options that use all of their state, and gradients for them."""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
from gpugrad import optim
from tests.numeric import host

KINDS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    "Adam": {"lr": 0.1, "amsgrad": True},
    "AdamW": {"lr": 0.1, "weight_decay": 0.1},
    "RMSprop": {"lr": 0.1, "momentum": 0.5, "centered": True},
    "Adagrad": {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind: str, params, **options):
    return getattr(optim, kind)(params, **{**KINDS[kind], **options})


def leaves(*shapes: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> list[gg.Tensor]:
    draw = np.random.default_rng(seed)
    return [gg.tensor(draw.normal(size=s).astype(dtype), requires_grad=True) for s in shapes]


def give_gradients(tensors, seed: int = 1, scale: float = 1.0) -> None:
    draw = np.random.default_rng(seed)
    for tensor in tensors:
        gradient = scale * draw.normal(size=tensor.shape)
        tensor.grad = gg.tensor(gradient.astype(tensor.dtype))


def values(tensors) -> list[np.ndarray]:
    return [host(tensor).copy() for tensor in tensors]
