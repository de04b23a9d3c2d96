"""Preparation: how raw rows become a model's inputs, saved beside the model and applied again.

A preparation is fitted on the training split and used for every other row afterwards, so that
nothing of the held-out rows enters the training. It is plain numbers and text: `to_dict` gives
what JSON can hold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpugrad.data.columns import Table
from gpugrad.data.rows import quoted, ragged, read_records
from gpugrad.errors import DataError, StateError

Rows = Table | NDArray[Any]


class Preparation(ABC):
    """Turns raw rows into model inputs and targets, and predictions back.

    Attributes:
        classes: the names of the classes in the order of their numbers; empty for regression.
        feature_names: a name for each input of the model.
        image_shape: (height, width) where the inputs are pixels, else None.
    """

    kind: ClassVar[str]
    classes: tuple[str, ...]
    feature_names: tuple[str, ...]
    image_shape: tuple[int, int] | None

    @property
    def task(self) -> str:
        """`"classification"` or `"regression"`."""
        return "classification" if self.classes else "regression"

    @abstractmethod
    def fit(self, rows: Rows, targets: NDArray[Any]) -> Preparation:
        """The same preparation with the statistics of these rows."""

    @abstractmethod
    def transform(self, rows: Any) -> NDArray[np.float32]:
        """Raw rows as (rows, inputs) float32; DataError names what does not fit."""

    @abstractmethod
    def read(self, path: str | Path) -> NDArray[np.float32]:
        """The rows of a table file as (rows, inputs) float32; other columns are ignored."""

    def transform_targets(self, targets: NDArray[Any]) -> NDArray[Any]:
        """Raw targets as the model learns them: class numbers as int64."""
        return np.asarray(targets, dtype=np.int64)

    def restore_targets(self, values: Any) -> NDArray[np.float64]:
        """Predicted targets in the units of the raw ones."""
        return np.asarray(values, dtype=np.float64)

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Everything, as dicts, lists, numbers and strings."""

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Preparation:
        """The preparation that `to_dict` described.

        >>> squares = ScaledPreparation(("a", "b"), divisor=16.0, classes=("no", "yes"))
        >>> Preparation.from_dict(squares.to_dict()) == squares
        True

        Raises:
            StateError: the kind is unknown, or a key is missing or extra.
        """
        from gpugrad.data.table_preparation import TablePreparation

        kinds: dict[Any, Any] = {c.kind: c for c in (ScaledPreparation, TablePreparation)}
        kind = state.get("kind")
        if kind not in kinds:
            raise StateError(
                f"Preparation.from_dict: unknown kind {kind!r}\n  kinds: {quoted(list(kinds))}"
            )
        try:
            restored: Preparation = kinds[kind]._restore(state)
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(
                f"Preparation.from_dict: the state of kind {kind!r} does not fit\n"
                f"  found: {quoted(sorted(state))}\n  problem: {error!r}"
            ) from None
        return restored


@dataclass(frozen=True)
class ScaledPreparation(Preparation):
    """Numbers divided by a constant: pixels into 0 to 1. Nothing is learned from the rows.

    >>> pixels = ScaledPreparation(("left", "right"), divisor=16.0, classes=("dark", "bright"))
    >>> pixels.transform([[0, 16], [8, 4]]).tolist()
    [[0.0, 1.0], [0.5, 0.25]]
    """

    kind: ClassVar[str] = "scaled"
    feature_names: tuple[str, ...] = field(repr=False)
    divisor: float
    classes: tuple[str, ...]
    image_shape: tuple[int, int] | None = None

    def fit(self, rows: Rows, targets: NDArray[Any]) -> ScaledPreparation:
        return self

    def transform(self, rows: Any) -> NDArray[np.float32]:
        rows = np.asarray(rows)
        flat = rows.reshape(len(rows), -1) if rows.ndim else rows
        if flat.ndim != 2 or flat.shape[1] != len(self.feature_names):
            raise DataError(
                f"transform(rows): rows of {len(self.feature_names)} numbers are expected, not "
                f"an array of shape {rows.shape}"
            )
        if flat.dtype.kind not in "buif":
            raise DataError(f"transform(rows): numbers are expected, not {flat.dtype}")
        # Division, not a product with 1/255, so that the brightest pixel is exactly 1.
        scaled: NDArray[np.float32] = np.divide(
            flat, self.divisor, dtype=np.float32, casting="same_kind"
        )
        return scaled

    def read(self, path: str | Path) -> NDArray[np.float32]:
        width = len(self.feature_names)
        records = list(read_records(path))
        if not records:
            raise DataError(f"{path}: the file is empty\n  help: {width} numbers a line belong")
        positions = list(range(width))
        expected = width
        header = records[0][1]
        if set(self.feature_names) <= set(header):
            positions = [header.index(name) for name in self.feature_names]
            expected = len(header)
            records = records[1:]
        if not records:
            raise DataError(f"{path}: there is a header but no rows under it")
        rows = np.empty((len(records), width), dtype=np.float64)
        for i, (line, cells) in enumerate(records):
            if len(cells) != expected:
                raise ragged(str(path), line, len(cells), expected)
            try:
                rows[i] = [float(cells[p]) for p in positions]
            except ValueError as error:
                raise DataError(
                    f"{path}: line {line} holds text where numbers belong: {error}\n"
                    f"  help: give {width} numbers a line, under no header or under one with the "
                    f"names {quoted(self.feature_names, limit=3)}"
                ) from None
            if not np.isfinite(rows[i]).all():
                raise DataError(f"{path}: line {line} has a missing or infinite number")
        return self.transform(rows)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "feature_names": list(self.feature_names),
            "divisor": self.divisor,
            "classes": list(self.classes),
            "image_shape": None if self.image_shape is None else list(self.image_shape),
        }

    @classmethod
    def _restore(cls, state: Mapping[str, Any]) -> ScaledPreparation:
        fields = {key: value for key, value in state.items() if key != "kind"}
        for key in ("feature_names", "classes"):
            fields[key] = tuple(str(name) for name in fields[key])
        shape = fields["image_shape"]
        fields["image_shape"] = None if shape is None else (int(shape[0]), int(shape[1]))
        return cls(**fields)


def pixel_names(height: int, width: int) -> tuple[str, ...]:
    """Names for the pixels of an image, row by row.

    >>> pixel_names(2, 2)
    ('pixel_0_0', 'pixel_0_1', 'pixel_1_0', 'pixel_1_1')
    """
    return tuple(f"pixel_{row}_{column}" for row in range(height) for column in range(width))
