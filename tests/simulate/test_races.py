"""Each rule of race detection alone, and its negation."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gpugrad.simulate.races import access_log
from gpugrad.simulate.races.access_log import ATOMIC, READ, STRONG, WRITE
from gpugrad.simulate.races.detector import Conflict, Races

KINDS = {"read": READ, "write": WRITE, "atomic": ATOMIC, "volatile read": STRONG}


@dataclass
class Home:
    nbytes: int
    shadow: Any = None


class Grid:
    """A launch of a few blocks, its threads numbered through the grid.

    With `exact`, all threads have executed a fence, so that nothing is left to the quick half.
    """

    exact = False

    def __init__(self, blocks=2, threads=64, fences=False, syncwarps=False, nbytes=1 << 16):
        self.threads = threads
        self.races = Races(blocks, threads, fences or self.exact, syncwarps)
        self.home = Home(nbytes)
        if self.exact:
            self.fence(range(blocks * threads))

    def place(self, lanes):
        lanes = np.atleast_1d(np.array(lanes, np.int64))
        return lanes // self.threads, lanes % self.threads

    def access(self, kind, lanes, offset=0, size=4, pc=0, same=False, value=None, home=None):
        block, thread = self.place(lanes)
        offset = np.broadcast_to(np.array(offset, np.int64), block.shape)
        more = {}
        if kind == WRITE:
            more["same"] = np.broadcast_to(np.array(same), block.shape)
            more["value_key"] = None if value is None else np.array(value)
        self.races.access(home or self.home, offset, size, kind, block, thread, pc, **more)

    def read(self, lanes, offset=0, size=4, **more):
        self.access(READ, lanes, offset, size, **more)

    def write(self, lanes, offset=0, size=4, **more):
        self.access(WRITE, lanes, offset, size, **more)

    def atomic(self, lanes, offset=0, size=4, **more):
        self.access(ATOMIC, lanes, offset, size, **more)

    def barrier(self, *blocks):
        self.races.barrier(np.array(blocks))

    def fence(self, lanes):
        self.races.fence(*self.place(lanes))

    def syncwarp(self, lanes, mask):
        lanes = np.array(lanes)
        self.races.syncwarp(*self.place(lanes), np.full(len(lanes), mask))


@pytest.fixture(params=[False, True], ids=["quick", "exact"], autouse=True)
def exact(request, monkeypatch):
    monkeypatch.setattr(Grid, "exact", request.param)
    return request.param


def conflict(call, *args, **more):
    with pytest.raises(Conflict) as caught:
        call(*args, **more)
    return caught.value


PAIRS = list(itertools.product(KINDS, KINDS))
PEACEFUL = [
    ("read", "read"),
    ("atomic", "atomic"),
    *((name, "volatile read") for name in ("read", "atomic", "volatile read")),
    *(("volatile read", name) for name in ("read", "atomic")),
]


@pytest.mark.parametrize(("first", "second"), [pair for pair in PAIRS if pair not in PEACEFUL])
def test_a_write_and_any_other_access_by_another_thread_race(first, second):
    grid = Grid()
    grid.access(KINDS[first], [3], pc=7)
    found = conflict(grid.access, KINDS[second], [1, 70], [8, 0], pc=9)
    assert (found.lane, found.pc, found.this) == (1, 9, second)
    assert (found.other, found.other_pc, found.other_kind) == ((0, 3), 7, first)
    assert f"{second} at 9 by lane 1, {first} at 7 by (0, 3)" in str(found)


@pytest.mark.parametrize(("first", "second"), PEACEFUL)
def test_reads_do_not_race_nor_do_atomics_with_each_other_or_volatile_reads(first, second):
    grid = Grid()
    grid.access(KINDS[first], [3])
    grid.access(KINDS[second], [1, 70])


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_thread_comes_after_itself(first, second):
    grid = Grid()
    grid.access(KINDS[first], [3, 4], [0, 4])
    grid.access(KINDS[second], [3, 4], [0, 4])


@pytest.mark.parametrize("sizes", [(4, 4), (8, 4), (4, 8), (1, 16), (16, 2), (2, 1)])
def test_only_common_bytes_race(sizes):
    first, second = sizes
    for offset in range(0, 64, second):
        grid = Grid()
        grid.write([0], 16 + first, first)
        common = offset < 16 + 2 * first and 16 + first < offset + second
        if common:
            conflict(grid.write, [1], offset, second)
        else:
            grid.write([1], offset, second)


def test_accesses_of_many_sizes_keep_what_larger_ones_left():
    grid = Grid()
    grid.write([0], 0, 16)
    grid.read([1], 16, 1)  # splits every granule
    assert conflict(grid.read, [2, 1], [16, 15], 1).lane == 1
    grid = Grid()
    grid.read([0, 1, 2], [8, 9, 10], 1)
    found = conflict(grid.write, [0, 2], [0, 8], 8)
    assert (found.lane, found.other) == (1, (0, 0))


def test_a_barrier_orders_its_block_and_no_other():
    for kind, other in itertools.product(KINDS.values(), KINDS.values()):
        grid = Grid()
        grid.access(kind, range(64), np.arange(64) * 4)
        grid.barrier(0)
        grid.access(other, range(64), np.arange(64)[::-1] * 4)
    grid = Grid()
    grid.write([0])
    grid.barrier(1)
    conflict(grid.read, [1])
    grid = Grid()
    grid.write([0])
    grid.barrier(0, 1)
    assert conflict(grid.read, [64]).other == (0, 0)


def test_an_access_after_the_barrier_counts_again():
    grid = Grid()
    grid.write([0])
    grid.barrier(0)
    grid.read([1])
    grid.read([40])
    found = conflict(grid.write, [1], pc=5)
    assert (found.other, found.other_kind) == ((0, 40), "read")


def test_whole_warps_order_themselves_alone():
    grid = Grid(syncwarps=True)
    grid.write(range(64), np.arange(64) * 4)
    grid.syncwarp(range(32), 0xFFFFFFFF)
    grid.read(range(32), np.arange(32)[::-1] * 4)
    assert conflict(grid.read, [31], 32 * 4).other == (0, 32)


def test_a_warp_does_not_order_those_it_shares_a_granule_with():
    grid = Grid(syncwarps=True)
    grid.read([0])
    grid.read([40])
    grid.syncwarp(range(32), 0xFFFFFFFF)
    assert conflict(grid.write, [1]).other == (0, 40)


def test_the_lanes_that_a_block_has_are_a_whole_warp(exact):
    grid = Grid(blocks=1, threads=40, syncwarps=True)
    grid.write(range(32, 40), np.arange(8) * 4)
    grid.syncwarp(range(32, 40), 0xFFFFFFFF)
    grid.read(range(32, 40), np.arange(8)[::-1] * 4)
    assert grid.races._order.involved.any() == exact  # otherwise the quick half said so


def test_some_lanes_order_themselves_and_whom_they_have_met():
    grid = Grid(syncwarps=True)
    grid.write([0, 1, 2], [0, 4, 8])
    grid.syncwarp([0, 1], 0b11)
    grid.read([0, 1], [4, 0])
    assert conflict(grid.read, [2], 0).other == (0, 0)
    grid.syncwarp([1, 2], 0b110)  # lane 2 comes after lane 0 by way of lane 1, lane 0 not after it
    grid.write([2], 0)
    assert conflict(grid.read, [0], 8).other == (0, 2)


def test_two_masks_in_one_instruction_are_two_meetings():
    for partner, races in ((2, False), (1, True)):
        grid = Grid(syncwarps=True)
        grid.write(range(32), np.arange(32) * 4)
        block, thread = grid.place(np.arange(32))
        grid.races.syncwarp(block, thread, np.where(thread % 2, 0xAAAAAAAA, 0x55555555))
        if races:
            conflict(grid.read, [0], partner * 4)
        else:
            grid.read([0], partner * 4)


def test_part_of_a_block_may_meet():
    grid = Grid(threads=96, syncwarps=True)
    lanes = np.arange(64)
    grid.write(np.arange(96), np.arange(96) * 4)
    grid.races.meet(*grid.place(lanes), np.zeros(64, np.int64))
    grid.read([0], 63 * 4)
    assert conflict(grid.read, [0], 64 * 4).other == (0, 64)
    grid = Grid(syncwarps=True)
    grid.write([1, 33], [4, 132])
    grid.races.meet(*grid.place([0, 33]), np.zeros(2, np.int64))
    grid.read([0], 132)
    conflict(grid.read, [0], 4)  # lane 1 of the other warp was there, not this one


def test_lanes_of_one_instruction_are_not_ordered():
    grid = Grid()
    found = conflict(grid.write, [0, 5, 6, 7], [0, 8, 4, 4], value=[1, 2, 3, 4], pc=3)
    assert (found.lane, found.other, found.other_pc) == (2, (0, 7), 3)
    assert (found.this, found.other_kind) == ("write", "write")
    found = conflict(Grid().write, [1, 5, 6], value=[1, 2, 1])
    assert (found.lane, found.other) == (0, (0, 5))
    assert conflict(Grid().write, [0, 1], [0, 0], 16, value=[[1, 2], [1, 3]]).lane == 0
    assert conflict(Grid().write, [0, 1]).lane == 0  # nothing known of the values
    assert conflict(Grid().write, [0, 1], same=[False, True]).lane == 0


def test_stores_of_the_same_value_are_a_finding():
    grid = Grid()
    grid.write([0, 1, 64], value=[9, 9, 9], pc=1)
    grid.write([2], same=True, pc=2)
    grid.write([65, 66], same=True, value=[9], pc=1)
    assert grid.races.findings == [(1, 1), (2, 1)]
    found = conflict(grid.write, [3], pc=4)
    assert found.other_pc in (1, 2)
    grid.write([5], 8, pc=2)
    grid.write([6], 8, same=True, pc=1)
    assert grid.races.findings == [(1, 1), (2, 1)]  # each two instructions once
    grid = Grid()
    grid.write([0, 1], [0, 0], value=None, same=True)
    assert grid.races.findings == [(0, 0)]
    conflict(grid.read, [0])


def test_the_same_value_in_another_width_is_a_conflict():
    for first, second in ((4, 8), (8, 4)):
        grid = Grid()
        grid.write([0], 0, first)
        conflict(grid.write, [1], 0, second, same=True)
    grid = Grid()
    grid.write([0], 0, 8, pc=1)
    grid.write([0], 0, 4, same=True, pc=2)
    assert conflict(grid.write, [1], 0, 4, same=True).other_pc == 1


def test_the_store_that_is_named_left_another_value():
    grid = Grid()
    grid.write([31], 12, 4, pc=1)
    grid.write([31], 14, 2, pc=2)
    assert conflict(grid.write, [12], 12, 4).other_pc == 2  # with the first, it may have the same
    grid = Grid()
    grid.write([31], pc=1)
    grid.atomic([31], pc=2)
    assert conflict(grid.write, [12]).other_pc == 2


def test_what_a_store_replaced_still_races_with_the_same_value():
    # Thread 0 stores 5, then 6, and thread 1 stores 6: that it found 6 there is chance.
    grid = Grid()
    grid.write([0], pc=1)
    grid.write([0], pc=2)
    assert conflict(grid.write, [1], same=True).other_pc == 1
    for kind in (READ, ATOMIC, STRONG):
        grid = Grid()
        grid.access(kind, [0], pc=1)
        grid.write([0], pc=2)
        found = conflict(grid.write, [1], same=True)
        assert (found.other_pc, KINDS[found.other_kind]) == (1, kind)
    grid = Grid()
    grid.write([0])
    grid.barrier(0)
    grid.write([0])
    grid.write([1], same=True)  # comes after the first, and stores as the second
    assert grid.races.findings == [(0, 0)]
    grid = Grid()
    for lane in (0, 0, 1):
        grid.write([lane], same=True)
    assert grid.races.findings == [(0, 0)]


@pytest.mark.parametrize("kinds", [(READ, ATOMIC), (ATOMIC, READ), (READ, WRITE), (ATOMIC, WRITE)])
def test_the_last_that_a_store_replaced_counts(kinds):
    grid = Grid()
    grid.access(kinds[0], [0], pc=1)
    grid.barrier(0)
    grid.access(kinds[1], [1], pc=2)
    grid.write([1], pc=3)
    assert conflict(grid.write, [0], same=True).other_pc == 2
    grid = Grid()
    for lane, kind in enumerate((*kinds, WRITE)):
        grid.access(kind, [lane], pc=lane)
        grid.barrier(0)
    grid.write([3])
    grid.write([4], same=True)
    assert conflict(grid.write, [64], same=True).other_pc in (0, 1, 2)


def test_a_grid_wide_barrier_and_a_new_launch_order_everything():
    grid = Grid()
    grid.write([0])
    grid.races.grid_sync()
    grid.write([64])
    conflict(grid.write, [0])
    later = Grid()
    later.read([1], home=grid.home)
    grid = Grid(fences=True)
    grid.write([0], 64)
    message(grid, 0, 70)
    grid.read([70], 64)
    grid.races.grid_sync()
    assert not grid.races._order._events
    grid.write([0], 64)
    conflict(grid.read, [70], 64)


def test_new_memory_in_the_same_place_has_no_past():
    grid = Grid()
    grid.write([0])
    grid.home.shadow = None
    grid.write([64])


@pytest.mark.parametrize("lanes", [[0, 1], [0, 40], [0, 64], [0, 1, 40, 64]])
def test_who_is_named_is_another_thread(lanes):
    """Of many readers, one is named that the writer does not come after."""
    for order in itertools.permutations(lanes):
        for writer in [*lanes, 90]:
            grid = Grid()
            for lane in order:
                grid.read([lane], pc=lane)
            found = conflict(grid.write, [writer])
            other = found.other[0] * 64 + found.other[1]
            assert other != writer
            assert other in lanes
            assert found.other_pc == other


def test_a_broadcast_counts_all_its_lanes():
    for writer in (0, 17, 63):
        grid = Grid()
        grid.races.access(grid.home, np.zeros(1, int), 4, READ, *grid.place(np.arange(64)), 0)
        conflict(grid.write, [writer])
    grid = Grid()
    grid.write([17])
    found = conflict(grid.read, np.arange(17, 64))
    assert (found.lane, found.other) == (1, (0, 17))
    grid = Grid()
    grid.read(np.arange(64))
    grid.barrier(0)
    grid.write([5])


def message(grid, sender, receiver, address=0):
    grid.fence([sender])
    grid.atomic([sender], address)
    grid.atomic([receiver], address)
    grid.fence([receiver])


def test_a_broadcast_reaches_who_has_not_met_the_writer():
    grid = Grid(syncwarps=True)
    grid.write([0])
    grid.races.meet(*grid.place([0, 63]), np.zeros(2, np.int64))
    grid.read([0, 63])
    assert conflict(grid.read, [0, 5, 63]).lane == 1


def test_lanes_near_and_far_on_one_address_count_as_far():
    grid = Grid()
    grid.read([0, 64, 65, 66], [0, 0, 0, 4])
    grid.barrier(1)
    assert conflict(grid.write, [64]).other == (0, 0)


MESSAGE = ["fence", "release", "acquire", "fence after"]


@pytest.mark.parametrize("without", [None, *MESSAGE])
def test_a_message_needs_both_fences_and_both_atomics(without):
    grid = Grid(fences=True)
    grid.write([0], 64)
    if without != "fence":
        grid.fence([0])
    if without != "release":
        grid.atomic([0])
    if without != "acquire":
        grid.atomic([70])
    if without != "fence after":
        grid.fence([70])
    if without:
        assert conflict(grid.read, [70], 64).other == (0, 0)
    else:
        grid.read([70], 64)


def test_a_message_goes_one_way_by_one_address():
    def sent(release, acquire, later=False, same_instruction=False):
        grid = Grid(fences=True)
        grid.write([0], 64)
        grid.fence([0])
        if same_instruction:
            grid.atomic([0, 70], [release, acquire])
        elif later:
            grid.atomic([70], acquire)
            grid.atomic([0], release)
        else:
            grid.atomic([0], release)
            grid.atomic([70], acquire)
        grid.fence([70])
        return grid

    sent(0, 0).read([70], 64)
    sent(0, 0, same_instruction=True).read([70], 64)  # in the order of the lanes
    conflict(sent(0, 4).read, [70], 64)
    conflict(sent(0, 0, later=True).read, [70], 64)
    grid = sent(0, 0)
    conflict(grid.read, [71], 64)  # nobody told this thread
    grid = sent(0, 0)
    grid.write([0], 128)  # after the fence, hence not part of the message
    conflict(grid.read, [70], 128)


def test_in_one_instruction_an_atomic_sees_the_lanes_before_it():
    grid = Grid(fences=True)
    grid.write([0, 1], [64, 128])
    grid.fence([0, 1])
    grid.atomic([0, 1])
    grid.fence([0, 1])
    grid.read([1], 64)
    conflict(grid.read, [0], 128)


def test_messages_are_passed_on():
    grid = Grid(blocks=3, fences=True)
    grid.write([0], 64)
    grid.barrier(0)
    for sender, receiver, address in ((1, 64, 0), (64, 129, 4)):
        message(grid, sender, receiver, address)
    grid.barrier(2)
    grid.write([130], 64)
    conflict(grid.read, [65], 64)


def reduction(order, release=True, acquire=True):
    """Blocks write partial sums; the last to count itself reads all of them, as all its threads."""
    blocks, threads = len(order), 64
    grid = Grid(blocks, threads, fences=True, nbytes=1 << 20)
    counter, flags = Home(4), Home(blocks)
    for block in order:
        own = block * threads + np.arange(threads)
        grid.write(own, own * 4)
        grid.barrier(block)
        if release:
            grid.fence(own[:1])
        grid.atomic(own[:1], home=counter)
        if acquire:
            grid.fence(own[:1])
        grid.write(own[:1], block, 1, home=flags)
        grid.barrier(block)
        grid.read(own, block, 1, home=flags)
    for other in range(blocks):
        grid.read(own, (other * threads + np.arange(threads)) * 4)
    return grid


def test_a_reduction_in_two_passes_is_clean_with_both_fences_alone():
    rng = np.random.default_rng(1)
    for _ in range(5):
        order = rng.permutation(12)
        reduction(order)
        for missing in ("release", "acquire"):
            conflict(reduction, order, **{missing: False})


def locked(threads, fences=True, spins=2):
    """Everyone adds to a counter under a lock, in a random order, while the others spin."""
    rng = np.random.default_rng(1)
    grid = Grid(2, threads // 2, fences=True)
    lock = Home(4)
    waiting = np.arange(threads)
    for owner in rng.permutation(threads):
        for _ in range(spins):
            grid.atomic(waiting, home=lock)
        waiting = waiting[waiting != owner]
        if fences:
            grid.fence([owner])
        grid.read([owner])
        grid.write([owner])
        if fences:
            grid.fence([owner])
        grid.atomic([owner], home=lock)
    return grid


def test_a_lock_orders_and_does_so_quickly():
    conflict(locked, 64, fences=False)
    begin = time.perf_counter()
    locked(512, spins=8)
    assert time.perf_counter() - begin < 10  # about half a second


def test_repeated_atomics_are_forgotten():
    grid = Grid(fences=True)
    grid.fence([0])
    for _ in range(50):
        grid.atomic(range(64))
    events = grid.races._order._events
    assert sum(event is not None for event in events) <= 4
    grid = Grid(fences=True)  # but the first and the last are not
    grid.write([0], 64)
    grid.fence([0])
    for lane in (0, 70, 0):
        grid.atomic([lane])
    grid.fence([70])
    grid.read([70], 64)
    grid = Grid(fences=True)  # nor those on two sides of a fence
    grid.atomic([0])
    grid.atomic([0])
    grid.write([0], 64)
    message(grid, 0, 70)
    grid.atomic([0])
    grid.read([70], 64)


def test_the_log_keeps_what_it_must(monkeypatch):
    monkeypatch.setattr(access_log, "SCATTERED", 4)
    lanes = np.arange(64)
    grid = Grid(fences=True)
    grid.fence(lanes)
    for _ in range(50):
        grid.read(lanes, lanes * 4)
    grid.read([20], 300)
    grid.barrier(0)
    grid.read([20], 300)
    for _ in range(50):
        grid.read(lanes, 32 + lanes // 8 * 4)
    grid.write([0], 128)
    for _ in range(6):
        grid.write([0], 132, same=True)
    grid.write([0], 128)
    for _ in range(6):
        grid.write([0], 132, same=True)
    log = grid.home.shadow.log
    assert len(log.records) < 10
    assert log.lanes < 4 * 64 + 20
    grid.write([1], 0)  # the reads before the barrier
    assert 0 < conflict(grid.write, [0], 32).other[1] < 8
    assert 0 <= conflict(grid.write, [7], 32).other[1] < 7
    assert conflict(grid.write, [0], 300).other == (0, 20)
    conflict(grid.write, [1], 128, same=True)


def test_lanes_must_be_expected_to_meet():
    with pytest.raises(ValueError, match="syncwarps"):
        Grid().syncwarp(range(32), 0xFFFFFFFF)
    grid = Grid()
    grid.races = Races(2, 40, fences=False, syncwarps=True, parts=False)
    grid.threads = 40
    grid.write([0, 33], [0, 4])
    grid.syncwarp(range(40), -1)
    grid.read([1, 32], [0, 4])
    conflict(grid.read, [1], 4)
    with pytest.raises(ValueError, match="parts"):
        grid.syncwarp([0, 1], 0b11)
