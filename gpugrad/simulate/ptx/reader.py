"""The reader of PTX text. Nothing is executed or checked for sense here.

The grammar that compilers emit is small: directives, declarations, labels and instructions, each
ended by `;`, and braces that open a scope when they begin a statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpugrad.simulate.faults import UnsupportedError
from gpugrad.simulate.ptx.literals import initial_bytes, number
from gpugrad.simulate.ptx.syntax import (
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

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
ALONE = re.compile(r"^\s*\.(?:loc|file|version|target|address_size)\b[^;\n]*$", re.M)
TOKEN = re.compile(r'"[^"]*"|[{};]|[^{};"]+')
LABEL = re.compile(r"\s*([A-Za-z_$%][\w$]*)\s*:(?!:)")
DECLARED = re.compile(
    r"(?:\.(?:extern|visible|weak|common)\s+)*\.(?P<space>global|shared|const|local|param)\b(?P<rest>.*)",
    re.S,
)
LOC = re.compile(r"\.loc\s+(\d+)\s+(\d+)\s+\d+(?:.*inlined_at\s+(\d+)\s+(\d+))?")


def parse(text: str) -> Module:
    """The module that PTX text describes.

    Raises:
        UnsupportedError: a construct that this reader does not know; the message quotes it.
    """
    return _Reader(text).module


def statements(text: str) -> Iterator[tuple[str, str]]:
    """("begin", header), ("end", "") and ("statement", text), in order."""
    text = ALONE.sub(lambda m: m[0] + ";", COMMENT.sub(" ", text))
    held, nested = "", 0
    for match in TOKEN.finditer(text):
        token = match[0]
        if token == "{" and not nested:
            while label := LABEL.match(held):
                yield "statement", label[0]
                held = held[label.end() :]
            header = held.strip()
            if not header or re.match(r"\.section\b", header) or _heads_function(header):
                yield "begin", header
                held = ""
                continue
        if token == "{":
            nested += 1
        elif token == "}":
            if not nested:
                yield "end", ""
                held = ""
                continue
            nested -= 1
        elif token == ";" and not nested:
            yield "statement", held.strip()
            held = ""
            continue
        held += token


def _heads_function(header: str) -> bool:
    return re.search(r"\.(?:entry|func)\b", header) is not None


class _Reader:
    def __init__(self, text: str) -> None:
        self.module = Module()
        self.function: Function | None = None
        self.files: dict[str, str] = {}
        self.place: Place | None = None  # with the number of a file: names come last
        self.scopes: list[dict[str, str]] = []
        self.count = 0
        skipping = 0
        for kind, said in statements(text):
            if kind == "begin":
                if skipping or said.startswith(".section"):
                    skipping += 1
                elif self.function is None:
                    self.function = self._header(said)
                    self.function.defined = True
                    self.scopes = [{}]
                else:
                    self.scopes.append({})
            elif kind == "end":
                if skipping:
                    skipping -= 1
                elif self.scopes:
                    self.scopes.pop()
                    if not self.scopes:
                        self.function = None
            elif not skipping:
                self._statement(said)
        self._resolve_places()

    # Declarations

    def _statement(self, said: str) -> None:
        while label := LABEL.match(said):
            if self.function is not None:
                self.function.labels[label[1]] = len(self.function.body)
            said = said[label.end() :].strip()
        if not said:
            return
        if found := LOC.match(said):
            caller = Place(found[3], int(found[4])) if found[3] else None
            self.place = Place(found[1], int(found[2]), caller)
        elif said.startswith(".file"):
            _, number, name = said.split(None, 2)
            self.files[number] = name.split('"')[1]
        elif said.startswith(".reg"):
            self._registers(said)
        elif declared := DECLARED.match(said):
            self._variable(declared["space"], declared["rest"])
        elif _heads_function(said):
            self._header(said)
        elif said.startswith((".branchtargets", ".calltargets")):
            assert self.function is not None
            labels = self.function.labels
            last = max(labels, key=labels.__getitem__)
            self.function.tables[last] = re.findall(r"[\w$]+", said.split(None, 1)[1])
        elif not said.startswith("."):
            self._instruction(said)

    def _header(self, said: str) -> Function:
        entry = ".entry" in said
        groups = re.findall(r"\(([^()]*)\)", said)
        returns: list[Variable] = []
        _, _, after = said.partition(".entry" if entry else ".func")
        after = after.strip()
        if not entry and after.startswith("("):
            returns = self._parameters(groups.pop(0))
            after = after[after.index(")") + 1 :].strip()
        name = re.split(r"[\s(]", after, maxsplit=1)[0]
        function = self.module.functions.setdefault(name, Function(name, entry))
        function.returns = returns
        function.parameters = self._parameters(groups[0]) if groups else []
        self.place = None
        return function

    def _parameters(self, said: str) -> list[Variable]:
        found = []
        for part in said.split(","):
            if part.strip():
                space = re.match(r"\s*\.(param|reg)\b(.*)", part, re.S)
                if space is None:
                    raise UnsupportedError(f"PTX parameter: {part.strip()}")
                found.append(self._declared(space[1], space[2]))
        return found

    def _declared(self, space: str, rest: str) -> Variable:
        rest, _, initial = rest.partition("=")
        align = re.search(r"\.align\s+(\d+)", rest)
        kinds = [k for k in re.findall(r"\.([a-z]\w*)", rest) if k in SIZES]
        name = re.search(r"([A-Za-z_$%][\w$]*)\s*((?:\[\s*\d*\s*\])*)\s*$", rest)
        if not kinds or name is None:
            raise UnsupportedError(f"PTX declaration: .{space}{rest}")
        size: int | None = SIZES[kinds[-1]]
        for extent in re.findall(r"\[\s*(\d*)\s*\]", name[2]):
            size = size * int(extent) if extent and size is not None else None
        data = initial_bytes(initial, SIZES[kinds[-1]], kinds[-1]) if initial else None
        alignment = int(align[1]) if align else SIZES[kinds[-1]]
        return Variable(name[1], space, kinds[-1], alignment, size, data)

    def _variable(self, space: str, rest: str) -> None:
        variable = self._declared(space, rest)
        if self.function is None:
            self.module.variables[variable.name] = variable
            return
        self.count += 1
        unique = f"{variable.name}.{self.count}"
        self.scopes[-1][variable.name] = unique
        variable.name = unique
        self.function.variables[unique] = variable

    def _registers(self, said: str) -> None:
        assert self.function is not None
        declared = re.fullmatch(r"\.reg\s*\.(\w+)\s+(.*)", said, re.S)
        if declared is None:
            raise UnsupportedError(f"PTX declaration: {said}")
        for name in declared[2].split(","):
            many = re.match(r"\s*(%?[\w$]+)<(\d+)>", name)
            plain = [f"{many[1]}{k}" for k in range(int(many[2]))] if many else [name.strip()]
            for register in plain:
                unique = register
                if len(self.scopes) > 1:
                    self.count += 1
                    unique = f"{register}.{self.count}"
                    self.scopes[-1][register] = unique
                self.function.registers[unique] = declared[1]

    # Instructions

    def _instruction(self, said: str) -> None:
        assert self.function is not None, said
        guard = re.match(r"@(!?)\s*([\w%$.]+)\s+", said)
        text, said = said, said[guard.end() :] if guard else said
        opcode, _, rest = said.partition(" ")
        if "\t" in opcode or "\n" in opcode:
            opcode, rest = re.split(r"\s+", said, maxsplit=1)
        operands = [self._operand(part, text) for part in _split(rest)]
        kept = None
        if guard:
            register = self._named(guard[2])
            kept = Register(register, negated=guard[1] == "!")
        one_line = " ".join(text.split())
        self.function.body.append(Instruction(opcode, operands, kept, self.place, one_line))

    def _named(self, name: str) -> str:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return name

    def _operand(self, said: str, text: str) -> Operand:
        said = said.strip()
        if said.startswith("{") or said.startswith("("):
            return Vector(tuple(self._operand(part, text) for part in _split(said[1:-1])))
        if said.startswith("["):
            inner = self._operand(said[1:-1], text)
            if isinstance(inner, Symbol):
                return Address(Symbol(inner.name), inner.offset)
            assert isinstance(inner, (Register, Immediate, Address)), text
            return inner if isinstance(inner, Address) else Address(inner)
        if "|" in said:
            return Vector(tuple(self._operand(part, text) for part in said.split("|")))
        if said.startswith("!"):
            return Register(self._named(said[1:].strip()), negated=True)
        value = number(said)
        if value is not None:
            return Immediate(value)
        added = re.fullmatch(r"([\w%$.]+)\s*\+\s*(-?\w+)", said)
        if added:
            base, offset = self._operand(added[1], text), number(added[2])
            assert isinstance(offset, int), text
            if isinstance(base, Symbol):
                return Symbol(base.name, offset)
            assert isinstance(base, (Register, Immediate)), text
            return Address(base, offset)
        if not re.fullmatch(r"[\w%$.]+", said):
            raise UnsupportedError(f"PTX operand {said!r} in: {' '.join(text.split())}")
        name = self._named(said)
        assert self.function is not None
        known = name in self.function.registers or said.startswith("%") or said == "_"
        return Register(name) if known else Symbol(name)

    def _resolve_places(self) -> None:
        """Numbers of files to their names: `.file` comes last in the text."""
        for function in self.module.functions.values():
            for instruction in function.body:
                instruction.place = self._named_place(instruction.place)

    def _named_place(self, place: Place | None) -> Place | None:
        """A place with the name of its file; line 0 is none."""
        if place is None or not place.line:
            return None
        return Place(self.files.get(place.file, ""), place.line, self._named_place(place.caller))


def _split(said: str) -> list[str]:
    """`said` cut at the commas that stand in no bracket."""
    parts, depth, begin = [], 0, 0
    for k, letter in enumerate(said):
        depth += (letter in "{[(") - (letter in "}])")
        if letter == "," and not depth:
            parts.append(said[begin:k])
            begin = k + 1
    parts.append(said[begin:])
    return [part for part in parts if part.strip()]
