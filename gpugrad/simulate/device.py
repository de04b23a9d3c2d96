"""A simulated card, as a driver sees one: memory, modules of PTX, launches on a stream."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpugrad.simulate.faults import LaunchError
from gpugrad.simulate.machine.control import Way, ways
from gpugrad.simulate.machine.decode import Decoded, decode
from gpugrad.simulate.machine.fragment import Grid
from gpugrad.simulate.machine.layout import parameter_bytes
from gpugrad.simulate.machine.machine import Machine
from gpugrad.simulate.machine.memory import STATES, WRITTEN, Memory, Segment
from gpugrad.simulate.ptx.flatten import flatten
from gpugrad.simulate.ptx.flow import analyse
from gpugrad.simulate.ptx.program import LIMIT
from gpugrad.simulate.ptx.reader import parse
from gpugrad.simulate.ptx.syntax import Module
from gpugrad.simulate.report.counts import Counts
from gpugrad.simulate.report.findings import Finding, Place, same_value
from gpugrad.simulate.report.report import Report

Dimensions = int | tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """A kernel of a loaded module.

    Attributes:
        name: as the PTX calls it.
        parameters: (name, PTX type, bytes) of each.
        symbols: the addresses of the module's variables.
    """

    name: str
    parameters: tuple[tuple[str, str, int], ...]
    ptx: str
    symbols: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Loaded:
    """A module on a device: its kernels by name, and its variables' addresses."""

    entries: dict[str, Entry]
    symbols: dict[str, int]


@functools.lru_cache(maxsize=256)
def _parsed(ptx: str) -> Module:
    return parse(ptx)


@functools.lru_cache(maxsize=256)
def _decoded(
    ptx: str, name: str, symbols: tuple[tuple[str, int], ...]
) -> tuple[Decoded, list[Way]]:
    decoded = decode(analyse(flatten(_parsed(ptx), name)), dict(symbols))
    return decoded, ways(decoded)


class Device:
    """A card that is not there.

    Args:
        cc: its compute capability.
        checks: look for races and unwritten memory, and count; without them a launch is quicker,
            and only stops at what lies outside every allocation.
        limit: how many instructions the blocks that run together may take before that counts as
            a hang; an access to memory, or a meeting of lanes, counts as 16.

    >>> device = Device(cc=(7, 5))
    >>> pointer = device.allocate(12)
    >>> device.copy_to(pointer, np.arange(3, dtype=np.float32))
    >>> device.copy_from(pointer, np.zeros(3, np.float32))
    array([0., 1., 2.], dtype=float32)
    """

    def __init__(
        self, cc: tuple[int, int] = (7, 5), checks: bool = True, limit: int = LIMIT
    ) -> None:
        self.cc, self.checks, self.limit = cc, checks, limit
        self.memory = Memory()

    # Memory

    def allocate(self, nbytes: int, name: str = "") -> int:
        """The address of new memory, whose bytes are unwritten."""
        return self.memory.allocate(nbytes, name).base

    def free(self, pointer: int) -> None:
        """Give an allocation back; whoever uses it later is at fault."""
        self.memory.free(pointer)

    def copy_to(self, pointer: int, array: NDArray[Any]) -> None:
        """Copy an array's elements, in C order, to memory."""
        segment, at = self._span(pointer, array.nbytes)
        segment.data[at : at + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
        segment.mark(at, array.nbytes, WRITTEN)

    def copy_from(self, pointer: int, array: NDArray[Any]) -> NDArray[Any]:
        """Fill an array with what memory holds, in C order, and return it."""
        segment, at = self._span(pointer, array.nbytes)
        data = segment.data[at : at + array.nbytes].tobytes()
        array[...] = np.frombuffer(data, array.dtype).reshape(array.shape)
        return array

    def view(self, pointer: int, nbytes: int) -> NDArray[np.uint8]:
        """The memory itself; who writes there says so with `mark`."""
        segment, at = self._span(pointer, nbytes)
        return segment.data[at : at + nbytes]

    def mark(
        self,
        pointer: int,
        nbytes: int,
        state: str = "written",
        where: NDArray[np.bool_] | None = None,
    ) -> None:
        """Say that bytes are "written", "unwritten" or "outside" of the allocation.

        Args:
            where: which of the bytes; all if None.
        """
        if nbytes:
            segment, at = self._span(pointer, nbytes)
            segment.mark(at, nbytes, STATES[state], where)

    def _span(self, pointer: int, nbytes: int) -> tuple[Segment, int]:
        segment = self.memory.holding(pointer, pointer + nbytes)
        if segment is None:
            raise LaunchError(f"{nbytes} bytes: {self.memory.describe(pointer)}")
        return segment, pointer - segment.base

    # Kernels

    def load(self, ptx: str) -> Loaded:
        """Load a module: its variables get memory, its kernels can be launched.

        Raises:
            UnsupportedError: a PTX construct that the simulator does not know.
        """
        module = _parsed(ptx)
        symbols = {}
        for name, variable in module.variables.items():
            if variable.space in ("global", "const") and variable.size:
                segment = self.memory.allocate(variable.size, name, written=True)
                data = variable.data or b""
                segment.data[: len(data)] = np.frombuffer(data, np.uint8)
                symbols[name] = segment.base
        entries = {
            name: Entry(
                name,
                tuple((p.name, p.type, p.size or 0) for p in function.parameters),
                ptx,
                tuple(symbols.items()),
            )
            for name, function in module.functions.items()
            if function.entry
        }
        return Loaded(entries, symbols)

    def launch(
        self,
        entry: Entry,
        grid: Dimensions,
        block: Dimensions,
        parameters: Sequence[Any],
        *,
        shared_bytes: int = 0,
        stream: int = 0,
        name: str = "",
        source: Place | None = None,
        float32: bool = False,
    ) -> Report:
        """Run a kernel to its end; streams are one queue here.

        Args:
            entry: the kernel, such as `device.load(ptx).entries["name"]`.
            parameters: one value for each of the kernel's parameters, in order.
            shared_bytes: dynamic shared memory of a block.
            name, source, float32: for the report: the kernel's own name, where it stands, and
                whether it is meant to compute in float32.
        Raises:
            Fault: what the kernel did wrong.
            LaunchError: the parameters do not fit.
        """
        if not isinstance(entry, Entry):
            raise LaunchError(
                f'launch takes an entry, as device.load(ptx).entries["name"] is, not {entry!r:.60}'
            )
        if len(parameters) != len(entry.parameters):
            raise LaunchError(
                f"{name or entry.name} has {len(entry.parameters)} parameters, "
                f"not {len(parameters)}"
            )
        decoded, way = _decoded(entry.ptx, entry.name, entry.symbols)
        shape = Grid(_three(grid), _three(block), decoded.shared_bytes, shared_bytes)
        machine = Machine(
            decoded,
            way,
            shape,
            self.memory,
            parameter_bytes(decoded.program.parameters, list(parameters)),
            name=name or entry.name,
            checks=self.checks,
            limit=self.limit,
        )
        machine.run()
        for segment in self.memory.segments:
            segment.shadow = None  # the end of a kernel orders what comes after it
        program = decoded.program
        spots = [program.place(pc) for pc in range(len(program.code))]
        places: list[Place | None] = [(p.file, p.line) if p else None for p in spots]
        counts, given = Counts(len(program.code)), list[Finding]()
        if machine.watch is not None:
            counts = machine.watch.finished()
            given = same_value(machine.watch.races.findings, places)
        return Report(
            kernel=name or entry.name,
            grid=shape.grid,
            block=shape.block,
            cc=self.cc,
            counts=counts,
            opcodes=[instruction.opcode for instruction in program.code],
            places=places,
            given=given,
            float32=float32,
            source=source,
        )


def _three(given: Dimensions) -> tuple[int, int, int]:
    sizes = (given,) if isinstance(given, int) else tuple(given)
    x, y, z = (*sizes, 1, 1)[:3]
    return int(x), int(y), int(z)
