"""Training: `fit`, `evaluate`, runs that survive a kill, and the work behind `gpugrad train`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpugrad.train.augment import ShiftImages
    from gpugrad.train.callbacks import Callback, JsonLines, TensorBoard
    from gpugrad.train.evaluation import evaluate, predict
    from gpugrad.train.loop import History, fit
    from gpugrad.train.metrics import accuracy, r2, rmse
    from gpugrad.train.settings import Settings
    from gpugrad.train.trained import Trained, load

__all__ = [
    "Callback",
    "History",
    "JsonLines",
    "Settings",
    "ShiftImages",
    "TensorBoard",
    "Trained",
    "accuracy",
    "evaluate",
    "fit",
    "load",
    "predict",
    "r2",
    "rmse",
]

_HOMES = {
    "Callback": "callbacks",
    "History": "loop",
    "JsonLines": "callbacks",
    "Settings": "settings",
    "ShiftImages": "augment",
    "TensorBoard": "callbacks",
    "Trained": "trained",
    "accuracy": "metrics",
    "evaluate": "evaluation",
    "fit": "loop",
    "load": "trained",
    "predict": "evaluation",
    "r2": "metrics",
    "rmse": "metrics",
}


def __getattr__(name: str) -> Any:
    # At first use, so that `import gpugrad` stays quick.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
