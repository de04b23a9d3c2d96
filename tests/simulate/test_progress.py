"""Threads that wait for each other: those that a card lets go on do so here; the others hang."""

from __future__ import annotations

import numpy as np
import pytest

from gpugrad import simulate
from gpugrad.simulate.machine import machine
from tests.simulate.handwritten import run

LOCKED = """
    SPIN: atom.global.cas.b32 %r1, [%a0], 0, 1;
    setp.ne.u32 %p1, %r1, 0;
    @%p1 bra SPIN;
    membar.gl;
    ld.global.u32 %r2, [%a1];
    add.u32 %r2, %r2, %t;
    st.global.u32 [%a1], %r2;
    membar.gl;
    atom.global.exch.b32 %r3, [%a0], 0;
"""


@pytest.mark.parametrize(("grid", "block"), [(1, 32), (1, 96), (4, 64)])
def test_a_lock_spins_below_where_it_is_released(grid, block):
    (lock, total), _ = run(
        LOCKED, np.zeros(1, np.uint32), np.zeros(1, np.uint32), grid=grid, block=block
    )
    n = grid * block
    assert (lock[0], total[0]) == (0, n * (n - 1) // 2)


@pytest.mark.parametrize("fence", range(2), ids=["before", "after"])
def test_a_lock_without_one_of_its_fences_is_a_race(fence):
    parts = LOCKED.split("membar.gl;")
    body = parts[0] + ("" if fence == 0 else "membar.gl;") + parts[1]
    body += ("" if fence == 1 else "membar.gl;") + parts[2]
    with pytest.raises(simulate.RaceError, match=r"if cuda\.threadfence\(\) comes before"):
        run(body, np.zeros(1, np.uint32), np.zeros(1, np.uint32), grid=2, block=32)


def test_blocks_that_wait_for_later_ones_get_them(monkeypatch):
    """Every block waits until all have come: with two at a time that takes letting them in."""
    monkeypatch.setattr(machine, "CHUNK", 64)
    (count, out), _ = run(
        """
        mov.u32 %r1, %tid.x;
        setp.ne.u32 %p1, %r1, 0;
        @%p1 bra WAIT;
        membar.gl;
        atom.global.add.u32 %r2, [%a0], 1;
        WAIT: atom.global.or.b32 %r3, [%a0], 0;
        setp.lt.u32 %p2, %r3, 9;
        @%p2 bra WAIT;
        st.global.u32 [%e1], %r3;
        """,
        np.zeros(1, np.uint32), np.zeros(9 * 32, np.uint32),
        grid=9, block=32,
    )  # fmt: skip
    assert count[0] == 9
    assert out.tolist() == [9] * 288


def test_blocks_that_wait_for_nobody_run_in_chunks(monkeypatch):
    monkeypatch.setattr(machine, "CHUNK", 64)
    begun = []
    begin = machine.Machine._begin

    def noted(self, blocks):
        begin(self, blocks)
        begun.append(self.begun)

    monkeypatch.setattr(machine.Machine, "_begin", noted)
    (out,), _ = run("st.global.u32 [%e0], %t;", np.zeros(5 * 32, np.uint32), grid=5, block=32)
    assert out.tolist() == list(range(160))
    assert begun == [2, 4, 5]


def test_private_memory_is_used_again_and_unwritten_again(monkeypatch):
    monkeypatch.setattr(machine, "CHUNK", 64)
    monkeypatch.setattr(machine, "PRIVATE", 256)
    module = ".shared .align 4 .b8 buffer[128];"
    store = "mov.u64 %d1, buffer; mad.wide.u32 %d1, %r39, 4, %d1; st.shared.u32 [%d1], %t;"
    load = "ld.shared.u32 %r1, [%d1]; st.global.u32 [%e0], %r1;"
    (out,), _ = run(store + load, np.zeros(160, np.uint32), grid=5, module=module)
    assert out.tolist() == list(range(160))
    only_the_first = f"setp.ge.u32 %p1, %r38, 2; {store.replace('st.', '@!%p1 st.')} {load}"
    with pytest.raises(simulate.MemoryFault, match="nothing has written") as info:
        run(only_the_first, np.zeros(160, np.uint32), grid=5, module=module)
    assert info.value.block == (2, 0, 0)


def test_who_waits_for_later_blocks_keeps_its_private_memory(monkeypatch):
    """The first block waits until two have come, or three; there is room for the memory of two."""
    monkeypatch.setattr(machine, "CHUNK", 32)
    monkeypatch.setattr(machine, "PRIVATE", 512)
    body = """
        mov.u64 %d1, buffer;
        mad.wide.u32 %d1, %r39, 4, %d1;
        st.shared.u32 [%d1], %t;
        atom.global.add.u32 %r1, [%a0], 1;
        WAIT: atom.global.or.b32 %r2, [%a0], 0;
        setp.lt.u32 %p1, %r2, THREADS;
        @%p1 bra WAIT;
        ld.shared.u32 %r3, [%d1];
        st.global.u32 [%e1], %r3;
    """
    arrays, module = (np.zeros(1, np.uint32), np.zeros(96, np.uint32)), ".shared .b32 buffer[32];"
    (_, out), _ = run(body.replace("THREADS", "64"), *arrays, grid=3, module=module)
    assert out.tolist() == list(range(96))
    with pytest.raises(simulate.HangError):
        run(body.replace("THREADS", "96"), *arrays, grid=3, module=module, limit=20_000)


def test_what_never_ends_is_stopped():
    with pytest.raises(simulate.HangError, match=r"more than 5,000 instructions") as info:
        run("AGAIN: add.u32 %r1, %r1, 1; bra AGAIN;", np.zeros(1, np.uint32), limit=5_000)
    assert info.value.kernel == "k"


def test_a_loop_may_be_long_while_others_wait():
    (out,), _ = run(
        """
        mov.u32 %r1, 0;
        setp.ne.u32 %p1, %t, 0;
        @%p1 bra END;
        AGAIN: add.u32 %r1, %r1, 1;
        setp.lt.u32 %p2, %r1, 70000;
        @%p2 bra AGAIN;
        END: st.global.u32 [%e0], %r1;
        """,
        np.zeros(32, np.uint32),
    )
    assert out.tolist() == [70000] + [0] * 31


def test_what_takes_long_counts_for_more_than_an_instruction():
    """So that a hang at a lock is found as soon as one in arithmetic is."""
    loop = "AGAIN: add.u32 %r1, %r1, 1; {} setp.lt.u32 %p1, %r1, 500; @%p1 bra AGAIN;"
    run(loop.format("xor.b32 %r2, %r1, %r2;"), np.zeros(1, np.uint32), limit=5_000)
    with pytest.raises(simulate.HangError):
        run(loop.format("ld.global.u32 %r2, [%a0];"), np.zeros(1, np.uint32), limit=5_000)


def test_a_barrier_of_the_grid_that_some_threads_return_before():
    sync = """{ .param .b64 grid; st.param.b64 [grid], %d1; .param .b32 flags;
        st.param.b32 [flags], 0; .param .b32 status;
        call.uni (status), cudaCGSynchronize, (grid, flags); }"""
    with pytest.raises(
        simulate.BarrierError, match=r"59 of the 64 threads of the grid wait .*; 5 have returned"
    ) as info:
        run(f"setp.lt.u32 %p1, %t, 5; @%p1 ret; {sync}", np.zeros(1, np.uint32), grid=2)
    assert (info.value.block, info.value.thread) == ((0, 0, 0), (5, 0, 0))
