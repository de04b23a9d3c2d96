"""Rows for 16-bit floating point: float16, and bfloat16, which travels as its bits.

Arithmetic is exact but for one rounding, the functions are accurate to their last place or two
(CUDA Math API, half and bfloat16 intrinsics); conversions name their rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from numba.cuda import bf16, fp16

from tests.simulate import references
from tests.simulate.packs import Function, same

VALUES = (0.5, 1.5, -2.5, 0.75, -0.0625, 7.0, -12.5, 100.0, 0.0, 3.140625, 1.0, -1.0)
OTHERS = (0.25, -1.5, 2.0, 0.75, 3.0, -7.0, 0.5, 0.125, 1.0, 3.140625, -0.5, 5.0)
THIRDS = (1.0, 0.5, -3.0, 0.0625, 2.0, 9.0, -0.25, -4.0, 2.0, -10.0, 0.5, 5.0)
POSITIVE = tuple(abs(value) + 0.125 for value in VALUES)
SMALL = (0.5, 1.5, -2.5, 0.75, -0.0625, 3.0, -4.5, 5.0, 0.0, 3.140625, 1.0, -1.0)
STRANGE = (1.0, math.nan, -2.0, math.inf, math.nan, -math.inf, 0.0)
STRANGERS = (2.0, 1.0, math.nan, -math.inf, math.nan, -math.inf, -0.0)


def brain_bits(values: Any) -> np.ndarray:
    """The nearest bfloat16, ties to even: the upper half of a float32."""
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.int64)
    odd = bits >> 16 & 1
    return ((bits + 0x7FFF + odd) >> 16).astype(np.uint16).view(np.int16)


def brain_values(bits: np.ndarray) -> np.ndarray:
    return (bits.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def _clamped(x: float) -> float:
    return min(max(x, 0.0), 1.0)


def _nan_wins(choose: Any) -> Any:
    return lambda x, y: math.nan if math.isnan(x) or math.isnan(y) else choose(x, y)


def _number_wins(choose: Any) -> Any:
    return lambda x, y: y if math.isnan(x) else x if math.isnan(y) else choose(x, y)


def _unordered(test: Any) -> Any:
    return lambda x, y: math.isnan(x) or math.isnan(y) or test(x, y)


UNARY = {
    "habs": (abs, VALUES, 0),
    "hneg": (lambda x: -x, VALUES, 0),
    "hceil": (lambda x: float(np.ceil(x)), VALUES, 0),
    "hfloor": (lambda x: float(np.floor(x)), VALUES, 0),
    "hrint": (lambda x: float(np.rint(x)), VALUES, 0),
    "htrunc": (lambda x: float(np.trunc(x)), VALUES, 0),
    "hcos": (math.cos, SMALL, 2),
    "hsin": (math.sin, SMALL, 2),
    "hexp": (math.exp, SMALL, 2),
    "hexp2": (lambda x: 2.0**x, SMALL, 2),
    "hexp10": (lambda x: 10.0**x, SMALL[:7], 2),
    "hlog": (math.log, POSITIVE, 2),
    "hlog2": (math.log2, POSITIVE, 2),
    "hlog10": (math.log10, POSITIVE, 2),
    "hrcp": (lambda x: 1 / x, POSITIVE, 1),
    "hsqrt": (math.sqrt, POSITIVE, 1),
    "hrsqrt": (lambda x: 1 / math.sqrt(x), POSITIVE, 1),
    "htanh": (math.tanh, SMALL, 2),
    "htanh_approx": (math.tanh, SMALL, 4),
}
BINARY = {
    "hadd": lambda x, y: x + y,
    "hadd_rn": lambda x, y: x + y,
    "hadd_sat": lambda x, y: _clamped(x + y),
    "hsub": lambda x, y: x - y,
    "hsub_rn": lambda x, y: x - y,
    "hsub_sat": lambda x, y: _clamped(x - y),
    "hmul": lambda x, y: x * y,
    "hmul_rn": lambda x, y: x * y,
    "hmul_sat": lambda x, y: _clamped(x * y),
    "hdiv": lambda x, y: x / y,
}
TERNARY = {
    "hfma": lambda x, y, z: x * y + z,
    "hfma_sat": lambda x, y, z: _clamped(x * y + z),
    "hfma_relu": lambda x, y, z: max(x * y + z, 0.0),
}
CHOICES = {
    "hmax": _number_wins(max),
    "hmin": _number_wins(min),
    "hmax_nan": _nan_wins(max),
    "hmin_nan": _nan_wins(min),
}
KINDS = {"hisinf": math.isinf, "hisnan": math.isnan}
TESTS = {
    "heq": lambda x, y: x == y,
    "hne": lambda x, y: x < y or x > y,
    "hge": lambda x, y: x >= y,
    "hgt": lambda x, y: x > y,
    "hle": lambda x, y: x <= y,
    "hlt": lambda x, y: x < y,
}


@dataclass(frozen=True)
class Format:
    """A 16-bit format: its module, how numbers become what lies in arrays, and back."""

    module: Any
    encode: Callable[[Any], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]
    dtype: Any
    place: float | None  # the last place, relative to a number
    enter: Any
    leave: Any

    def row(self, name: str, columns: Any, reference: Any, ulps: float = 0) -> Function:
        """Of a function from the format to the format."""
        return Function(
            self._named(name),
            getattr(self.module, name),
            [self.encode(column) for column in columns],
            [self.dtype],
            lambda *values: float(self.decode(self.encode(reference(*values)))),
            ulps,
            enter=self.enter,
            leave=self.leave,
            decode=self.decode,
            read=self.decode,
            place=self.place,
        )

    def from_format(self, name: str, columns: Any, result: Any, reference: Any) -> Function:
        return Function(
            self._named(name),
            getattr(self.module, name),
            [self.encode(column) for column in columns],
            [result],
            reference,
            enter=self.enter,
            decode=self.decode,
        )

    def to_format(self, name: str, values: np.ndarray, reference: Any) -> Function:
        return Function(
            self._named(name),
            getattr(self.module, name),
            [values],
            [self.dtype],
            reference,
            leave=self.leave,
        )

    def _named(self, name: str) -> str:
        return f"{self.module.__name__.rpartition('.')[2]}.{name}"

    def arithmetic(self) -> Iterator[Function]:
        """What both modules name alike, as far as this one has it."""
        has = self.module.__all__
        for name, (reference, values, ulps) in UNARY.items():
            if name in has:
                yield self.row(name, [values], reference, ulps)
        for name, reference in BINARY.items():
            if name in has:
                yield self.row(name, [VALUES, OTHERS], reference, ulps=name == "hdiv")
        for name, reference in TERNARY.items():
            if name in has:
                yield self.row(name, [VALUES, OTHERS, THIRDS], reference)
        for name, reference in CHOICES.items():
            if name in has:
                yield self.row(name, [STRANGE[:6], STRANGERS[:6]], reference)
        for name, reference in TESTS.items():
            if name in has:
                yield self.from_format(name, [STRANGE, STRANGERS], np.bool_, reference)
            if name + "u" in has:
                either = _unordered(reference)
                yield self.from_format(name + "u", [STRANGE, STRANGERS], np.bool_, either)
        for name, reference in KINDS.items():
            if name in has:
                yield self.from_format(name, [STRANGE], np.bool_, reference)


HALF = Format(fp16, np.float16, np.asarray, np.float16, None, same, same)
BRAIN = Format(
    bf16,
    brain_bits,
    brain_values,
    np.int16,
    2.0**-7,
    bf16.int16_as_bfloat16,
    bf16.bfloat16_as_int16,
)


def _brain_rounded(exact: float, mode: str) -> float:
    """A number with the eight significant bits of bfloat16."""
    if exact == 0:
        return 0.0
    place = Fraction(2) ** (math.frexp(exact)[1] - 8)
    return float(references.rounded_integer(Fraction(exact) / place, mode) * place)


def _conversions() -> Iterator[Function]:
    """Between bfloat16 and the other numbers."""
    reals = np.array((0.1, -0.1, 1 / 3, 1e10, -7.26, 257.0, 258.5, 0.0), np.float32)
    wholes = (0, 1, 3, 255, 257, 259, 515, 1021, 32767, 2**31 - 1, 2**40 + 2**33, 2**62 + 1)
    brains = (0.0, 0.5, 1.5, 2.5, 7.25, 100.0, 99.5, 119.5)

    def bits(value: float, mode: str = "rn") -> int:
        return int(brain_bits(_brain_rounded(value, mode)))

    yield BRAIN.to_format("float32_to_bfloat16", reals, bits)
    yield BRAIN.to_format("float64_to_bfloat16", reals.astype(np.float64), bits)
    yield BRAIN.from_format("bfloat16_to_float32", [reals], np.float32, float)
    for mode in references.MODES:
        rounded = partial(bits, mode=mode)
        yield BRAIN.to_format(f"float32_to_bfloat16_{mode}", reals, rounded)
        for dtype in (np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64):
            name = np.dtype(dtype).name
            limits = np.iinfo(dtype)
            given = [n for n in wholes if n <= limits.max]
            given += [-n for n in given] if limits.min else []
            array = np.array(given, dtype)
            yield BRAIN.to_format(f"{name}_to_bfloat16_{mode}", array, rounded)
            signed = (*brains, -0.5, -1.5, -7.25) if limits.min else brains
            whole = partial(references.rounded_integer, mode=mode)
            yield BRAIN.from_format(f"bfloat16_to_{name}_{mode}", [signed], dtype, whole)
    yield BRAIN.from_format("bfloat16_to_int8_rz", [(*brains, -7.25)], np.int8, math.trunc)
    yield BRAIN.from_format("bfloat16_to_uint8_rz", [brains], np.uint8, math.trunc)
    yield BRAIN.from_format("bfloat16_as_int16", [brains], np.int16, bits)
    yield BRAIN.from_format("bfloat16_as_uint16", [brains], np.uint16, bits)
    patterns = brain_bits(brains)
    yield BRAIN.to_format("int16_as_bfloat16", patterns, int)
    yield BRAIN.to_format("uint16_as_bfloat16", patterns.view(np.uint16), int)


ROWS = [*HALF.arithmetic(), *BRAIN.arithmetic(), *_conversions()]
