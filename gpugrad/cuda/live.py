"""What is live on a GPU, by layer and shape: `gg.cuda.memory_summary()`, and out of memory.

Python's own list of objects is looked through when it is asked for: nothing is counted before, so
it costs nothing until then. Each piece of memory counts once, for the first of its owners in the
order of `_owned`; it is one row with others of the same owner, shape and dtype.
"""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from gpugrad.cuda.backend import backend
from gpugrad.errors import OutOfDeviceMemory

if TYPE_CHECKING:
    from gpugrad.nn.module import Module

ROWS = 12  # of a table, the largest; the others are one row
FIXED = 2  # the owners up to this rank stay as they are with smaller batches
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")

Owned = tuple[int, str, Any]  # rank, what the memory is for, an array in it


@dataclass(frozen=True)
class Row:
    """Memory of one owner and shape.

    Attributes:
        rank: of the owner, see `_owned`.
        count: how many arrays.
        nbytes: all of them together.
    """

    rank: int
    what: str
    dtype: Any
    shape: tuple[int, ...]
    count: int
    nbytes: int

    def __str__(self) -> str:
        many = f"{self.count} x " if self.count > 1 else ""
        return f"{in_words(self.nbytes):>11}  {self.what}: {many}{self.dtype} {self.shape}"


def live(index: int) -> list[Row]:
    """What takes memory on a device, the largest first."""
    found = _objects()
    gpu = backend()
    here = [a for a in found[gpu.array] if a.nbytes and gpu.index_of(a) == index]
    blocks: dict[int, list[Any]] = defaultdict(list)
    for array in here:
        blocks[array.data.mem.ptr].append(array)
    owners: dict[int, tuple[int, str]] = {}
    for rank, what, array in _owned(found):
        owners.setdefault(id(array), (rank, what))
    total: Counter[tuple[Any, ...]] = Counter()
    count: Counter[tuple[Any, ...]] = Counter()
    for arrays in blocks.values():
        ranked = [(*owners.get(id(a), (9, "an array that no tensor holds")), a) for a in arrays]
        best = min(rank for rank, _, _ in ranked)
        chosen = [each for each in ranked if each[0] == best]
        if best:  # parameters share the flat memory of an optimizer; others are views of one array
            chosen = [max(chosen, key=lambda each: int(each[2].nbytes))]
        for rank, what, array in chosen:
            key = rank, what, str(array.dtype), tuple(array.shape)
            count[key] += 1
            total[key] += int(array.nbytes if rank == 0 else array.data.mem.size)
    rows = [
        Row(rank, what, dtype, shape, count[rank, what, dtype, shape], nbytes)
        for (rank, what, dtype, shape), nbytes in total.items()
    ]
    return sorted(rows, key=lambda row: (-row.nbytes, row.what))


def table(rows: list[Row], used: int) -> list[str]:
    """The lines of a table: the largest rows, the sum of the others, and what no array holds."""
    lines = [str(row) for row in rows[:ROWS]]
    rest = rows[ROWS:]
    if rest:
        nbytes = sum(row.nbytes for row in rest)
        lines.append(f"{in_words(nbytes):>11}  {sum(row.count for row in rest)} other arrays")
    missing = used - sum(row.nbytes for row in rows)
    if missing > 0:
        lines.append(f"{in_words(missing):>11}  memory that no array of Python's holds")
    return lines


def summary(index: int, rows: list[Row]) -> str:
    """What is live on the current device, which has this number, and what is free."""
    gpu = backend()
    used = gpu.used_bytes()
    arrays = sum(row.count for row in rows)
    where = f"cuda:{index}{', simulated' if gpu.simulated else ''}"
    head = (
        f"{where}: {in_words(used)} live in {arrays} array{'s' * (arrays != 1)}, "
        f"{in_words(gpu.free_bytes())} free of {in_words(gpu.properties(index).total_bytes)}"
    )
    return "\n".join([head, *table(rows, used)])


def out_of_memory(
    doing: str, error: MemoryError, operands: Sequence[str], first_axes: Collection[int]
) -> OutOfDeviceMemory:
    """The error for an allocation that failed on the current device: text, which keeps no array.

    Args:
        doing, operands: what was being done, and lines about what it was done with.
        first_axes: how long those of the operands are.
    """
    gpu = backend()
    index, free = gpu.device_index(), gpu.free_bytes()
    asked = int(getattr(error, "_size", 0))  # CuPy's pool says it nowhere else but in words
    rows = live(index)
    where = "" if doing == f"cuda:{index}" else f" on cuda:{index}"
    # The expression's temporary arrays are gone by now: of that size, as many as explain it.
    released = -(-(free - asked + 1) // asked) * asked if 0 < asked <= free else 0
    message = f"{doing}: out of memory{where}: {in_words(asked)} more do not fit"
    lines = [
        message + ("; what it held for itself is free again" if released else ""),
        *operands,
        *(f"  {line}" for line in summary(index, rows).splitlines()),
        f"  help: {_what_would_fit(rows, asked + released, free, first_axes)}",
    ]
    return OutOfDeviceMemory("\n".join(lines))


def _what_would_fit(rows: list[Row], needed: int, free: int, first_axes: Collection[int]) -> str:
    """A smaller first axis, where one dominates what a batch takes; else how much is free."""
    of_batch = [row for row in rows if row.rank > FIXED]
    for first in first_axes:
        scaling = sum(row.nbytes for row in of_batch if row.shape[:1] == (first,))
        if 2 * scaling > sum(row.nbytes for row in of_batch):
            fits = first * (free + scaling) // (scaling + needed)
            if 0 < fits < first:
                return (
                    f"most of it has a first axis of {first}: up to here, {fits} at most would "
                    "fit; make batches smaller"
                )
    kept = any(row.what.startswith("kept by") for row in rows)
    without = "; within gg.no_grad() nothing is kept for a backward pass" if kept else ""
    return f"{in_words(free)} at most would fit; let go of what is not needed any more{without}"


def _owned(found: dict[type, list[Any]]) -> Iterator[Owned]:
    """The owners of arrays, those that tell most first."""
    from gpugrad.data.loader import DataLoader
    from gpugrad.graph import Leaf, Node
    from gpugrad.nn.module import Module
    from gpugrad.optim.optimizer import Optimizer
    from gpugrad.tensor import Tensor

    names: dict[int, str] = {}  # of the leaves of parameters

    def of_module(module: Module) -> Iterator[Owned]:
        kind = type(module).__name__
        for name, parameter in module.named_parameters():
            names[id(parameter._node)] = name
            yield 0, f"parameter {name} of {kind}", parameter._data
        for name, buffer in module.named_buffers():
            yield 0, f"buffer {name} of {kind}", buffer._data

    def of_optimizer(optimizer: Optimizer) -> Iterator[Owned]:
        kind = type(optimizer).__name__
        for flat in chain.from_iterable(optimizer._laid):
            for name, array in flat.state.items():
                yield 1, f"{name} of {kind}", array
            yield 1, f"parameters of {kind}", flat.memory
            for piece in chain.from_iterable(run.pieces for run in flat._runs):
                yield 1, f"gathered gradients of {kind}", piece.scratch

    def of_loader(loader: DataLoader) -> Iterator[Owned]:
        for array in loader._arrays:
            yield 2, "data of a DataLoader", array

    def of_leaf(leaf: Leaf) -> Iterator[Owned]:
        if leaf.grad is not None:
            of = f" of {names[id(leaf)]}" if id(leaf) in names else ""
            yield 2, f"gradient{of}", leaf.grad._data

    def of_node(node: Node) -> Iterator[Owned]:
        for value in _flat(node.saved or ()):
            yield 3, f"kept by {node.name} for its backward pass", value

    def of_tensor(tensor: Tensor) -> Iterator[Owned]:
        yield 4, "tensor", tensor._data

    kinds: list[tuple[Any, Callable[[Any], Iterator[Owned]]]] = [
        (_outermost(found[Module]), of_module),
        (found[Optimizer], of_optimizer),
        (found[DataLoader], of_loader),
        (found[Leaf], of_leaf),
        (found[Node], of_node),
        (found[Tensor], of_tensor),
    ]
    for owners, arrays_of in kinds:
        for owner in owners:
            with suppress(AttributeError):  # one that is just being made has not all of its own
                yield from arrays_of(owner)


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple):
            yield from _flat(value)
        else:
            yield value


def _outermost(modules: list[Module]) -> list[Module]:
    """The modules that no other one holds."""
    held = {id(child) for module in modules for child in module.children()}
    return [module for module in modules if id(module) not in held]


def _objects() -> dict[type, list[Any]]:
    """The objects there are of each kind that has to do with memory."""
    from gpugrad.data.loader import DataLoader
    from gpugrad.graph import Leaf, Node
    from gpugrad.nn.module import Module
    from gpugrad.optim.optimizer import Optimizer
    from gpugrad.tensor import Tensor

    kinds = (backend().array, Tensor, Node, Leaf, Module, Optimizer, DataLoader)
    known: dict[type, type | None] = {}
    found: dict[type, list[Any]] = {kind: [] for kind in kinds}
    for obj in gc.get_objects():
        kind = type(obj)  # not isinstance, which asks proxies what they stand for
        if kind not in known:
            known[kind] = next((k for k in kinds if issubclass(kind, k)), None)
        of = known[kind]
        if of is not None:
            found[of].append(obj)
    return found


def in_words(nbytes: int) -> str:
    """A number of bytes.

    >>> in_words(12), in_words(1536), in_words(3 << 30)
    ('12 bytes', '1.5 KiB', '3.0 GiB')
    """
    size, unit = float(nbytes), 0
    while abs(size) >= 1024 and unit < len(UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {UNITS[unit]}" if unit else f"{nbytes} bytes"
