"""What an access is, packed into integers, and the log of a home's accesses.

NumPy sorts and compares integers best. A *stamp* is (step of the launch, kind, log2 of the size,
pc). A *tag* is (block, place in the block padded to some bits, SPAN_BITS bits for `shadow`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
# STRONG reads are volatile or relaxed loads: with atomics they never race (PTX ISA, section 8).
READ, WRITE, ATOMIC, STRONG = 0, 1, 2, 3
AGAINST = {
    READ: (WRITE, ATOMIC),
    WRITE: (ATOMIC, READ, STRONG, WRITE),
    ATOMIC: (WRITE, READ),
    STRONG: (WRITE,),
}
PC_BITS, SIZE_SHIFT, KIND_SHIFT, STEP = 23, 23, 26, 1 << 28
SPAN_BITS = 3
PAIRS = 1 << 20  # pairs of accesses compared at a time
SCATTERED = 512  # instructions, of few lanes in all, after which they become one record
COMPACT = 1 << 22  # logged lanes of a home after which repeated accesses are dropped,
FEW = 1 << 12  # if its instructions are on average of so few lanes that they may well be repeated


def pc_of(stamp: Any) -> Any:
    """The instruction, of a stamp or of many."""
    return stamp & ((1 << PC_BITS) - 1)


def kind_of(stamp: Any) -> Any:
    """READ, WRITE, ATOMIC or STRONG, of a stamp or of many."""
    return (stamp >> KIND_SHIFT) & 3


def width_of(stamp: Any) -> Any:
    """log2 of how many bytes an access takes, of a stamp or of many."""
    return (stamp >> SIZE_SHIFT) & 7


def spread(values: NDArray[Any], lanes: int) -> NDArray[Any]:
    """One value for each lane, of an array that holds one for all of them or one for each."""
    return values if len(values) == lanes else np.broadcast_to(values, lanes)


@dataclass
class Record:
    """Accesses of one size, of one instruction, or of many after `Log.compact`.

    Attributes:
        first, last: of the bytes that any of them touches.
        offset: by lane; None if each lane's bytes follow those of the lane before.
    """

    newest: int
    size: int
    first: int
    last: int
    offset: Ints | None
    tag: Ints
    stamp: int | Ints

    def offsets(self) -> Ints:
        """The byte that each lane's access begins at."""
        if self.offset is None:
            return np.arange(self.first, self.last, self.size)
        return spread(self.offset, len(self.tag))

    def stamps(self) -> Ints:
        """The stamp of each lane's access."""
        return spread(np.atleast_1d(self.stamp), len(self.tag))


class Log:
    """Every access to one home, until a grid-wide barrier."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.lanes, self.limit = 0, COMPACT

    def add(self, offset: Ints, tag: Ints, stamp: int, size: int) -> None:
        """Note an instruction's accesses. The arrays are kept: they must not change any more."""
        first, last = int(offset.min()), int(offset.max()) + size
        kept: Ints | None = offset
        if last - first == size * len(tag) and (offset[1:] - offset[:-1] == size).all():
            kept = None
        elif last - first == size:
            kept = offset[:1].copy()
        self.records.append(Record(stamp, size, first, last, kept, tag, stamp))
        self.lanes += len(tag)
        count = len(self.records)
        scattered = count > SCATTERED and self.lanes < SCATTERED << 8
        if scattered or (self.lanes > self.limit and self.lanes < FEW * count):
            self.compact()

    def compact(self) -> None:
        """Keep of a thread's reads of the same bytes the last one, likewise of its atomics.

        Whatever comes after the last comes after the others. Plain stores stay, since two of them
        may differ in what they stored.
        """
        newest = self.records[-1].newest
        kept = []
        for size in sorted({record.size for record in self.records}):
            parts = [record for record in self.records if record.size == size]
            offset = np.concatenate([part.offsets() for part in parts])
            tag = np.concatenate([part.tag for part in parts])
            stamp = np.concatenate([part.stamps() for part in parts])
            kind = kind_of(stamp)
            order = np.lexsort((stamp, tag, offset, kind))
            offset, tag, stamp, kind = offset[order], tag[order], stamp[order], kind[order]
            keep = np.ones(len(offset), bool)
            keep[:-1] = (
                (offset[1:] != offset[:-1]) | (tag[1:] != tag[:-1]) | (kind[1:] != kind[:-1])
            )
            keep |= kind == WRITE
            first, last = int(offset.min()), int(offset.max()) + size
            kept.append(Record(newest, size, first, last, offset[keep], tag[keep], stamp[keep]))
        self.records = kept
        self.lanes = sum(len(record.tag) for record in kept)
        self.limit = max(COMPACT, 2 * self.lanes)

    def touching(self, granule: Ints, shift: int, since: int, kind: int) -> tuple[Ints, Ints, Ints]:
        """Accesses to any of these granules that conflict with one of `kind`, not before `since`.

        Returns: the granule, tag and stamp of each, newest instruction first.
        """
        count = int(granule.max()) + 1
        asked = np.zeros(count, bool)
        asked[granule] = True
        low, high = int(granule.min()) << shift, count << shift
        found = []
        for record in reversed(self.records):
            if record.newest < since:
                break
            if record.last <= low or record.first >= high:
                continue
            first = record.offsets() >> shift
            for k in range(record.size >> shift):
                touched = first + k
                lanes = np.flatnonzero((touched < count) & asked[np.minimum(touched, count - 1)])
                if lanes.size:
                    found.append((touched[lanes], record.tag[lanes], record.stamps()[lanes]))
        if not found:
            none = np.zeros(0, np.int64)
            return none, none, none
        touched, tag, stamp = (np.concatenate(part) for part in zip(*found, strict=True))
        if kind != WRITE:
            other = np.isin(kind_of(stamp), AGAINST[kind])
            touched, tag, stamp = touched[other], tag[other], stamp[other]
        return touched, tag, stamp


def paired(granule: Ints, among: Ints) -> Iterator[tuple[Ints, Ints]]:
    """All pairs of positions at which two arrays hold the same granule, about PAIRS at a time."""
    order = np.argsort(among, kind="stable")
    ordered = among[order]
    begin = np.searchsorted(ordered, granule, "left")
    count = np.searchsorted(ordered, granule, "right") - begin
    total = np.cumsum(count)
    low = 0
    while low < len(granule):
        base = total[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(total, base + PAIRS, "right")))
        some = count[low:high]
        left = np.repeat(np.arange(low, high), some)
        within = np.arange(len(left)) - np.repeat(np.cumsum(some) - some, some)
        yield left, order[np.repeat(begin[low:high], some) + within]
        low = high
