"""Counts, against their definitions written out as loops over the lanes of each warp."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest

from gpugrad.simulate.report.counts import Counts, Figures, instruction_kind, warps_and_room

SIZES = (1, 2, 4, 8, 16)
BASE = 0x7F00_0000_0000


def lanes_of(block_threads, blocks, keep):
    """Warp and lane of each thread of a grid that `keep` keeps."""
    thread = np.tile(np.arange(block_threads), blocks)
    block = np.repeat(np.arange(blocks), block_threads)
    in_block = -(-block_threads // 32)
    kept = keep(block, thread)
    return (block * in_block + thread // 32)[kept], (thread % 32)[kept]


FRAGMENTS = {
    "whole": lanes_of(128, 3, lambda block, thread: thread >= 0),
    "one warp": lanes_of(32, 1, lambda block, thread: thread >= 0),
    "one lane": lanes_of(32, 1, lambda block, thread: thread == 5),
    "tail": lanes_of(64, 4, lambda block, thread: 64 * block + thread < 201),
    "short blocks": lanes_of(100, 3, lambda block, thread: thread >= 0),
    "every other lane": lanes_of(64, 3, lambda block, thread: thread % 2 == 1),
    "a lane of each": lanes_of(96, 3, lambda block, thread: thread % 32 == 31),
    "some": lanes_of(96, 5, lambda block, thread: (thread * 7 + block) % 5 < 2),
    "upper half": lanes_of(64, 2, lambda block, thread: thread % 32 >= 16),
    "a whole and parts": lanes_of(32, 5, lambda block, thread: (block != 2) | (thread < 9)),
}


def addresses(lanes, size):
    """Address patterns: numbers of elements, times their size."""
    n = np.arange(lanes)
    rng = np.random.default_rng(lanes + size)
    return {
        "consecutive": n * size,
        "off by one": (n + 1) * size,
        "reversed": (lanes - n) * size,
        "stride 2": n * 2 * size,
        "column": n * 33 * size,
        "same": np.full(lanes, 3 * size),
        "pairs": n // 2 * size,
        "two places": n % 2 * 1024,
        "random": rng.integers(0, 500, lanes) * size,
        "few": rng.integers(0, 7, lanes) * size,
        "far": rng.integers(0, 2**28, lanes) * size,
    }


CASES = [(fragment, size) for fragment in FRAGMENTS for size in SIZES]


def by_warp(warp, address):
    groups = defaultdict(list)
    for each, byte in zip(warp.tolist(), address.tolist(), strict=True):
        groups[each].append(byte)
    return list(groups.values())


def sectors(warp, address, size):
    """Sectors touched, and the fewest for as many different bytes."""
    touched = fewest = 0
    for starts in by_warp(warp, address):
        different = {start + byte for start in starts for byte in range(size)}
        touched += len({byte // 32 for byte in different})
        fewest += math.ceil(len(different) / 32)
    return touched, fewest


def passes(warp, lane, address, size):
    """For each warp, or half or quarter, the most different words of one bank."""
    parts = max(1, size // 4)
    groups = defaultdict(set)
    for w, position, start in zip(warp.tolist(), lane.tolist(), address.tolist(), strict=True):
        words = {(start + byte) // 4 for byte in range(size)}
        groups[w, position * parts // 32] |= words
    most = []
    for words in groups.values():
        banks = defaultdict(set)
        for word in words:
            banks[word % 32].add(word)
        most.append(max(map(len, banks.values())))
    return most


def collisions(warp, address):
    return sum(len(starts) - len(set(starts)) for starts in by_warp(warp, address))


@pytest.mark.parametrize(("fragment", "size"), CASES)
def test_global_memory_against_its_definition(fragment, size):
    warp, _ = FRAGMENTS[fragment]
    for name, offset in addresses(len(warp), size).items():
        address = BASE + offset
        counts = Counts(3)
        for pc, kind in enumerate(("load", "store", "atomic")):
            counts.memory(pc, warp, address, size, kind)
        load, store, atomic = counts.at
        touched, fewest = sectors(warp, address, size)
        assert (load.load_sectors, load.ideal_load_sectors) == (touched, fewest), name
        assert (store.store_sectors, store.ideal_store_sectors) == (touched, fewest), name
        assert (atomic.load_sectors, atomic.ideal_store_sectors) == (touched, fewest), name
        assert load.loaded_bytes == store.stored_bytes == len(warp) * size
        assert atomic.loaded_bytes == atomic.stored_bytes == len(warp) * size
        assert load.stored_bytes == load.store_sectors == load.ideal_store_sectors == 0
        assert store.loaded_bytes == store.load_sectors == store.ideal_load_sectors == 0
        assert load.accesses == len(warp)
        assert load.requests == len(set(warp.tolist()))
        assert load.atomic_collisions == store.atomic_collisions == 0
        assert atomic.atomic_collisions == collisions(warp, address), name


@pytest.mark.parametrize(("fragment", "size"), CASES)
def test_shared_memory_against_its_definition(fragment, size):
    warp, lane = FRAGMENTS[fragment]
    for name, address in addresses(len(warp), size).items():
        counts = Counts(2)
        counts.shared(0, warp, BASE + address, size, "load", lane)
        counts.shared(1, warp, address, size, "atomic", lane)
        most = passes(warp, lane, address, size)
        assert counts.at[0].bank_conflicts == sum(most) - len(most), name
        assert counts.at[0].shared_requests == len(most), name
        assert counts.at[0].ways == max(most), name
        assert counts.at[0].atomic_collisions == 0
        assert counts.at[1].bank_conflicts == counts.at[0].bank_conflicts
        assert counts.at[1].atomic_collisions == collisions(warp, address), name
        assert counts.at[1].loaded_bytes == counts.at[1].load_sectors == 0


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.uint64])
def test_addresses_of_other_integer_types(dtype):
    warp, lane = FRAGMENTS["some"]
    address = addresses(len(warp), 4)["random"]
    counts = Counts(2)
    counts.shared(0, warp, address.astype(dtype), 4, "load")
    counts.memory(1, warp, address.astype(dtype), 4, "load")
    most = passes(warp, lane, address, 4)
    assert counts.at[0].bank_conflicts == sum(most) - len(most)
    assert counts.at[1].load_sectors == sectors(warp, address, 4)[0]


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_one_address_for_all_lanes(fragment):
    warp, lane = FRAGMENTS[fragment]
    for size in SIZES:
        counts = Counts(2)
        counts.memory(0, warp, np.array([BASE]), size, "atomic")
        counts.shared(1, warp, np.array([64]), size, "atomic", lane)
        same = np.full(len(warp), BASE)
        assert counts.at[0].load_sectors == sectors(warp, same, size)[0]
        assert counts.at[0].ideal_load_sectors == sectors(warp, same, size)[1]
        assert counts.at[0].atomic_collisions == collisions(warp, same)
        assert counts.at[1].atomic_collisions == collisions(warp, same)
        assert (counts.at[1].bank_conflicts, counts.at[1].ways) == (0, 1)


def test_whole_warps_need_no_lane_numbers():
    warp, lane = FRAGMENTS["whole"]
    for size in SIZES:
        address = addresses(len(warp), size)["random"]
        counts = Counts(2)
        counts.shared(0, warp, address, size, "load")
        counts.shared(1, warp, address, size, "load", lane)
        assert counts.at[0] == counts.at[1]


def test_without_lane_numbers_the_lanes_that_are_there_count():
    warp, _ = FRAGMENTS["some"]
    place = np.concatenate([np.arange(count) for count in np.bincount(warp)])
    for size in SIZES:
        address = addresses(len(warp), size)["random"]
        counts = Counts(2)
        counts.shared(0, warp, address, size, "load")
        counts.shared(1, warp, address, size, "load", place)
        assert counts.at[0] == counts.at[1]


def test_known_patterns():
    lane = np.arange(32)
    warp = np.zeros(32, np.int64)
    counts = Counts(9)
    counts.memory(0, warp, lane * 4, 4, "load")  # four sectors side by side
    counts.memory(1, warp, lane * 4 + 4, 4, "load")  # the same, not aligned
    counts.memory(2, warp, lane * 4096, 4, "load")  # a column
    counts.memory(3, warp, lane * 0, 4, "load")  # a broadcast
    counts.memory(4, warp, lane * 16, 16, "load")  # vectors of four
    pairs = [(each.load_sectors, each.ideal_load_sectors) for each in counts.at[:5]]
    assert pairs == [(4, 4), (5, 4), (32, 4), (1, 1), (16, 16)]
    counts.shared(5, warp, lane * 128, 4, "load")  # a column of 32 floats
    counts.shared(6, warp, lane * 132, 4, "load")  # the same, padded
    counts.shared(7, warp, lane * 8, 8, "load")  # doubles side by side: two halves, no conflict
    counts.shared(8, warp, lane * 8, 4, "load")  # every other word
    conflicts = [(each.bank_conflicts, each.ways) for each in counts.at[5:]]
    assert conflicts == [(31, 32), (0, 1), (0, 1), (1, 2)]


def test_no_lanes_count_nothing():
    none = np.zeros(0, np.int64)
    counts = Counts(1)
    counts.memory(0, none, none, 4, "load")
    counts.shared(0, none, none, 4, "load")
    assert counts.at[0] == Figures()


def test_executions_and_idle_lanes():
    counts = Counts(2)
    counts.executed(0, 64, 2)
    counts.executed(0, 40, 2)  # 24 lanes are elsewhere
    counts.executed(1, 40, 2, room=48)  # of which 16 never were
    assert (counts.at[0].instructions, counts.at[0].warps, counts.at[0].idle_lanes) == (104, 4, 24)
    assert (counts.at[1].instructions, counts.at[1].warps, counts.at[1].idle_lanes) == (40, 2, 8)
    total = counts.total()
    assert (total.instructions, total.idle_lanes) == (144, 32)
    assert counts.total([1]) == counts.at[1]


@pytest.mark.parametrize("threads", [1, 31, 32, 33, 64, 100, 1024])
def test_the_room_of_warps(threads):
    rng = np.random.default_rng(threads)
    for share in (0.02, 0.5, 1.0):
        warp, _ = lanes_of(threads, 6, lambda block, thread: rng.random(len(block)) <= share)  # noqa: B023
        lanes = np.bincount(lanes_of(threads, 6, lambda block, thread: thread >= 0)[0])
        own = set(warp.tolist())
        if own:
            assert warps_and_room(warp, threads) == (len(own), sum(lanes[each] for each in own))


def test_the_stride_of_the_first_access():
    warp = np.arange(64) // 32
    x, y = np.arange(64) % 16, np.arange(64) // 16
    for address, stride in {
        "column": (np.arange(64) * 400, 400),
        "backwards": (np.arange(64) * -12 + 4000, -12),
        "tile, the wrong way round": (x * 4096 + y * 4, 4096),
        "random": (np.random.default_rng(0).integers(0, 10000, 64) * 4, 0),
        "same": (np.array([64]), 0),
    }.values():
        counts = Counts(1)
        counts.memory(0, warp, address, 4, "load")
        assert counts.at[0].stride == stride
        counts.memory(0, warp, np.arange(64) * 4, 4, "load")
        assert counts.at[0].stride == stride


def test_figures_add():
    figures = Figures(instructions=3, ways=4, stride=0)
    figures.add(Figures(instructions=5, idle_lanes=1, ways=2, stride=64))
    assert figures == Figures(instructions=8, idle_lanes=1, ways=4, stride=64)


@pytest.mark.parametrize(
    ("opcode", "kind"),
    [
        ("add.f32", "float32"), ("fma.rn.f64", "float64"), ("add.rn.f16x2", "float16"),
        ("fma.rn.bf16", "bfloat16"), ("mul.wide.s32", "integer"), ("ex2.approx.ftz.f32", "float32"),
        ("and.pred", "integer"), ("popc.b64", "integer"), ("setp.lt.f64", "comparison"),
        ("selp.b32", "selection"), ("cvt.rn.f32.f64", "conversion"), ("mov.u32", "move"),
        ("cvta.to.global.u64", "move"), ("ld.global.f32", "global load"),
        ("ld.global.nc.v4.f32", "global load"), ("ld.volatile.shared.u32", "shared load"),
        ("st.shared::cta.f32", "shared store"), ("ld.param.u64", "parameter load"),
        ("ld.u32", "generic load"), ("st.f64", "generic store"), ("st.local.u32", "local store"),
        ("ld.const.f32", "constant load"), ("atom.global.add.f32", "atomic"),
        ("red.shared.add.u32", "atomic"), ("bar.sync", "barrier"), ("bar.warp.sync", "barrier"),
        ("membar.gl", "fence"), ("shfl.sync.down.b32", "shuffle"), ("vote.sync.any.pred", "vote"),
        ("match.any.sync.b32", "vote"), ("bra", "branch"), ("bra.uni", "branch"),
        ("ret", "branch"), ("call.uni", "call"), ("frobnicate", "other"),
    ],
)  # fmt: skip
def test_kinds_of_instructions(opcode, kind):
    assert instruction_kind(opcode) == kind
