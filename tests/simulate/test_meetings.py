"""Barriers, shuffles, votes and matches, beside the manual's definitions; and those that fail."""

from __future__ import annotations

import numpy as np
import pytest

from gpugrad import simulate
from tests.simulate.handwritten import run

FULL = "0xffffffff"
RNG = np.random.default_rng(5)


def outcome(mode, lane, b, c, value):
    """PTX ISA, shfl.sync, as the manual's own pseudocode has it: (d, p)."""
    segment, clamp, b = c >> 8 & 31, c & 31, b & 31
    highest = (lane & segment) | (clamp & ~segment)
    lowest = lane & segment
    if mode == "up":
        j = lane - b
        inside = j >= highest
    elif mode == "down":
        j = lane + b
        inside = j <= highest
    elif mode == "bfly":
        j = lane ^ b
        inside = j <= highest
    else:
        j = lowest | (b & ~segment)
        inside = j <= highest
    return int(value[j if inside else lane]), inside


@pytest.mark.parametrize("width", [32, 16, 8, 1])
@pytest.mark.parametrize("distance", [0, 1, 5, 16, 31, 33])
@pytest.mark.parametrize("mode", ["up", "down", "bfly", "idx"])
def test_shuffles(mode, distance, width):
    value = RNG.integers(0, 2**32, 96, np.uint32)
    clamp = (32 - width) << 8 | (0 if mode == "up" else 31)
    (_, moved, inside), _ = run(
        f"""
        ld.global.u32 %r1, [%e0];
        shfl.sync.{mode}.b32 %r2|%p1, %r1, {distance}, {clamp}, {FULL};
        selp.u32 %r3, 1, 0, %p1;
        st.global.u32 [%e1], %r2;
        st.global.u32 [%e2], %r3;
        """,
        value, np.zeros_like(value), np.zeros_like(value),
        block=96,
    )  # fmt: skip
    expected = [
        outcome(mode, lane, distance, clamp, value[32 * warp : 32 * warp + 32])
        for warp in range(3)
        for lane in range(32)
    ]
    assert list(zip(moved.tolist(), inside.astype(bool).tolist(), strict=True)) == expected


def test_each_lane_may_ask_another():
    value, asked = RNG.integers(0, 99, 64).astype(np.uint32), RNG.integers(0, 32, 64)
    (_, _, moved), _ = run(
        f"""
        ld.global.u32 %r1, [%e0];
        ld.global.u32 %r2, [%e1];
        shfl.sync.idx.b32 %r3, %r1, %r2, 31, {FULL};
        st.global.u32 [%e2], %r3;
        """,
        value, asked.astype(np.uint32), np.zeros_like(value),
        block=64,
    )  # fmt: skip
    assert moved.tolist() == [value[lane // 32 * 32 + asked[lane]] for lane in range(64)]


def test_a_branch_may_shuffle_among_its_own_lanes():
    (out,), _ = run(
        """
        setp.lt.u32 %p1, %t, 12;
        @!%p1 bra END;
        shfl.sync.bfly.b32 %r1, %t, 1, 31, 0xfff;
        st.global.u32 [%e0], %r1;
        END:
        """,
        np.zeros(32, np.uint32),
    )
    assert out.tolist() == [t ^ 1 if t < 12 else 0 for t in range(32)]


def test_what_comes_from_a_lane_that_takes_no_part_is_undefined_and_shows():
    (out,), _ = run(
        """
        setp.lt.u32 %p1, %t, 16;
        @!%p1 bra END;
        shfl.sync.down.b32 %r1, %t, 8, 31, 0xffff;
        st.global.b32 [%e0], %r1;
        END:
        """,
        np.zeros(32, np.float32),
    )
    assert out[:8].view(np.uint32).tolist() == list(range(8, 16))
    assert np.isnan(out[8:16]).all()


def test_lanes_that_come_late_are_waited_for():
    (out,), _ = run(
        f"""
        setp.lt.u32 %p1, %t, 3;
        mov.u32 %r1, %t;
        @%p1 bra SLOW;
        MEET: shfl.sync.idx.b32 %r2, %r1, 0, 31, {FULL};
        st.global.u32 [%e0], %r2;
        ret;
        SLOW: add.u32 %r1, %r1, 40;
        bra MEET;
        """,
        np.zeros(32, np.uint32),
    )
    assert out.tolist() == [40] * 32


@pytest.mark.parametrize("threads", [32, 40, 96])
def test_votes_and_ballots(threads):
    votes = RNG.integers(0, 2, threads).astype(np.uint32)
    votes[32:64] = 1
    (_, ballot, rest), _ = run(
        f"""
        ld.global.u32 %r1, [%e0];
        setp.ne.u32 %p1, %r1, 0;
        vote.sync.ballot.b32 %r2, %p1, {FULL};
        vote.sync.all.pred %p2, %p1, {FULL};
        vote.sync.any.pred %p3, !%p1, {FULL};
        vote.sync.uni.pred %p4, %p1, {FULL};
        st.global.u32 [%e1], %r2;
        selp.u32 %r3, 1, 0, %p2; selp.u32 %r4, 2, 0, %p3; selp.u32 %r5, 4, 0, %p4;
        or.b32 %r3, %r3, %r4; or.b32 %r3, %r3, %r5;
        st.global.u32 [%e2], %r3;
        """,
        votes, np.zeros_like(votes), np.zeros_like(votes),
        block=threads,
    )  # fmt: skip
    for lane in range(threads):
        warp = votes[lane // 32 * 32 : lane // 32 * 32 + 32]
        assert ballot[lane] == sum(1 << k for k, vote in enumerate(warp) if vote)
        expected = 1 * warp.all() + 2 * (1 - warp).any() + 4 * (len(set(warp.tolist())) == 1)
        assert rest[lane] == expected


@pytest.mark.parametrize("kind", ["b32", "b64"])
def test_match(kind):
    size = int(kind[1:]) // 8
    value = RNG.integers(0, 3, 64).astype(f"u{size}")
    value[32:] = 7
    r = {4: "%r", 8: "%d"}[size]
    (_, some, every), _ = run(
        f"""
        ld.global.{kind} {r}1, [%e0];
        match.any.sync.{kind} %r2, {r}1, {FULL};
        match.all.sync.{kind} %r3|%p1, {r}1, {FULL};
        @!%p1 mov.u32 %r3, 99;
        st.global.u32 [%e1], %r2;
        st.global.u32 [%e2], %r3;
        """,
        value, np.zeros(64, np.uint32), np.zeros(64, np.uint32),
        block=64,
    )  # fmt: skip
    for lane in range(64):
        warp = value[lane // 32 * 32 : lane // 32 * 32 + 32]
        assert some[lane] == sum(1 << k for k in range(32) if warp[k] == value[lane])
        assert every[lane] == (99 if lane < 32 else 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("op", "kind", "function"),
    [
        ("add", "s32", sum), ("min", "s32", min), ("max", "u32", max),
        ("and", "b32", np.bitwise_and.reduce), ("or", "b32", np.bitwise_or.reduce),
        ("xor", "b32", np.bitwise_xor.reduce),
    ],
)  # fmt: skip
def test_redux(op, kind, function):
    value = RNG.integers(0, 1000, 64).astype(np.uint32)
    (_, out), _ = run(
        f"ld.global.u32 %r1, [%e0]; redux.sync.{op}.{kind} %r2, %r1, {FULL};"
        "st.global.u32 [%e1], %r2;",
        value, np.zeros_like(value),
        block=64, cc=(8, 0),
    )  # fmt: skip
    expected = [function(value[k : k + 32].tolist()) for k in (0, 32)]
    assert out.tolist() == np.repeat(expected, 32).tolist()


def test_activemask_names_the_lanes_that_are_there():
    (out,), _ = run(
        """
        setp.lt.u32 %p1, %t, 4;
        @!%p1 bra END;
        activemask.b32 %r1;
        st.global.u32 [%e0], %r1;
        END:
        """,
        np.zeros(32, np.uint32),
    )
    assert out.tolist() == [15] * 4 + [0] * 28


# Barriers


@pytest.mark.parametrize(
    "opcode", ["bar.sync", "barrier.sync", "barrier.sync.aligned", "bar.cta.sync"]
)
def test_a_barrier_lets_every_warp_see_what_the_others_stored(opcode):
    (out,), _ = run(
        f"""
        mov.u32 %r1, %tid.x;
        mov.u64 %d1, buffer;
        mad.wide.u32 %d2, %r1, 4, %d1;
        st.shared.u32 [%d2], %t;
        {opcode} 0;
        sub.u32 %r2, 95, %r1;
        mad.wide.u32 %d3, %r2, 4, %d1;
        ld.shared.u32 %r3, [%d3];
        st.global.u32 [%e0], %r3;
        """,
        np.zeros(192, np.uint32),
        grid=2, block=96,
        module=".shared .align 4 .b8 buffer[384];",
    )  # fmt: skip
    assert out.tolist() == [b * 96 + 95 - t for b in range(2) for t in range(96)]


@pytest.mark.parametrize(
    ("opcode", "function"),
    [
        ("bar.red.popc.u32", lambda votes: int(votes.sum())),
        ("bar.red.and.pred", lambda votes: int(votes.all())),
        ("bar.red.or.pred", lambda votes: int(votes.any())),
    ],
)
@pytest.mark.parametrize("parted", [False, True], ids=["together", "parted"])
def test_barriers_that_reduce(opcode, function, parted):
    votes = (RNG.random(3 * 96) < 0.4).astype(np.uint32)
    votes[96:192], votes[192:] = 1, 0
    late = "setp.lt.u32 %p5, %r20, 37; @%p5 bra LATE;" if parted else ""
    result = "%r2" if "popc" in opcode else "%p2"
    show = "" if "popc" in opcode else "selp.u32 %r2, 1, 0, %p2;"
    (_, out), _ = run(
        f"""
        mov.u32 %r20, %tid.x;
        ld.global.u32 %r1, [%e0];
        setp.ne.u32 %p1, %r1, 0;
        {late}
        MEET: {opcode} {result}, 0, %p1;
        {show}
        st.global.u32 [%e1], %r2;
        ret;
        LATE: add.u32 %r20, %r20, 1;
        bra MEET;
        """,
        votes, np.zeros_like(votes),
        grid=3, block=96,
    )  # fmt: skip
    expected = [function(votes[96 * b : 96 * b + 96]) for b in range(3)]
    assert out.tolist() == np.repeat(expected, 96).tolist()


def test_named_barriers_of_some_of_the_threads():
    """Two warps hand a value over at barrier 1, while the third goes on."""
    (out,), _ = run(
        """
        shr.u32 %r1, %t, 5;
        mov.u64 %d1, buffer;
        setp.eq.u32 %p1, %r1, 2;
        @%p1 bra OTHER;
        setp.eq.u32 %p2, %r1, 1;
        @%p2 bra TAKE;
        and.b32 %r2, %t, 31;
        mad.wide.u32 %d2, %r2, 4, %d1;
        add.u32 %r3, %t, 500;
        st.shared.u32 [%d2], %r3;
        bar.arrive 1, 64;
        ret;
        TAKE: bar.sync 1, 64;
        and.b32 %r2, %t, 31;
        mad.wide.u32 %d2, %r2, 4, %d1;
        ld.shared.u32 %r4, [%d2];
        st.global.u32 [%e0], %r4;
        ret;
        OTHER: st.global.u32 [%e0], 7;
        """,
        np.zeros(96, np.uint32),
        block=96,
        module=".shared .align 4 .b8 buffer[128];",
    )  # fmt: skip
    assert out.tolist() == [0] * 32 + [500 + k for k in range(32)] + [7] * 32


def test_warps_may_have_barriers_of_their_own():
    """Pairs of warps exchange values at the barrier that their number says."""
    (out,), _ = run(
        """
        shr.u32 %r1, %t, 6;
        add.u32 %r1, %r1, 1;
        mov.u64 %d1, buffer;
        mad.wide.u32 %d2, %t, 4, %d1;
        st.shared.u32 [%d2], %t;
        bar.sync %r1, 64;
        xor.b32 %r2, %t, 32;
        mad.wide.u32 %d2, %r2, 4, %d1;
        ld.shared.u32 %r3, [%d2];
        st.global.u32 [%e0], %r3;
        """,
        np.zeros(192, np.uint32),
        block=192,
        module=".shared .b32 buffer[192];",
    )
    assert out.tolist() == [t ^ 32 for t in range(192)]


def test_a_barrier_of_some_threads_that_reduces():
    (_, out), _ = run(
        """
        mov.u32 %r3, 9;
        setp.ge.u32 %p1, %t, 64;
        @%p1 bra END;
        setp.lt.u32 %p2, %t, 64;
        bar.red.and.pred %p3, 1, 64, %p2;
        selp.u32 %r3, 1, 0, %p3;
        setp.ne.u32 %p4, %t, 5;
        bar.red.popc.u32 %r4, 1, 64, %p4;
        add.u32 %r3, %r3, %r4;
        END: st.global.u32 [%e1], %r3;
        """,
        np.zeros(96, np.uint32), np.zeros(96, np.uint32),
        block=96,
    )  # fmt: skip
    assert out.tolist() == [64] * 64 + [9] * 32


@pytest.mark.parametrize("block", [64, 96], ids=["of the whole block", "of a part of it"])
@pytest.mark.parametrize("early", [False, True], ids=["after it", "before it"])
def test_who_does_not_wait_at_a_barrier_does_not_come_after_the_others(block, early):
    """One warp signals and then stores what the other reads, before or after the barrier."""
    read, wait = "ld.shared.u32 %r4, [%d2];", "bar.sync 1, 64;"
    body = f"""
        and.b32 %r2, %t, 31;
        mov.u64 %d1, buffer;
        mad.wide.u32 %d2, %r2, 4, %d1;
        setp.lt.u32 %p1, %t, 32;
        @%p1 st.shared.u32 [%d2], %t;
        bar.sync 0;
        setp.ge.u32 %p2, %t, 64;
        @%p2 ret;
        @%p1 bra GIVE;
        {read + wait if early else wait + read}
        ret;
        GIVE: bar.arrive 1, 64;
        st.shared.u32 [%d2], 7;
        """
    with pytest.raises(simulate.RaceError):
        run(body, np.zeros(96), block=block, module=".shared .align 4 .b8 buffer[128];")


def test_lanes_may_come_back_to_a_vote_while_others_still_vote_there():
    """A loop of lanes that leave one by one, in a loop of all: masks say who belongs together."""
    (out,), _ = run(
        f"""
        mov.u32 %r1, 0;
        mov.u32 %r5, 0;
        OUTER: and.b32 %r2, %t, 3;
        mov.u32 %r3, {FULL};
        INNER: setp.ne.u32 %p1, %r2, 0;
        vote.sync.ballot.b32 %r3, %p1, %r3;
        @!%p1 bra ON;
        sub.u32 %r2, %r2, 1;
        atom.global.add.u32 %r4, [%e0], 1;
        bra INNER;
        ON: add.u32 %r1, %r1, 1;
        setp.lt.u32 %p2, %r1, 3;
        @%p2 bra OUTER;
        """,
        np.zeros(32, np.uint32),
    )
    assert out.tolist() == [3 * (t & 3) for t in range(32)]


# What goes wrong


def test_a_barrier_that_some_threads_return_before():
    with pytest.raises(
        simulate.BarrierError, match=r"28 of the 32 threads of a block wait.*4 have returned"
    ) as info:
        run("setp.lt.u32 %p1, %t, 4; @%p1 ret; bar.sync 0;", np.zeros(1, np.uint32))
    assert info.value.thread == (4, 0, 0)
    with pytest.raises(simulate.BarrierError, match="; 1 has returned and cannot come"):
        run("setp.lt.u32 %p1, %t, 1; @%p1 ret; bar.sync 0;", np.zeros(1, np.uint32))


def test_threads_that_wait_at_two_barriers():
    with pytest.raises(simulate.BarrierError, match="wait at another barrier"):
        run(
            "setp.lt.u32 %p1, %t, 4; @%p1 bra A; bar.sync 1; ret; A: bar.sync 2;",
            np.zeros(1, np.uint32),
        )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (f"setp.lt.u32 %p1, %t, 9; @%p1 ret; vote.sync.any.pred %p2, %p1, {FULL};",
         r"vote with mask 0xffffffff names lanes .*: 0, 1, 2, 3, 4, 5, 6, 7, 8\n"),
        (f"setp.lt.u32 %p1, %t, 30; @%p1 bra A; bar.warp.sync {FULL}; A:",
         "syncwarp with mask 0xffffffff names lanes that are elsewhere or have ended: 0, 1"),
        ("shfl.sync.idx.b32 %r1, %t, 0, 31, 0xffff;", r"lane 16 is not in the mask 0x0000ffff"),
        ("setp.lt.u32 %p1, %t, 4; selp.b32 %r2, 0xffffffff, 0xfffffff0, %p1; "
         "shfl.sync.idx.b32 %r1, %t, 0, 31, %r2;",
         "shfl with mask 0xffffffff names lanes that are elsewhere or have ended: 4, 5, 6"),
        ("setp.lt.u32 %p1, %t, 4; selp.b32 %r2, 0xffffffff, 0xfffffff1, %p1; "
         "shfl.sync.idx.b32 %r1, %t, 0, 31, %r2;",
         r"lane 4 in the mask 0xffffffff, but that lane came with the mask 0xfffffff1"),
    ],
)  # fmt: skip
def test_a_mask_that_names_who_is_not_there(body, message):
    with pytest.raises(simulate.ShuffleError, match=message):
        run(body, np.zeros(1, np.uint32))


def test_a_mask_may_name_lanes_that_a_short_warp_lacks():
    (out,), _ = run(
        f"shfl.sync.idx.b32 %r1, %t, 3, 31, {FULL}; st.global.u32 [%e0], %r1;",
        np.zeros(40, np.uint32),
        block=40,
    )
    assert out.tolist() == [3] * 32 + [35] * 8
