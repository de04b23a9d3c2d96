"""The typed columns of a table: numbers as float64 with NaN for missing, categories as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpugrad.data.rows import RawTable, is_missing, quoted, shortened
from gpugrad.errors import DataError


@dataclass(frozen=True)
class Table:
    """Columns of equal length, each an array of numbers or of text, under their names.

    Attributes:
        columns: name to (rows,) array: float64, NaN where missing; or object holding str, empty
            where missing.
        source: the file it came from, or what else to call it in an error.
        lines: (rows,) int64, the line of the file at which each row begins; None without a file.
    """

    columns: dict[str, NDArray[Any]]
    source: str = "table"
    lines: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def take(self, index: NDArray[np.int64]) -> Table:
        """The rows at these positions, in this order."""
        lines = None if self.lines is None else self.lines[index]
        columns = {name: values[index] for name, values in self.columns.items()}
        return Table(columns, self.source, lines)

    def places(self, chosen: NDArray[np.bool_]) -> str:
        """Where the chosen rows stand: `lines 3, 7`, or `rows 1, 5` (from 0) without a file."""
        index = np.flatnonzero(chosen)
        numbers = index if self.lines is None else self.lines[index]
        word = "row" if self.lines is None else "line"
        return f"{word}{'s' * (len(numbers) > 1)} {shortened([str(n) for n in numbers])}"

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.columns:
            raise DataError(
                f"{self.source}: there is no column {name!r}\n"
                f"  columns: {quoted(list(self.columns), limit=40)}\n"
                "  help: names must agree letter by letter, capitals included"
            )
        return self.columns[name]


def table_from(columns: Mapping[str, Sequence[Any]], numeric: set[str]) -> Table:
    """A table from a mapping of names to sequences; the columns in `numeric` become numbers.

    Missing numbers are None or NaN, missing texts None or empty.
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"table: the columns differ in length\n  lengths: {lengths}")
    typed: dict[str, NDArray[Any]] = {}
    for name, values in columns.items():
        if name in numeric:
            try:
                typed[name] = np.asarray(values, dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"table: column {name!r} holds text where numbers belong: {error}"
                ) from None
        else:
            typed[name] = np.array(["" if v is None else str(v) for v in values], dtype=object)
    return Table(typed)


def parse_numbers(raw: RawTable, name: str, help_: str = "correct these cells") -> NDArray[Any]:
    """One column as (rows,) float64, NaN where the cell is missing.

    Raises:
        DataError: a cell holds text or an infinite number; names the column, lines and cells.
    """
    cells = ["nan" if is_missing(cell) else cell for cell in raw.column(name)]
    try:
        values = np.array(cells, dtype=np.float64)
    except ValueError:
        values = None
    if values is None or np.isinf(values).any():
        wrong = [
            f"  line {line}: {cell!r}"
            for line, cell in zip(raw.lines, cells, strict=True)
            if cell != "nan" and not is_number(cell)
        ]
        shown = "\n".join(wrong[:5] + ([f"  and {len(wrong) - 5} more"] if wrong[5:] else []))
        raise DataError(
            f"{raw.path}: column {name!r} holds text where numbers belong\n{shown}\n  help: {help_}"
        )
    return values


def parse_texts(raw: RawTable, name: str) -> NDArray[Any]:
    """One column as (rows,) object array of str, empty where the cell is missing."""
    cells = raw.column(name)
    texts = np.empty(len(cells), dtype=object)
    texts[:] = ["" if is_missing(cell) else cell for cell in cells]
    return texts


def is_number(cell: str) -> bool:
    """Whether a cell is a finite decimal number.

    >>> [is_number(cell) for cell in ("1", "-2.5e3", "inf", "1,5", "red")]
    [True, True, False, False, False]
    """
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def missing_cells(values: NDArray[Any]) -> NDArray[np.bool_]:
    """(rows,) bool: where a typed column has no value."""
    return np.asarray(values == "") if values.dtype == object else np.isnan(values)
