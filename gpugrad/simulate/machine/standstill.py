"""Threads that wait for what nobody can bring, noticed long before the limit of instructions.

All threads that can go on have gone round their loops and are where they were, with the same
registers, and nothing has changed in between: no byte, and nobody who waits at a meeting was let
on. Then each of them goes round for ever, in whatever order they take turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.simulate.machine import blame
from gpugrad.simulate.machine.fragment import Fragment, Ints

if TYPE_CHECKING:
    from gpugrad.simulate.machine.machine import Machine

FIRST = 64  # turns without a change, before it is worth a look

State = tuple[Ints, Ints, list[Any], int]  # of a fragment: block, thread, registers, turn


class Standstill:
    """What a launch's threads were like a while ago.

    Attributes:
        idle: turns that threads gave way since something changed; whatever changes it sets it 0.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.idle = 0
        self._then: dict[int, list[State]] = {}

    def look(self, f: Fragment) -> None:
        """Raise a HangError if nothing will ever change; `f` has given way."""
        self.idle += 1
        if self.idle < FIRST:
            return
        if self.idle & self.idle - 1 == 0:
            ready = self.machine.ready
            self._then = {at: list(map(_state, ready[at])) for at in ready}
        elif self._as_then() and not self._reads_time() and not self.machine.let_in():
            blame.standstill(self.machine, f)

    def _as_then(self) -> bool:
        now, blocks = self.machine.ready, self.machine.program.blocks
        return now.keys() == self._then.keys() and all(
            len(now[at]) == len(then)
            and all(
                _same(f, state, blocks[at].live) for f, state in zip(now[at], then, strict=True)
            )
            for at, then in self._then.items()
        )

    def _reads_time(self) -> bool:
        code = self.machine.program.code
        return any("%clock" in i.text or "%globaltimer" in i.text for i in code)


def _state(f: Fragment) -> State:
    return f.block, f.thread, list(f.r), f.turn


def _same(f: Fragment, then: State, live: Any) -> bool:
    """Whether the lanes are the same, with the same values, and have had turns since."""
    block, thread, r, turn = then
    return (
        f.turn > turn
        and np.array_equal(f.block, block)
        and np.array_equal(f.thread, thread)
        and all(_equal(f.r[k], r[k]) for k in live)
    )


def _equal(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    return a is b or bool((a == b).all())  # NaN differs from itself, which only puts it off
