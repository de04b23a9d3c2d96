"""Where control can go in a program, and which registers hold what is still needed there."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from gpugrad.simulate.faults import UnsupportedError
from gpugrad.simulate.ptx.program import CARRY, Block, Program
from gpugrad.simulate.ptx.syntax import Address, Instruction, Operand, Register, Symbol, Vector

LEAVE = ("bra", "brx", "ret", "exit", "trap", "too_deep")
MEET = ("bar", "barrier", "shfl", "vote", "match", "redux", "elect", "call", "activemask")
NO_RESULT = {
    *("st", "red", "membar", "fence", "nanosleep", "call", "prefetch", "prefetchu", "discard"),
    *("brkpt", "pmevent", "applypriority", *LEAVE),
}


def analyse(program: Program) -> Program:
    """Find the blocks of a program and their live registers."""
    _find_blocks(program)
    _find_live(program)
    return program


def _find_blocks(program: Program) -> None:
    code = program.code
    if not code or code[-1].opcode.split(".")[0] not in LEAVE:
        code.append(Instruction("ret", [], None, code[-1].place if code else None, "ret"))
    begins = {0, *program.labels.values()}
    for pc, instruction in enumerate(code):
        head = instruction.opcode.split(".")[0]
        if head in LEAVE:
            begins.add(pc + 1)
        elif head in MEET:
            begins.update((pc, pc + 1))
    edges = [*sorted(b for b in begins if b < len(code)), len(code)]
    program.blocks = [Block(a, b) for a, b in pairwise(edges)]
    program.block_at = {block.begin: k for k, block in enumerate(program.blocks)}
    for k, block in enumerate(program.blocks):
        last = code[block.end - 1]
        head = last.opcode.split(".")[0]
        if head == "bra":
            target = last.operands[0]
            assert isinstance(target, Symbol)
            block.following.append(_block(program, target.name, last))
        elif head == "brx":
            table = last.operands[1]
            assert isinstance(table, Symbol)
            block.following += [_block(program, t, last) for t in program.tables[table.name]]
        if head not in LEAVE or (head == "bra" and last.guard is not None):
            block.following.append(k + 1)


def _block(program: Program, label: str, branch: Instruction) -> int:
    at = program.labels.get(label)
    if at is None:
        raise UnsupportedError(f"PTX branch to {label}, a label that is not there: {branch.text}")
    return program.block_at[at]


def registers(instruction: Instruction) -> tuple[list[str], list[str]]:
    """The registers that an instruction writes, and those that it reads."""
    opcode = instruction.opcode
    head = opcode.split(".")[0]
    silent = head in NO_RESULT or (head in ("bar", "barrier") and ".red" not in opcode)
    written: list[str] = []
    read: list[str] = []
    for k, operand in enumerate(instruction.operands):
        _collect(operand, written if k == 0 and not silent else read, read)
    if instruction.guard is not None:
        read.append(instruction.guard.name)
    if ".cc" in opcode:
        written.append(CARRY)
    if head in ("addc", "subc", "madc"):
        read.append(CARRY)
    if head == "call":  # an external function: its results come first, and all are kept apart
        read += [f"{o.name}+0" for o in instruction.operands if isinstance(o, Symbol)]
    return written, read


def _collect(operand: Operand, into: list[str], addresses: list[str]) -> None:
    if isinstance(operand, Register):
        if operand.name != "_":
            into.append(operand.name)
    elif isinstance(operand, Address):
        if isinstance(operand.base, Register):
            addresses.append(operand.base.name)
    elif isinstance(operand, Vector):
        for item in operand.items:
            _collect(item, into, addresses)


def _find_live(program: Program) -> None:
    """For each block the registers that are read, there or later, before they are written."""
    numbers = program.numbers
    uses, defines = [], []
    for block in program.blocks:
        used = defined = 0
        for instruction in program.code[block.begin : block.end]:
            written, read = registers(instruction)
            for name in read:
                if name in numbers and not defined >> numbers[name] & 1:
                    used |= 1 << numbers[name]
            for name in written:
                if name in numbers:
                    defined |= 1 << numbers[name]
        uses.append(used)
        defines.append(defined)
    live = list(uses)
    changed = True
    while changed:
        changed = False
        for k in reversed(range(len(program.blocks))):
            after = 0
            for following in program.blocks[k].following:
                after |= live[following]
            now = uses[k] | (after & ~defines[k])
            if now != live[k]:
                live[k], changed = now, True
    for block, bits in zip(program.blocks, live, strict=True):
        packed = np.frombuffer(bits.to_bytes(len(numbers) // 8 + 1, "little"), np.uint8)
        block.live = np.flatnonzero(np.unpackbits(packed, bitorder="little")).tolist()
