"""Instructions made into steps: functions of the machine and a fragment, worked out once a kernel.

A step moves no thread to another place: what does (branches, barriers, shuffles) ends a block of
instructions and is kept apart, as the block's way on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.simulate.arithmetic.table import operation
from gpugrad.simulate.faults import UnsupportedError
from gpugrad.simulate.machine import access, atomics
from gpugrad.simulate.machine.fragment import Fragment
from gpugrad.simulate.machine.layout import layout, parameter_offsets
from gpugrad.simulate.machine.memory import LOCAL, SHARED
from gpugrad.simulate.machine.special import REGISTERS
from gpugrad.simulate.machine.values import BOOL, UNSIGNED, Get, Values, bits_of, dtype_of
from gpugrad.simulate.ptx.flow import LEAVE, MEET, registers
from gpugrad.simulate.ptx.program import CARRY, Program
from gpugrad.simulate.ptx.syntax import SIZES, Address, Instruction, Register, Symbol, Vector

if TYPE_CHECKING:
    from gpugrad.simulate.machine.machine import Machine

Step = access.Step
# These change nothing that the simulator models, or are modelled elsewhere.
NOTHING = ("prefetch", "prefetchu", "discard", "applypriority", "brkpt", "pmevent", "nop")
STRONG = {"volatile", "relaxed", "acquire", "release", "mmio"}
YIELDING = ("atom", "red", "membar", "fence", "nanosleep")  # a loop around one may be waiting


@dataclass
class Decoded:
    """A kernel, ready to run.

    Attributes:
        steps: for each block of instructions, its steps but the way on.
        dtypes: of each register's bits.
        shared_bytes, local_bytes: static shared memory of a block, local memory of a thread;
            the gaps in them belong to no variable.
        yields: the blocks that end in a branch back around something that another thread may have
            to change first.
        strong: the instructions that access memory so that atomics do not race with them.
    """

    program: Program
    values: Values
    steps: list[list[Step]]
    dtypes: list[Any]
    shared_bytes: int
    shared_gaps: list[tuple[int, int]]
    local_bytes: int
    local_gaps: list[tuple[int, int]]
    yields: set[int]
    strong: set[int]


def decode(program: Program, symbols: dict[str, int]) -> Decoded:
    """The steps of a program; `symbols` are the addresses of the module's variables.

    Raises:
        UnsupportedError: an instruction that the simulator does not know; the message quotes it.
    """
    fixed = {k: v for k, v in program.shared.items() if v.size is not None}
    shared, shared_gaps, shared_bytes = layout(fixed, align=128, guard=64)
    for name, variable in program.shared.items():
        if variable.size is None:  # dynamic shared memory lies behind the static
            shared[name] = shared_bytes
    local, local_gaps, local_bytes = layout(program.local, align=8, guard=16)
    known = {**symbols, **shared, **local}
    values = Values(program, REGISTERS, known)
    offsets, _ = parameter_offsets(program.parameters)
    decoder = _Decoder(program, values, offsets)
    steps = []
    yields = set()
    for k, block in enumerate(program.blocks):
        inside = range(block.begin, block.end)
        steps.append([step for pc in inside for step in decoder.steps(pc)])
        if program.code[block.end - 1].opcode.startswith("bra") and block.following[0] <= k:
            loop = program.code[program.blocks[block.following[0]].begin : block.end]
            if any(i.opcode.startswith(YIELDING) or ".volatile" in i.opcode for i in loop):
                yields.add(k)
    dtypes = [bits_of(kind) for kind in program.types.values()]
    return Decoded(
        program,
        values,
        steps,
        dtypes,
        shared_bytes,
        shared_gaps,
        local_bytes,
        local_gaps,
        yields,
        {pc for pc, i in enumerate(program.code) if STRONG & set(i.opcode.split("."))},
    )


class _Decoder:
    def __init__(self, program: Program, values: Values, offsets: dict[str, int]) -> None:
        self.program, self.values, self.offsets = program, values, offsets
        self.after = self._live_after()

    def steps(self, pc: int) -> list[Step]:
        """The steps of one instruction: one, or none for what ends a block or does nothing."""
        instruction = self.program.code[pc]
        head = instruction.opcode.split(".")[0]
        if head in LEAVE or head in MEET or head in NOTHING:
            return []
        make: Callable[[Instruction, int], Step] = {
            "mov": self._move,
            "cvta": self._convert_address,
            "ld": self._load,
            "ldu": self._load,
            "st": lambda i, pc: access.store(self.values, i, pc),
            "atom": self._atomic,
            "red": self._atomic,
            "membar": self._fence,
            "fence": self._fence,
            "nanosleep": lambda i, pc: _do_nothing,
            "isspacep": self._is_space,
        }.get(head, self._compute)
        return [make(instruction, pc)]

    def _live_after(self) -> dict[int, set[str]]:
        """For each atomic, the registers that are needed after it."""
        names = list(self.program.numbers)
        found: dict[int, set[str]] = {}
        for block in self.program.blocks:
            live = {names[k] for b in block.following for k in self.program.blocks[b].live}
            for pc in reversed(range(block.begin, block.end)):
                instruction = self.program.code[pc]
                written, read = registers(instruction)
                if instruction.opcode.startswith("atom"):
                    found[pc] = set(live)
                live.difference_update(written)
                live.update(read)
        return found

    # Arithmetic

    def _compute(self, instruction: Instruction, pc: int) -> Step:
        operands = instruction.operands
        first = operands[0] if operands else None
        two = isinstance(first, Vector)
        found = operation(instruction.opcode, len(operands) + two)
        if found is None or first is None:
            raise UnsupportedError(f"PTX instruction: {instruction.text}")
        values = self.values
        targets, sources = list(values.items(first)), list(operands[1:])
        takes, makes = list(found.sources), list(found.results)
        if found.reads_carry:
            sources.append(Register(CARRY))
            takes.append(BOOL)
        if found.writes_carry:
            targets.append(Register(CARRY))
            makes.append(BOOL)
        if len(sources) != len(takes) or len(targets) > len(makes):
            raise UnsupportedError(f"PTX operands of: {instruction.text}")
        getters = [
            values.getter(operand, dtype, instruction)
            for operand, dtype in zip(sources, takes, strict=True)
        ]
        setters = [
            values.setter(operand, dtype, instruction)
            for operand, dtype in zip(targets, makes, strict=False)
        ]
        return _computing(found.function, getters, setters, several=len(makes) > 1)

    # Moves

    def _move(self, instruction: Instruction, pc: int) -> Step:
        target, source = instruction.operands
        kind = instruction.opcode.split(".")[-1]
        values = self.values
        if isinstance(source, Vector):  # {low, high} into one register
            items = source.items
            dtype = UNSIGNED[SIZES[kind] // len(items)]
            getters = [values.getter(item, dtype, instruction) for item in items]
            write = values.setter(target, dtype_of(kind), instruction)
            whole = dtype_of(kind)

            def pack(m: Machine, f: Fragment) -> None:
                parts = np.broadcast_arrays(*[read(f) for read in getters])
                write(f, np.stack(parts, axis=-1).view(whole)[:, 0])

            return pack
        if isinstance(target, Vector):
            dtype = UNSIGNED[SIZES[kind] // len(target.items)]
            read = values.getter(source, dtype_of(kind), instruction)
            setters = [values.setter(item, dtype, instruction) for item in target.items]

            def unpack(m: Machine, f: Fragment) -> None:
                parts = np.ascontiguousarray(read(f)).view(dtype).reshape(-1, len(setters))
                for k, write in enumerate(setters):
                    write(f, np.ascontiguousarray(parts[:, k]))

            return unpack
        dtype = dtype_of(kind)
        return _computing(
            lambda x: x,
            [values.getter(source, dtype, instruction)],
            [values.setter(target, dtype, instruction)],
            several=False,
        )

    def _convert_address(self, instruction: Instruction, pc: int) -> Step:
        words = instruction.opcode.split(".")
        space = next((w.split("::")[0] for w in words if w.split("::")[0] in access.SPACES), "")
        shift = {"shared": SHARED, "local": LOCAL}.get(space, 0)
        dtype = dtype_of(words[-1].replace("u", "s"))
        read = self.values.getter(instruction.operands[1], dtype, instruction)
        write = self.values.setter(instruction.operands[0], dtype, instruction)
        moved = dtype.type(-shift if "to" in words else shift)
        return lambda m, f: write(f, read(f) + moved)

    def _is_space(self, instruction: Instruction, pc: int) -> Step:
        space = access.space_of(instruction)
        bounds = {"shared": (SHARED, LOCAL), "local": (LOCAL, 2 * LOCAL - SHARED)}
        low, high = bounds.get(space, (2 * LOCAL - SHARED, 1 << 62))
        read = self.values.getter(instruction.operands[1], access.INT64, instruction)
        write = self.values.setter(instruction.operands[0], np.dtype(np.bool_), instruction)
        return lambda m, f: write(f, (read(f) >= low) & (read(f) < high))

    # Memory

    def _load(self, instruction: Instruction, pc: int) -> Step:
        address = instruction.operands[1]
        if not (isinstance(address, Address) and ".param" in instruction.opcode):
            return access.load(self.values, instruction, pc)
        kind, count = access.shape_of(instruction)
        base = address.base
        if not isinstance(base, Symbol) or base.name not in self.offsets:
            raise UnsupportedError(f"PTX parameter: {instruction.text}")
        begin, dtype = self.offsets[base.name] + base.offset + address.offset, dtype_of(kind)
        size = dtype.itemsize
        setters = [
            self.values.setter(item, dtype, instruction)
            for item in self.values.items(instruction.operands[0])
        ]
        assert len(setters) == count

        def step(m: Machine, f: Fragment) -> None:
            for k, write in enumerate(setters):
                at = begin + k * size
                write(f, np.frombuffer(m.parameters, dtype, 1, at))

        return step

    def _atomic(self, instruction: Instruction, pc: int) -> Step:
        first = instruction.operands[0]
        wanted = (
            instruction.opcode.startswith("atom")
            and isinstance(first, Register)
            and first.name in self.after[pc]
        )
        return atomics.atomic(self.values, instruction, pc, wanted)

    def _fence(self, instruction: Instruction, pc: int) -> Step:
        return lambda m, f: m.races.fence(f.block, f.thread) if m.races is not None else None


def _do_nothing(m: Machine, f: Fragment) -> None:
    return None


def _computing(
    function: Callable[..., Any], getters: list[Get], setters: list[Any], several: bool
) -> Step:
    """The step `results = function(sources)`, written out for the usual numbers of sources."""
    if several:

        def step_several(m: Machine, f: Fragment) -> None:
            results = function(*[read(f) for read in getters])
            for write, value in zip(setters, results, strict=False):
                write(f, value)

        return step_several
    write = setters[0]
    if len(getters) == 1:
        (a,) = getters
        return lambda m, f: write(f, function(a(f)))
    if len(getters) == 2:
        a, b = getters
        return lambda m, f: write(f, function(a(f), b(f)))
    return lambda m, f: write(f, function(*[read(f) for read in getters]))
