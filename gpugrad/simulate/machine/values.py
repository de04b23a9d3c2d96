"""How instructions read and write registers: views of their bits in the type they ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.simulate.faults import UnsupportedError
from gpugrad.simulate.machine.fragment import WARP, Fragment
from gpugrad.simulate.ptx.syntax import (
    SIZES,
    Immediate,
    Instruction,
    Operand,
    Register,
    Symbol,
    Vector,
)

if TYPE_CHECKING:
    from gpugrad.simulate.ptx.program import Program

Get = Callable[[Fragment], Any]
Set = Callable[[Fragment, Any], None]

UNSIGNED: dict[int, Any] = {
    1: np.dtype(np.uint8),
    2: np.dtype(np.uint16),
    4: np.dtype(np.uint32),
    8: np.dtype(np.uint64),
}
SIGNED: dict[int, Any] = {
    1: np.dtype(np.int8),
    2: np.dtype(np.int16),
    4: np.dtype(np.int32),
    8: np.dtype(np.int64),
}
FLOAT: dict[int, Any] = {2: np.dtype(np.float16), 4: np.dtype(np.float32), 8: np.dtype(np.float64)}
BOOL = np.dtype(np.bool_)


def dtype_of(kind: str) -> Any:
    """The dtype of a PTX type: bits are unsigned, bfloat16 and packed halves are bits."""
    if kind == "pred":
        return BOOL
    if kind in ("bf16", "f16x2", "bf16x2"):
        return UNSIGNED[SIZES[kind]]
    table = {"s": SIGNED, "f": FLOAT}.get(kind[0], UNSIGNED)
    return table[SIZES[kind]]


def bits_of(kind: str) -> Any:
    """The dtype in which a register of a PTX type is kept where nothing else is known."""
    return BOOL if kind == "pred" else UNSIGNED[max(SIZES[kind], 2)]


class Values:
    """Getters and setters for the operands of one program.

    Args:
        special: getters of special registers, by name without the percent sign.
        symbols: the addresses of variables.
    """

    def __init__(self, program: Program, special: dict[str, Get], symbols: dict[str, int]) -> None:
        self.program, self.special, self.symbols = program, special, symbols

    def getter(self, operand: Operand, dtype: Any, instruction: Instruction) -> Get:
        """What reads `operand` as an array of `dtype`, of one element or one a lane."""
        if isinstance(operand, Immediate):
            value = constant(operand.value, dtype)
            return lambda f: value
        if isinstance(operand, Symbol):
            if operand.name == "WARP_SZ":
                warp = constant(WARP, dtype)
                return lambda f: warp
            if operand.name not in self.symbols:
                raise UnsupportedError(f"PTX name {operand.name!r} in: {instruction.text}")
            value = constant(self.symbols[operand.name] + operand.offset, dtype)
            return lambda f: value
        if isinstance(operand, Register):
            return self._register(operand, dtype, instruction)
        raise UnsupportedError(f"PTX operand of this kind in: {instruction.text}")

    def _register(self, operand: Register, dtype: Any, instruction: Instruction) -> Get:
        name = operand.name
        if name.lstrip("%") in self.special and name not in self.program.numbers:
            read = self.special[name.lstrip("%")]
            return lambda f: _cast(read(f), dtype)
        if name not in self.program.numbers:
            raise UnsupportedError(f"PTX register {name} in: {instruction.text}")
        k, kept = self.program.numbers[name], bits_of(self.program.types[name])
        zero = np.zeros(1, dtype)
        if dtype == BOOL:
            if operand.negated:
                return lambda f: zero if f.r[k] is None else ~f.r[k]
            return lambda f: zero if f.r[k] is None else f.r[k]
        if kept.itemsize < dtype.itemsize:
            raise UnsupportedError(f"PTX register {name} is too narrow in: {instruction.text}")
        if kept.itemsize == dtype.itemsize:

            def read_bits(f: Fragment) -> Any:
                value = f.r[k]
                if value is None:
                    return zero
                return value if value.dtype is dtype else value.view(dtype)

            return read_bits
        low = UNSIGNED[dtype.itemsize]

        def read_low(f: Fragment) -> Any:
            value = f.r[k]
            return zero if value is None else value.view(kept).astype(low).view(dtype)

        return read_low

    def setter(self, operand: Operand, dtype: Any, instruction: Instruction) -> Set:
        """What writes an array of `dtype` to `operand`, widened to the register's bits."""
        if not isinstance(operand, Register):
            raise UnsupportedError(f"PTX destination of this kind in: {instruction.text}")
        if operand.name == "_":
            return lambda f, value: None
        if operand.name not in self.program.numbers:
            raise UnsupportedError(f"PTX register {operand.name} in: {instruction.text}")
        k, kept = self.program.numbers[operand.name], bits_of(self.program.types[operand.name])
        if kept.itemsize == dtype.itemsize or kept == BOOL:

            def write(f: Fragment, value: Any) -> None:
                f.r[k] = value

            return write
        if kept.itemsize < dtype.itemsize:
            raise UnsupportedError(
                f"PTX register {operand.name} is too narrow in: {instruction.text}"
            )
        wide = SIGNED[kept.itemsize] if dtype.kind == "i" else kept
        narrow = dtype if dtype.kind in "iu" else UNSIGNED[dtype.itemsize]

        def write_wide(f: Fragment, value: Any) -> None:
            f.r[k] = value.view(narrow).astype(wide)

        return write_wide

    def items(self, operand: Operand) -> tuple[Operand, ...]:
        """The parts of a vector operand; any other operand alone."""
        return operand.items if isinstance(operand, Vector) else (operand,)


def constant(value: float, dtype: Any) -> Any:
    """A number of the text as an array with one element."""
    if dtype == BOOL:
        return np.array([bool(value)])
    if dtype.kind == "f":
        if isinstance(value, int) and dtype.itemsize > 2:
            return np.array([value], dtype)
        if isinstance(value, int):
            return np.array([value & 0xFFFF], np.uint16).view(dtype)
        return np.array([value], dtype)
    if isinstance(value, float):
        return np.array([value], FLOAT[dtype.itemsize]).view(dtype)
    mask = (1 << 8 * dtype.itemsize) - 1
    return np.array([int(value) & mask], UNSIGNED[dtype.itemsize]).view(dtype)


def _cast(value: Any, dtype: Any) -> Any:
    return value if value.dtype == dtype else value.astype(dtype)
