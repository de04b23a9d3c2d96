"""Occupancy against hand calculation, and float64 found by line; neither needs a compiler."""

from __future__ import annotations

import pytest

from gpugrad import simulate
from gpugrad.simulate.frontend.cards import CARDS, occupancy
from gpugrad.simulate.frontend.machine_code import float64_lines

T4, A100, H100 = CARDS.values()


@pytest.mark.parametrize(
    ("card", "threads", "registers", "shared", "blocks", "limits"),
    [
        (T4, 32, 16, 0, 16, ("blocks",)),  # 16 blocks of a warp leave half the warps unused
        (T4, 256, 64, 0, 4, ("warps", "registers")),  # 64 registers: 2,048 a warp, 32 warps
        (T4, 256, 65, 0, 3, ("registers",)),  # 72 * 32 = 2,304 a warp: 28 warps, 3 blocks of 8
        (T4, 1024, 32, 0, 1, ("warps",)),
        (T4, 128, 32, 10_000, 6, ("shared memory",)),  # 10,240 of 65,536
        (T4, 64, 16, 4096, 16, ("blocks", "warps", "shared memory")),
        (T4, 64, 32, 65_537, 0, ("shared memory",)),
        (A100, 1024, 32, 0, 2, ("warps", "registers")),
        (A100, 33, 16, 0, 32, ("blocks", "warps")),  # 33 threads are two warps
        (A100, 256, 255, 0, 1, ("registers",)),  # 8,192 a warp: 8 warps
        (A100, 256, 32, 40_000, 4, ("shared memory",)),  # 40,000 + 1,024 -> 41,088: 4 of 167,936
        (A100, 256, 32, 163 * 1024, 1, ("shared memory",)),
        (H100, 256, 32, 227 * 1024, 1, ("shared memory",)),
        (H100, 96, 40, 0, 16, ("registers",)),  # 1,280 a warp: 51, in fours 48, by 3
    ],
)
def test_occupancy_by_hand(card, threads, registers, shared, blocks, limits):
    found = occupancy(card, threads, registers, shared)
    assert (found.blocks, found.limits) == (blocks, limits)
    assert found.warps == blocks * -(-threads // 32)
    assert found.fraction == found.warps / card.warps


def test_a_block_of_too_many_threads_has_no_occupancy():
    with pytest.raises(simulate.LaunchError, match="1 to 1024 threads, not 1025"):
        occupancy(T4, 1025, 32, 0)


def test_float64_instructions_are_found_by_their_lines():
    ptx = """
.visible .entry k() {
    .reg .f64 %fd<9>;
    .loc 1 5 0
    cvt.f64.f32 %fd1, %f1;
    .loc 1 7 3
    add.f32 %f1, %f1, %f1; // .f64
    .loc 2 9 3, function_name $L__info_string0, inlined_at 1 7 3
    mul.f64 %fd2, %fd1, 0d4000000000000000;
    .loc 1 0 3
    cvt.rn.f64.s64 %fd3, %rd1;
    .loc 1 11 1
    cvt.rn.f64.s64 %fd4, %rd2;
    mul.f64 %fd5, %fd4, 0d3BF921FB54442D19;
    cvt.rn.f32.f64 %f3, %fd5;
    .loc 1 5 1
    @%p1 add.f64 %fd6, %fd1, %fd1;
}
.file 1 "/a/kernel.py"
.file 2 "/a/helper.py"
"""
    assert float64_lines(ptx) == (("/a/kernel.py", 5), ("/a/helper.py", 9))
