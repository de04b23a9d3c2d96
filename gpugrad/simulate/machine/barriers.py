"""Barriers: the threads of a block wait until all of them, or as many as are named, have come.

Source: NVIDIA, Parallel Thread Execution ISA, section bar, barrier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from gpugrad.simulate.faults import BarrierError, UnsupportedError, place
from gpugrad.simulate.machine import blame
from gpugrad.simulate.machine.fragment import Fragment, Ints
from gpugrad.simulate.machine.values import BOOL, UNSIGNED, Set, Values
from gpugrad.simulate.ptx.syntax import Immediate, Instruction

if TYPE_CHECKING:
    from gpugrad.simulate.machine.machine import Machine

WAITED = -1  # in place of the time at which a thread came that does not wait


class Waiting:
    """A fragment at a barrier, and what it brought."""

    def __init__(self, f: Fragment, give: Set | None, votes: Any, pc: int) -> None:
        self.f, self.give, self.votes, self.pc = f, give, votes, pc


class Barriers:
    """The barriers of a launch: 16 for each block, of which most kernels use the first."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.waiting: dict[int, list[Waiting]] = {}
        self.arrived: dict[int, Ints] = {}
        # Who does not wait: block, thread, and the time at which they came.
        self.signalled: dict[int, list[tuple[Ints, Ints, Ints]]] = {}
        self.grid_waiting: list[Fragment] = []

    def arrive(
        self, number: int, wanted: int | None, f: Fragment, give: Set | None, votes: Any, pc: int
    ) -> Fragment | None:
        """Bring a fragment to a barrier; what goes on at once, if everyone is there.

        Args:
            wanted: how many threads of a block it takes, None for all.
            give: where a reduction's result goes; `votes` what each thread brings to it.
        """
        m = self.machine
        starts = np.flatnonzero(np.concatenate(([True], f.block[1:] != f.block[:-1])))
        if wanted is None and not self.waiting.get(number) and f.n == len(starts) * m.threads:
            blocks = f.block[starts]
            if give is not None:
                counts = np.add.reduceat(np.broadcast_to(votes, f.n).astype(np.int64), starts)
                give(f, np.repeat(counts, m.threads))
            self._passed(blocks)
            f.at += 1
            return f
        arrived = self.arrived.setdefault(number, np.zeros(m.grid.blocks, np.int64))
        arrived[f.block[starts]] += np.diff(np.append(starts, f.n))
        self.waiting.setdefault(number, []).append(Waiting(f, give, votes, pc))
        self._release(number, m.threads if wanted is None else wanted, same_line=wanted is None)
        return None

    def signal(self, number: int, wanted: int, f: Fragment) -> None:
        """`bar.arrive`: count these threads, which do not wait."""
        arrived = self.arrived.setdefault(number, np.zeros(self.machine.grid.blocks, np.int64))
        np.add.at(arrived, f.block, 1)
        races = self.machine.races
        if races is not None:
            when = np.full(f.n, races.signal())
            self.signalled.setdefault(number, []).append((f.block, f.thread, when))
        self._release(number, wanted, same_line=False)

    def _release(self, number: int, wanted: int, same_line: bool) -> None:
        """Let the blocks go on whose threads have all come."""
        arrived = self.arrived[number]
        full = arrived >= wanted
        if not full.any():
            return
        waiting = self.waiting.get(number, [])
        if same_line:
            self._check_lines(waiting, full)
        votes = np.zeros(len(arrived), np.int64)
        for w in waiting:
            if w.give is not None:
                voting = np.broadcast_to(w.votes, w.f.n)
                np.add.at(votes, w.f.block, voting.astype(np.int64))
        kept = []
        m = self.machine
        for w in waiting:
            gone = full[w.f.block]
            live = m.program.blocks[w.f.at].live
            if w.give is not None:  # the destination is not live before, so give first
                w.give(w.f, votes[w.f.block])
            after = m.program.blocks[w.f.at + 1].live
            if gone.all():
                w.f.at += 1
                m.add(w.f)
                continue
            if gone.any():
                m.add(w.f.take(np.flatnonzero(gone), after, w.f.at + 1))
                stay = np.flatnonzero(~gone)
                left = w.votes if w.votes is None or len(w.votes) == 1 else w.votes[stay]
                rest = w.f.take(stay, sorted({*live, *after}), w.f.at)
                kept.append(Waiting(rest, w.give, left, w.pc))
            else:
                kept.append(w)
        self.waiting[number] = kept
        blocks = np.flatnonzero(full)
        arrived[blocks] = 0
        signalled = self.signalled.get(number)
        if wanted == m.threads and not signalled:
            self._passed(blocks)
        elif m.races is not None:  # who only signalled orders what it did before, all the same
            came = [(w.f.block, w.f.thread, np.full(w.f.n, WAITED)) for w in waiting]
            came += signalled or []
            block, thread, when = (np.concatenate(part) for part in zip(*came, strict=True))
            met = full[block]
            m.races.meet(block[met], thread[met], block[met], when[met])
            rest = when[~met] != WAITED
            if signalled:
                self.signalled[number] = [tuple(a[~met][rest] for a in (block, thread, when))]

    def _passed(self, blocks: Ints) -> None:
        if self.machine.races is not None:
            self.machine.races.barrier(blocks)

    def _check_lines(self, waiting: list[Waiting], full: Any) -> None:
        """Threads of one block must wait at one line: a barrier in a branch is not another's."""
        m = self.machine
        if len(waiting) < 2:
            return
        places = {w.pc: m.program.place(w.pc) for w in waiting}
        if len(set(places.values())) < 2:
            return
        for block in np.flatnonzero(full).tolist():
            here = [(int(np.count_nonzero(w.f.block == block)), w) for w in waiting]
            here = [(count, w) for count, w in here if count]
            if len({places[w.pc] for _, w in here}) > 1:
                totals: dict[Any, int] = {}
                for count, w in here:
                    totals[places[w.pc]] = totals.get(places[w.pc], 0) + count
                count, w = min(here, key=lambda item: (totals[places[item[1].pc]], item[1].pc))
                elsewhere = next(p for p in totals if p != places[w.pc])
                other = place(elsewhere.file, elsewhere.line) if elsewhere else "elsewhere"
                self._blame(
                    w, block,
                    f"{totals[places[w.pc]]} of the {m.threads} threads of a block are at this "
                    f"barrier, and {m.threads - totals[places[w.pc]]} at the one at {other}",
                )  # fmt: skip

    def check_nobody_waits(self) -> None:
        """Nothing else can run: whoever waits at a barrier waits for ever.

        Raises:
            BarrierError: somebody does.
        """
        m = self.machine
        stuck = [(int(w.f.block[0]), w.pc, n) for n, ws in self.waiting.items() for w in ws]
        if not stuck:
            self._check_grid()
            return
        block, _, number = min(stuck)
        at_it = [w for w in self.waiting[number] if (w.f.block == block).any()]
        w = min(at_it, key=lambda w: w.pc)
        count = sum(int(np.count_nonzero(w.f.block == block)) for w in at_it)
        others = sum(
            int(np.count_nonzero(w.f.block == block))
            for n, ws in self.waiting.items()
            if n != number
            for w in ws
        )
        others += sum(int(np.count_nonzero(f.block == block)) for f in self.grid_waiting)
        ended = m.threads - count - others
        what = f"{count} of the {m.threads} threads of a block wait at this barrier"
        if ended:
            what += f"; {ended} {'has' if ended == 1 else 'have'} returned and cannot come"
        if others:
            what += f"; {others} wait at another barrier"
        self._blame(w, block, what)

    def _check_grid(self) -> None:
        if not self.grid_waiting:
            return
        m, f = self.machine, min(self.grid_waiting, key=lambda f: f.at)
        count, all_of_them = sum(f.n for f in self.grid_waiting), m.grid.blocks * m.threads
        w = Waiting(f, None, None, m.program.blocks[f.at].begin)
        self._blame(
            w, int(f.block[0]),
            f"{count} of the {all_of_them} threads of the grid wait at this barrier of the grid; "
            f"{all_of_them - count} have returned and cannot come",
        )  # fmt: skip

    def _blame(self, w: Waiting, block: int, what: str) -> NoReturn:
        lane = int(np.flatnonzero(w.f.block == block)[0])
        blame.fault(
            self.machine, BarrierError, w.f, lane, w.pc, what,
            "  help: every thread of the block must come to a barrier: move it out of the branch, "
            "and return after it",
        )  # fmt: skip

    def grid_sync(self, f: Fragment) -> None:
        """Wait for every thread of the grid."""
        m = self.machine
        self.grid_waiting.append(f)
        if sum(part.n for part in self.grid_waiting) == m.grid.blocks * m.threads:
            if m.races is not None:
                m.races.grid_sync()
            for part in self.grid_waiting:
                part.at += 1
                m.add(part)
            self.grid_waiting = []


def barrier_way(
    values: Values, last: Instruction, k: int, pc: int
) -> Callable[[Machine, Fragment], Fragment | None]:
    """The way on from `bar.sync`, `bar.red` and `bar.arrive`, under their old names and new."""
    words = last.opcode.split(".")
    operands = list(last.operands)
    give = vote = None
    if "red" in words:
        target, predicate = operands.pop(0), operands.pop()
        vote = values.getter(predicate, BOOL, last)
        give = _reduction(values, last, target, words)
    numbers = [o.value for o in operands if isinstance(o, Immediate)]
    dynamic = [values.getter(o, UNSIGNED[4], last) for o in operands]
    if not operands or len(operands) > 2 or not {"sync", "red", "arrive"} & set(words):
        raise UnsupportedError(f"PTX instruction: {last.text}")
    fixed = len(numbers) == len(operands)

    def wait(m: Machine, f: Fragment) -> Fragment | None:
        m.standstill.idle = 0
        if fixed:
            return wait_at(m, f, *map(int, numbers))
        named = np.stack([np.broadcast_to(read(f), f.n) for read in dynamic])
        several, which = np.unique(named, axis=1, return_inverse=True)
        if len(several.T) == 1:
            return wait_at(m, f, *several[:, 0].tolist())
        live = {*m.program.blocks[k].live, *m.program.blocks[k + 1].live}
        for number, at_it in enumerate(several.T.tolist()):  # warps at barriers of their own
            part = f.take(np.flatnonzero(which.ravel() == number), sorted(live), k)
            goes_on = wait_at(m, part, *at_it)
            if goes_on is not None:
                m.add(goes_on)
        return None

    def wait_at(m: Machine, f: Fragment, number: int, *wanted: int) -> Fragment | None:
        if "arrive" in words:
            f.at = k + 1
            m.barriers.signal(number, wanted[0], f)
            return f
        votes = None if vote is None else vote(f)
        if votes is not None and "and" in words:  # all hold where no one's opposite does
            votes = ~votes
        return m.barriers.arrive(number, wanted[0] if wanted else None, f, give, votes, pc)

    return wait


def _reduction(values: Values, last: Instruction, target: Any, words: list[str]) -> Set:
    if "popc" in words:
        write = values.setter(target, UNSIGNED[4], last)
        return lambda f, counts: write(f, counts.astype(UNSIGNED[4]))
    write = values.setter(target, BOOL, last)
    if "or" in words:
        return lambda f, counts: write(f, counts > 0)
    return lambda f, counts: write(f, counts == 0)
