"""Special registers: what a thread can ask of its launch.

Source: NVIDIA, Parallel Thread Execution ISA, section 10.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from gpugrad.simulate.machine.fragment import WARP, Fragment

Get = Callable[[Fragment], Any]


def _number(value: int, dtype: type[np.unsignedinteger[Any]] = np.uint32) -> Any:
    return np.array([value], dtype)


def _index(numbers: Callable[[Fragment], Any], extent: str, axis: int) -> Get:
    """One coordinate of threads or blocks that are numbered linearly, x fastest."""

    def read(f: Fragment) -> Any:
        x, y, z = getattr(f.grid, extent)
        if (x, y, z)[axis] == 1:
            return _number(0)
        linear = numbers(f)
        if len(linear) > 1 and linear is f.block and linear[0] == linear[-1]:
            linear = linear[:1]
        if axis == 0:
            return (linear if y == z == 1 else linear % x).astype(np.uint32)
        if axis == 1:
            return (linear // x % y if z > 1 else linear // x).astype(np.uint32)
        return (linear // (x * y)).astype(np.uint32)

    return read


def _extent(extent: str, axis: int) -> Get:
    return lambda f: _number(getattr(f.grid, extent)[axis])


def _lane_mask(of: Callable[[Any], Any]) -> Get:
    """A mask of lanes from each lane's own number, as uint64 before it is cut to 32 bits."""
    return lambda f: (of((f.thread % WARP).astype(np.uint64)) & np.uint64(0xFFFFFFFF)).astype(
        np.uint32
    )


ONE = np.uint64(1)
REGISTERS: dict[str, Get] = {
    "laneid": lambda f: (f.thread % WARP).astype(np.uint32),
    "warpid": lambda f: (f.thread // WARP).astype(np.uint32),
    "nwarpid": lambda f: _number(WARP),
    "smid": lambda f: _number(0),
    "nsmid": lambda f: _number(1),
    "gridid": lambda f: _number(1, np.uint64),
    "lanemask_eq": _lane_mask(lambda lane: ONE << lane),
    "lanemask_lt": _lane_mask(lambda lane: (ONE << lane) - ONE),
    "lanemask_le": _lane_mask(lambda lane: (ONE << (lane + ONE)) - ONE),
    "lanemask_gt": _lane_mask(lambda lane: ~((ONE << (lane + ONE)) - ONE)),
    "lanemask_ge": _lane_mask(lambda lane: ~((ONE << lane) - ONE)),
    # Time passes, but as the host's: the simulator has no clock of its own.
    "clock": lambda f: _number(time.perf_counter_ns() & 0xFFFFFFFF),
    "clock_hi": lambda f: _number(time.perf_counter_ns() >> 32 & 0xFFFFFFFF),
    "clock64": lambda f: _number(time.perf_counter_ns(), np.uint64),
    "globaltimer": lambda f: _number(time.time_ns(), np.uint64),
    "globaltimer_lo": lambda f: _number(time.time_ns() & 0xFFFFFFFF),
    "globaltimer_hi": lambda f: _number(time.time_ns() >> 32 & 0xFFFFFFFF),
    "dynamic_smem_size": lambda f: _number(f.grid.dynamic),
    "total_smem_size": lambda f: _number(f.grid.static + f.grid.dynamic),
}
for axis, letter in enumerate("xyz"):
    REGISTERS[f"tid.{letter}"] = _index(lambda f: f.thread, "block", axis)
    REGISTERS[f"ctaid.{letter}"] = _index(lambda f: f.block, "grid", axis)
    REGISTERS[f"ntid.{letter}"] = _extent("block", axis)
    REGISTERS[f"nctaid.{letter}"] = _extent("grid", axis)
