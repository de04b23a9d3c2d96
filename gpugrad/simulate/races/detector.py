"""Races: accesses to a common byte by different threads that nothing orders.

Two accesses conflict if at least one writes, not both are atomic, and neither the program order of
a thread, a barrier, a meeting of lanes nor fences with atomics between them put one before the
other. Two stores of the same value, of the same width, are let through, but noted. The verdict does
not depend on which of two accesses ran first.

An access that comes after all accesses of its kind to its bytes replaces them in the home's shadow,
since whatever comes after it comes after those too; otherwise it joins them. While only barriers
and whole warps synchronise, the shadow's few numbers say exactly who comes after a set: what joins
lies in the same stretch between two of those. In kernels where other things synchronise, what this
cannot clear is asked of `happens_before`.

What it does not model: every fence orders for the whole grid, also `membar.cta`; a compare-and-swap
that fails counts as a write in the order of the atomics on its address.

Source: Flanagan and Freund, FastTrack: Efficient and Precise Dynamic Race Detection, PLDI 2009.
"""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from gpugrad.simulate.races.access_log import (
    AGAINST,
    ATOMIC,
    KIND_SHIFT,
    SIZE_SHIFT,
    SPAN_BITS,
    STEP,
    WRITE,
    Ints,
    pc_of,
    spread,
)
from gpugrad.simulate.races.epochs import Epochs
from gpugrad.simulate.races.happens_before import HappensBefore
from gpugrad.simulate.races.shadow import NONE, ONE, WARP_BITS, Access, Shadow
from gpugrad.simulate.races.verdict import Suspect, clashing, judged

NAMES = ("read", "write", "atomic", "volatile read")
UNKNOWN = np.zeros(1, bool)


class Home(Protocol):
    """An allocation.

    Attributes:
        nbytes: its size.
        shadow: None at first and whenever other memory takes its place; then kept by `Races`.
    """

    nbytes: int
    shadow: Any


class Conflict(Exception):
    """Two accesses that race.

    Attributes:
        lane: of the access that was being made, the lowest that conflicts with anything.
        other: the block and thread that had accessed the bytes before, linear.
        pc, other_pc: the two instructions.
        this, other_kind: "read", "write" or "atomic".
    """

    def __init__(
        self, lane: int, pc: int, this: str, other: tuple[int, int], other_pc: int, other_kind: str
    ) -> None:
        super().__init__(f"{this} at {pc} by lane {lane}, {other_kind} at {other_pc} by {other}")
        self.lane, self.pc, self.this = lane, pc, this
        self.other, self.other_pc, self.other_kind = other, other_pc, other_kind


class Races:
    """The race detector of one launch.

    Args:
        blocks, threads: of the grid, and of each block.
        fences: the kernel holds both a fence and an atomic.
        syncwarps: the kernel holds a `bar.warp.sync`.
        parts: a mask of these may leave lanes out, or parts of blocks meet; False is quicker.

    Attributes:
        findings: pairs of instructions (pc, other pc) that stored the same value in a race.
    """

    def __init__(
        self, blocks: int, threads: int, fences: bool, syncwarps: bool, parts: bool = True
    ) -> None:
        self.threads = threads
        self.findings: list[tuple[int, int]] = []
        self._bits = max(WARP_BITS, (threads - 1).bit_length())
        self._fences = fences
        self._now = 0
        self._beginning = object()  # whose shadows are of this launch, since the last grid barrier
        self._epochs = Epochs(blocks, self._bits, syncwarps)
        self._order: HappensBefore | None = None
        if fences or (syncwarps and parts):
            self._order = HappensBefore(self._epochs.barriers, self._bits)
        self._lanes: tuple[Ints, Ints, Ints] | None = None

    def barrier(self, blocks: Ints) -> None:
        """These blocks have passed a barrier of all their threads."""
        self._now += STEP
        self._epochs.any = True
        self._epochs.barriers[blocks] = self._now
        if self._order is not None:
            self._order.barrier(self._now, blocks)

    def syncwarp(self, block: Ints, thread: Ints, mask: NDArray[Any]) -> None:
        """These lanes, all that a mask names, have passed `bar.warp.sync` with these masks."""
        warp = self._tag(block, thread) >> (SPAN_BITS + WARP_BITS)
        self.meet(block, thread, (warp << 32) | (mask.astype(np.int64) & 0xFFFFFFFF))

    def signal(self) -> int:
        """The time, for threads that come to a barrier now and do not wait there."""
        self._now += STEP
        return self._now

    def meet(self, block: Ints, thread: Ints, group: Ints, came: Ints | None = None) -> None:
        """The lanes with the same number in `group` have waited for one another.

        Groups are lanes of one warp, or threads of one block at a barrier of some of its threads.

        Args:
            came: of those that did not wait for the others, when they came; -1 of who waited.
        """
        if self._epochs.warps is None:
            raise ValueError("lanes of a warp met, but Races was told: syncwarps=False")
        self._now += STEP
        self._epochs.any = True
        who = self._tag(block, thread) >> SPAN_BITS
        if (group[1:] < group[:-1]).any():
            order = np.argsort(group, kind="stable")
            group, who = group[order], who[order]
            came = None if came is None else came[order]
        starts = np.concatenate([[True], group[1:] != group[:-1]])
        first, place = np.flatnonzero(starts), np.cumsum(starts) - 1
        bits = np.left_shift(1, who & 31)
        lanes, warp = np.bitwise_or.reduceat(bits, first), who[first] >> WARP_BITS
        alike = np.logical_and.reduceat(who >> WARP_BITS == warp[place], first)
        # Whole warps, as far as the block has lanes for them, are what the shadow understands.
        begin = (warp & ((1 << self._bits - WARP_BITS) - 1)) << WARP_BITS
        whole = alike & (lanes == (1 << np.minimum(32, self.threads - begin)) - 1)
        if came is not None:
            whole &= np.logical_and.reduceat(came < 0, first)
        self._epochs.warps[warp[whole]] = self._now
        if self._order is not None:
            mates = np.where(alike, lanes, 0).astype(np.uint32)
            self._order.meet(self._now, who, place, mates[place], came)
            self._order.involved[warp[~whole] >> (self._bits - WARP_BITS)] = True
        elif not whole.all():
            raise ValueError("some lanes of a warp met, but Races was told: parts=False")

    def fence(self, block: Ints, thread: Ints) -> None:
        """These lanes have executed a fence."""
        if self._fences and self._order is not None:
            self._now += STEP
            self._order.fence(self._now, self._tag(block, thread) >> SPAN_BITS)

    def grid_sync(self) -> None:
        """All threads of the grid have waited for one another: whatever was comes before."""
        self._beginning = object()
        if self._order is not None:
            self._order.clear()

    def access(
        self,
        home: Home,
        offset: Ints,
        size: int,
        kind: int,
        block: Ints,
        thread: Ints,
        pc: int,
        same: NDArray[np.bool_] | None = None,
        value_key: NDArray[Any] | None = None,
    ) -> None:
        """Note an instruction's accesses, which happen in the order of its lanes.

        Args:
            offset: (n,) or (1,) bytes into the home, aligned to `size`. Not to be changed later,
                nor are `block` and `thread`.
            kind: READ, WRITE, ATOMIC or STRONG.
            block, thread: (n,) who does it.
            same: (n,) or (1,) whether a store leaves the bytes as they are.
            value_key: (n,), (1,) or (n, k) what is stored, compared between lanes that store to one
                place. Compare bits, or NaN differs from itself.
        Raises:
            Conflict: a lane's access races with an earlier one, or with another lane's.
        """
        if not len(block):
            return
        shadow, tag = self._shadow(home, size), self._tag(block, thread)
        self._now += STEP
        stamp = self._now | kind << KIND_SHIFT | size.bit_length() - 1 << SIZE_SHIFT | pc
        lanes = len(tag)
        if kind == WRITE or not self._broadcast(shadow, kind, stamp, offset, size, tag):
            same = spread(UNKNOWN if same is None else same, lanes)
            access = Access.of(shadow.shift, kind, stamp, spread(offset, lanes), size, tag, same)
            self._record(shadow, access, value_key)
        if shadow.log is not None:
            shadow.log.add(spread(offset, lanes), tag, stamp, size)
        if kind == ATOMIC and self._fences and self._order is not None:
            self._order.atomic(self._now, shadow, spread(offset, lanes), tag >> SPAN_BITS)

    def _shadow(self, home: Home, size: int) -> Shadow:
        shadow: Shadow | None = home.shadow
        if shadow is None or shadow.owner is not self._beginning:
            logged = self._order is not None
            shadow = Shadow(self._beginning, home.nbytes, size, self._bits, logged)
            home.shadow = shadow
        shadow.admit(size)
        return shadow

    def _tag(self, block: Ints, thread: Ints) -> Ints:
        """The tag of each lane; a fragment keeps its arrays from one instruction to the next."""
        if self._lanes is None or self._lanes[0] is not block or self._lanes[1] is not thread:
            self._lanes = block, thread, ((block << self._bits | thread) << SPAN_BITS) | ONE
        return self._lanes[2]

    def _broadcast(
        self, shadow: Shadow, kind: int, stamp: int, offset: Ints, size: int, tag: Ints
    ) -> bool:
        """Note reads or atomics of many lanes at one place, if they conflict with nothing.

        Then the two lanes that are farthest apart stand for all.
        """
        first = int(offset[0])
        if len(tag) < 3 or int(offset[-1]) != first or not (offset == first).all():
            return False
        where = slice(first >> shadow.shift, (first + size) >> shadow.shift)
        for against in AGAINST[kind]:
            seen = shadow.seen[against]
            if seen is not None and seen.tag[where].any():
                return False
        ends = np.array([tag.min(), tag.max()])
        twice, unknown = np.full(2, first), np.zeros(2, bool)
        access = Access.of(shadow.shift, kind, stamp, twice, size, ends, unknown)
        self._record(shadow, access, None)
        return True

    def _record(self, shadow: Shadow, a: Access, value_key: NDArray[Any] | None) -> None:
        late = {}
        for against in AGAINST[a.kind]:
            lanes = self._epochs.late(shadow.seen[against], a.where, a.tag)
            if lanes.size:
                late[against] = lanes

        def note(others: Ints) -> None:
            self._note(pc_of(a.stamp), others)

        suspects: list[Suspect] = []
        harmless = NONE
        if late:
            suspects, harmless = judged(shadow, a, late, self._epochs, self._order, note)
        if a.kind == WRITE:
            suspects += clashing(shadow, a, value_key, note)
        if suspects:
            self._raise(a, suspects)

        if a.kind != WRITE:
            own = shadow.of(a.kind)
            shadow.record(a.kind, a, self._epochs.late(own, a.where, a.tag))
            return
        shadow.supersede(a.where, a.same, a.stamp)
        shadow.record(WRITE, a, harmless)

    def _note(self, pc: int, others: Ints) -> None:
        if not others.size:
            return
        one = bool((others == others[0]).all())
        for other in others[:1].tolist() if one else np.unique(others).tolist():
            pair = (pc, other)
            if pair not in self.findings and pair[::-1] not in self.findings:
                self.findings.append(pair)

    def _raise(self, a: Access, suspects: list[Suspect]) -> NoReturn:
        position, other, pc, kind = min(suspects, key=lambda suspect: suspect[0] // a.each)
        place = other >> self._bits, other & ((1 << self._bits) - 1)
        this = NAMES[a.kind]
        raise Conflict(position // a.each, pc_of(a.stamp), this, place, pc, NAMES[kind])
