"""A device whose streams run when chance lets them: every order of work that CUDA allows.

Work waits in a queue for each stream. After each call of the host chance runs some of it; an event
that a stream or the host waits for holds them back, and nothing else does. Memory that is given
back is given out again at once, with its old contents, to the stream that had it, as CuPy's is.
"""

from __future__ import annotations

import random
import weakref
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np


class Event:
    """A place in a stream's queue; one that was never recorded has passed."""

    def __init__(self, disable_timing=False):
        self.stream, self.place = None, 0

    @property
    def passed(self):
        return self.stream is None or self.stream.done >= self.place

    def synchronize(self):
        gpu = self.stream and self.stream.gpu
        while not self.passed:
            gpu.waited += 1
            gpu.run_one()


class Stream:
    def __init__(self, gpu):
        self.gpu, self.queue, self.done, self.free = gpu, [], 0, []
        gpu.streams.append(self)

    def give(self, work):
        self.queue.append(work)
        self.gpu.chance()

    def record(self, event):
        event.stream, event.place = self, len(self.queue)
        return event

    def wait_event(self, event):
        # As it is recorded now: recorded again later, it is another event.
        fixed = Event()
        fixed.stream, fixed.place = event.stream, event.place
        self.give(fixed)

    def synchronize(self):
        self.record(Event()).synchronize()

    @property
    def ready(self):
        head = self.queue[self.done] if self.done < len(self.queue) else None
        return head is not None and (not isinstance(head, Event) or head.passed)


class Array:
    """An array of the device; its memory goes back to the pool with it."""

    def __init__(self, gpu, memory):
        self.memory, self.shape, self.dtype = memory, memory.shape, memory.dtype
        weakref.finalize(self, gpu.consumer.free.append, memory)
        gpu.alive.add(self)


class Gpu:
    """A backend, as far as the prefetcher asks it; `patience` is how much chance runs at a time."""

    def __init__(self, seed=0, patience=3):
        self.random, self.patience = random.Random(seed), patience
        self.streams, self.waited = [], 0
        self.alive = weakref.WeakSet()
        self.most = 0
        self.consumer = Stream(self)
        self.module = SimpleNamespace(empty=self.empty)
        self.Event = Event
        self.device = SimpleNamespace(_backend=self, use=nullcontext)

    def Stream(self, non_blocking):
        assert non_blocking  # or it would wait for all that is on the null stream
        return Stream(self)

    def current_stream(self):
        return self.consumer

    def pinned(self, shape, dtype):
        return np.zeros(shape, dtype)

    def empty(self, shape, dtype):
        free = self.consumer.free
        for k, memory in enumerate(free):
            if (memory.shape, memory.dtype) == (shape, dtype):
                return self.made(free.pop(k))
        return self.made(np.full(shape, 77, dtype))

    def made(self, memory):
        array = Array(self, memory)
        self.most = max(self.most, len(self.alive))
        return array

    def copy(self, host, array, stream):
        memory = array.memory  # not the array: the driver keeps nothing alive
        stream.give(lambda: np.copyto(memory, host))

    def chance(self):
        for _ in range(self.random.randint(0, self.patience)):
            if any(stream.ready for stream in self.streams):
                self.run_one()

    def run_one(self):
        stream = self.random.choice([stream for stream in self.streams if stream.ready])
        work = stream.queue[stream.done]
        stream.done += 1
        if not isinstance(work, Event):
            work()
