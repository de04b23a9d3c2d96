"""A kernel's source with what was counted on each line beside it."""

from __future__ import annotations

import inspect
import linecache
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from tokenize import TokenError

from gpugrad.simulate.report.counts import Counts, Figures
from gpugrad.simulate.report.findings import Finding, Place, by_place

# What stands beside the source: heading, attribute of Figures, and the explanation on the page.
COLUMNS = (
    ("instructions", "instructions", "instructions executed, one for each thread"),
    ("idle", "idle_lanes", "lanes of the executing warps that were elsewhere or had ended"),
    ("loaded", "loaded_bytes", "bytes of global memory that the threads loaded"),
    ("sectors", "load_sectors", "sectors of 32 bytes that the warps' loads touched"),
    ("fewest", "ideal_load_sectors", "the fewest sectors that could hold what was loaded"),
    ("stored", "stored_bytes", "bytes of global memory that the threads stored"),
    ("sectors", "store_sectors", "sectors of 32 bytes that the warps' stores touched"),
    ("fewest", "ideal_store_sectors", "the fewest sectors that could hold what was stored"),
    ("conflicts", "bank_conflicts", "extra passes over shared memory, by conflicts of banks"),
    ("collisions", "atomic_collisions", "atomics that met an address of another of their warp"),
)


@dataclass(frozen=True)
class Line:
    """A source line and what was counted there.

    Attributes:
        number: from 1; None stands for the instructions that no source line made.
        file: where the line stands.
        text: the line itself, empty if the file cannot be read.
        figures: the counts of its instructions together.
        findings: what was found there.
    """

    number: int | None
    file: str
    text: str
    figures: Figures
    findings: tuple[Finding, ...] = ()


class Lines(list[Line]):
    """Source lines in order; as a string, the source beside its figures, with `!` at findings."""

    def columns(self) -> list[tuple[str, str, str]]:
        """Those of COLUMNS that are not zero on every line."""
        return [column for column in COLUMNS if any(getattr(x.figures, column[1]) for x in self)]

    def __str__(self) -> str:
        columns = self.columns()
        table = [["", "line", *(heading for heading, _, _ in columns)]]
        for line in self:
            values = (getattr(line.figures, name) for _, name, _ in columns)
            marks = ["!" if line.findings else "", f"{line.number or ''}"]
            table.append(marks + [f"{value:,}" if value else "" for value in values])
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        cells = ["  ".join(map(str.rjust, row, widths)) for row in table]
        written = [f"{cells[0]}  | source"]
        file = self[0].file if self else ""
        for line, figures in zip(self, cells[1:], strict=True):
            if line.file != file:
                file = line.file
                written.append(f"in {file}:")
            written.append(f"{figures}  | {line.text}".rstrip())
        return "\n".join(written)


def source_lines(
    counts: Counts,
    places: Sequence[Place | None],
    findings: Sequence[Finding],
    source: Place | None,
) -> Lines:
    """The kernel's source lines, and those of others that it has instructions or findings of."""
    pcs = by_place(places, range(len(places)))
    linecache.checkcache()
    main, numbers = kernel_lines(places, source)
    notes: dict[Place, list[Finding]] = {}
    for finding in findings:
        if finding.line:
            notes.setdefault((finding.file or main, finding.line), []).append(finding)
    shown = {(main, number) for number in numbers} | set(notes)
    shown |= {place for place in pcs if place is not None}
    lines = Lines()
    for place in sorted(shown, key=lambda place: (place[0] != main, place)):
        file, number = place
        text = linecache.getline(file, number).rstrip() if file else ""
        figures = counts.total(pcs.get(place, []))
        lines.append(Line(number, file, text, figures, tuple(notes.get(place, ()))))
    rest = counts.total(pcs.get(None, []))
    if rest.instructions or not lines:
        lines.append(Line(None, main, "(from no source line)", rest))
    return lines


def kernel_lines(places: Sequence[Place | None], source: Place | None) -> tuple[str, range]:
    """The kernel's file, and its lines there.

    Args:
        source: the file and the kernel's first line. Without, or if the file cannot be read, the
            kernel's lines are those from its first to its last instruction's in the file that has
            most lines with instructions.
    """
    own = [place for place in by_place(places, range(len(places))) if place]
    if source is not None:
        file, first = source
        try:
            block = inspect.getblock(linecache.getlines(file)[first - 1 :])
        except (SyntaxError, TokenError):  # the file has changed since
            block = []
        if block:
            return file, range(first, first + len(block))
    elif own:
        file = Counter(place[0] for place in own).most_common(1)[0][0]
    else:
        return "", range(0)
    numbers = [place[1] for place in own if place[0] == file]
    return file, range(min(numbers, default=0), max(numbers, default=-1) + 1)
