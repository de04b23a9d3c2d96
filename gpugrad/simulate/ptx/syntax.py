"""What PTX text says: functions of instructions, and the variables beside them.

Source: NVIDIA, Parallel Thread Execution ISA, sections 4 (syntax) and 5 (state spaces and types).
"""

from __future__ import annotations

from dataclasses import dataclass, field

SIZES = {"pred": 1, "f16x2": 4, "bf16x2": 4, "f16": 2, "bf16": 2}
SIZES |= {f"{kind}{bits}": bits // 8 for kind in "bus" for bits in (8, 16, 32, 64, 128)}
SIZES |= {f"f{bits}": bits // 8 for bits in (32, 64)}


@dataclass(frozen=True)
class Register:
    """A register, by name; `negated` for a predicate read as `!%p1`."""

    name: str
    negated: bool = False


@dataclass(frozen=True)
class Immediate:
    """A number in the text; the bits of a float where it was written as `0f3F800000`."""

    value: int | float


@dataclass(frozen=True)
class Symbol:
    """The name of a variable, parameter, function or label, with an offset in bytes."""

    name: str
    offset: int = 0


@dataclass(frozen=True)
class Address:
    """`[base + offset]`."""

    base: Register | Symbol | Immediate
    offset: int = 0


@dataclass(frozen=True)
class Vector:
    """`{a, b}`, or the two destinations of `p|q`."""

    items: tuple[Operand, ...]


Operand = Register | Immediate | Symbol | Address | Vector


@dataclass(frozen=True)
class Place:
    """A line of the Python source; where it was inlined, the line that called it."""

    file: str
    line: int
    caller: Place | None = field(default=None, compare=False)


@dataclass
class Instruction:
    """One instruction: `@guard opcode operands;`."""

    opcode: str
    operands: list[Operand]
    guard: Register | None
    place: Place | None
    text: str


@dataclass
class Variable:
    """A declared variable or parameter; `size` in bytes, None for `name[]`."""

    name: str
    space: str
    type: str
    align: int
    size: int | None
    data: bytes | None = None


@dataclass
class Function:
    """A kernel (`entry`) or device function; a declaration has no body."""

    name: str
    entry: bool
    parameters: list[Variable] = field(default_factory=list)
    returns: list[Variable] = field(default_factory=list)
    registers: dict[str, str] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    body: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    tables: dict[str, list[str]] = field(default_factory=dict)
    defined: bool = False


@dataclass
class Module:
    """A file of PTX."""

    functions: dict[str, Function] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
