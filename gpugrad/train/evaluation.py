"""predict and evaluate: a model's outputs in batches, and the numbers that judge them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gpugrad.data.loader import DataLoader
from gpugrad.device import Device, as_device
from gpugrad.errors import DataError
from gpugrad.making import asarray
from gpugrad.mode import no_grad
from gpugrad.nn import Module
from gpugrad.ops import concat
from gpugrad.tensor import Tensor
from gpugrad.train.metrics import Loss, as_metrics, default_loss

BATCH = 4096


def predict(
    model: Module, inputs: Any, batch_size: int = BATCH, device: Device | str | None = None
) -> Tensor:
    """The model's outputs for all inputs, in evaluation mode and without recording.

    Args:
        inputs: (rows, ...) tensor or array.
        device: where to compute: the model moves there, and stays; None: where the model is.
    Returns: (rows, ...) what the model gives, a constant, on that device.
    Raises:
        DataError: there are no rows.

    >>> import gpugrad as gg
    >>> gg.train.predict(gg.nn.Linear(2, 3), gg.zeros((5, 2))).shape
    (5, 3)
    """
    place = settled(model, device)
    loader = DataLoader((asarray(inputs),), batch_size=batch_size, device=place)
    with evaluating(model), no_grad():
        outputs = [model(x) for (x,) in loader]
    whole: Tensor = outputs[0] if len(outputs) == 1 else concat(outputs)
    return whole.detach()


def evaluate(
    model: Module,
    data: Any,
    *,
    loss: Loss | None = None,
    metrics: Any = None,
    batch_size: int = BATCH,
    device: Device | str | None = None,
) -> dict[str, float]:
    """The loss and the metrics of a model on a data set, in evaluation mode.

    Args:
        data: a Dataset, TensorDataset, DataLoader, or a tuple (inputs, targets).
        loss: a function of (outputs, targets), both whole; None takes cross-entropy for class
            numbers and the mean squared error for floats.
        metrics: functions of (outputs, targets) by name, or names from "accuracy", "r2", "rmse";
            None takes accuracy for class numbers, the others for floats.
        device: as for `predict`; the functions are given tensors on it.
    Raises:
        DataError: the data set is empty, or is not inputs and targets.
        OptionError: an unknown metric.

    >>> import gpugrad as gg
    >>> digits = gg.data.load_digits()
    >>> sorted(gg.train.evaluate(gg.nn.Linear(64, 10), digits))
    ['accuracy', 'loss']
    """
    inputs, targets = pair(data)
    functions = as_metrics(metrics, targets)
    outputs = predict(model, inputs, batch_size, device)
    targets = targets.to(outputs.device)
    with no_grad():
        results = {"loss": float((loss or default_loss)(outputs, targets))}
        return results | {
            name: float(metric(outputs, targets)) for name, metric in functions.items()
        }


def pair(data: Any) -> tuple[Tensor, Tensor]:
    """The inputs and the targets of a data set.

    Raises:
        DataError: it is empty, or it does not consist of two parts.
    """
    dataset = (data if isinstance(data, DataLoader) else DataLoader(data)).dataset
    if len(dataset.tensors) != 2:
        raise DataError(
            f"expected inputs and targets, two tensors, not {len(dataset.tensors)}\n"
            f"  data: {dataset!r}"
        )
    return dataset.tensors[0], dataset.tensors[1]


def settled(model: Module, device: Device | str | None) -> Device | None:
    """Where a model is, once it has been moved to `device` if one is named; None: anywhere.

    Raises:
        DeviceError: no such device here.
    """
    if device is not None:
        model.to(as_device(device))
        return as_device(device)
    held = [*model.parameters(), *model.buffers()]
    return held[0].device if held else None


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Within the block, the model is in evaluation mode; then each module is as it was."""
    before: Mapping[Module, bool] = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training
