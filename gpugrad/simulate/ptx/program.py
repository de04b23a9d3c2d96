"""A kernel as one flat list of instructions, with its registers, labels and variables."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpugrad.simulate.ptx.syntax import Instruction, Place, Variable

CARRY = "CC"  # the carry flag of add.cc and its kin
LIMIT = 10_000_000  # instructions of the blocks that run together: a minute or less, mostly
SLOW = frozenset(
    ("ld", "ldu", "st", "atom", "red", "membar", "fence", "shfl", "vote", "match", "redux")
)  # with all checks these take as long as 16 others or longer


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

    def effort(self, block: Block) -> int:
        """How many instructions a block counts as; memory and meetings take longer than others."""
        code = self.code[block.begin : block.end]
        slow = [i for i in code if i.opcode.split(".")[0] in SLOW and ".param" not in i.opcode]
        return len(code) + 15 * len(slow)

    def opcodes(self) -> set[str]:
        """The first words of all opcodes."""
        return {instruction.opcode.split(".")[0] for instruction in self.code}
