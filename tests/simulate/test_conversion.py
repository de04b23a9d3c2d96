"""cvt against exact fractions: every pair of types, every rounding, saturation and NaN."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import numpy as np
import pytest

from tests.simulate.definitions import (
    FORMATS,
    clamped,
    differences,
    flushed,
    held,
    integers,
    operands,
    register,
    rounded,
    run,
    saturated,
    wrapped,
)

INTEGERS = ("s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64")
ROUNDINGS = ("rn", "rz", "rm", "rp")
#: Of an exact number, the integer that each modifier means. Python's round takes ties to even.
TO_INTEGER = {"rni": round, "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil}


@pytest.mark.parametrize("source", INTEGERS)
@pytest.mark.parametrize("target", INTEGERS)
def test_integer_to_integer(target, source):
    x = integers(source)
    numbers = x.tolist()
    expected = [wrapped(n, target) for n in numbers]
    assert run(f"cvt.{target}.{source}", x).tolist() == expected
    assert run(f"cvt.sat.{target}.{source}", x).tolist() == [clamped(n, target) for n in numbers]


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("source", INTEGERS)
@pytest.mark.parametrize("target", list(FORMATS))
def test_integer_to_float(target, source, rounding):
    x = integers(source)
    expected = [rounded(Fraction(n), target, rounding) for n in x.tolist()]
    got = held(run(f"cvt.{rounding}.{target}.{source}", x), target)
    assert not differences(f"cvt.{rounding}.{target}.{source}", got, expected, x)
    if target != "bf16":
        got = held(run(f"cvt.{rounding}.sat.{target}.{source}", x), target)
        assert got == [saturated(y) for y in expected]


def integer_of(x: float, kind: str, source: str, modifier: str) -> int:
    width = int(kind[1:])
    if math.isnan(x):  # the manual: 0 if the source is not .f64 and the target not 64 bits wide
        top = 0 if source != "f64" and width != 64 else 1 << (width - 1)
        return wrapped(top, kind)
    if math.isinf(x):
        return clamped(2**80 if x > 0 else -(2**80), kind)
    return clamped(TO_INTEGER[modifier](Fraction(x)), kind)


@pytest.mark.parametrize("modifier", list(TO_INTEGER))
@pytest.mark.parametrize("target", INTEGERS)
@pytest.mark.parametrize("source", list(FORMATS))
def test_float_to_integer(source, target, modifier):
    [numbers] = operands(source, 1, count=150)
    width = int(target[1:])
    near = [2.0**width, 2.0 ** (width - 1), 2.0 ** (width - 1) - 1, 0.5, 1.5, 2.5, 1e9]
    numbers += [rounded(Fraction(sign * x), source) for x in near for sign in (1, -1)]
    opcode = f"cvt.{modifier}.{target}.{source}"
    expected = [integer_of(x, target, source, modifier) for x in numbers]
    got = run(opcode, register(numbers, source)).tolist()
    assert not differences(opcode, got, expected, numbers)
    if source == "f32":
        flat = [integer_of(flushed(x, source), target, source, modifier) for x in numbers]
        got = run(f"cvt.{modifier}.ftz.{target}.f32", register(numbers, "f32")).tolist()
        assert not differences(f"{opcode} with ftz", got, flat, numbers)


NARROWING = [("f64", "f32"), ("f64", "f16"), ("f64", "bf16"), ("f32", "f16"), ("f32", "bf16")]


def converted(x: float, kind: str, rounding: str) -> float:
    if not math.isfinite(x):
        return x
    return math.copysign(rounded(Fraction(x), kind, rounding), x)


def wide_numbers(source, target):
    """Numbers of the source, many of them near the target's or just between two of them."""
    [numbers] = operands(source, 1, seed=3)
    [marks] = operands(target, 1, seed=4, count=100)
    finite = [x for x in marks if math.isfinite(x)]
    pairs = zip(finite, sorted(finite)[1:], strict=False)
    between = [float(Fraction(x)) for x in finite]
    precision, lowest, _ = FORMATS[target]
    for x, _ in pairs:
        exponent = max(lowest, math.frexp(x)[1] - 1)
        half = math.ldexp(0.5, exponent - precision + 1)
        between += [x + half, x - half, x + half * 1.001, x + half * 0.999]
    numbers += [converted(x, source, "rn") for x in between if math.isfinite(x)]
    return numbers


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(("source", "target"), NARROWING, ids=str)
def test_float_to_smaller_float(source, target, rounding):
    numbers = wide_numbers(source, target)
    x = register(numbers, source)
    expected = [converted(n, target, rounding) for n in numbers]
    opcode = f"cvt.{rounding}.{target}.{source}"
    assert not differences(opcode, held(run(opcode, x), target), expected, numbers)
    if target != "bf16":
        got = held(run(f"cvt.{rounding}.sat.{target}.{source}", x), target)
        assert not differences(opcode, got, [saturated(y) for y in expected], numbers)
    if target == "f32":
        got = held(run(f"cvt.{rounding}.ftz.f32.{source}", x), "f32")
        assert not differences(opcode, got, [flushed(y, "f32") for y in expected], numbers)
    if source == "f32" and rounding in ("rn", "rz"):
        got = held(run(f"cvt.{rounding}.relu.{target}.f32", x), target)
        positive = [0.0 if y <= 0 else y for y in expected]
        assert not differences(opcode, got, positive, numbers)
        largest = rounded(Fraction(2) ** 1000, target, "rz")
        got = held(run(f"cvt.{rounding}.satfinite.{target}.f32", x), target)
        finite = [math.copysign(min(abs(y), largest), y) if y == y else y for y in expected]
        assert not differences(opcode, got, finite, numbers)


WIDENING = [("f16", "f32"), ("f16", "f64"), ("bf16", "f32"), ("f32", "f64"), ("bf16", "f64")]


@pytest.mark.parametrize(("source", "target"), WIDENING, ids=str)
def test_float_to_larger_float(source, target):
    [numbers] = operands(source, 1)
    x = register(numbers, source)
    assert not differences("cvt", held(run(f"cvt.{target}.{source}", x), target), numbers)
    if "f32" in (source, target):
        expected = [flushed(n, "f32") for n in numbers]
        got = held(run(f"cvt.ftz.{target}.{source}", x), target)
        assert not differences("cvt.ftz", got, expected, numbers)
    got = held(run(f"cvt.sat.{target}.{source}", x), target)
    assert got == [saturated(n) for n in numbers]


@pytest.mark.parametrize("modifier", list(TO_INTEGER))
@pytest.mark.parametrize("kind", list(FORMATS))
def test_float_to_whole_float(kind, modifier):
    [numbers] = operands(kind, 1)

    def whole(x):
        if not math.isfinite(x):
            return x
        return math.copysign(float(TO_INTEGER[modifier](Fraction(x))), x)

    opcode = f"cvt.{modifier}.{kind}.{kind}"
    got = held(run(opcode, register(numbers, kind)), kind)
    assert not differences(opcode, got, list(map(whole, numbers)), numbers)
    if kind == "f32":
        got = held(run(f"cvt.{modifier}.ftz.f32.f32", register(numbers, kind)), kind)
        expected = [whole(flushed(x, kind)) for x in numbers]
        assert not differences(f"{opcode} with ftz", got, expected, numbers)


def test_float_to_itself():
    [numbers] = operands("f32", 1)
    x = register(numbers, "f32")
    got = held(run("cvt.sat.f32.f32", x), "f32")
    assert not differences("cvt.sat", got, [saturated(n) for n in numbers], numbers)
    got = held(run("cvt.ftz.f32.f32", x), "f32")
    assert not differences("cvt.ftz", got, [flushed(n, "f32") for n in numbers], numbers)
    got = held(run("cvt.ftz.sat.f32.f32", x), "f32")
    expected = [saturated(flushed(n, "f32")) for n in numbers]
    assert not differences("cvt.ftz.sat", got, expected, numbers)


@pytest.mark.parametrize("rounding", ["rna", "rn", "rz"])
def test_tf32_keeps_eleven_bits(rounding):
    [numbers] = operands("f32", 1)
    got = run(f"cvt.{rounding}.tf32.f32", register(numbers, "f32")).tolist()
    for x, bits in zip(numbers, got, strict=True):
        if not 2.0**-126 <= abs(x) < 2.0**127:
            continue
        [value] = struct.unpack("<f", struct.pack("<I", bits))
        assert bits & 0x1FFF == 0
        scale = 2.0 ** (math.frexp(x)[1] - 11)
        count = Fraction(abs(x)) / Fraction(scale)
        places = {"rz": math.floor(count), "rn": round(count), "rna": math.floor(count + 0.5)}
        assert abs(value) == places[rounding] * scale


def test_conversion_of_one_value_for_all_lanes():
    for opcode, x in (("cvt.rzi.s64.f32", np.float32([2.5])), ("cvt.rp.f32.s64", np.array([5]))):
        assert run(opcode, x).shape == (1,)
