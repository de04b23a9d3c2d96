"""From settings to what takes part in a training: data, model, optimizer, schedule."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpugrad import data as sources
from gpugrad.data.labelled import Dataset
from gpugrad.nn import MLP
from gpugrad.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from gpugrad.optim.lr_scheduler import (
    CosineAnnealingLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
)
from gpugrad.random import Generator
from gpugrad.tensor import Tensor
from gpugrad.train.settings import Settings

HELD_OUT = 0.2
VALIDATION = 0.1  # of what is not held out
MNIST_VALIDATION = 5000 / 60000


@dataclass(frozen=True)
class Parts:
    """A data set in three: to train on, to watch while training, and to judge by at the end.

    All three are prepared with the statistics of the first.
    """

    train: Dataset
    validation: Dataset
    held_out: Dataset

    def sizes(self) -> dict[str, int]:
        """How many examples are in each."""
        return {name: len(getattr(self, name)) for name in ("train", "validation", "held_out")}

    def fingerprint(self) -> str:
        """SHA-256 of all features and labels: other data, or another split, has another one."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.held_out):
            for tensor in (part.features, part.labels):
                digest.update(np.ascontiguousarray(tensor.numpy()).data)
        return digest.hexdigest()


def load_parts(settings: Settings) -> Parts:
    """Read the data set, and split it by the seed.

    A fifth is held out, of each class alike, unless the data set has a test part of its own, as
    MNIST has. A tenth of the rest (of MNIST 5,000 images) is for validation.

    Raises:
        FileError, DataError: as the loaders do.
    """
    whole = load_whole(settings)
    share = VALIDATION
    if whole.test is not None:
        rest, held_out = whole, whole.test
        if len(whole) >= 20000:
            share = MNIST_VALIDATION
    else:
        rest, held_out = whole.split(HELD_OUT, seed=settings.seed)
    train, validation = rest.split(share, seed=settings.seed)
    return Parts(train, validation, held_out.with_preparation(train.preparation))


def load_whole(settings: Settings) -> Dataset:
    """The data set as it was published, not split."""
    if settings.data == "digits":
        return sources.load_digits()
    if settings.data == "moons":
        return sources.load_moons(generator=Generator(settings.seed))
    if settings.data == "mnist":
        return sources.load_mnist(settings.root, download=settings.root is None)
    return sources.load_csv(
        str(settings.file),
        str(settings.target),
        task=settings.task,
        categorical=settings.categorical,
        drop=settings.drop,
        missing=settings.missing,
    )


def as_tensors(part: Dataset, dtype: str) -> tuple[Tensor, Tensor]:
    """Inputs and targets, floats as `dtype`."""
    inputs, targets = part.features.to(dtype), part.labels
    return inputs, targets.to(dtype) if targets.dtype.kind == "f" else targets


def build_model(settings: Settings, inputs: int, outputs: int, generator: Generator) -> MLP:
    """The network, its weights drawn by the generator, as later its dropout."""
    return MLP(
        [inputs, *settings.hidden, outputs],
        settings.activation,
        settings.dropout,
        device=settings.device,
        dtype=settings.dtype,
        generator=generator,
    )


def build_optimizer(settings: Settings, parameters: Any) -> Optimizer:
    """The optimizer over these parameters."""
    lr, weight_decay = settings.lr, settings.weight_decay
    if settings.optimizer == "sgd":
        return SGD(parameters, lr, momentum=0.9, weight_decay=weight_decay, nesterov=True)
    kinds: dict[str, Any] = {
        "adam": Adam,
        "adamw": AdamW,
        "rmsprop": RMSprop,
        "adagrad": Adagrad,
    }
    made: Optimizer = kinds[settings.optimizer](parameters, lr, weight_decay=weight_decay)
    return made


def build_schedule(
    settings: Settings, optimizer: Optimizer, batches: int
) -> tuple[LRScheduler | None, str]:
    """The schedule, None for a constant rate, and after what it moves on: "epoch" or "batch"."""
    steps = settings.epochs * batches
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimizer, steps), "batch"
    if settings.schedule == "onecycle":
        cycles = settings.optimizer in ("sgd", "adam", "adamw")
        return OneCycleLR(optimizer, settings.lr, steps, cycle_momentum=cycles), "batch"
    if settings.schedule == "plateau":
        return ReduceLROnPlateau(optimizer, factor=0.5, patience=5), "epoch"
    return None, "epoch"
