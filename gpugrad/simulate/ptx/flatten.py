"""Functions written out as one program: copies of what is called, and no stack.

A device function is copied to where it is called, so that a program counter says where a thread is,
and threads of the lowest counter can step first. Of a function that calls itself there is a copy
for each level of calls, which notes in a register where to return to. Parameters become registers.
A guarded instruction becomes a branch around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gpugrad.simulate.faults import UnsupportedError
from gpugrad.simulate.ptx.program import CARRY, Program
from gpugrad.simulate.ptx.syntax import (
    SIZES,
    Address,
    Function,
    Immediate,
    Instruction,
    Module,
    Operand,
    Register,
    Symbol,
    Vector,
)

GRID_SYNC = "cudaCGSynchronize"
EXTERNAL = ("vprintf", "cudaCGGetIntrinsicHandle", GRID_SYNC)
LEVELS = 24  # of calls of functions that call themselves


def flatten(module: Module, name: str) -> Program:
    """The program of the kernel `name`; its blocks are found by `flow.analyse`.

    Raises:
        UnsupportedError: a call of a function that is not there.
    """
    function = module.functions[name]
    program = Program(name, function.parameters, [], {}, {}, {CARRY: "pred"}, {}, {})
    program.shared = {k: v for k, v in module.variables.items() if v.space == "shared"}
    _Writer(module, program).write_all(function)
    program.numbers = {register: k for k, register in enumerate(program.types)}
    return program


@dataclass(frozen=True)
class Copy:
    """A function, as it is written once.

    Attributes:
        prefix: before the names of its registers, labels and variables.
        passed: what its parameters and results are called.
        back: the label behind the call; of a copy for many calls, the table of such labels.
        switch: of a copy for many calls, the register that says which of them it was.
        level: how many calls of functions that call themselves lie around it.
    """

    function: Function
    prefix: str
    passed: dict[str, str]
    back: str | None = None
    switch: str | None = None
    level: int = 0


class _Writer:
    def __init__(self, module: Module, program: Program) -> None:
        self.module, self.program = module, program
        self.kernel = {parameter.name for parameter in program.parameters}
        self.count = 0
        self.renamed: dict[str, str] = {}  # results of calls: the register behind each
        self.levels: dict[tuple[str, int], Copy] = {}
        self.waiting: list[Copy] = []
        self.recursive = {f for f in module.functions if f in self._reached(f)}

    def _reached(self, name: str) -> set[str]:
        """The functions that `name` calls, and those that they call."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            function = self.module.functions.get(waiting.pop())
            for said in function.body if function is not None else ():
                if said.opcode.startswith("call"):
                    called = {o.name for o in said.operands if isinstance(o, Symbol)} - found
                    found |= called
                    waiting += called
        return found

    def write_all(self, function: Function) -> None:
        """Write the kernel, and behind it the copies for each level of calls."""
        self.write(Copy(function, "", {}))
        if self.program.code and self.program.code[-1].opcode.split(".")[0] not in ("ret", "exit"):
            self._emit("ret", [], self.program.code[-1])
        while self.waiting:
            copy = self.waiting.pop()
            self._label(f"{copy.prefix}entry")
            self.write(copy)

    def write(self, copy: Copy) -> None:
        """Append a copy of a function."""
        program, function, prefix = self.program, copy.function, copy.prefix
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
                self._label(label)
            operands = [_renamed(o, copy, local) for o in said.operands]
            guard = said.guard and Register(prefix + said.guard.name, said.guard.negated)
            self._instruction(said, operands, guard, copy)
        for label in at.get(len(function.body), ()):
            self._label(label)

    def _label(self, name: str) -> None:
        self.program.labels[name] = len(self.program.code)

    def _emit(
        self, opcode: str, operands: list[Operand], like: Instruction, guard: Register | None = None
    ) -> None:
        self.program.code.append(Instruction(opcode, operands, guard, like.place, like.text))

    def _instruction(
        self, said: Instruction, operands: list[Operand], guard: Register | None, copy: Copy
    ) -> None:
        head = said.opcode.split(".")[0]
        around = None
        if guard is not None and head != "bra":
            self.count += 1
            around = f"around.{self.count}"
            self._emit("bra", [Symbol(around)], said, Register(guard.name, not guard.negated))
            guard = None
        if head == "ret" and copy.switch is not None and copy.back is not None:
            self._emit("brx.idx", [Register(copy.switch), Symbol(copy.back)], said)
        elif head == "ret" and copy.back is not None:
            self._emit("bra", [Symbol(copy.back)], said)
        elif head == "call":
            self._call(said, operands, copy)
        elif said.opcode.startswith(("ld.param", "st.param")) and self._passes(operands):
            self._move(said, operands)
        else:
            self._emit(said.opcode, operands, said, guard)
        if around is not None:
            self._label(around)

    # Calls

    def _passes(self, operands: list[Operand]) -> bool:
        """Whether a `.param` access is to a parameter of a call, not of the kernel."""
        address = next(o for o in operands if isinstance(o, Address))
        return isinstance(address.base, Symbol) and address.base.name not in self.kernel

    def _move(self, said: Instruction, operands: list[Operand]) -> None:
        """`st.param [p+4], %r` and `ld.param %r, [p+4]` as moves to and from a register."""
        address = next(o for o in operands if isinstance(o, Address))
        other = next(o for o in operands if not isinstance(o, Address))
        assert isinstance(address.base, Symbol)
        base = self.renamed.get(address.base.name, address.base.name)
        kind = said.opcode.split(".")[-1]
        items = other.items if isinstance(other, Vector) else (other,)
        for k, item in enumerate(items):
            name = f"{base}+{address.offset + k * SIZES[kind]}"
            wide = f"b{8 * SIZES[kind]}"
            if self.program.types.setdefault(name, wide) != wide:
                raise UnsupportedError(f"PTX call parameter read in another width: {said.text}")
            pair: list[Operand] = [Register(name), item]
            pair = pair if said.opcode.startswith("st") else pair[::-1]
            self._emit(f"mov.b{8 * max(SIZES[kind], 2)}", pair, said)

    def _call(self, said: Instruction, operands: list[Operand], copy: Copy) -> None:
        vectors = [o for o in operands if isinstance(o, Vector)]
        names = [o for o in operands if isinstance(o, Symbol)]
        called = names[0].name if names else ""
        if called in EXTERNAL:
            self._emit(f"call.{called}", _flat(operands), said)
            wide = "b64" if "GetI" in called else "b32"
            for value in _flat(operands):
                if isinstance(value, Symbol) and value.name != called:
                    self.program.types.setdefault(f"{value.name}+0", wide)
            return
        function = self.module.functions.get(called)
        if function is None or not function.defined:
            raise UnsupportedError(
                f"PTX call of {called or 'a function by its address'}: {said.text}\n"
                "  help: only functions that are in the kernel's own PTX can be called"
            )
        first_is_result = bool(vectors) and operands.index(vectors[0]) < operands.index(names[0])
        results = vectors[0].items if first_is_result else ()
        given = vectors[-1].items if len(vectors) > first_is_result else ()
        passed = {}
        for variables, values in ((function.returns, results), (function.parameters, given)):
            for variable, value in zip(variables, values, strict=True):
                if not isinstance(value, Symbol):
                    raise UnsupportedError(f"PTX call that passes a register: {said.text}")
                passed[variable.name] = value.name
        self.count += 1
        back = f"back.{self.count}"
        if called in self.recursive:
            self._call_level(said, function, passed, copy.level + 1, back)
        else:
            prefix = f"{called}.{self.count}:"
            self.write(Copy(function, prefix, passed, back, None, copy.level))
        self._label(back)

    def _call_level(
        self, said: Instruction, function: Function, passed: dict[str, str], level: int, back: str
    ) -> None:
        """A call of a function that calls itself: of its copy for this level, for all calls."""
        if level > LEVELS:
            self._emit("too_deep", [], said)
            return
        name, types = function.name, self.program.types
        copy = self.levels.get((name, level))
        if copy is None:
            prefix = f"{name}@{level}:"
            own = {v.name: prefix + v.name for v in (*function.parameters, *function.returns)}
            copy = Copy(function, prefix, own, f"{prefix}table", f"{prefix}switch", level)
            self.levels[name, level] = copy
            self.waiting.append(copy)
            types[f"{prefix}switch"] = "b32"
            self.program.tables[f"{prefix}table"] = []
        for parameter in function.parameters:
            there, here = copy.passed[parameter.name], passed[parameter.name]
            for register, offset in list(_parts_of(here, types)):
                kind = types.setdefault(there + offset, types[register])
                self._emit(f"mov.{kind}", [Register(there + offset), Register(register)], said)
        for variable in function.returns:
            self.renamed[passed[variable.name]] = copy.passed[variable.name]
        assert copy.switch is not None
        assert copy.back is not None
        table = self.program.tables[copy.back]
        self._emit("mov.b32", [Register(copy.switch), Immediate(len(table))], said)
        table.append(back)
        self._emit("bra", [Symbol(f"{copy.prefix}entry")], said)


def _parts_of(name: str, types: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The registers that hold a parameter, and their offsets as written: ("p+8", "+8")."""
    for register in types:
        if register.startswith(f"{name}+"):
            yield register, register[len(name) :]


def _renamed(operand: Operand, copy: Copy, local: set[str]) -> Operand:
    """`operand` of a function's copy, with the names of that copy."""
    if isinstance(operand, Register):
        if operand.name not in copy.function.registers:
            return operand  # a special register
        return Register(copy.prefix + operand.name, operand.negated)
    if isinstance(operand, Symbol):
        if operand.name in copy.passed:
            return Symbol(copy.passed[operand.name], operand.offset)
        return (
            Symbol(copy.prefix + operand.name, operand.offset) if operand.name in local else operand
        )
    if isinstance(operand, Address):
        base = _renamed(operand.base, copy, local)
        assert isinstance(base, (Register, Symbol, Immediate))
        return Address(base, operand.offset)
    if isinstance(operand, Vector):
        return Vector(tuple(_renamed(item, copy, local) for item in operand.items))
    return operand


def _flat(operands: list[Operand]) -> list[Operand]:
    return [x for o in operands for x in (o.items if isinstance(o, Vector) else (o,))]
