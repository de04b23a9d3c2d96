"""One flat array for the parameters of a group, so that an optimizer step is one update.

`FlatBuffer` moves parameters of one dtype and device into one array, end to end (each tensor's
memory becomes a view of it), and keeps the optimizer's state in flat arrays beside it. A step walks
it in pieces that fit the cache: a large gradient is read where it lies, runs of small ones are
gathered first. So a step reads gradients once, and reads and writes parameters and state once,
while the host's work does not grow with the number of arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from gpugrad.version import FOREIGN, Version, user_place

if TYPE_CHECKING:
    from gpugrad.optim.optimizer import Optimizer
    from gpugrad.tensor import Tensor

Array = Any
Saved = tuple[int, dict[str, Array]]  # updates seen, and the state arrays, of one parameter
Gradients = tuple[list[Array], list[int]]  # of each tensor (or None), and where there is none

# Bytes of a piece, and of gradients that are copied together. SGD with momentum over 3.2 million
# float32 values, one core of an Intel Xeon (2 MiB L2), ms a step: pieces of 16 KiB: 3.3, 64 KiB:
# 2.0, 256 KiB: 1.75, 1 MiB: 2.3; whole arrays: 3.1 to 4.4. A step of 784-128-10 at batch 32 takes
# 512 us with 64 KiB and 505 with 256, and 458 against 598 KiB at its peak. (2026-11-26)
PIECE = GATHER = 1 << 16

# The flat arrays there are, by id: a second optimizer over the same parameters takes over the
# memory they lie in, where it would otherwise move them back and forth.
_FLAT: WeakValueDictionary[int, np.ndarray[Any, Any]] = WeakValueDictionary()


@dataclass(slots=True)
class Piece:
    """A stretch of the flat array, and the gradients that belong to it.

    They are those of the tensors `first` to `last`, gathered into `scratch`, each into its view in
    `places`; or, where that is None, the elements `begin` to `end` of the one of tensor `first`.
    """

    parameter: Array
    state: dict[str, Any]
    first: int
    last: int
    begin: int
    end: int
    scratch: Array | None
    places: list[Array]


@dataclass(slots=True)
class Run:
    """Neighbours in the flat array that have a gradient and have seen equally many updates."""

    first: int
    last: int
    steps: int
    pieces: list[Piece]
    tables: Any = None  # of a kernel, see `_launched`


class FlatBuffer:
    """Parameters of one group, dtype and device, end to end in `memory`, and their state.

    Args:
        tensors: leaves of one dtype and device.
        slots: the state arrays that the rule needs, with what fills a new one.
        saved: for the tensors that have state, by position: updates seen and state arrays.
    """

    def __init__(
        self, tensors: Sequence[Tensor], slots: Mapping[str, float], saved: Mapping[int, Saved]
    ) -> None:
        self.tensors = list(tensors)
        self.dtype, self.device = tensors[0].dtype, tensors[0].device
        ends = np.cumsum([tensor.size for tensor in tensors]).tolist()
        self.bounds = list(pairwise([0, *ends]))
        self.size: int = ends[-1]
        self.steps = [saved[i][0] if i in saved else 0 for i in range(len(tensors))]
        self.state: dict[str, Array] = {}
        self._runs: list[Run] = []
        self._planned: Any = None  # for which absent gradients and slots the runs are
        self.links: list[tuple[Tensor, Array]] = []  # each tensor, and its memory in here
        if not self._take_over():
            self.memory = self.device.xp.empty(self.size, dtype=self.dtype)
            _FLAT[id(self.memory)] = self.memory
            stretches = zip(self.tensors, self.bounds, strict=True)
            self.links = [(t, self.memory[a:b].reshape(t.shape)) for t, (a, b) in stretches]
        self.adopt()
        for name, fill in slots.items():
            self._open(name, fill)
        for i, (_, arrays) in saved.items():
            begin, end = self.bounds[i]
            for name, array in arrays.items():
                if name not in self.state:
                    self._open(name, 0.0)
                self.state[name][begin:end] = self.device.put(array).reshape(-1)

    # Where the parameters are

    def fits(self) -> bool:
        """Whether the tensors still have the dtype and device they had."""
        return all(t.dtype == self.dtype and t.device == self.device for t in self.tensors)

    def adopt(self) -> None:
        """Move into this buffer every tensor that lies elsewhere."""
        for tensor, view in self.links:
            if tensor._data is not view:
                view[...] = tensor._data
                tensor._rebind(view)
            if tensor._version is None or tensor._version is FOREIGN:
                tensor._version = Version()

    def _take_over(self) -> bool:
        """Use the flat array in which another optimizer has laid these tensors in this order."""
        views: list[Any] = [tensor._data for tensor in self.tensors]
        base = views[0].base
        if base is None or _FLAT.get(id(base)) is not base:
            return False
        first = place = _address(views[0])
        for view in views:
            if view.base is not base or _address(view) != place or not view.flags.c_contiguous:
                return False
            place += view.nbytes
        start = (first - _address(base)) // self.dtype.itemsize
        self.memory = base[start : start + self.size]
        self.links = list(zip(self.tensors, views, strict=True))
        return True

    # The state beside them

    def saved(self, position: int) -> Saved:
        """Updates seen and state arrays (copies) of the tensor at `position`."""
        self._settle()
        begin, end = self.bounds[position]
        shape = self.tensors[position].shape
        with self.device.use():
            arrays = {
                name: flat[begin:end].reshape(shape).copy() for name, flat in self.state.items()
            }
        return self.steps[position], arrays

    def _open(self, name: str, fill: float) -> None:
        self.state[name] = self.device.xp.full(self.size, fill, dtype=self.dtype)

    def _settle(self) -> None:
        """Bring `steps` up to date with what the runs have counted."""
        for run in self._runs:
            self.steps[run.first : run.last] = [run.steps] * (run.last - run.first)

    # A step

    def collect(self) -> Gradients | None:
        """The gradients, and the positions without one; None where a parameter is not in here."""
        gradients: list[Any] = []
        absent = []
        for tensor, view in self.links:
            if tensor._data is not view:
                return None
            node = tensor._node
            grad = None if node is None else node.grad
            if grad is None:
                absent.append(len(gradients))
                gradients.append(None)
            else:
                gradients.append(grad._data)
        return gradients, absent

    def step(self, rule: Optimizer, options: Mapping[str, Any], collected: Gradients) -> None:
        """Update every parameter that has a gradient.

        Args:
            rule: the optimizer, for its `update` and `slots`.
            options: the group's.
            collected: what `collect` has just returned.
        """
        gradients, absent = collected
        slots = rule.slots(options)
        if (absent, slots) != self._planned:
            self._plan(absent, slots)
        xp = self.device.xp
        update = rule.update
        kernel = None if xp.on_host else rule.kernel()
        whole: Any = None
        whole_of = -1
        for run in self._runs:
            launched = kernel is not None and self._launched(kernel, run, gradients, options)
            for piece in () if launched else run.pieces:
                first = piece.first
                gradient = piece.scratch
                if gradient is not None:  # for small arrays half the time of one concatenate
                    for position, place in enumerate(piece.places, first):
                        place[...] = gradients[position]
                else:
                    if whole_of != first:  # a strided gradient is copied here, once
                        whole, whole_of = gradients[first].reshape(-1), first
                    gradient = whole[piece.begin : piece.end]
                piece.state["step"] = run.steps + 1
                update(xp, piece.parameter, gradient, piece.state, options)
            if slots:
                if run.steps == 0:  # its neighbours may have seen as many now: plan again
                    self._planned = None
                run.steps = run.steps + 1 if rule.counts else 1
        writer, line = type(rule).__name__ + ".step", user_place(2)
        for run in self._runs:
            for tensor in self.tensors[run.first : run.last]:
                version: Any = tensor._version  # not None: `adopt` has seen to it
                version.count += 1
                version.writer = writer
                version.place = line

    def _launched(
        self, kernel: str, run: Run, gradients: list[Any], options: Mapping[str, Any]
    ) -> bool:
        """Update a run by one kernel; whether there is one for arrays like these."""
        from gpugrad.kernels.many_arrays import ManyArrays
        from gpugrad.kernels.optimizer_step import optimizer_step

        xp = self.device.xp
        if run.tables is None:
            run.tables = ManyArrays(xp, self.bounds[run.first : run.last])
        own = gradients[run.first : run.last]
        done = optimizer_step(
            xp, kernel, run.tables, self.memory, own, self.state, run.steps + 1, options
        )
        return done is None

    def _plan(self, absent: list[int], slots: Mapping[str, float]) -> None:
        """Cut the flat array into runs, and those into pieces."""
        self._settle()
        for name in slots.keys() - self.state.keys():
            self._open(name, slots[name])
        self._planned, self._runs = (absent, dict(slots)), []
        gathered = GATHER // self.dtype.itemsize if self.device.xp.on_host else self.size
        scratch = self.device.xp.empty(min(gathered, self.size), dtype=self.dtype)
        missing = set(absent)
        first = 0
        while first < len(self.tensors):
            last = first
            while (
                last < len(self.tensors)
                and last not in missing
                and self.steps[last] == self.steps[first]
            ):
                last += 1
            if last > first:
                pieces = list(self._cut(first, last, scratch))
                self._runs.append(Run(first, last, self.steps[first], pieces))
            first = max(last, first + 1)

    def _cut(self, first: int, last: int, scratch: Array) -> Iterator[Piece]:
        """Pieces: parts of one large gradient, or several whole small ones."""
        size, limit = PIECE // self.dtype.itemsize, GATHER // self.dtype.itemsize
        if not self.device.xp.on_host:  # a launch costs more than a cache would save
            size = limit = self.size
        while first < last:
            begin, end = self.bounds[first]
            if end - begin > limit:
                # Equal parts: a short last one would cost as many calls as a full one.
                parts = -(-(end - begin) // size)
                edges = [(end - begin) * part // parts for part in range(parts + 1)]
                for a, b in pairwise(edges):
                    yield self._piece(begin + a, begin + b, first, first + 1, a, b, None)
                first += 1
                continue
            following = first + 1
            while following < last and self.bounds[following][1] - begin <= limit:
                following += 1
            end = self.bounds[following - 1][1]
            gather = scratch[: end - begin] if following - first > 1 else None
            yield self._piece(begin, end, first, following, 0, end - begin, gather)
            first = following

    def _piece(
        self, start: int, stop: int, first: int, last: int, begin: int, end: int, scratch: Any
    ) -> Piece:
        state = {name: flat[start:stop] for name, flat in self.state.items()}
        places = []
        if scratch is not None:
            stretches = zip(self.tensors[first:last], self.bounds[first:last], strict=True)
            places = [scratch[a - start : b - start].reshape(t.shape) for t, (a, b) in stretches]
        return Piece(self.memory[start:stop], state, first, last, begin, end, scratch, places)


def _address(array: Array) -> int:
    if type(array) is np.ndarray:
        return int(array.__array_interface__["data"][0])
    return int(array.data.ptr)
