"""What `fit` reads: the loader of the training part, and the validation part, if there is one."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpugrad.data.labelled import held_out_mask
from gpugrad.data.loader import DataLoader
from gpugrad.device import Device
from gpugrad.errors import OptionError
from gpugrad.random import Generator
from gpugrad.tensor import Tensor
from gpugrad.train.evaluation import pair


def batches(
    data: Any, validation: Any, batch_size: int, generator: Generator, device: Device | None
) -> tuple[DataLoader, Any]:
    """The loader of the training part, and the validation part or None, both on the device."""
    inputs, targets = pair(data)
    if isinstance(validation, float):
        if isinstance(data, DataLoader):
            raise OptionError(
                f"fit(validation={validation}): a DataLoader cannot be split\n"
                "  help: pass the data set itself, or a data set as validation"
            )
        if not 0 < validation < 1:
            raise OptionError(f"fit(validation={validation}): the share must lie between 0 and 1")
        inputs, targets, validation = _split(inputs, targets, validation, generator.seed)
    place = device or inputs.device
    if validation is not None:
        validation = tuple(part.to(place) for part in pair(validation))
    if isinstance(data, DataLoader):
        return data, validation
    moved = (inputs.to(place), targets.to(place))  # now, since validating reads them whole
    return DataLoader(moved, batch_size, shuffle=True, generator=generator), validation


def _split(
    inputs: Tensor, targets: Tensor, share: float, seed: int
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Hold back a share of the rows; of each class alike, where targets are class numbers."""
    labels = targets.numpy()
    groups = labels if labels.dtype.kind in "iu" and labels.min() >= 0 else np.zeros(len(labels))
    order = Generator(seed).permutation(len(labels))
    held = held_out_mask(groups.astype(np.int64), share, order)
    if not held.any() or held.all():
        raise OptionError(
            f"fit(validation={share}): this share of {len(labels)} rows leaves one part empty"
        )
    first, second = np.flatnonzero(~held), np.flatnonzero(held)
    return inputs[first], targets[first], (inputs[second], targets[second])
