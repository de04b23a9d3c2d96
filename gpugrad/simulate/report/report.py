"""What a launch did, to read: figures for the kernel and for each source line, and findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gpugrad.errors import OptionError
from gpugrad.simulate.report.counts import Counts, Figures, instruction_kind
from gpugrad.simulate.report.findings import Finding, Place, findings_of
from gpugrad.simulate.report.lines import Lines, kernel_lines, source_lines


@dataclass(eq=False, repr=False)
class Report:
    """What a launch did. Reports of the same kernel can be added: `report + report`.

    Nothing is worked out before it is asked for, so that a launch whose report nobody reads does
    not pay for it.

    Args:
        kernel: its name.
        grid, block: as launched.
        cc: the compute capability.
        counts: of each instruction.
        opcodes: of each instruction, such as "ld.global.f32".
        places: the file and line that each instruction comes from, None where there is none.
        given: findings that others made, such as `findings.same_value`.
        float32: the kernel is meant to compute in float32, for no argument is float64; any
            float64 arithmetic is then a finding.
        source: the file and the first line of the kernel, which is shown whole; by default it is
            shown from its first to its last instruction's line.
        launches: how many launches the counts sum up.
    """

    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    cc: tuple[int, int]
    counts: Counts
    opcodes: Sequence[str]
    places: Sequence[Place | None]
    given: Sequence[Finding] = ()
    float32: bool = False
    source: Place | None = None
    launches: int = 1

    @cached_property
    def total(self) -> Figures:
        """The figures of the whole kernel; the properties below are out of these."""
        return self.counts.total()

    @property
    def loaded_bytes(self) -> int:
        return self.total.loaded_bytes

    @property
    def stored_bytes(self) -> int:
        return self.total.stored_bytes

    @property
    def load_sectors(self) -> int:
        return self.total.load_sectors

    @property
    def store_sectors(self) -> int:
        return self.total.store_sectors

    @property
    def ideal_load_sectors(self) -> int:
        return self.total.ideal_load_sectors

    @property
    def ideal_store_sectors(self) -> int:
        return self.total.ideal_store_sectors

    @property
    def bank_conflicts(self) -> int:
        return self.total.bank_conflicts

    @property
    def atomic_collisions(self) -> int:
        return self.total.atomic_collisions

    @property
    def idle_lanes(self) -> int:
        return self.total.idle_lanes

    @cached_property
    def instructions(self) -> dict[str, int]:
        """Executions by kind, one for each thread, the most frequent first; "total" is last."""
        kinds: Counter[str] = Counter()
        for opcode, figures in zip(self.opcodes, self.counts.at, strict=True):
            kinds[instruction_kind(opcode)] += figures.instructions
        counted = {kind: count for kind, count in kinds.most_common() if count}
        return counted | {"total": self.total.instructions}

    @cached_property
    def findings(self) -> list[Finding]:
        """Those given and those that the counts show, by line, the kernel's own file first."""
        main, _ = kernel_lines(self.places, self.source)
        found = findings_of(self.counts, self.opcodes, self.places, self.float32)
        return sorted(
            {*self.given, *found},  # launches that were added have been given the same ones
            key=lambda x: (x.file not in ("", main), x.file, x.line or 0, x.kind, x.text),
        )

    def lines(self) -> Lines:
        """The kernel's source lines, and those of others that it has instructions of."""
        return source_lines(self.counts, self.places, self.findings, self.source)

    def html(self) -> str:
        """A page of its own with the figures, the findings and the annotated source."""
        from gpugrad.simulate.report.page import page

        return page(self)

    def write_html(self, path: str | Path) -> None:
        """Write that page to a file, whole or not at all.

        Raises:
            FileError: the file cannot be written.
        """
        from gpugrad.simulate.report.page import write

        write(path, self.html())

    def title(self) -> str:
        """The kernel and its launch in a line."""
        times = f", {self.launches} launches" if self.launches > 1 else ""
        return (
            f"{self.kernel}: grid {_size(self.grid)}, block {_size(self.block)}, "
            f"compute capability {self.cc[0]}.{self.cc[1]}{times}"
        )

    def summary(self) -> list[tuple[str, str]]:
        """A name and its figures in words, for each thing counted."""
        kinds = ", ".join(f"{k} {n:,}" for k, n in self.instructions.items() if k != "total")
        total = self.total.instructions
        idle = self.idle_lanes / max(1, self.idle_lanes + total)
        return [
            ("instructions", f"{total:,}" + (f": {kinds}" if kinds else "")),
            ("idle lanes", f"{self.idle_lanes:,}, {idle:.1%} of the lanes of the warps at work"),
            ("loaded", _traffic(self.loaded_bytes, self.load_sectors, self.ideal_load_sectors)),
            ("stored", _traffic(self.stored_bytes, self.store_sectors, self.ideal_store_sectors)),
            ("bank conflicts", f"{self.bank_conflicts:,}"),
            ("atomic collisions", f"{self.atomic_collisions:,}"),
        ]

    def __str__(self) -> str:
        rows = [f"  {name:<19}{text}" for name, text in self.summary()]
        found = [f"  {finding}" for finding in self.findings]
        return "\n".join([self.title(), *rows, *(["findings"] if found else []), *found])

    def __repr__(self) -> str:
        return f"<Report of {self.title()}; findings: {len(self.findings)}>"

    def __add__(self, other: object) -> Report:
        if not isinstance(other, Report):
            return NotImplemented
        for name in ("kernel", "opcodes", "places", "cc"):
            if getattr(self, name) != getattr(other, name):
                raise OptionError(
                    f"reports of {self.kernel} and {other.kernel} differ in their {name}: only "
                    "launches of one compiled kernel can be added\n"
                    "  help: add up the reports of each kernel by themselves"
                )
        return Report(
            self.kernel,
            self.grid,
            self.block,
            self.cc,
            self.counts + other.counts,
            self.opcodes,
            self.places,
            [*self.given, *other.given],
            self.float32 and other.float32,
            self.source,
            self.launches + other.launches,
        )


def _size(size: tuple[int, ...]) -> str:
    """A grid or block, without the axes of one at its end.

    >>> _size((16, 8, 1))
    '16 x 8'
    """
    axes = [*size]
    while len(axes) > 1 and axes[-1] == 1:
        axes.pop()
    return " x ".join(map(str, axes))


def _traffic(nbytes: int, sectors: int, fewest: int) -> str:
    """Bytes and sectors in words.

    >>> _traffic(128, 32, 4)
    '128 bytes in 32 sectors of 32 bytes where 4 could do, 8.0 times as many'
    """
    text = f"{nbytes:,} bytes"
    if sectors:
        text += f" in {sectors:,} sectors of 32 bytes"
    if sectors > fewest:
        text += f" where {fewest:,} could do, {sectors / fewest:.1f} times as many"
    return text
