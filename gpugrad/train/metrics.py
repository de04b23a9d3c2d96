"""Metrics: numbers that tell how good a model's outputs are; and the losses that fit them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gpugrad.device import common_device
from gpugrad.errors import OptionError, ShapeError
from gpugrad.fast_path import Kernel
from gpugrad.nn import functional as F
from gpugrad.tensor import Tensor, describe

COUNT_RIGHT = Kernel("gpugrad.kernels.accuracy.accuracy")

Metric = Callable[[Tensor, Tensor], Any]
Loss = Callable[[Tensor, Tensor], Tensor]


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """The share of rows whose largest output is that of the target's class.

    Args:
        outputs: (rows, classes), probabilities or their logarithms, up to a constant.
        targets: (rows,) int.
    Raises:
        ShapeError: the shapes are not these.

    >>> import gpugrad as gg
    >>> accuracy(gg.tensor([[2.0, 1.0], [0.0, 3.0]]), gg.tensor([0, 0]))
    0.5
    """
    if outputs.ndim != 2 or targets.shape != outputs.shape[:1]:
        raise ShapeError(
            "accuracy(outputs, targets): (rows, classes) and (rows,) are expected\n"
            f"  outputs: {describe(outputs)}\n  targets: {describe(targets)}"
        )
    common_device("accuracy", {"outputs": outputs, "targets": targets})
    xp, scores, labels = outputs.device.xp, outputs._data, targets._data
    right = NotImplemented if xp.on_host else COUNT_RIGHT(xp, scores, labels)
    if right is NotImplemented:
        right = xp.sum(xp.equal(xp.argmax(scores, axis=1), labels))
    return right.item() / len(targets) if len(targets) else math.nan


def rmse(outputs: Tensor, targets: Tensor) -> float:
    """The root of the mean squared error, in the units of the targets.

    >>> import gpugrad as gg
    >>> rmse(gg.tensor([[1.0], [5.0]]), gg.tensor([1.0, 3.0]))
    1.4142135623730951
    """
    errors = _on_host(_aligned(outputs, targets)).astype(np.float64) - _on_host(targets)
    return math.sqrt(float(np.mean(errors**2)))


def r2(outputs: Tensor, targets: Tensor) -> float:
    """The coefficient of determination: the share of the targets' variance that is explained.

    1 for outputs that equal the targets, 0 for outputs that are all the targets' mean; NaN where
    the targets do not vary.

    >>> import gpugrad as gg
    >>> r2(gg.tensor([1.0, 2.0, 3.0]), gg.tensor([1.0, 2.0, 4.0]))
    0.7857142857142857
    """
    wanted = _on_host(targets).astype(np.float64)
    spread = float(np.sum((wanted - wanted.mean(axis=0)) ** 2))
    error = float(np.sum((_on_host(_aligned(outputs, targets)) - wanted) ** 2))
    return 1.0 - error / spread if spread else math.nan


METRICS: Mapping[str, Metric] = {"accuracy": accuracy, "r2": r2, "rmse": rmse}
LARGER_IS_BETTER = frozenset({"accuracy", "r2"})


def default_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Softmax cross-entropy (nats) for class numbers, mean squared error for float targets."""
    if targets.dtype.kind in "iu":
        loss: Tensor = F.cross_entropy(outputs, targets)
    else:
        loss = F.mse_loss(_aligned(outputs, targets), targets)
    return loss


def as_metrics(metrics: Any, targets: Tensor) -> dict[str, Metric]:
    """Metrics by name: from a mapping, from names, or those that fit the targets for None.

    Raises:
        OptionError: an unknown name, or something that cannot be called.
    """
    if metrics is None:
        metrics = ["accuracy"] if targets.dtype.kind in "iu" else ["r2", "rmse"]
    if not isinstance(metrics, Mapping):
        unknown = [repr(name) for name in metrics if name not in METRICS]
        if unknown:
            raise OptionError(
                f"metrics: unknown name {', '.join(unknown)}\n"
                f"  help: choose from {', '.join(METRICS)}, or pass {{name: function}}"
            )
        metrics = {name: METRICS[name] for name in metrics}
    for name, metric in metrics.items():
        if not callable(metric):
            raise OptionError(
                f"metrics[{name!r}]: a function of (outputs, targets) is expected, not "
                f"{type(metric).__name__}"
            )
    return dict(metrics)


def _on_host(t: Tensor) -> np.ndarray[Any, Any]:
    return t.detach().numpy()


def _aligned(outputs: Tensor, targets: Tensor) -> Tensor:
    """Outputs (rows, 1) as (rows,), where the targets are that."""
    if outputs.shape == (*targets.shape, 1):
        flat: Tensor = outputs.reshape(targets.shape)
        return flat
    if outputs.shape != targets.shape:
        raise ShapeError(
            "outputs and targets differ in shape\n"
            f"  outputs: {describe(outputs)}\n  targets: {describe(targets)}"
        )
    return outputs
