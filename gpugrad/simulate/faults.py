"""What a simulated launch can end with: faults of the kernel, and launches that cannot be made."""

from __future__ import annotations

from typing import Any

from gpugrad.errors import GradError

Index3 = tuple[int, int, int]


class Fault(GradError, RuntimeError):
    """A kernel did what is wrong on every card, or undefined.

    Attributes:
        kernel: the kernel's name.
        line: the line of the Python source, or None where the compiler names none.
        block, thread: which thread did it, as (x, y, z).
    """

    def __init__(
        self,
        what: str,
        *,
        kernel: str = "",
        file: str | None = None,
        line: int | None = None,
        block: Index3 = (0, 0, 0),
        thread: Index3 = (0, 0, 0),
        details: str = "",
    ) -> None:
        self.what, self.kernel, self.file, self.line = what, kernel, file, line
        self.block, self.thread = block, thread
        text = f"{kernel}: {what}\n  at {place(file, line)}, by thread {thread} of block {block}"
        super().__init__(text + (f"\n{details}" if details else ""))


class MemoryFault(Fault):
    """A load or store outside its allocation, misaligned, or of freed or unwritten memory."""


class BarrierError(Fault):
    """A barrier that not every thread of its block can reach."""


class ShuffleError(Fault):
    """A shuffle, vote or `syncwarp` whose mask names a lane that is not there."""


class HangError(Fault):
    """Threads that wait for each other, or a loop beyond the limit of instructions."""


class RaceError(Fault):
    """Two accesses to a common byte, at least one a write, that nothing orders.

    Attributes:
        other_line, other_block, other_thread: the access that ran before.
    """

    def __init__(
        self,
        what: str,
        *,
        other_line: int | None = None,
        other_block: Index3 = (0, 0, 0),
        other_thread: Index3 = (0, 0, 0),
        **where: Any,
    ) -> None:
        self.other_line, self.other_block = other_line, other_block
        self.other_thread = other_thread
        super().__init__(what, **where)


class CompileError(GradError, ValueError):
    """A kernel that Numba cannot compile."""


class LaunchError(GradError, ValueError):
    """A launch that no card would take: its grid, block, shared memory or arguments."""


class UnsupportedError(GradError, NotImplementedError):
    """A PTX construct that the simulator does not know; the message quotes the line."""


def place(file: str | None, line: int | None) -> str:
    """`file:line` as messages show it."""
    if line is None:
        return "an unknown line"
    return f"{file}:{line}" if file else f"line {line}"
