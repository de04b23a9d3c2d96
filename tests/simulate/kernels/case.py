"""What a row of the table of kernels holds, and the arithmetic that its references share."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Dimensions = int | tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """One launch of one kernel, and what it must leave in its arrays.

    `reference` takes copies of the kernel's arguments and does to the arrays what the kernel
    should. Without a tolerance the two must agree bit for bit; `why` says what a tolerance covers.
    `findings` names the kinds of finding that the kernel deserves, each with its reason.
    """

    name: str
    kernel: Any
    grid: Dimensions
    block: Dimensions
    arguments: Callable[[np.random.Generator], tuple[Any, ...]]
    reference: Callable[..., object]
    shared_bytes: int = 0
    relative: float = 0.0
    absolute: float = 0.0
    why: str = "integers, or operations that IEEE 754 rounds once, in an order the kernel fixes"
    findings: Mapping[str, str] = field(default_factory=dict)
    unordered: tuple[int, ...] = ()  # arguments that depend on the order of the threads

    def __str__(self) -> str:
        return self.name

    def check(self, launch: Callable[..., Any]) -> Any:
        """Launch it and raise AssertionError unless the arrays are as they should be.

        Args:
            launch: runs a kernel, given its grid, block, arguments and `shared_bytes`.
        Returns: what `launch` does.
        """
        generator = np.random.default_rng(zlib.crc32(self.name.encode()))
        got = self.arguments(generator)
        want = copy.deepcopy(got)
        self.reference(*want)
        report = launch(self.kernel, self.grid, self.block, *got, shared_bytes=self.shared_bytes)
        for k, (ours, right) in enumerate(zip(got, want, strict=True)):
            if k in self.unordered:
                continue
            inexact = np.issubdtype(np.asarray(ours).dtype, np.inexact)
            if inexact and (self.relative or self.absolute):
                np.testing.assert_allclose(
                    ours, right, self.relative, self.absolute, err_msg=f"argument {k}"
                )
            else:
                np.testing.assert_array_equal(ours, right, f"argument {k}")
        return report


def fused(a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once to float32.

    The product of two float32 is exact in float64, the sum there is rounded at 53 bits: a second
    rounding to 24 could differ from a single one only for about one operand in 2**29.
    """
    return (np.float64(1) * a * b + c).astype(np.float32)


def floats(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal float32."""
    return generator.standard_normal(shape, dtype=np.float32)


def each(function: Callable[..., Any]) -> np.ufunc:
    """A function of Python numbers, over arrays: for what NumPy lacks, such as erf."""
    return np.frompyfunc(function, 1, 1)
