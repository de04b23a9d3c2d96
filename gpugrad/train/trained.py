"""Trained: a run's model with the preparation that its inputs need; `gg.train.load` reads it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpugrad.data.preparation import Preparation
from gpugrad.data.rows import read_records
from gpugrad.data.table_preparation import TablePreparation
from gpugrad.device import Device
from gpugrad.errors import DataError, FileError, StateError
from gpugrad.making import asarray
from gpugrad.nn import Module
from gpugrad.nn.functional import softmax
from gpugrad.random import Generator
from gpugrad.saving import load as load_state
from gpugrad.train.build import build_model
from gpugrad.train.evaluation import predict
from gpugrad.train.folder import CONFIG, MODEL, read_config
from gpugrad.train.settings import Settings


@dataclass(frozen=True)
class Trained:
    """A trained model, and what turns raw rows into its inputs and its outputs into answers.

    Attributes:
        model: in evaluation mode.
        preparation: standardisation, categories and classes; see `gg.data.Preparation`.
        settings: how it was trained.
        folder: the run it comes from.
    """

    model: Module
    preparation: Preparation
    settings: Settings
    folder: Path

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes in the order of their numbers; empty for regression."""
        return self.preparation.classes

    def outputs(self, rows: Any) -> NDArray[Any]:
        """What the model gives for raw rows, (n, outputs).

        Args:
            rows: (n, inputs) numbers such as pixels; for a table, a mapping from the names of its
                columns to their values.
        Raises:
            DataError: the rows do not fit the preparation, or overflow the model.
        """
        return self._outputs(self.preparation.transform(rows))

    def probabilities(self, rows: Any) -> NDArray[Any]:
        """The probability of each class, (n, classes).

        Raises:
            StateError: the model is one of regression.
        """
        return self._probabilities(self.outputs(rows))

    def predict(self, rows: Any) -> NDArray[Any]:
        """For each row the name of the likeliest class, or the value in the units of the table."""
        return self._answers(self.outputs(rows))

    def predict_file(self, path: str | Path) -> str:
        """The rows of a table file with their predictions, as CSV text.

        The columns of the file come first (without pixels), then `prediction`, and for each class
        `probability of <class>`.

        Raises:
            FileError, DataError: the file cannot be read, or does not fit the preparation.
        """
        outputs = self._outputs(self.preparation.read(path))
        new: dict[str, list[str]] = {"prediction": [str(x) for x in self._answers(outputs)]}
        if self.classes:
            shares = self._probabilities(outputs).T
            for name, column in zip(self.classes, shares, strict=True):
                new[f"probability of {name}"] = [f"{share:.6g}" for share in column]
        table = {**self._given_columns(path), **new}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
        return text.getvalue()

    def _given_columns(self, path: str | Path) -> dict[str, list[str]]:
        """The columns of a file with a header, those of pixels left out."""
        (_, names), *records = read_records(path)
        inputs = self.preparation.feature_names
        if not isinstance(self.preparation, TablePreparation) and not set(inputs) <= set(names):
            return {}
        hidden = inputs if self.preparation.image_shape else ()
        return {
            name: [cells[position] for _, cells in records]
            for position, name in enumerate(names)
            if name not in hidden
        }

    def _outputs(self, inputs: NDArray[np.float32]) -> NDArray[Any]:
        tensor = asarray(inputs).to(self.settings.dtype)
        outputs: NDArray[Any] = (
            predict(self.model, tensor, device=self.settings.device).cpu().numpy()
        )
        strange = np.flatnonzero(~np.isfinite(outputs).all(axis=1)) + 1
        if len(strange):
            rows = ", ".join(map(str, strange[:8])) + (" ..." if len(strange) > 8 else "")
            raise DataError(
                f"predict: the model gives NaN or infinity for row {rows}\n"
                "  help: their numbers are far outside those that it was trained on; correct them"
            )
        return outputs

    def _probabilities(self, outputs: NDArray[Any]) -> NDArray[Any]:
        if not self.classes:
            raise StateError("probabilities: the model is one of regression\n  help: use predict()")
        # In float64, so that the probabilities of a row add up to 1 as they are printed.
        shares: NDArray[Any] = softmax(asarray(outputs.astype(np.float64)), 1).numpy()
        return shares

    def _answers(self, outputs: NDArray[Any]) -> NDArray[Any]:
        if self.classes:
            names: NDArray[Any] = np.array(self.classes, dtype=object)[outputs.argmax(axis=1)]
            return names
        return self.preparation.restore_targets(outputs[:, 0])


def load(run: str | Path, device: Device | str | None = None) -> Trained:
    """The model of a run of `gpugrad train`, with its preparation.

    Args:
        run: the folder of the run.
        device: where to compute; None: as the run's settings say.
    Raises:
        DeviceError: the device is absent; a run from a GPU is read elsewhere with device="cpu".
        FileError: there is no run, or it has no model yet, or a file is corrupt.
        StateError: the model file is of another network than the config says.
    """
    folder = Path(run)
    config = read_config(folder)
    settings = settings_of(config, device)
    preparation = Preparation.from_dict(config["preparation"])
    if not (folder / MODEL).exists():
        raise FileError(
            f"{folder}: the run has no model yet: it was stopped before its end\n"
            f"  help: go on with it: gpugrad train --resume {folder}"
        )
    outputs = len(preparation.classes) or 1
    model = build_model(settings, len(preparation.feature_names), outputs, Generator(0))
    state = load_state(folder / MODEL)
    if not isinstance(state, dict):
        raise FileError(f"{folder / MODEL}: the file holds no model\n  see also: {CONFIG}")
    model.load_state_dict(state)
    return Trained(model.eval(), preparation, settings, folder)


def settings_of(config: Mapping[str, Any], device: Device | str | None) -> Settings:
    """The settings in a run's config, with this device in place of their own if it is not None."""
    chosen = {} if device is None else {"device": str(device)}
    return Settings.from_dict({**config["settings"], **chosen})
