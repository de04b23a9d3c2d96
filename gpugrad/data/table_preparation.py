"""TablePreparation: standardised numbers, one-hot categories and imputed cells of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpugrad.data.columns import Table, missing_cells, parse_numbers, parse_texts, table_from
from gpugrad.data.preparation import Preparation, Rows
from gpugrad.data.rows import quoted, read_table
from gpugrad.errors import DataError


@dataclass(frozen=True)
class Number:
    """A numeric column: (value - mean) / std, missing values replaced by `fill`."""

    name: str
    mean: float = 0.0
    std: float = 1.0
    fill: float | None = None


@dataclass(frozen=True)
class Category:
    """A column of text: one input for each category, 1 where it is this one and else 0."""

    name: str
    categories: tuple[str, ...]
    fill: str | None = None


@dataclass(frozen=True)
class TablePreparation(Preparation):
    """The columns of a table as model inputs.

    The schema (which columns, which categories, which classes) is that of the whole file; the
    statistics (mean, standard deviation, median, most frequent category) are those of the rows
    that `fit` was given: the training split.

    Attributes:
        columns: what becomes of each input column, in the order of the inputs.
        target: the name of the target column.
        impute: whether missing values are filled in; if not, they are refused.
        target_mean, target_std: the targets of a regression are learned standardised.
    """

    kind: ClassVar[str] = "table"
    columns: tuple[Number | Category, ...]
    target: str
    classes: tuple[str, ...] = ()
    impute: bool = False
    target_mean: float = 0.0
    target_std: float = 1.0
    feature_names: tuple[str, ...] = field(init=False, repr=False)
    image_shape: None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        names: list[str] = []
        for column in self.columns:
            if isinstance(column, Number):
                names.append(column.name)
            else:
                names.extend(f"{column.name}={category}" for category in column.categories)
        object.__setattr__(self, "feature_names", tuple(names))

    def fit(self, rows: Rows, targets: NDArray[Any]) -> TablePreparation:
        table = _checked(rows)
        columns = tuple(_fitted(column, table, self.impute) for column in self.columns)
        if self.classes:
            return replace(self, columns=columns)
        mean, std = _mean_and_std(np.asarray(targets, dtype=np.float64), self.target)
        return replace(self, columns=columns, target_mean=mean, target_std=std)

    def transform(self, rows: Any) -> NDArray[np.float32]:
        """A table, or a mapping from column names to values, as (rows, inputs) float32.

        Raises:
            DataError: a column is missing, a value is missing and not imputed, a category was
                not in the table that the preparation was made from.
        """
        if isinstance(rows, Mapping):
            used = {c.name for c in self.columns}
            numeric = {c.name for c in self.columns if isinstance(c, Number)}
            rows = table_from({name: rows[name] for name in rows if name in used}, numeric)
        table = _checked(rows)
        refuse_missing(table, self.columns)
        inputs = np.empty((len(table), len(self.feature_names)), dtype=np.float32)
        start = 0
        for column in self.columns:
            if isinstance(column, Number):
                values = _filled(table[column.name], column.fill)
                inputs[:, start] = (values - column.mean) / column.std
                start += 1
            else:
                stop = start + len(column.categories)
                inputs[:, start:stop] = _one_hot(column, table)
                start = stop
        return inputs

    def read(self, path: str | Path) -> NDArray[np.float32]:
        raw = read_table(path)
        columns = {
            column.name: parse_numbers(raw, column.name)
            if isinstance(column, Number)
            else parse_texts(raw, column.name)
            for column in self.columns
        }
        return self.transform(Table(columns, raw.path, np.array(raw.lines)))

    def transform_targets(self, targets: NDArray[Any]) -> NDArray[Any]:
        """Class numbers as int64, or standardised values as float32."""
        if self.classes:
            return super().transform_targets(targets)
        return ((targets - self.target_mean) / self.target_std).astype(np.float32)

    def restore_targets(self, values: Any) -> NDArray[np.float64]:
        return np.asarray(values, dtype=np.float64) * self.target_std + self.target_mean

    def to_dict(self) -> dict[str, Any]:
        state = {"kind": self.kind, **asdict(self)}
        del state["feature_names"], state["image_shape"]  # these follow from the columns
        state["columns"] = [
            {**column, "categories": list(column["categories"])}
            if "categories" in column
            else column
            for column in state["columns"]
        ]
        state["classes"] = list(self.classes)
        return state

    @classmethod
    def _restore(cls, state: Mapping[str, Any]) -> TablePreparation:
        fields = {key: value for key, value in state.items() if key != "kind"}
        fields["classes"] = tuple(fields["classes"])
        fields["columns"] = tuple(
            Category(**{**column, "categories": tuple(column["categories"])})
            if "categories" in column
            else Number(**column)
            for column in fields["columns"]
        )
        return cls(**fields)


def _checked(rows: Any) -> Table:
    if isinstance(rows, Table):
        return rows
    raise DataError(
        "transform(rows): a mapping from column names to values is expected, not "
        f"{type(rows).__name__}\n  help: Preparation.read(path) takes a file"
    )


def _fitted(column: Number | Category, table: Table, impute: bool) -> Number | Category:
    values = table[column.name]
    present = values[~missing_cells(values)]
    if not len(present):
        raise DataError(
            f"{table.source}: column {column.name!r} has no value in the training split\n"
            f"  help: leave it out with drop=[{column.name!r}]"
        )
    if isinstance(column, Category):
        texts, counts = np.unique(present.astype(str), return_counts=True)
        return replace(column, fill=str(texts[counts.argmax()]) if impute else None)
    fill = float(np.median(present)) if impute else None
    mean, std = _mean_and_std(_filled(values, fill), column.name)
    return replace(column, mean=mean, std=std, fill=fill)


def _mean_and_std(values: NDArray[Any], name: str) -> tuple[float, float]:
    """Mean and population standard deviation; a constant gives itself and 1, and so becomes 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        std = float(values.std())
    if not math.isfinite(std):
        raise DataError(
            f"column {name!r} holds numbers whose squares overflow, up to {abs(values).max():g}\n"
            "  help: correct them, or give the column in a larger unit"
        )
    if std == 0.0 or values.min() == values.max():  # std of ten times 0.1 is not quite 0
        return float(values[0]), 1.0
    return float(values.mean()), std


def _filled(values: NDArray[Any], fill: float | None) -> NDArray[Any]:
    return values if fill is None else np.where(np.isnan(values), fill, values)


def _one_hot(column: Category, table: Table) -> NDArray[np.bool_]:
    texts = table[column.name].astype(str)
    if column.fill is not None:
        texts = np.where(texts == "", column.fill, texts)
    known = np.array(column.categories, dtype=str)  # sorted, as np.unique gave them
    places = np.minimum(np.searchsorted(known, texts), len(known) - 1)
    unknown = known[places] != texts
    if unknown.any():
        found = [str(text) for text in np.unique(texts[unknown])]
        raise DataError(
            f"{table.source}: column {column.name!r} holds a category that the model does not "
            f"know: {quoted(found)} ({table.places(unknown)})\n"
            f"  known: {quoted(column.categories, limit=20)}\n"
            "  help: correct these cells, or train on a table that has these categories"
        )
    return np.asarray(places[:, None] == np.arange(len(known)))


def refuse_missing(table: Table, columns: tuple[Number | Category, ...]) -> None:
    gaps = []
    for column in columns:
        missing = missing_cells(table[column.name])
        if column.fill is None and missing.any():
            gaps.append(f"  column {column.name!r}: {table.places(missing)}")
    if gaps:
        raise DataError(
            f"{table.source}: values are missing\n" + "\n".join(gaps) + "\n"
            "  help: fill these cells, or train with missing values imputed: "
            'load_csv(..., missing="impute")'
        )
