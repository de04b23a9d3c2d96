"""Settings: everything that a run of `gpugrad train` depends on, checked, with its defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from gpugrad.device import as_device
from gpugrad.errors import OptionError
from gpugrad.nn.mlp import ACTIVATIONS

DATA = ("digits", "moons", "mnist", "csv")
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "adagrad")
SCHEDULES = ("constant", "cosine", "onecycle", "plateau")
NEEDS_EPOCHS = ("cosine", "onecycle")  # schedules that depend on the number of epochs
DTYPES = ("float32", "float64")
MISSING = ("error", "impute")
TASKS = ("classification", "regression")

COMMON: dict[str, Any] = {
    "hidden": (128, 64),
    "activation": "relu",
    "dropout": 0.0,
    "optimizer": "adamw",
    "lr": 3e-3,
    "schedule": "onecycle",
    "weight_decay": 0.01,
    "batch_size": 64,
    "epochs": 80,
    "patience": 0,
    "augment": False,
}
# Chosen by the validation parts of seeds from 100 up, never by held-out data:
# scripts/choose_defaults.py.
DEFAULTS: Mapping[str, dict[str, Any]] = {
    "digits": COMMON | {"hidden": (512, 256), "dropout": 0.3, "augment": True},
    "moons": COMMON | {"hidden": (32, 32), "lr": 1e-2, "epochs": 40},
    "mnist": COMMON
    | {"hidden": (256, 128), "dropout": 0.1, "batch_size": 128, "epochs": 15, "augment": True},
    "csv": COMMON
    | {"dropout": 0.1, "lr": 2e-3, "schedule": "plateau", "epochs": 200, "patience": 25},
}


@dataclass(frozen=True)
class Settings:
    """What to train on what, and how; `Settings.of` fills in the defaults of the data set.

    Attributes:
        data: "digits", "moons", "mnist" or "csv".
        file, target: the table and its target column, of "csv".
        root: the folder of the files, of "mnist".
        task, missing, categorical, drop: as for `gg.data.load_csv`.
        hidden: the sizes of the hidden layers; none of them gives a linear model.
        activation: one of those that `gg.nn.MLP` knows.
        dropout: the probability of dropping each hidden unit while training.
        optimizer: "sgd" (Nesterov momentum 0.9), "adam", "adamw", "rmsprop" or "adagrad".
        lr: the learning rate; the peak of "cosine" and "onecycle".
        schedule: "constant", "cosine", "onecycle" or "plateau" (halved after 5 epochs without a
            better validation loss).
        patience: stop after so many epochs without a better validation loss, with the best
            weights; 0 trains for all epochs.
        augment: move images by up to one pixel.
        device: "cpu", "cuda" (the current GPU), "cuda:1", or "auto", a GPU if there is one.
        dtype: "float32" or "float64".
        seed: of the split, the weights, the batches, dropout and augmentation.
    """

    data: str
    hidden: tuple[int, ...]
    activation: str
    dropout: float
    optimizer: str
    lr: float
    schedule: str
    weight_decay: float
    batch_size: int
    epochs: int
    patience: int
    augment: bool
    file: str | None = None
    target: str | None = None
    root: str | None = None
    task: str | None = None
    missing: str = "error"
    categorical: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    device: str = "auto"
    dtype: str = "float32"
    seed: int = 0

    @classmethod
    def of(cls, **given: Any) -> Settings:
        """Settings from what differs from the defaults of `data`; None means not given.

        Raises:
            OptionError: a setting is unknown, impossible, or does not belong to this data.
            DeviceError: the device is unknown or absent.

        >>> Settings.of(data="moons", epochs=5).hidden
        (32, 32)
        """
        chosen = {name: value for name, value in given.items() if value is not None}
        data = chosen.get("data", "digits")
        _one_of("data", data, DATA)
        unknown = sorted(set(chosen) - {field.name for field in fields(cls)})
        if unknown:
            raise OptionError(f"Settings: unknown setting {', '.join(map(repr, unknown))}")
        for name in ("hidden", "categorical", "drop"):
            if name in chosen:
                chosen[name] = tuple(chosen[name])
        return cls(**{"data": data, **DEFAULTS[data], **chosen})

    def __post_init__(self) -> None:
        _one_of("data", self.data, DATA)
        _one_of("activation", self.activation, tuple(ACTIVATIONS))
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("dtype", self.dtype, DTYPES)
        _one_of("missing", self.missing, MISSING)
        if self.task is not None:
            _one_of("task", self.task, TASKS)
        for size in self.hidden:
            _whole("hidden", size, 1)
        _whole("batch_size", self.batch_size, 1)
        _whole("epochs", self.epochs, 1)
        _whole("patience", self.patience, 0)
        _whole("seed", self.seed, 0)
        if self.seed >= 2**64:
            raise OptionError(f"seed={self.seed}: must be below 2**64")
        _number("lr", self.lr, self.lr > 0, "above 0")
        _number("weight_decay", self.weight_decay, self.weight_decay >= 0, "at least 0")
        _number("dropout", self.dropout, 0 <= self.dropout < 1, "at least 0 and below 1")
        self._check_data()
        as_device(self.device)

    def _check_data(self) -> None:
        """That the settings of one data set are not given for another."""
        if self.data == "csv":
            for name, what in (("file", "the table"), ("target", "the column to predict")):
                if not getattr(self, name):
                    raise OptionError(f"data='csv' needs {name}=..., {what}")
        defaults = {field.name: field.default for field in fields(self)}
        owners = dict.fromkeys(("file", "target", "task", "missing", "categorical", "drop"), "csv")
        for name, owner in {**owners, "root": "mnist"}.items():
            if self.data != owner and getattr(self, name) != defaults[name]:
                raise OptionError(
                    f"{name}=... belongs to data={owner!r}, not to data={self.data!r}"
                )
        if self.augment and self.data not in ("digits", "mnist"):
            raise OptionError(f"augment=True moves images, and data={self.data!r} has none")

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON can hold them."""
        values = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """The settings that `to_dict` gave.

        Raises:
            OptionError: a setting is missing, unknown or impossible.
        """
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        try:
            return cls(**given)
        except TypeError as error:
            raise OptionError(f"Settings.from_dict: {error}") from None


def _one_of(name: str, value: Any, names: tuple[str, ...]) -> None:
    if value not in names:
        raise OptionError(f"{name}={value!r}: choose one of {', '.join(names)}")


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(f"{name}={value!r}: must be a whole number, at least {least}")


def _number(name: str, value: float, possible: bool, rule: str) -> None:
    if not possible or not math.isfinite(value):
        raise OptionError(f"{name}={value!r}: must be a number {rule}")
