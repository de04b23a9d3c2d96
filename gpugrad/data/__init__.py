"""Data sets, their preparation, and batches: what stands between a file and a training step."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpugrad.data.dataset import TensorDataset
    from gpugrad.data.digits import load_digits
    from gpugrad.data.labelled import Dataset
    from gpugrad.data.loader import DataLoader
    from gpugrad.data.mnist import load_mnist
    from gpugrad.data.moons import load_moons
    from gpugrad.data.preparation import Preparation
    from gpugrad.data.table import load_csv

__all__ = [
    "DataLoader",
    "Dataset",
    "Preparation",
    "TensorDataset",
    "load_csv",
    "load_digits",
    "load_mnist",
    "load_moons",
]

_HOMES = {
    "DataLoader": "loader",
    "Dataset": "labelled",
    "Preparation": "preparation",
    "TensorDataset": "dataset",
    "load_csv": "table",
    "load_digits": "digits",
    "load_mnist": "mnist",
    "load_moons": "moons",
}


def __getattr__(name: str) -> Any:
    # At first use, because these modules would add 14 ms (a sixth of NumPy) to `import gpugrad`.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
