"""How each of the twelve planted mistakes must be reported."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpugrad import simulate
from tests.simulate.kernels import faulty

Place = tuple[int, int, int]


@dataclass(frozen=True)
class Planted:
    """A faulty kernel, its mended twin, and how the first must be reported.

    `raises` is an exception, or the kind of a finding. `blocks` and `threads` are those that may be
    named: where several make the mistake, any of them.
    """

    name: str
    faulty: Any
    mended: Any
    grid: int | tuple[int, ...]
    block: int | tuple[int, ...]
    arguments: Callable[[], tuple[Any, ...]]
    raises: type[simulate.Fault] | str
    match: str
    blocks: tuple[Place, ...] = ((0, 0, 0),)
    threads: tuple[Place, ...] = ()  # of an exception

    def __str__(self) -> str:
        return self.name

    def line(self, mark: str = "fault") -> int:
        """Where the source of the faulty kernel has the comment `# mark`."""
        lines, start = inspect.getsourcelines(self.faulty.py_func)
        (found,) = (k for k, line in enumerate(lines, start) if line.endswith(f"# {mark}\n"))
        return found


def _ramp(*shape: int) -> np.ndarray:
    return np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)


def _threads(*numbers: int) -> tuple[Place, ...]:
    return tuple((number, 0, 0) for number in numbers)


PLANTED = [
    Planted(
        "off-by-one read",
        faulty.difference_too_far,
        faulty.difference,
        2,
        64,
        lambda: (_ramp(100), _ramp(100)),
        simulate.MemoryFault,
        r"load of 4 bytes outside its allocation[\s\S]* 0 bytes past the end of x",
        blocks=((1, 0, 0),),
        threads=_threads(35),
    ),
    Planted(
        "write past the end",
        faulty.fill_unguarded,
        faulty.fill_guarded,
        2,
        64,
        lambda: (np.float32(7), _ramp(100)),
        simulate.MemoryFault,
        r"store of 4 bytes outside its allocation[\s\S]* past the end of out",
        blocks=((1, 0, 0),),
        threads=_threads(*range(36, 64)),
    ),
    Planted(
        "misaligned cast",
        faulty.words_from_byte_1,
        faulty.words_from_byte_4,
        1,
        32,
        lambda: (np.arange(84, dtype=np.uint8), np.zeros(20, np.int32)),
        simulate.MemoryFault,
        r"load of 4 bytes from an address that is no multiple of 4[\s\S]* of data",
        threads=_threads(*range(20)),
    ),
    Planted(
        "missing barrier",
        faulty.reverse_unsynchronised,
        faulty.reverse,
        1,
        64,
        lambda: (_ramp(64), _ramp(64)),
        simulate.RaceError,
        r"race on byte \d+ of shared memory: nothing orders this read and the write",
        threads=_threads(*range(64)),
    ),
    Planted(
        "barrier in a branch",
        faulty.shift_with_barrier_in_branch,
        faulty.shift_with_barrier_for_all,
        1,
        64,
        lambda: (_ramp(64), _ramp(64)),
        simulate.BarrierError,
        r"40 of the 64 threads of a block wait at this barrier; 24 have returned",
        threads=_threads(*range(64)),
    ),
    Planted(
        "shared memory read before written",
        faulty.neighbours_without_edge,
        faulty.neighbours_with_edge,
        1,
        64,
        lambda: (_ramp(64), _ramp(64)),
        simulate.MemoryFault,
        r"load of 4 bytes that nothing has written[\s\S]* of shared memory",
        threads=_threads(0, 63),
    ),
    Planted(
        "lost update without an atomic",
        faulty.count_plainly,
        faulty.count_atomically,
        2,
        32,
        lambda: (np.arange(50, dtype=np.int32) % 7, np.zeros(7, np.int32)),
        simulate.RaceError,
        r"race on byte \d+ of counts: nothing orders this (read|write) and the (read|write)",
        blocks=((0, 0, 0), (1, 0, 0)),
        threads=_threads(*range(32)),
    ),
    Planted(
        "two blocks writing one address",
        faulty.scale_by_thread_only,
        faulty.scale_by_grid,
        2,
        32,
        lambda: (_ramp(64), _ramp(64)),
        simulate.RaceError,
        r"race on byte \d+ of out: nothing orders this write and the write",
        blocks=((0, 0, 0), (1, 0, 0)),
        threads=_threads(*range(32)),
    ),
    Planted(
        "shuffle in a diverged warp",
        faulty.sum_in_half_a_warp,
        faulty.sum_in_a_warp,
        1,
        32,
        lambda: (_ramp(32), _ramp(16)),
        simulate.ShuffleError,
        r"shfl with mask 0xffffffff names lanes that are elsewhere or have ended: 16, 17",
        threads=_threads(*range(16)),
    ),
    Planted(
        "float64 literal",
        faulty.scale_by_double,
        faulty.scale_by_single,
        2,
        64,
        lambda: (_ramp(100), _ramp(100)),
        "float64",
        r"mul\.f64",
    ),
    Planted(
        "stride that breaks coalescing",
        faulty.row_sums_across,
        faulty.row_sums_along,
        2,
        32,
        lambda: (_ramp(64, 64), _ramp(64)),
        "uncoalesced",
        r"4,096 sectors of 32 bytes where 512 could do",
    ),
    Planted(
        "32-way bank conflict",
        faulty.transpose_in_one_bank,
        faulty.transpose_in_all_banks,
        1,
        (32, 32),
        lambda: (_ramp(32, 32), _ramp(32, 32)),
        "bank conflict",
        r"32-way",
    ),
]
