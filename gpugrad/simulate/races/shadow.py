"""What a home's bytes have seen: for each granule, the accesses that a later one must come after.

A granule is as many bytes as the narrowest access to its home so far. Of a set of accesses this is
kept: its `when`, one thread, how far its threads are apart, and a second thread that far from the
first. Whoever does not come after the whole set conflicts with one of these two.

While only barriers and whole warps synchronise, that is exact: what joins a set lies in the same
stretch between two of those as the rest of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpugrad.simulate.races.access_log import (
    ATOMIC,
    PC_BITS,
    READ,
    SPAN_BITS,
    STRONG,
    WRITE,
    Ints,
    Log,
    kind_of,
    pc_of,
    width_of,
)

ONE, WARP, BLOCK, GRID = 1, 2, 3, 4  # how far apart the threads of a set are; 0: there are none
SPAN = (1 << SPAN_BITS) - 1
WARP_BITS = 5
REPLACED = 4  # the set of accesses that came before the present value was stored
NONE: Ints = np.zeros(0, np.int64)
Where = Ints | slice  # granules; a slice if they follow one another, which is much quicker


class Accessors:
    """A set of accesses of one kind for each granule.

    Attributes:
        tag: (granules,) a thread of the set, and how far apart its threads are.
        when: (granules,) the stamp of that thread's access.
        second: (granules,) a thread that far from the first, and its pc; once there are such.
    """

    def __init__(self, count: int, bits: int) -> None:
        self.bits = bits
        self.tag: Ints = np.zeros(count, np.int64)
        self.when: Ints = np.zeros(count, np.int64)
        self.second: Ints | None = None

    def refine(self, factor: int) -> None:
        """Split each granule."""
        self.tag, self.when = np.repeat(self.tag, factor), np.repeat(self.when, factor)
        if self.second is not None:
            self.second = np.repeat(self.second, factor)

    def replace(self, where: Where, tag: Ints, stamp: int, distinct: bool) -> None:
        """Let these accesses alone be the sets of their granules.

        Args:
            distinct: no granule stands there twice.
        """
        self.tag[where] = tag
        self.when[where] = stamp
        if not distinct and not isinstance(where, slice):
            lost = np.flatnonzero(self.tag[where] != tag)
            if lost.size:
                self.join(where[lost], tag[lost], stamp)

    def join(self, granule: Ints, tag: Ints, stamp: int) -> None:
        """Add these accesses to the sets of their granules, none of which is empty."""
        old = self.tag[granule]
        narrow = np.flatnonzero((old & SPAN) != GRID)
        if not narrow.size:
            return
        if len(narrow) < len(old):
            granule, tag, old = granule[narrow], tag[narrow], old[narrow]
        apart = (old ^ tag) >> SPAN_BITS
        span = (apart >> self.bits != 0).astype(np.int64)
        span += apart >> WARP_BITS != 0
        span += apart != 0
        span += 1
        wider = span > (old & SPAN)
        if not wider.any():
            return
        if self.second is None:
            self.second = np.zeros(len(self.tag), np.int64)
        # Several lanes may widen one set: the widest comes last.
        for reach in (WARP, BLOCK, GRID):
            lanes = np.flatnonzero(wider & (span == reach))
            if lanes.size:
                where = granule[lanes]
                self.tag[where] = (old[lanes] & ~SPAN) | reach
                self.second[where] = (tag[lanes] >> SPAN_BITS << PC_BITS) | pc_of(stamp)

    def witness(self, granule: Ints, thread: Ints) -> tuple[Ints, Ints, Ints]:
        """A thread of each set, with the pc and kind, that conflicts with `thread` if any does."""
        tag, when = self.tag[granule], self.when[granule]
        first, span, pc = tag >> SPAN_BITS, tag & SPAN, pc_of(when)
        if self.second is not None:
            near = np.array([0, 0, 0, WARP_BITS, self.bits])[span]
            use = (span > ONE) & ((first ^ thread) >> near == 0)
            second = self.second[granule]
            first = np.where(use, second >> PC_BITS, first)
            pc = np.where(use, pc_of(second), pc)
        return first, pc, kind_of(when)


@dataclass
class Access:
    """One instruction's accesses, a position for each granule of each lane.

    Attributes:
        granule, where: the same, the latter perhaps as a slice.
        distinct: no granule stands there twice.
        each: granules of a lane.
        same: for each position, whether a store leaves the bytes as they are.
    """

    kind: int
    stamp: int
    granule: Ints
    where: Where
    tag: Ints
    distinct: bool
    each: int
    same: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        shift: int,
        kind: int,
        stamp: int,
        offset: Ints,
        size: int,
        tag: Ints,
        same: NDArray[np.bool_],
    ) -> Access:
        """The accesses of `size` bytes at these offsets, on granules of 2**shift bytes."""
        each, granule = size >> shift, offset >> shift
        if each > 1:
            granule = (granule[:, None] + np.arange(each)).ravel()
            tag, same = np.repeat(tag, each), np.repeat(same, each)
        distinct = bool((granule[1:] > granule[:-1]).all())
        where: Where = granule
        if distinct and int(granule[-1] - granule[0]) == len(granule) - 1:
            where = slice(int(granule[0]), int(granule[-1]) + 1)
        return cls(kind, stamp, granule, where, tag, distinct, each, same)


class Shadow:
    """The granules of a home.

    Args:
        owner: the launch's `Races`; a shadow of an earlier launch says nothing.
        nbytes: of the home.
        size: of its first access.
        bits: of a thread's place in its block.
        logged: whether to keep every access too.

    Attributes:
        seen: by kind, and REPLACED, the accesses; None as long as there are none.
        widths: the sizes of its accesses.
        since: with a log, (2, granules): the stamp of the store that brought the present value,
            and of the one that brought the value before. Nothing older needs to be looked at.
    """

    def __init__(self, owner: object, nbytes: int, size: int, bits: int, logged: bool) -> None:
        self.owner, self.bits, self.nbytes = owner, bits, nbytes
        self.shift = size.bit_length() - 1
        self.count = -(-nbytes // size)
        self.widths = {size}
        self.seen: list[Accessors | None] = [None] * 5
        self.log = Log() if logged else None
        self.since: Ints | None = np.zeros((2, self.count), np.int64) if logged else None
        self._scratch: Ints | None = None

    def admit(self, size: int) -> None:
        """Make ready for an access of `size` bytes: split the granules if they are larger."""
        self.widths.add(size)
        if size >= 1 << self.shift:
            return
        shift = size.bit_length() - 1
        factor = 1 << (self.shift - shift)
        self.shift, self.count, self._scratch = shift, self.count * factor, None
        for seen in self.seen:
            if seen is not None:
                seen.refine(factor)
        if self.since is not None:
            self.since = np.repeat(self.since, factor, axis=1)

    def of(self, kind: int) -> Accessors:
        """The accesses of a kind."""
        seen = self.seen[kind]
        if seen is None:
            seen = self.seen[kind] = Accessors(self.count, self.bits)
        return seen

    def last(self, granule: Ints) -> Ints:
        """For each lane, the last lane on the same granule."""
        if self._scratch is None:
            self._scratch = np.zeros(self.count, np.int64)
        self._scratch[granule] = np.arange(len(granule))
        return self._scratch[granule]

    def record(self, kind: int, a: Access, late: Ints) -> None:
        """Note accesses; those in `late` come not after all of their kind, and join them."""
        seen = self.of(kind)
        if not late.size:
            seen.replace(a.where, a.tag, a.stamp, a.distinct)
            return
        if len(late) < len(a.tag):
            on = np.ones(len(a.tag), bool)
            on[late] = False
            seen.replace(a.granule[on], a.tag[on], a.stamp, a.distinct)
        seen.join(a.granule[late], a.tag[late], a.stamp)

    def supersede(self, where: Where, same: NDArray[np.bool_], stamp: int) -> None:
        """Empty granules for a store that comes after all they have seen, but remember that.

        A thread that then stores the same value, without being ordered after this store, must
        still come after what this one replaces: the reads and atomics, or a store of another value.

        Args:
            same: whether the store leaves the value as it was.
        """
        readers = []
        for kind in (READ, ATOMIC, STRONG):
            seen = self.seen[kind]
            if seen is not None and seen.tag[where].any():
                readers.append(seen)
        stores = self.of(WRITE)
        tag, when = stores.tag[where], stores.when[where]
        if len(readers) == 1 and readers[0].tag[where].all():
            tag, when = readers[0].tag[where], readers[0].when[where]
        else:
            if tag.any():
                tag = np.where(same & self.as_wide(when, stamp), 0, tag)
            for seen in readers:
                others, at = seen.tag[where], seen.when[where]
                newer = (others != 0) & ((tag == 0) | (at > when))
                tag, when = np.where(newer, others, tag), np.where(newer, at, when)
        if tag.all():
            self._changed(where, tag, when, stamp)
        elif (changed := np.flatnonzero(tag)).size:
            granule = np.arange(where.start, where.stop) if isinstance(where, slice) else where
            self._changed(granule[changed], tag[changed], when[changed], stamp)
        for seen in readers:
            seen.tag[where] = 0

    def as_wide(self, when: Ints, stamp: int) -> NDArray[np.bool_]:
        """Which accesses are of as many bytes as one at `stamp`."""
        if len(self.widths) == 1:
            return np.ones(len(when), bool)
        return np.asarray(width_of(when) == width_of(stamp))

    def _changed(self, where: Where, tag: Ints, when: Ints, stamp: int) -> None:
        before = self.of(REPLACED)
        before.tag[where], before.when[where] = tag, when
        if self.since is not None:
            self.since[1][where] = self.since[0][where]
            self.since[0][where] = stamp
