"""Race detection against its definition: random programs, in random orders, and a plain oracle."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from gpugrad.simulate.races import access_log, happens_before
from gpugrad.simulate.races.access_log import ATOMIC, READ, STRONG, WRITE
from gpugrad.simulate.races.detector import Conflict, Races

NAMES = ("read", "write", "atomic", "volatile read")
# Of these a plain store conflicts with each, and a plain read with an atomic.
CLASHES = {frozenset((WRITE, kind)) for kind in (READ, WRITE, ATOMIC, STRONG)}
CLASHES.add(frozenset((READ, ATOMIC)))


@dataclass
class Home:
    nbytes: int
    shadow: object = None


@dataclass(frozen=True)
class Op:
    """What a thread does next: an access, "fence", "barrier" or "syncwarp"."""

    what: str
    kind: int = 0
    home: int = 0
    offset: int = 0
    size: int = 0
    value: int = 0
    mask: int = 0

    @property
    def pc(self):
        return 100 * self.kind + 10 * self.home + self.size


class Oracle:
    """Vector clocks for every thread, and every access compared with every earlier one."""

    def __init__(self, threads):
        self.clocks = np.eye(threads, dtype=int)
        self.released = np.zeros((threads, threads), int)
        self.acquired = np.zeros((threads, threads), int)
        self.addresses = {}
        self.accesses = []

    def meet(self, threads):
        self.clocks[threads] = self.clocks[threads].max(axis=0)
        self.clocks[threads, threads] += 1

    def fence(self, thread):
        self.clocks[thread] = np.maximum(self.clocks[thread], self.acquired[thread])
        self.released[thread] = self.clocks[thread]
        self.clocks[thread, thread] += 1

    def access(self, thread, op):
        """The earlier accesses that this one races with, and those that stored the same."""
        races, again = [], []
        for other, clock, before in self.accesses:
            if (
                other == thread
                or before.home != op.home
                or op.offset >= before.offset + before.size
                or before.offset >= op.offset + op.size
                or frozenset((op.kind, before.kind)) not in CLASHES
                or clock <= self.clocks[thread, other]
            ):
                continue
            same = op.kind == before.kind == WRITE
            same = same and (op.offset, op.size) == (before.offset, before.size)
            (again if same and op.value == before.value else races).append((other, before))
        # A clock counts what a thread did up to its own last synchronisation, and this after it.
        self.accesses.append((thread, self.clocks[thread, thread], op))
        if op.kind == ATOMIC:
            seen = self.addresses.setdefault((op.home, op.offset), np.zeros(len(self.clocks), int))
            self.acquired[thread] = np.maximum(self.acquired[thread], seen)
            self.addresses[op.home, op.offset] = np.maximum(seen, self.released[thread])
        return races, again


@dataclass
class Run:
    """One execution of a program, by `Races` and by the oracle, in step."""

    blocks: int
    threads: int
    programs: list
    rng: np.random.Generator
    races: Races
    homes: list
    oracle: Oracle = field(init=False)
    raced: bool = False

    def __post_init__(self):
        self.oracle = Oracle(self.blocks * self.threads)
        self.memory = [np.zeros(home.nbytes, np.uint8) for home in self.homes]
        self.again = False

    def play(self):
        """Run all to their ends, or to the first race, and compare at every step."""
        rest = [list(reversed(program)) for program in self.programs]
        while any(rest):
            if self.wait(rest):
                continue
            ready = [t for t, ops in enumerate(rest) if ops and not self.waits(ops[-1])]
            assert ready, "a deadlock in the test itself"
            chosen = ready[self.rng.integers(len(ready))]
            op = rest[chosen][-1]
            alike = [t for t in ready if (rest[t][-1].what, rest[t][-1].pc) == (op.what, op.pc)]
            lanes = [t for t in alike if t == chosen or self.rng.random() < self.together]
            ops = [rest[t].pop() for t in lanes]
            if self.execute(np.array(lanes), ops):
                return

    together = 0.5  # how often another thread that could do the same joins an instruction

    @staticmethod
    def waits(op):
        return op.what in ("barrier", "syncwarp")

    def place(self, lanes):
        return lanes // self.threads, lanes % self.threads

    def wait(self, rest):
        """Let those pass who all have arrived at a barrier or a `syncwarp`."""
        for block in self.rng.permutation(self.blocks):
            own = range(block * self.threads, (block + 1) * self.threads)
            at = {t: rest[t][-1].what for t in own if rest[t] and self.waits(rest[t][-1])}
            if len(at) == self.threads and set(at.values()) == {"barrier"}:
                self.races.barrier(np.array([block]))
                self.oracle.meet(np.array(own))
                for t in own:
                    rest[t].pop()
                return True
            for t in (t for t, what in at.items() if what == "syncwarp"):
                mask, first = rest[t][-1].mask, t - (t - own[0]) % 32
                mates = [first + k for k in range(32) if mask >> k & 1 and first + k in own]
                if all(rest[m] and rest[m][-1] == rest[t][-1] for m in mates):
                    self.races.syncwarp(
                        *self.place(np.array(mates)), np.full(len(mates), mask, np.uint32)
                    )
                    self.oracle.meet(np.array(mates))
                    for m in mates:
                        rest[m].pop()
                    return True
        return False

    def execute(self, lanes, ops):
        """One instruction by these lanes; whether it raced."""
        op = ops[0]
        if op.what == "fence":
            self.races.fence(*self.place(lanes))
            for lane in lanes:
                self.oracle.fence(lane)
            return False
        suspects = {}
        for lane, own in zip(lanes.tolist(), ops, strict=True):
            races, again = self.oracle.access(lane, own)
            self.again |= bool(again)
            for other, before in races:
                suspects.setdefault(lane, []).append((other, before))
                if other in lanes and ops[lanes.tolist().index(other)] is before:
                    suspects.setdefault(other, []).append((lane, own))
        size, memory = op.size, self.memory[op.home]
        offset = np.array([own.offset for own in ops])
        value = np.array([own.value for own in ops])
        extra = {}
        if op.kind == WRITE:
            extra["same"] = (memory[offset[:, None] + np.arange(size)] == value[:, None]).all(
                axis=1
            )
            extra["value_key"] = value[:, None] if self.rng.random() < 0.5 else value
            if (value == value[0]).all() and self.rng.random() < 0.5:
                extra["value_key"] = value[:1]
            elif not self.again and extra["same"].all():
                extra["value_key"] = None
        if (offset == offset[0]).all() and self.rng.random() < 0.5:
            offset = offset[:1]
        conflict = None
        try:
            self.races.access(
                self.homes[op.home], offset, size, op.kind, *self.place(lanes), op.pc, **extra
            )
        except Conflict as caught:
            conflict = caught
        for own in ops:
            if own.kind == WRITE:
                memory[own.offset : own.offset + size] = own.value
            elif own.kind == ATOMIC:
                memory[own.offset : own.offset + size] += np.uint8(1)
        if not suspects:
            assert conflict is None, f"false alarm: {conflict}"
            assert bool(self.races.findings) == self.again
            return False
        assert conflict is not None, f"missed: {suspects}"
        lane = lanes[conflict.lane]
        assert lane == min(suspects)
        block, thread = conflict.other
        told = (block * self.threads + thread, conflict.other_pc, conflict.other_kind)
        assert told in {(t, own.pc, NAMES[own.kind]) for t, own in suspects[lane]}
        assert (conflict.pc, conflict.this) == (op.pc, NAMES[op.kind])
        self.raced = True
        return True


def program(rng, blocks, threads, fences, syncwarps):
    """Random operations for every thread, with few enough accesses that half of them race."""
    programs = [[] for _ in range(blocks * threads)]
    active = rng.permutation(blocks * threads)[: rng.integers(2, 9)]
    plain, spread = rng.random() * 0.6, int(rng.integers(1, 5))
    stores, other = rng.choice([0.2, 0.4, 0.9]), rng.choice([0.05, 0.3])

    def access():
        size = int(rng.choice([1, 2, 4, 8, 16], p=[0.1, 0.15, 0.5, 0.15, 0.1]))
        offset = int(rng.integers(0, max(1, 8 * spread // size))) * size
        home = int(rng.integers(0, 2))
        if rng.random() < plain:
            kind = WRITE if rng.random() < stores else STRONG if rng.random() < 0.3 else READ
            return Op("access", kind, home, offset, size, int(rng.random() < other))
        if fences and rng.random() < 0.6:
            return Op("fence")
        address = 64 if fences and rng.random() < 0.8 else offset // 4 * 4
        return Op("access", ATOMIC, home, address, 4)

    for _ in range(rng.integers(1, 7)):
        if rng.random() < 0.3:
            op = access()
            for t in active:
                programs[t].append(op)
        for t in active:
            programs[t] += [access() for _ in range(rng.integers(0, 4 if fences else 3))]
        for block in range(blocks):
            own = range(block * threads, (block + 1) * threads)
            if rng.random() < 0.4:
                for t in own:
                    programs[t].append(Op("barrier"))
            elif syncwarps and rng.random() < 0.8:
                for first in range(0, threads, 32):
                    lanes = np.arange(min(32, threads - first))
                    parts = int(rng.integers(1, 4))
                    part = rng.integers(0, parts, len(lanes))
                    for k in range(parts):
                        mask = int(sum(1 << int(lane) for lane in lanes[part == k]))
                        if parts == 1 and rng.random() < 0.5:
                            mask = 0xFFFFFFFF
                        if k == 2:
                            continue  # these lanes go elsewhere
                        for lane in lanes[part == k]:
                            programs[own[first + lane]].append(Op("syncwarp", mask=mask))
    return programs


def check(seed, fences, syncwarps, orders):
    rng = np.random.default_rng(seed)
    blocks, threads = int(rng.integers(1, 4)), int(rng.choice([4, 32, 40]))
    programs = program(rng, blocks, threads, fences, syncwarps)
    verdicts = []
    for _ in range(orders):
        races = Races(blocks, threads, fences, syncwarps)
        run = Run(blocks, threads, programs, rng, races, [Home(72), Home(72)])
        run.together = rng.choice([0.0, 0.5, 1.0])
        run.play()
        verdicts.append(run.raced)
    if not fences:
        assert len(set(verdicts)) == 1, "the verdict depends on the order"
    return verdicts[0]


def test_limits_of_memory_change_no_verdict(monkeypatch):
    monkeypatch.setattr(access_log, "COMPACT", 8)
    monkeypatch.setattr(access_log, "SCATTERED", 3)
    monkeypatch.setattr(access_log, "PAIRS", 3)
    monkeypatch.setattr(happens_before, "PASTS", 1)
    for seed in range(1000, 1100):
        check(seed, True, True, 2)


@pytest.mark.parametrize("fences", [False, True], ids=["", "fences"])
@pytest.mark.parametrize("syncwarps", [False, True], ids=["", "syncwarps"])
def test_every_verdict_is_the_oracles(fences, syncwarps):
    raced = [check(seed, fences, syncwarps, 3) for seed in range(150)]
    assert 0.2 < np.mean(raced) < 0.8, f"{np.mean(raced)} race: the programs test too little"
