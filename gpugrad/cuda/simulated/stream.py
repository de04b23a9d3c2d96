"""Streams and events of the simulated device: as late as CUDA allows.

What computes arrays is done when the call returns. A copy that was given to a stream of its own is
done when something waits for it, and no sooner: whoever uses the array without having waited finds
unwritten memory there, and whoever fills the host's buffer again too early finds the wrong numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, ClassVar
from weakref import WeakSet

Work = Callable[[], None]


class Stream:
    """A queue of copies.

    Args:
        null, non_blocking: as CuPy's `Stream` has them; here they change nothing.
    """

    ptr = 0
    alive: ClassVar[WeakSet[Stream]] = WeakSet()

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        self.null, self.non_blocking = null, non_blocking
        self.given = 0
        self.waiting: list[tuple[int, Work]] = []
        self._before: list[Any] = []
        Stream.alive.add(self)

    @staticmethod
    def current() -> Stream:
        """The stream of the innermost `with stream:`."""
        return _current.get() or MAIN

    def __enter__(self) -> Stream:
        self._before.append(_current.set(self))
        return self

    def __exit__(self, *error: Any) -> None:
        _current.reset(self._before.pop())

    def give(self, work: Work) -> None:
        """Have something done after what was given before."""
        self.given += 1
        self.waiting.append((self.given, work))

    def reach(self, place: int) -> None:
        """Do what was given, up to this place in the order."""
        while self.waiting and self.waiting[0][0] <= place:
            self.waiting.pop(0)[1]()

    def synchronize(self) -> None:
        """Wait for all that was given."""
        self.reach(self.given)

    def record(self, event: Event | None = None) -> Event:
        """Record an event, a new one by default."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let what is given from now on come after the event."""
        event.synchronize()


class Event:
    """A moment on a stream.

    Args:
        block, disable_timing: as CuPy's `Event` has them; here they change nothing.
    """

    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        self.stream: Stream | None = None
        self.place = 0

    def record(self, stream: Stream | None = None) -> None:
        """Note what was given to the stream so far."""
        self.stream = Stream.current() if stream is None else stream
        self.place = self.stream.given

    def synchronize(self) -> None:
        """Wait for what was given before it."""
        if self.stream is not None:
            self.stream.reach(self.place)


MAIN = Stream(null=True)
_current: ContextVar[Stream | None] = ContextVar("gpugrad_simulated_stream", default=None)
