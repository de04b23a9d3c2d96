"""Which earlier accesses a thread comes after, exactly: the slow half of race detection.

`races` judges an access by a few numbers for each granule. They are exact while only barriers and
whole warps synchronise. In a kernel that also passes messages by fences and atomics, or has parts
of warps meet, what they cannot clear comes here: `HappensBefore` walks back from the thread through
what has synchronised until it meets the accesses in question, or has gone past them in time.

A thread is (block, place in the block padded to `bits` bits) in one integer; a time is a step of
the launch, comparable with the stamps of accesses (see `access_log`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
SPINNING = 4096  # lanes up to which repeated atomics are recognised; more do not spin on one lock
PASTS = 16  # how many threads' pasts are kept; a loop of reads asks for the same one again


class Memory(Protocol):
    """What atomics are on: memory of so many bytes, told apart by identity."""

    @property
    def nbytes(self) -> int: ...


@dataclass
class Past:
    """What a thread comes after, as far back as anyone has asked.

    Attributes:
        known: for each thread, the time before which its accesses lie in the past; 0 for none.
        wanted: for each home, the bytes on which an atomic has been seen that a fence followed.
        acquires: threads that have a fence in the past, so that it saw what atomics before it saw.
        releases: threads whose atomic was seen, so that a fence before it counts.
        position: how many events are still to be walked through.
    """

    known: Ints
    acquires: NDArray[np.bool_]
    releases: NDArray[np.bool_]
    position: int
    wanted: dict[Memory, NDArray[np.bool_]] = field(default_factory=dict)


class HappensBefore:
    """The synchronisation of a launch.

    Args:
        barriers: (blocks,) when each block last passed a barrier; `Races` keeps it.
        bits: of a thread's place in its block.
    """

    def __init__(self, barriers: Ints, bits: int) -> None:
        threads = len(barriers) << bits
        self.barriers, self.bits = barriers, bits
        self.fenced: Ints = np.zeros(threads, np.int64)
        self.met: Ints = np.zeros(threads, np.int64)
        self.mates: NDArray[np.uint32] = np.zeros(threads, np.uint32)
        # Blocks in which something but barriers and whole warps orders accesses.
        self.involved: NDArray[np.bool_] = np.zeros(len(barriers), bool)
        self.clear()

    def clear(self) -> None:
        """Forget everything: a grid-wide barrier has put it into everyone's past."""
        self._events: list[Callable[[Past], None] | None] = []
        self._times: list[int] = []
        self._pasts: OrderedDict[tuple[int, int], Past] = OrderedDict()
        self._spins: dict[tuple[Memory, bytes, bytes], tuple[int, int]] = {}

    def _event(self, time: int, back: Callable[[Past], None]) -> None:
        self._times.append(time)
        self._events.append(back)

    def barrier(self, time: int, blocks: Ints) -> None:
        """All threads of each of these blocks have waited for one another."""

        def back(past: Past) -> None:
            known = past.known.reshape(len(self.barriers), -1)
            through = blocks[(known[blocks] >= time).any(axis=1)]
            known[through] = np.maximum(known[through], time)

        self._event(time, back)

    def meet(
        self,
        time: int,
        threads: Ints,
        group: Ints,
        mates: NDArray[np.uint32],
        came: Ints | None = None,
    ) -> None:
        """The threads of each group, 0 to k - 1, have waited for one another.

        Args:
            mates: for each thread, the lanes of its warp that are in its group, a bit each.
            came: for each thread that did not wait, the time before which its accesses come
                before those of the others; -1 for those that waited.
        """
        came = np.full(len(threads), -1) if came is None else came
        waited = came < 0
        until = np.where(waited, time, came)
        self.met[threads[waited]], self.mates[threads[waited]] = time, mates[waited]

        def back(past: Past) -> None:
            through = np.zeros(int(group.max()) + 1, bool)
            through[group[waited & (past.known[threads] >= time)]] = True
            reached = through[group]
            np.maximum.at(past.known, threads[reached], until[reached])

        self._event(time, back)

    def fence(self, time: int, threads: Ints) -> None:
        """Each of these threads has executed a fence."""
        self.fenced[threads] = time
        self.involved[threads >> self.bits] = True
        self._spins.clear()

        def back(past: Past) -> None:
            released = threads[past.releases[threads]]
            past.known[released] = np.maximum(past.known[released], time)
            past.acquires[threads[past.known[threads] >= time]] = True

        self._event(time, back)

    def atomic(self, time: int, home: Memory, offset: Ints, threads: Ints) -> None:
        """Each thread has executed an atomic, at a byte offset in a home, one after another."""
        if len(threads) <= SPINNING:
            # Between two fences a thread's first atomic on an address shows what it releases to
            # the most others, and the last one sees the most: those between change nothing.
            key = home, offset.tobytes(), threads.tobytes()
            count, last = self._spins.get(key, (0, -1))
            if count > 1:
                self._events[last] = None
            self._spins[key] = count + 1, len(self._events)

        def back(past: Past) -> None:
            wanted = past.wanted.get(home)
            asks = np.flatnonzero(past.acquires[threads])
            if wanted is None:
                if not asks.size:
                    return
                wanted = past.wanted[home] = np.zeros(home.nbytes, bool)
            seen = wanted[offset]
            if asks.size:
                # Those that came before, in this very instruction, on the same address.
                places, place = np.unique(offset, return_inverse=True)
                last = np.full(len(places), -1)
                last[place[asks]] = asks
                seen |= np.arange(len(offset)) < last[place]
                wanted[offset[asks]] = True
            past.releases[threads[seen]] = True

        self._event(time, back)

    def unordered(self, thread: Ints, other: Ints, stamp: Ints) -> NDArray[np.bool_]:
        """For each pair: whether nothing orders the access of `other` at `stamp` before `thread`.

        Args:
            thread: who accesses now.
            other: who did so before, at `stamp`.
        """
        block = thread >> self.bits
        barrier = self.barriers[block]
        ordered = thread == other
        ordered |= (other >> self.bits == block) & (stamp < barrier)
        mates = (self.mates[thread] >> (other & 31).astype(np.uint32)) & np.uint32(1)
        ordered |= (other >> 5 == thread >> 5) & (mates != 0) & (stamp < self.met[thread])
        result: NDArray[np.bool_] = ~ordered
        rest = np.flatnonzero(result)
        if not rest.size:
            return result
        # Threads that only their block's last barrier has taught anything share that past.
        own = np.maximum(self.fenced[thread[rest]], self.met[thread[rest]])
        shared = barrier[rest] >= own
        who = np.where(shared, -1 - block[rest], thread[rest])
        for one in np.unique(who):
            pairs = rest[who == one]
            first = pairs[0]
            time = max(int(barrier[first]) if one < 0 else int(self.fenced[one]), 0)
            if one >= 0:
                time = max(time, int(self.met[one]))
            result[pairs] = self._outside(int(one), time, other[pairs], stamp[pairs])
        return result

    def _outside(self, who: int, time: int, other: Ints, stamp: Ints) -> NDArray[np.bool_]:
        """Which accesses are not in the past that `who` had at `time`: a thread, or -1 - block."""
        past = self._past(who, time)
        while True:
            outside = past.known[other] <= stamp
            if not outside.any():
                return outside
            oldest = int(stamp[outside].min())
            if past.position == 0 or self._times[past.position - 1] < oldest:
                return outside
            past.position -= 1
            back = self._events[past.position]
            if back is not None:
                back(past)

    def _past(self, who: int, time: int) -> Past:
        past = self._pasts.get((who, time))
        if past is None:
            threads = len(self.fenced)
            none = np.zeros(threads, bool)
            known: Ints = np.zeros(threads, np.int64)
            if who < 0:
                known.reshape(len(self.barriers), -1)[-1 - who] = time
            else:
                known[who] = time
            past = Past(known, none, none.copy(), bisect_right(self._times, time))
            self._pasts[who, time] = past
            if len(self._pasts) > PASTS:
                self._pasts.popitem(last=False)
        self._pasts.move_to_end((who, time))
        return past
