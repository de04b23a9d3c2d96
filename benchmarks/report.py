"""The results as tables in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _cell(value: float, ratio: float | None) -> str:
    return number(value) + (f" ({ratio:.2f})" if ratio is not None else "")


def _grid(
    title: str,
    first: str,
    rows: Mapping[str, Mapping[str, float]],
    ratios: Mapping[str, Mapping[str, float]],
) -> Table:
    """A row a case and a column a library, a ratio to gpugrad beside each other library."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    body = []
    for case, row in rows.items():
        beside = {name: ratio for name, ratio in ratios[case].items() if name != "gpugrad"}
        cells = [_cell(row[n], beside.get(n)) if n in row else "-" for n in names]
        body.append([case, *cells])
    return Table(title, [first, *names], body)


def _medians(times: Mapping[str, Any]) -> dict[str, float]:
    return {name: time["median"] for name, time in times.items()}


def _machine(machine: Mapping[str, Any], libraries: Mapping[str, Any]) -> Table:
    rows = [[key.replace("_", " "), str(value)] for key, value in machine.items()]
    for name, about in libraries.items():
        detail = about.get("missing") or f"{about['version']}, threads: {about['threads']}"
        rows.append([name, detail])
    return Table("machine", ["", ""], rows)


def steps_table(steps: Mapping[str, Any]) -> Table:
    """A training step of each case by each library."""
    return _grid(
        "a training step: microseconds (times gpugrad's)",
        "MLP@batch",
        {case: _medians(row["microseconds"]) for case, row in steps.items()},
        {case: row["ratios"] for case, row in steps.items()},
    )


def tables(results: Mapping[str, Any]) -> Iterator[Table]:
    yield _machine(results["machine"], results["libraries"])
    if "steps" in results:
        yield steps_table(results["steps"])
    if "operations" in results:
        rows = {
            f"{kind}, {part}": row[part]["over_numpy"]
            for kind, row in results["operations"].items()
            for part in row
        }
        title = "an operation: microseconds above the same NumPy calls"
        yield _grid(title, "chain", rows, {row: {} for row in rows})
    if "memory" in results:
        memory = results["memory"]
        kibibytes = {
            case: {name: size / 1024 for name, size in row["bytes"].items()}
            for case, row in memory.items()
        }
        ratios = {case: row["ratios"] for case, row in memory.items()}
        title = "a step's memory: peak KiB above data, parameters and momentum (times gpugrad's)"
        yield _grid(title, "MLP@batch", kibibytes, ratios)
    for section, unit, title in (
        ("epoch", "seconds", "an epoch of {rows:,} x 784, {data} data: seconds (times gpugrad's)"),
        ("imports", "milliseconds", "import: milliseconds (times gpugrad's)"),
    ):
        if section in results:
            found = results[section]
            rows = {section: _medians(found[unit])}
            yield _grid(title.format_map(found), "", rows, {section: found["ratios"]})
    if results.get("targets"):
        rows_ = [
            [
                target["what"],
                f"{target['found']:.2f}",
                f"{'at most' if target['at_most'] else 'at least'} {target['limit']:g}",
                "yes" if target["met"] else "NO",
            ]
            for target in results["targets"]
        ]
        yield Table("targets", ["", "found", "wanted", "met"], rows_)


def plain(table: Table) -> str:
    """A table as text, its columns aligned."""
    widths = [max(map(len, column)) for column in zip(table.columns, *table.rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (table.columns, *table.rows)
    ]
    return "\n".join(["", table.title, *(line for line in lines if line)])


def markdown(table: Table) -> str:
    """A table as Markdown, its title above."""
    lines = [table.columns, ["---", *["---:"] * (len(table.columns) - 1)], *table.rows]
    return "\n".join(["", table.title, "", *(f"| {' | '.join(line)} |" for line in lines)])


def show(results: Mapping[str, Any]) -> None:
    """Print every table of the results."""
    show_tables(tables(results))


def show_tables(shown: Iterable[Table]) -> None:
    """Print tables, with rich where it is installed."""
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table as RichTable
    except ImportError:
        for table in shown:
            print(plain(table))
        return
    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width: do not wrap
        console = Console(width=160)
    for table in shown:
        headed = any(table.columns)
        rich_table = RichTable(box=box.SIMPLE, show_header=headed)
        for i, column in enumerate(table.columns):
            rich_table.add_column(column, justify="right" if i and headed else "left")
        for row in table.rows:
            rich_table.add_row(*row)
        console.print(table.title, style="bold", highlight=False)
        console.print(rich_table)
