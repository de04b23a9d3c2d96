"""What a row of the table of operations holds, and short forms for the usual ones."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpugrad as gg

FLOATS = ("float16", "float32", "float64")
Range = float | tuple[float, ...]


@dataclass(frozen=True)
class Case:
    """One way to call an operation, and the NumPy expression that it must equal.

    Args:
        name: the primitive, or the public function, that the row is about.
        call: the operation on its floating arguments; any other argument is part of it.
        expect: the same in NumPy, written without gpugrad.
        shapes: one for each floating argument.
        low, high: the range the arguments are drawn from, one for all or one for each.
        result: the dtype of the result where it is not the arguments' own.
        label: what tells this row from the others of the same name.
        empty: shapes with no elements that are legal too.
        special: NaN and infinities mean the same as in NumPy.
        dtypes: of the arguments.
    """

    name: str
    call: Callable[..., Any]
    expect: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...] = ((3, 4),)
    low: Range = -2.0
    high: Range = 2.0
    result: str | None = None
    label: str = ""
    empty: tuple[tuple[int, ...], ...] | None = None
    special: bool = True
    dtypes: tuple[str, ...] = FLOATS

    def __str__(self) -> str:
        return f"{self.name}-{self.label}" if self.label else self.name

    @property
    def differentiable(self) -> bool:
        """Whether the result has a gradient at all."""
        return self.result is None and "float64" in self.dtypes

    def rng(self, salt: str = "") -> np.random.Generator:
        """Random numbers that depend on the row and on nothing else."""
        return np.random.default_rng(zlib.crc32(f"{self}{salt}".encode()))

    def arrays(
        self, dtype: str = "float64", shapes: tuple[tuple[int, ...], ...] | None = None
    ) -> list[np.ndarray]:
        """The arguments."""
        shapes = self.shapes if shapes is None else shapes
        rng = self.rng()
        drawn = []
        for k, shape in enumerate(shapes):
            low, high = (r[k] if isinstance(r, tuple) else r for r in (self.low, self.high))
            drawn.append(np.asarray(rng.uniform(low, high, shape)).astype(dtype))
        return drawn


def unary(name: str, expect: Any, low: Range = -2.0, high: Range = 2.0, **more: Any) -> Case:
    """An elementwise function of one argument."""
    more.setdefault("call", getattr(gg, name))
    return Case(name, expect=expect, low=low, high=high, empty=((0, 3),), **more)


def binary(name: str, expect: Any, low: Range = -2.0, high: Range = 2.0, **more: Any) -> list[Case]:
    """An elementwise function of two arguments: alike, broadcast, and against a number."""
    more.setdefault("call", getattr(gg, name))
    common = {"expect": expect, "low": low, "high": high, **more}
    return [
        Case(name, shapes=((3, 4), (3, 4)), empty=((0, 3), (0, 3)), **common),
        Case(name, shapes=((3, 1), (2, 1, 4)), label="broadcast", empty=((0, 1), (3,)), **common),
        Case(name, shapes=((), (4,)), label="scalar", empty=((), (0,)), **common),
    ]


def integers(name: str, expect: Any, arguments: int, **more: Any) -> Case:
    """A function of integers and bools, which has no gradient."""
    more.setdefault("call", getattr(gg, name))
    more.setdefault("dtypes", ("bool", "int32", "int64", "uint8"))
    return Case(
        name, expect=expect, shapes=((3, 4),) * arguments, low=0, high=9, special=False, **more
    )
