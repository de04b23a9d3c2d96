"""Atomic operations: lanes on one address take their turns in the order of their numbers.

Real cards promise no order; for what does not depend on one (integers, min, max) it makes no
difference, and for sums of floats this is one of the orders that a card may take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.simulate.arithmetic.table import operation
from gpugrad.simulate.faults import UnsupportedError
from gpugrad.simulate.machine.access import (
    Step,
    address_getter,
    check,
    chosen,
    joined,
    located,
    space_of,
)
from gpugrad.simulate.machine.fragment import Fragment
from gpugrad.simulate.machine.values import Values, dtype_of
from gpugrad.simulate.ptx.syntax import SIZES, Instruction, Register

if TYPE_CHECKING:
    from gpugrad.simulate.machine.machine import Machine

Apply = Callable[..., Any]  # (what memory holds, the lane's value(s)) -> what it then holds


def _increment(old: Any, bound: Any) -> Any:
    return np.where(old >= bound, 0, old + old.dtype.type(1)).astype(old.dtype)


def _decrement(old: Any, bound: Any) -> Any:
    return np.where((old == 0) | (old > bound), bound, old - old.dtype.type(1)).astype(old.dtype)


def _swap(old: Any, value: Any) -> Any:
    return value


def _compare_and_swap(old: Any, expected: Any, value: Any) -> Any:
    return np.where(old == expected, value, old)


# PTX ISA, atom: what each writes. NaN loses in min and max, as in their scalar namesakes.
OPERATIONS: dict[str, Apply] = {
    "add": np.add,
    "min": np.fmin,
    "max": np.fmax,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "inc": _increment,
    "dec": _decrement,
    "exch": _swap,
    "cas": _compare_and_swap,
}


def atomic(values: Values, instruction: Instruction, pc: int, wanted: bool) -> Step:
    """The step of `atom` and `red`; `wanted` if the old value is needed later."""
    words = instruction.opcode.split(".")
    returns = words[0] == "atom"
    name = next((word for word in words[1:] if word in OPERATIONS), None)
    kind = words[-1]
    if name is None or kind not in SIZES or {"v2", "v4", "v8"} & set(words):
        raise UnsupportedError(f"PTX atomic: {instruction.text}")
    dtype, space = dtype_of(kind), space_of(instruction)
    apply = OPERATIONS[name]
    if kind in ("f16x2", "bf16", "bf16x2"):  # bits, whose sum is that of the halves in them
        packed = operation(f"{name}.rn.{kind}")
        if packed is None or name != "add":
            raise UnsupportedError(f"PTX atomic of type {kind}: {instruction.text}")
        apply = packed.function
    operands = instruction.operands[returns:]
    address = address_getter(values, operands[0], instruction)
    getters = [values.getter(operand, dtype, instruction) for operand in operands[1:]]
    write = values.setter(instruction.operands[0] if returns else Register("_"), dtype, instruction)
    nbytes = dtype.itemsize

    def step(m: Machine, f: Fragment) -> None:
        where = np.broadcast_to(address(f), f.n)
        data = [read(f) for read in getters]
        parts = list(located(m, f, space, where, nbytes, pc, "atomic"))
        olds = []
        for segment, offset, lanes in parts:
            check(m, f, segment, offset, lanes, nbytes, pc, "atomic")
            index = np.broadcast_to(offset, len(where if lanes is None else lanes)) >> (
                nbytes.bit_length() - 1
            )
            given = [np.broadcast_to(chosen(v, lanes), len(index)) for v in data]
            view = segment.view(dtype)
            before = view[index] if m.standstill.idle else None
            olds.append(turns(apply, view, index, given, wanted))
            if before is not None and (view[index] != before).any():
                m.standstill.idle = 0
            segment.written(offset, nbytes)
        if wanted:
            write(f, joined(f, olds, parts, dtype))

    return step


def turns(apply: Apply, memory: Any, index: Any, given: list[Any], wanted: bool) -> Any:
    """Let each lane apply its value to `memory[index]`, one after the other; what each found."""
    if len(index) == 1:
        old = memory[index]
        memory[index] = apply(old, *given)
        return old
    order = np.argsort(index, kind="stable")
    places = index[order]
    starts = np.flatnonzero(np.concatenate(([True], places[1:] != places[:-1])))
    if len(starts) == len(index):  # no two lanes meet
        old = memory[index]
        memory[index] = apply(old, *given)
        return old
    if not wanted and isinstance(apply, np.ufunc):
        apply.at(memory, index, given[0])
        return None
    sizes = np.diff(np.append(starts, len(places)))
    sorted_given = [value[order] for value in given]
    found = np.empty(len(index), memory.dtype)
    if len(starts) < sizes.max():
        for begin, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            part = slice(begin, begin + size)
            mine = [value[part] for value in sorted_given]
            found[part], memory[places[begin]] = _in_turn(apply, memory[places[begin]], mine)
    else:
        rank = np.arange(len(places)) - np.repeat(starts, sizes)
        for turn in range(int(sizes.max())):  # in each, no two lanes meet
            lanes = np.flatnonzero(rank == turn)
            old = memory[places[lanes]]
            found[lanes] = old
            memory[places[lanes]] = apply(old, *[value[lanes] for value in sorted_given])
    result = np.empty_like(found)
    result[order] = found
    return result


def _in_turn(apply: Apply, start: Any, given: list[Any]) -> tuple[Any, Any]:
    """What lanes on one address find, in turn, and what is there at the end."""
    if isinstance(apply, np.ufunc):
        chain = apply.accumulate(np.concatenate(([start], given[0])), dtype=start.dtype)
        return chain[:-1], chain[-1]
    if apply is _swap:
        return np.concatenate(([start], given[0][:-1])), given[0][-1]
    found, start = np.empty(len(given[0]), start.dtype), start.reshape(1)
    for k in range(len(found)):
        found[k] = start[0]
        start = apply(start, *[value[k : k + 1] for value in given])
    return found, start[0]
