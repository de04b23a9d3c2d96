"""A kernel as one flat list of instructions: calls written out, guards as branches, blocks found.

Device functions are copied to where they are called, so that a program counter says where a thread
is without a stack, and threads of the lowest counter can step first. Parameters of calls become
registers. A guarded instruction becomes a branch around it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gpugrad.simulate.faults import UnsupportedError
from gpugrad.simulate.ptx import (
    SIZES,
    Address,
    Function,
    Immediate,
    Instruction,
    Module,
    Operand,
    Place,
    Register,
    Symbol,
    Variable,
    Vector,
)

EXTERNAL = ("vprintf", "cudaCGGetIntrinsicHandle", "cudaCGSynchronize")
DEEPEST = 30  # calls within calls: a function that calls itself has no end
CARRY = "CC"  # the carry flag of add.cc and its kin


@dataclass
class Block:
    """Instructions that are entered at the first and left at the last."""

    begin: int
    end: int
    following: list[int] = field(default_factory=list)  # blocks that may come next
    live: list[int] = field(default_factory=list)  # registers with a value that is still needed


@dataclass
class Program:
    """A kernel, flat. Labels are program counters; registers are numbered."""

    name: str
    parameters: list[Variable]
    code: list[Instruction]
    labels: dict[str, int]
    tables: dict[str, list[str]]
    types: dict[str, str]  # of registers
    local: dict[str, Variable]
    shared: dict[str, Variable]
    numbers: dict[str, int] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    block_at: dict[int, int] = field(default_factory=dict)

    def place(self, pc: int) -> Place | None:
        """The Python line of an instruction, or of the nearest one before it that has one."""
        while pc >= 0:
            found = self.code[pc].place
            if found is not None:
                return found
            pc -= 1
        return None

    def opcodes(self) -> set[str]:
        """The first words of all opcodes."""
        return {instruction.opcode.split(".")[0] for instruction in self.code}


def flatten(module: Module, name: str) -> Program:
    """The program of the kernel `name`; its blocks are found by `flow.analyse`.

    Raises:
        UnsupportedError: a call of a function that is not there, or of one that calls itself.
    """
    function = module.functions[name]
    program = Program(name, function.parameters, [], {}, {}, {CARRY: "pred"}, {}, {})
    program.shared = {k: v for k, v in module.variables.items() if v.space == "shared"}
    _Writer(module, program).write(function, "", {}, None, 0)
    program.numbers = {register: k for k, register in enumerate(program.types)}
    return program


class _Writer:
    """Copies functions into the program, each copy with names of its own."""

    def __init__(self, module: Module, program: Program) -> None:
        self.module, self.program = module, program
        self.copies = 0

    def write(
        self,
        function: Function,
        prefix: str,
        passed: dict[str, str],
        end: str | None,
        depth: int,
    ) -> None:
        """Append `function`; `passed` renames its parameters, `end` is the label after a call."""
        program = self.program
        program.types.update({prefix + r: kind for r, kind in function.registers.items()})
        for name, variable in function.variables.items():
            home = {"local": program.local, "shared": program.shared}.get(variable.space)
            if home is not None:
                home[prefix + name] = variable
        program.tables.update(
            {prefix + k: [prefix + t for t in v] for k, v in function.tables.items()}
        )
        at: dict[int, list[str]] = {}
        for label, position in function.labels.items():
            at.setdefault(position, []).append(prefix + label)
        local = set(function.labels) | set(function.variables) | set(function.tables)
        for position, said in enumerate(function.body):
            for label in at.get(position, ()):
                program.labels[label] = len(program.code)
            operands = [_renamed(o, prefix, local, passed, function) for o in said.operands]
            guard = said.guard and Register(_register(said.guard.name, prefix), said.guard.negated)
            self._instruction(said, operands, guard, prefix, passed, end, depth)
        for label in at.get(len(function.body), ()):
            program.labels[label] = len(program.code)

    def _instruction(
        self,
        said: Instruction,
        operands: list[Operand],
        guard: Register | None,
        prefix: str,
        passed: dict[str, str],
        end: str | None,
        depth: int,
    ) -> None:
        program = self.program
        head = said.opcode.split(".")[0]
        around = None
        if guard is not None and head != "bra":
            self.copies += 1
            around = f"around.{self.copies}"
            skip = Register(guard.name, not guard.negated)
            program.code.append(Instruction("bra", [Symbol(around)], skip, said.place, said.text))
            guard = None
        if head in ("ret", "exit") and end is not None and head == "ret":
            program.code.append(Instruction("bra", [Symbol(end)], None, said.place, said.text))
        elif head == "call":
            self._call(said, operands, depth)
        elif said.opcode.startswith(("ld.param", "st.param")) and self._passes(operands):
            self._move(said, operands)
        else:
            program.code.append(Instruction(said.opcode, operands, guard, said.place, said.text))
        if around is not None:
            program.labels[around] = len(program.code)

    def _passes(self, operands: list[Operand]) -> bool:
        """Whether a `.param` access is to a parameter of a call, not of the kernel."""
        address = next(o for o in operands if isinstance(o, Address))
        kernel = {p.name for p in self.program.parameters}
        return isinstance(address.base, Symbol) and address.base.name not in kernel

    def _move(self, said: Instruction, operands: list[Operand]) -> None:
        """`st.param [p+4], %r` and `ld.param %r, [p+4]` as moves to and from a register."""
        address = next(o for o in operands if isinstance(o, Address))
        other = next(o for o in operands if not isinstance(o, Address))
        assert isinstance(address.base, Symbol)
        kind = said.opcode.split(".")[-1]
        items = other.items if isinstance(other, Vector) else (other,)
        for k, item in enumerate(items):
            name = f"{address.base.name}+{address.offset + k * SIZES[kind]}"
            wide = f"b{8 * SIZES[kind]}"
            if self.program.types.setdefault(name, wide) != wide:
                raise UnsupportedError(f"PTX call parameter read in another width: {said.text}")
            pair = (
                [Register(name), item] if said.opcode.startswith("st") else [item, Register(name)]
            )
            opcode = f"mov.b{8 * max(SIZES[kind], 2)}"
            self.program.code.append(Instruction(opcode, list(pair), None, said.place, said.text))

    def _call(self, said: Instruction, operands: list[Operand], depth: int) -> None:
        vectors = [o for o in operands if isinstance(o, Vector)]
        names = [o for o in operands if isinstance(o, Symbol)]
        called = names[0].name if names else ""
        function = self.module.functions.get(called)
        if called in EXTERNAL:
            self.program.code.append(
                Instruction(f"call.{called}", _flat(operands), None, said.place, said.text)
            )
            for value in _flat(operands):
                if isinstance(value, Symbol) and value.name != called:
                    self.program.types.setdefault(
                        f"{value.name}+0", "b64" if "GetI" in called else "b32"
                    )
            return
        if function is None or not function.defined:
            raise UnsupportedError(
                f"PTX call of {called or 'a function by its address'}: {said.text}\n"
                "  help: only functions that are in the kernel's own PTX can be called"
            )
        if depth > DEEPEST:
            raise UnsupportedError(f"PTX function that calls itself: {called}: {said.text}")
        first_is_result = bool(vectors) and operands.index(vectors[0]) < operands.index(names[0])
        results = vectors[0].items if first_is_result else ()
        given = vectors[-1].items if len(vectors) > first_is_result else ()
        passed = {}
        for variables, values in ((function.returns, results), (function.parameters, given)):
            for variable, value in zip(variables, values, strict=True):
                if not isinstance(value, Symbol):
                    raise UnsupportedError(f"PTX call that passes a register: {said.text}")
                passed[variable.name] = value.name
        self.copies += 1
        prefix, end = f"{called}.{self.copies}:", f"end.{self.copies}"
        self.write(function, prefix, passed, end, depth + 1)
        self.program.labels[end] = len(self.program.code)


def _register(name: str, prefix: str) -> str:
    return name if name == "_" else prefix + name


def _renamed(
    operand: Operand, prefix: str, local: set[str], passed: dict[str, str], function: Function
) -> Operand:
    """`operand` of a function's copy, with the names of that copy."""
    if isinstance(operand, Register):
        if operand.name not in function.registers:
            return operand  # a special register
        return Register(_register(operand.name, prefix), operand.negated)
    if isinstance(operand, Symbol):
        if operand.name in passed:
            return Symbol(passed[operand.name], operand.offset)
        return Symbol(prefix + operand.name, operand.offset) if operand.name in local else operand
    if isinstance(operand, Address):
        base = _renamed(operand.base, prefix, local, passed, function)
        assert isinstance(base, (Register, Symbol, Immediate))
        return Address(base, operand.offset)
    if isinstance(operand, Vector):
        items = tuple(_renamed(item, prefix, local, passed, function) for item in operand.items)
        return Vector(items)
    return operand


def _flat(operands: list[Operand]) -> list[Operand]:
    return [x for o in operands for x in (o.items if isinstance(o, Vector) else (o,))]
