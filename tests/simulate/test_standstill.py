"""A wait that nobody can end is noticed at once; one that somebody will end is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from gpugrad import simulate
from gpugrad.simulate.machine import machine
from tests.simulate.handwritten import run
from tests.simulate.test_progress import LOCKED


@pytest.mark.parametrize("checks", [True, False])
@pytest.mark.parametrize(
    ("body", "threads"),
    [
        ("WAIT: atom.global.or.b32 %r1, [%a0], 0; setp.eq.u32 %p1, %r1, 0; @%p1 bra WAIT;", 64),
        (LOCKED.replace("atom.global.exch", "//"), 63),
        ("WAIT: ld.volatile.global.u32 %r1, [%a0]; setp.eq.u32 %p1, %r1, 0; @%p1 bra WAIT;", 64),
    ],
    ids=["a flag", "a lock", "a volatile flag"],
)
def test_a_wait_that_nobody_can_end_is_noticed_at_once(body, threads, checks):
    with pytest.raises(simulate.HangError, match=f"{threads} threads go round a loop for ever"):
        run(
            body, np.zeros(1, np.uint32), np.zeros(1, np.uint32),
            grid=2, limit=30_000, checks=checks,
        )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        """
        mov.u32 %r1, 0;
        AGAIN: atom.global.max.u32 %r2, [%a0], 0;
        add.u32 %r1, %r1, 1;
        setp.lt.u32 %p1, %r1, 1000;
        @%p1 bra AGAIN;
        """,
        """
        mov.u64 %d1, %globaltimer;
        AGAIN: atom.global.or.b32 %r2, [%a0], 0;
        mov.u64 %d2, %globaltimer;
        sub.u64 %d2, %d2, %d1;
        setp.lt.u64 %p1, %d2, 100000000;
        @%p1 bra AGAIN;
        """,
        """
        mov.u32 %r1, 0;
        setp.lt.u32 %p2, %t, 32;
        @%p2 bra SPIN;
        COUNT: add.u32 %r1, %r1, 1;
        setp.lt.u32 %p1, %r1, 500;
        @%p1 bra NEXT;
        atom.global.exch.b32 %r2, [%a0], 1;
        NEXT: bar.sync 0;
        @%p1 bra COUNT;
        bra END;
        SPIN: bar.sync 0;
        atom.global.or.b32 %r2, [%a0], 0;
        setp.eq.u32 %p1, %r2, 0;
        @%p1 bra SPIN;
        END:
        """,
    ],
    ids=["a counter", "a clock", "a count by others at a barrier"],
)
def test_turns_that_change_no_byte_may_be_many(body):
    run(body, np.zeros(1, np.uint32), block=64)


def test_blocks_that_wait_at_two_places_for_later_ones_get_them(monkeypatch):
    monkeypatch.setattr(machine, "CHUNK", 64)
    (flags,), _ = run(
        """
        setp.eq.u32 %p1, %r38, 3;
        @%p1 bra LAST;
        setp.ge.u32 %p1, %r39, 32;
        @%p1 bra HIGH;
        LOW: atom.global.or.b32 %r3, [%a0], 0;
        setp.eq.u32 %p2, %r3, 0;
        @%p2 bra LOW;
        bra END;
        HIGH: atom.global.or.b32 %r3, [%a0+4], 0;
        setp.eq.u32 %p2, %r3, 0;
        @%p2 bra HIGH;
        bra END;
        LAST: atom.global.exch.b32 %r3, [%a0], 1;
        atom.global.exch.b32 %r3, [%a0+4], 1;
        END:
        """,
        np.zeros(2, np.uint32),
        grid=4, block=64, limit=100_000,
    )  # fmt: skip
    assert flags.tolist() == [1, 1]
