"""What the counts of a launch show that its author should know: findings, with their thresholds."""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpugrad.simulate.report.counts import BANKS, SECTOR, Counts, Figures, instruction_kind

Place = tuple[str, int]  # a file, and a line of it

# Between the 3 of one component of float32[n, 3] or less, which the other components' accesses find
# in the cache, and the 4 of a column of float64, where a lane still has a sector to itself.
UNCOALESCED = 3.5
LANES = 8  # of a warp, on average: a column of a halo or a tail has few lanes, and costs little
WASTED = 64  # sectors, 2 KiB: what three warps waste on a column of float32

# 32 addresses drawn at random conflict 3.5-way on average: from 4 on, the layout is to blame.
CONFLICT = 4

# How libdevice's float32 sin, cos and tan reduce an argument beyond 105,615; seldom executed.
REDUCTION = {"cvt.rn.f64.s64", "mul.f64", "mul.rn.f64", "cvt.rn.f32.f64"}


@dataclass(frozen=True)
class Finding:
    """Something to mend that no exception stopped at.

    Attributes:
        kind: "uncoalesced", "bank conflict", "float64", "same value".
        line: of the source; None if no line is known.
        text: a sentence with the figures and what to do.
        file: where the line stands.
    """

    kind: str
    line: int | None
    text: str
    file: str = ""

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line else "no source line"
        return (
            f"{Path(self.file).name + ', ' if self.file else ''}{place}: {self.kind}: {self.text}"
        )


def findings_of(
    counts: Counts, opcodes: Sequence[str], places: Sequence[Place | None], float32: bool
) -> list[Finding]:
    """All that counts and opcodes show; float64 is a finding in kernels meant to be `float32`."""
    found = [*uncoalesced(counts, opcodes, places), *bank_conflicts(counts, places)]
    return found + (float64(counts, opcodes, places) if float32 else [])


def uncoalesced(
    counts: Counts, opcodes: Sequence[str], places: Sequence[Place | None]
) -> list[Finding]:
    """Lines whose loads, stores or atomics of global memory touch many more sectors than needed.

    An access counts if it touches at least UNCOALESCED times the fewest sectors that could hold
    its different bytes, and as many times those that could hold the bytes its lanes asked for (a
    broadcast of a few elements asks for much and touches little), by LANES lanes of a warp or
    more. A line is reported if its accesses waste at least WASTED sectors.
    """
    found = []
    for verb, store in (("loads", False), ("stores", True)):
        pcs = [
            pc
            for pc, figures in enumerate(counts.at)
            if instruction_kind(opcodes[pc]).endswith("load") != store and _scattered(figures)
        ]
        for place, group in by_place(places, pcs).items():
            figures = counts.total(group)
            touched, fewest = _sectors(figures)
            if touched - fewest < WASTED:
                continue
            atomic = all(instruction_kind(opcodes[pc]) == "atomic" for pc in group)
            if figures.stride:
                cause = (
                    f"neighbouring threads are {abs(figures.stride):,} bytes apart; let "
                    "neighbouring threads take neighbouring elements (the last axis of an array "
                    "in C order), or pass through shared memory"
                )
            else:
                cause = (
                    "the threads' addresses have no common stride, as by an index from memory; "
                    "sort the indices if you can, or pass through shared memory"
                )
            text = (
                f"{'atomics' if atomic else verb} touch {touched:,} sectors of {SECTOR} bytes where"
                f" {fewest:,} could do, {touched / fewest:.1f} times as many: {cause}"
            )
            found.append(_at(place, "uncoalesced", text))
    return found


def _sectors(figures: Figures) -> tuple[int, int]:
    """Sectors touched and the fewest; an atomic counts in loads and stores the same."""
    if figures.load_sectors:
        return figures.load_sectors, figures.ideal_load_sectors
    return figures.store_sectors, figures.ideal_store_sectors


def _scattered(figures: Figures) -> bool:
    touched, fewest = _sectors(figures)
    asked = max(figures.loaded_bytes, figures.stored_bytes) / SECTOR
    enough = figures.accesses >= LANES * figures.requests > 0
    return enough and touched >= UNCOALESCED * max(fewest, asked)


def bank_conflicts(counts: Counts, places: Sequence[Place | None]) -> list[Finding]:
    """Lines whose accesses of shared memory take CONFLICT passes or more, on average."""
    pcs = [
        pc
        for pc, figures in enumerate(counts.at)
        if figures.bank_conflicts >= (CONFLICT - 1) * figures.shared_requests > 0
    ]
    found = []
    for place, group in by_place(places, pcs).items():
        figures = counts.total(group)
        mean = 1 + figures.bank_conflicts / figures.shared_requests
        often = "always" if mean == figures.ways else f"{mean:.1f} on average"
        text = (
            f"an access of shared memory takes up to {figures.ways} passes ({figures.ways}-way, "
            f"{often}), for its lanes want different words of one of the {BANKS} banks: let "
            "neighbouring threads take neighbouring words, or pad the rows by one element, as in "
            "shared.array((32, 33), float32)"
        )
        found.append(_at(place, "bank conflict", text))
    return found


def float64(
    counts: Counts, opcodes: Sequence[str], places: Sequence[Place | None]
) -> list[Finding]:
    """Lines that compute in float64, executed or not.

    Lines that only convert from or to float64 are reported if no line computes in it, except for
    `print`, which converts what it is given.
    """
    kinds = ("float64", "comparison", "conversion")
    pcs = [
        pc
        for pc, opcode in enumerate(opcodes)
        if "f64" in opcode.split(".") and instruction_kind(opcode) in kinds
    ]
    printed = by_place(places, [pc for pc, name in enumerate(opcodes) if name == "call.vprintf"])
    lines = {
        place: group
        for place, group in by_place(places, pcs).items()
        if not _reduces(place, {opcodes[pc] for pc in group}, counts.total(group))
        and not (place in printed and {opcodes[pc] for pc in group} == {"cvt.f64.f32"})
    }
    computing = {
        place: group
        for place, group in lines.items()
        if any(instruction_kind(opcodes[pc]) != "conversion" for pc in group)
    }
    found = []
    for place, group in (computing or lines).items():
        names = list(dict.fromkeys(opcodes[pc] for pc in group))
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        text = (
            f"float64 ({shown}), executed {counts.total(group).instructions:,} times, though no "
            "argument is float64: a literal such as 0.1, and integers with float32, make float64; "
            "write float32(0.1)"
        )
        found.append(_at(place, "float64", text))
    return found


def _reduces(place: Place | None, names: set[str], figures: Figures) -> bool:
    """Whether a line's float64 is libdevice's reduction of a trigonometric argument."""
    if "cvt.rn.f64.s64" not in names or not names <= REDUCTION:
        return False
    text = linecache.getline(*place) if place else ""
    return not figures.instructions or bool(re.search(r"sin|cos|tan", text))


def same_value(pairs: Iterable[tuple[int, int]], places: Sequence[Place | None]) -> list[Finding]:
    """Findings for pairs of instructions by which two threads stored the same value in a place."""
    found = {}
    for pc, other in pairs:
        place, other_place = _place(places[pc]), _place(places[other])
        if (other_place, place) in found:
            continue
        with_ = f" (and line {other_place[1]})" if other_place and other_place != place else ""
        text = (
            f"threads that nothing orders store the same value to one address here{with_}: the "
            "result is right, but let one of them store, for a change of the value makes it a race"
        )
        found[place, other_place] = _at(place, "same value", text)
    return list(found.values())


def by_place(places: Sequence[Place | None], pcs: Iterable[int]) -> dict[Place | None, list[int]]:
    """The instructions of each source line; line 0, which compilers use, is none."""
    groups: dict[Place | None, list[int]] = {}
    for pc in pcs:
        groups.setdefault(_place(places[pc]), []).append(pc)
    return groups


def _place(place: Place | None) -> Place | None:
    return place if place and place[1] > 0 else None


def _at(place: Place | None, kind: str, text: str) -> Finding:
    return Finding(kind, place[1] if place else None, text, place[0] if place else "")
