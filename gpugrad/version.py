"""Versions: how a backward pass notices that a value it kept was overwritten.

Memory that gpugrad's operations made is never written again, so its tensors carry no version. A
leaf that requires a gradient can be written by an optimizer or under `no_grad`; it carries a
`Version`, shared by its views. Memory handed over by `asarray` without a copy can be written by
anyone at any time; it carries `FOREIGN`, and the tape keeps a private copy of it.
"""

from __future__ import annotations

import os
import sys
from types import CodeType

Place = tuple[CodeType, int]  # some code, and the instruction in it: its line is found when asked

# Files of the package, and the functions that `gpugrad.call` and `gpugrad.plan` write out.
_OURS = (os.path.dirname(os.path.abspath(__file__)) + os.sep, "<gpugrad ")


class Version:
    """How often some memory was written, and by whom last."""

    __slots__ = ("count", "place", "writer")

    def __init__(self) -> None:
        self.count = 0
        self.writer = ""
        self.place: Place | None = None

    def written(self, writer: str, place: Place | None) -> None:
        """Note a write by `writer`, called from the user's line `place`."""
        self.count += 1
        self.writer = writer
        self.place = place


FOREIGN = Version()


def user_place(ours: int = 0) -> Place | None:
    """Where the innermost caller outside gpugrad is, beyond the `ours` nearest ones."""
    frame = sys._getframe(1 + ours)
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(_OURS):
            return code, frame.f_lasti
        frame = frame.f_back  # type: ignore[assignment]
    return None


def describe_place(place: Place | None) -> str:
    """`place` as a reader finds it: `train.py:12`."""
    if place is None:
        return "an unknown place"
    code, at = place
    lines = (line for start, end, line in code.co_lines() if line and start <= at < end)
    return f"{code.co_filename}:{next(lines, code.co_firstlineno)}"
