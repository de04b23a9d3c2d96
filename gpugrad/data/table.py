"""load_csv: any table as a Dataset, with a schema that is decided by written rules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpugrad.data.columns import Table, is_number, missing_cells, parse_numbers, parse_texts
from gpugrad.data.labelled import Dataset
from gpugrad.data.rows import RawTable, is_missing, quoted, read_table
from gpugrad.data.table_preparation import Category, Number, TablePreparation, refuse_missing
from gpugrad.errors import DataError, OptionError

TASKS = ("classification", "regression")
MISSING_RULES = ("error", "impute")
FEW_CLASSES = 20
MANY_CATEGORIES = 50


def load_csv(
    path: str | Path,
    target: str,
    *,
    task: str | None = None,
    categorical: Sequence[str] = (),
    drop: Sequence[str] = (),
    missing: str = "error",
    delimiter: str | None = None,
) -> Dataset:
    """Load a table with a header row: one column is the target, the others are the inputs.

    A column is numeric if at least half of its filled cells are numbers; a cell of text in it is
    then a mistake, and an error. Any other column, and those named in `categorical`, become one
    input for each category. A cell that is empty, `NA`, `NaN` or `?` is missing.

    The result is prepared with statistics of all its rows; `split` fits them anew on the
    training part alone.

    Args:
        path: a CSV file in UTF-8, gzipped if its name ends in `.gz`.
        target: the name of the column to predict.
        task: `"classification"` or `"regression"`; None takes classification where the target
            is text, or whole numbers with at most 20 different values and at least two rows for
            each on average, and else regression.
        categorical: columns to treat as categories even where they hold numbers.
        drop: columns to leave out.
        missing: `"error"` refuses missing values by column and line; `"impute"` puts the training
            split's median, or its most frequent category, in their place. A missing target is
            always an error.
        delimiter: one character; None takes the commonest of `, ; tab |` in the header.
    Raises:
        FileError: the file is missing or is not text in UTF-8.
        DataError: what the table holds cannot be used; names the column, the lines, the cells.
        OptionError: an unknown task or rule.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "fruit.csv")
    ...     text = "grams,colour,fruit\\n150,red,apple\\n120,yellow,banana\\n170,green,apple\\n"
    ...     _ = file.write_text(text)
    ...     fruit = load_csv(file, target="fruit")
    >>> fruit.feature_names, fruit.classes, fruit.labels.tolist()
    (('grams', 'colour=green', 'colour=red', 'colour=yellow'), ('apple', 'banana'), [0, 1, 0])
    """
    if task not in (None, *TASKS):
        raise OptionError(f"load_csv: task={task!r} is none of {quoted(TASKS)}")
    if missing not in MISSING_RULES:
        raise OptionError(f"load_csv: missing={missing!r} is none of {quoted(MISSING_RULES)}")
    raw = read_table(path, delimiter)
    for name in (target, *categorical, *drop):
        raw.column(name)
    names = [name for name in raw.names if name != target and name not in drop]
    if not names:
        raise DataError(f"{path}: there is no input column beside the target {target!r}")

    targets, classes = _read_target(raw, target, task)
    columns = {name: _read_column(raw, name, name in categorical) for name in names}
    schema = tuple(_column_schema(raw, name, values) for name, values in columns.items())
    table = Table(columns, raw.path, np.array(raw.lines))
    if missing == "error":
        refuse_missing(table, schema)
    preparation = TablePreparation(schema, target, classes, impute=missing == "impute")
    return Dataset(Path(path).name, table, targets, preparation.fit(table, targets))


def _read_column(raw: RawTable, name: str, categorical: bool) -> NDArray[Any]:
    if categorical or not _is_numeric(raw.column(name)):
        return parse_texts(raw, name)
    help_ = f"correct these cells, or write categorical=[{name!r}] if the column holds categories"
    return parse_numbers(raw, name, help_)


def _is_numeric(cells: list[str]) -> bool:
    """The rule for a column's kind: at least half of the filled cells are numbers."""
    filled = [cell for cell in cells if not is_missing(cell)]
    return 2 * sum(map(is_number, filled)) >= len(filled)


def _column_schema(raw: RawTable, name: str, values: NDArray[Any]) -> Number | Category:
    present = values[~missing_cells(values)]
    if not len(present):
        raise DataError(
            f"{raw.path}: column {name!r} has no value in any row\n"
            f"  help: leave it out with drop=[{name!r}]"
        )
    if present.dtype != object:
        return Number(name)
    categories = tuple(np.unique(present.astype(str)).tolist())
    if len(categories) > max(MANY_CATEGORIES, len(present) // 2):
        raise DataError(
            f"{raw.path}: column {name!r} holds {len(categories)} different texts in "
            f"{len(present)} rows: a name or a key, not a category\n"
            f"  first: {quoted(categories, limit=3)}\n"
            f"  help: leave it out with drop=[{name!r}]"
        )
    return Category(name, categories)


def _read_target(
    raw: RawTable, name: str, task: str | None
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Class numbers and class names; or values, and no classes."""
    cells = raw.column(name)
    gaps = np.array([is_missing(cell) for cell in cells])
    if gaps.any():
        places = Table({}, lines=np.array(raw.lines)).places(gaps)
        raise DataError(
            f"{raw.path}: the target column {name!r} has no value in {places}\n"
            "  help: a target is never imputed: fill these cells or delete the rows"
        )
    if task == "regression" or (task is None and _is_numeric(cells)):
        help_ = 'correct these cells, or write task="classification"'
        values = parse_numbers(raw, name, help_)
        distinct = len(np.unique(values))
        few_whole = bool((values == np.rint(values)).all()) and distinct <= min(
            FEW_CLASSES, len(values) // 2
        )
        if task == "regression" or not few_whole:
            if distinct == 1:
                raise _only_one(raw, name, cells[0], "value")
            return values, ()
    if all(map(is_number, cells)):
        numbers, codes = np.unique(np.array(cells, dtype=np.float64), return_inverse=True)
        classes = [f"{v:.0f}" if v == np.rint(v) else repr(v) for v in numbers.tolist()]
    else:
        texts, codes = np.unique(np.array(cells, dtype=str), return_inverse=True)
        classes = texts.tolist()
    if len(classes) == 1:
        raise _only_one(raw, name, classes[0], "class")
    if 2 * len(classes) > max(FEW_CLASSES, len(cells)):
        raise DataError(
            f"{raw.path}: the target column {name!r} holds {len(classes)} classes in {len(cells)} "
            'rows: too few examples of each\n  help: for numbers, write task="regression"'
        )
    return codes.astype(np.int64), tuple(classes)


def _only_one(raw: RawTable, name: str, value: str, kind: str) -> DataError:
    return DataError(
        f"{raw.path}: the target column {name!r} holds one {kind} only, {value!r}, in all "
        f"{len(raw.rows)} rows\n  help: there is nothing to learn; check the column's name"
    )
