"""Reading a table file: lines of text in, rectangular rows of cells with their line numbers out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gpugrad.errors import DataError, FileError, OptionError

DELIMITERS = ",;\t|"
MISSING = frozenset({"", "na", "nan", "?"})
SHOWN = 8


@dataclass(frozen=True)
class RawTable:
    """The cells of a table file, as text, stripped of blanks around them.

    Attributes:
        path: the file, as it was given.
        names: the header, one name a column.
        rows: a list of cells for each row, all as long as `names`.
        lines: the number of the line at which each row begins, counting from 1.
    """

    path: str
    names: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        """The cells of one column; DataError lists the columns there are."""
        if name not in self.names:
            raise DataError(
                f"{self.path}: there is no column {name!r}\n"
                f"  columns: {quoted(self.names, limit=40)}\n"
                "  help: names must agree letter by letter, capitals included"
            )
        position = self.names.index(name)
        return [row[position] for row in self.rows]


def is_missing(cell: str) -> bool:
    """Whether a cell holds no value: empty, `NA`, `NaN` (in any case) or `?`.

    >>> [is_missing(cell) for cell in ("", "NA", "nan", "?", "0", "none")]
    [True, True, True, True, False, False]
    """
    return cell.casefold() in MISSING


def quoted(items: tuple[str, ...] | list[str], limit: int = SHOWN) -> str:
    """`'a', 'b' and 3 more`: the first few of many names.

    >>> quoted(["a", "b", "c"], limit=2)
    "'a', 'b' and 1 more"
    """
    return shortened([repr(item) for item in items], limit)


def shortened(items: list[str], limit: int = SHOWN) -> str:
    """The first `limit` items with commas between them, and how many were left out.

    >>> shortened(["3", "4", "9"], limit=2)
    '3, 4 and 1 more'
    """
    rest = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {rest} more" if rest > 0 else "")


def read_table(path: str | Path, delimiter: str | None = None) -> RawTable:
    """Read a table with a header row, gzipped if its name ends in `.gz`.

    Args:
        path: a text file in UTF-8. Blank lines are passed over; cells in double quotes may hold
            the delimiter and line breaks.
        delimiter: one character; None takes the one of comma, semicolon, tab and bar that the
            header holds most often.
    Raises:
        OptionError: the delimiter is not one character.
        FileError: the file is missing, unreadable, not gzip where it says so, or not UTF-8.
        DataError: the file is empty, has no rows under its header, a column without a name, two
            columns of one name, or a row with too few or too many cells.
    """
    records = read_records(path, delimiter)
    first = next(records, None)
    if first is None:
        raise DataError(f"{path}: the file is empty\n  help: the first line must name the columns")
    names = tuple(first[1])
    _check_header(str(path), names)
    rows: list[list[str]] = []
    lines: list[int] = []
    for line, cells in records:
        if len(cells) != len(names):
            raise ragged(str(path), line, len(cells), len(names))
        rows.append(cells)
        lines.append(line)
    if not rows:
        raise DataError(
            f"{path}: the table has a header but no rows\n  columns: {quoted(names, limit=40)}"
        )
    return RawTable(str(path), names, rows, lines)


def read_records(path: str | Path, delimiter: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """The records of a table file one by one: the line each begins at, and its cells."""
    import csv
    import gzip
    import zlib

    if delimiter is not None and len(delimiter) != 1:
        raise OptionError(f"{path}: delimiter={delimiter!r} must be one character")
    path = Path(path)
    try:
        opener: Callable[..., IO[str]] = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            if delimiter is None:
                delimiter = _most_frequent_delimiter(file.readline())
                file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True, skipinitialspace=True)
            begins = 1
            for cells in reader:
                if cells:
                    yield begins, [cell.strip() for cell in cells]
                begins = reader.line_num + 1
    except FileNotFoundError:
        raise FileError(
            f"{path}: there is no such file\n  looked in: {path.parent.resolve()}"
        ) from None
    except UnicodeDecodeError as error:
        raise FileError(
            f"{path}: this is not a text file in UTF-8 ({error.reason} at byte {error.start})\n"
            "  help: save the table as CSV in UTF-8"
        ) from None
    except csv.Error as error:
        raise FileError(f"{path}: line {begins} cannot be read as a table row: {error}") from None
    except (EOFError, zlib.error) as error:
        raise FileError(f"{path}: the gzip file is truncated or corrupt: {error}") from None
    except OSError as error:
        raise FileError(f"{path}: cannot read the file: {error.strerror or error}") from None


def ragged(path: str, line: int, found: int, expected: int) -> DataError:
    """The error for a row whose number of cells is not that of the header."""
    return DataError(
        f"{path}: line {line} has {found} cells where {expected} are expected\n"
        "  help: a cell that holds the delimiter must stand in double quotes"
    )


def _most_frequent_delimiter(header: str) -> str:
    return max(DELIMITERS, key=header.count)  # the comma where none occurs: max takes the first


def _check_header(path: str, names: tuple[str, ...]) -> None:
    unnamed = [str(position) for position, name in enumerate(names, 1) if not name]
    if unnamed:
        raise DataError(
            f"{path}: the header gives no name to column {shortened(unnamed)}\n"
            f"  header: {quoted(names, limit=40)}"
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(
            f"{path}: the header names a column twice: {quoted(repeated)}\n"
            f"  header: {quoted(names, limit=40)}"
        )
