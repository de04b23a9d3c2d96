"""Opcodes taken apart: how a row of the table of operations is written, and found."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Function = Callable[..., Any]

#: What a value of each PTX type is in a register here. bfloat16 is its bits, a packed pair too.
TYPES: dict[str, np.dtype[Any]] = {
    **{f"{sign}{8 * size}": np.dtype(f"{sign}{size}".replace("s", "i")) for sign in "su"
       for size in (1, 2, 4, 8)},
    **{f"b{8 * size}": np.dtype(f"u{size}") for size in (1, 2, 4, 8)},
    **{f"f{8 * size}": np.dtype(f"f{size}") for size in (2, 4, 8)},
    "bf16": np.dtype("u2"),
    "tf32": np.dtype("u4"),
    **{pair: np.dtype("u4") for pair in ("f16x2", "bf16x2", "s16x2", "u16x2")},
    **{pair: np.dtype("u2") for pair in ("e4m3x2", "e5m2x2")},
    "pred": np.dtype("?"),
}  # fmt: skip
WIDER = {"s16": "s32", "u16": "u32", "s32": "s64", "u32": "u64"}
#: The PTX manual's names for groups of words, as they stand in the shape of a row.
GROUPS = {
    "rnd": "rn|rz|rm|rp",
    "irnd": "rni|rzi|rmi|rpi",
    "int": "s16|u16|s32|u32|s64|u64",
    "byte": "s8|u8",
    "int32or64": "s32|u32|s64|u64",
    "bits": "b16|b32|b64",
    "half": "f16|bf16|f16x2|bf16x2",
    "compare": "eq|ne|lt|le|gt|ge|lo|ls|hi|hs|equ|neu|ltu|leu|gtu|geu|num|nan",
    "bool": "and|or|xor",
}


@dataclass(frozen=True)
class Operation:
    """What an opcode computes.

    function: of arrays of the dtypes in `sources`, shapes (n,) or (1,), to an array, or to a
        tuple of arrays if there are several results. It never writes into what it is given.
    reads_carry: the carry flag, a bool array, is appended to the sources.
    writes_carry: it is appended to the results.
    """

    function: Function
    sources: tuple[np.dtype[Any], ...]
    results: tuple[np.dtype[Any], ...]
    reads_carry: bool = False
    writes_carry: bool = False


@dataclass(frozen=True)
class Form:
    """An opcode as written: its words, and whether the text gives it two destinations."""

    words: tuple[str, ...]
    pair: bool = False

    def __contains__(self, word: str) -> bool:
        return word in self.words

    @property
    def name(self) -> str:
        return self.words[0]

    @property
    def kind(self) -> str:
        """The last type, the one operated on."""
        return self.words[-1]

    @property
    def target(self) -> str:
        """The first type, the one of the result where an opcode names two."""
        return next(word for word in self.words if word in TYPES)

    @property
    def rounding(self) -> str:
        """rn, rz, rm or rp; where none is written, rn."""
        return next((word for word in self.words if word in ("rn", "rz", "rm", "rp")), "rn")

    def among(self, table: Iterable[str]) -> str:
        """The first word of the opcode that is one of the table's."""
        return next(word for word in self.words[1:] if word in table)


class Row:
    """A row of the table: opcodes of one shape, their operands, and who makes the function.

    The shape is written as in the PTX manual with spaces for dots: `[ftz]` may be left out,
    `f32|f64` is one of the two, and the names of GROUPS stand for their words. Sources and
    results are types, where `t` is the opcode's last type, `d` its first, and `w` twice as wide
    as `t`. With `pair`, a second destination (`p|q`) takes a result of the first's type.
    """

    def __init__(
        self,
        shape: str,
        sources: str,
        results: str,
        make: Callable[[Form], Function],
        pair: bool = False,
    ) -> None:
        names, *words = shape.split()
        self.names = names.split("|")
        self.sources, self.results, self.make, self.pair = sources, results, make, pair
        self._pattern = re.compile("".join(map(_expression, words)))

    def operation(self, words: tuple[str, ...], count: int) -> Operation | None:
        """The operation of an opcode with these words, if it has this row's shape."""
        if not self._pattern.fullmatch("".join(f".{word}" for word in words[1:])):
            return None
        pair = self.pair and count > len(self.sources.split()) + 1
        form = Form(words, pair)
        results = self.results.split() * (2 if pair else 1)
        return Operation(
            self.make(form),
            tuple(_dtype(word, form) for word in self.sources.split()),
            tuple(_dtype(word, form) for word in results),
            reads_carry=form.name in ("addc", "subc", "madc"),
            writes_carry="cc" in form,
        )


def the(function: Function) -> Callable[[Form], Function]:
    """A maker for shapes whose function is always the same."""
    return lambda form: function


def in_pieces(lanes: int) -> Callable[[Function], Function]:
    """Run a function of many steps on so many lanes at a time: its temporaries stay in cache."""

    def decorate(function: Function) -> Function:
        def run(*sources: Array, **options: Any) -> Array:
            total = max(source.size for source in sources)
            if total <= lanes:
                whole: Array = function(*sources, **options)
                return whole
            pieces = [
                function(*(x if x.size == 1 else x[k : k + lanes] for x in sources), **options)
                for k in range(0, total, lanes)
            ]
            return np.concatenate(pieces)

        return functools.update_wrapper(run, function)

    return decorate


def _expression(word: str) -> str:
    choices = "|".join(GROUPS.get(choice, choice) for choice in word.strip("[]").split("|"))
    return rf"(?:\.(?:{choices})){'?' if word.startswith('[') else ''}"


def _dtype(word: str, form: Form) -> np.dtype[Any]:
    match word:
        case "t":
            word = form.kind
        case "d":
            word = form.target
        case "w":
            word = WIDER[form.kind]
    return TYPES[word]
