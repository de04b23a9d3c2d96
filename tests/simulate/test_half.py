"""Pairs of 16-bit floats in one register, and the 8-bit floats."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from tests.simulate.definitions import (
    differences,
    held,
    operands,
    register,
    rounded,
    run,
    same,
)

NAMES = {
    "add": 2,
    "sub.rn": 2,
    "mul": 2,
    "add.sat": 2,
    "fma.rn": 3,
    "fma.rn.relu": 3,
    "min": 2,
    "max.NaN": 2,
    "abs": 1,
    "neg": 1,
    "tanh.approx": 1,
    "ex2.approx": 1,
}


def unpacked(registers, kind):
    halves = registers.view(np.uint16)
    return held(halves.view(np.float16) if kind == "f16" else halves, kind)


@pytest.mark.parametrize("kind", ["f16", "bf16"])
@pytest.mark.parametrize("name", list(NAMES))
def test_a_packed_operation_is_the_single_one_on_each_half(name, kind):
    columns = [x[: len(x) // 2 * 2] for x in operands(kind, NAMES[name], count=200)]
    singles = [register(column, kind) for column in columns]
    pairs = [single.view(np.uint32) for single in singles]
    expected = held(run(f"{name}.{kind}", *singles), kind)  # itself tested in test_floating
    got = unpacked(run(f"{name}.{kind}x2", *pairs), kind)
    assert not differences(f"{name}.{kind}x2", got, expected, *columns)
    if len(pairs) > 1:
        mixed = run(f"{name}.{kind}x2", pairs[0][:1], *pairs[1:])
        full = run(f"{name}.{kind}x2", np.repeat(pairs[0][:1], len(pairs[0])), *pairs[1:])
        np.testing.assert_array_equal(mixed, full)


def test_the_lower_half_is_the_first():
    x = np.array([0x3C004000], np.uint32)  # 1 above 2
    assert run("add.f16x2", x, np.array([0x00003C00], np.uint32)).tolist() == [0x3C004200]
    assert run("mul.bf16x2", np.array([0x3F804000], np.uint32), x).dtype == np.uint32


@pytest.mark.parametrize("kind", ["f16", "bf16"])
@pytest.mark.parametrize("rounding", ["rn", "rz"])
def test_two_floats_are_packed_the_first_one_above(kind, rounding):
    a, b = operands("f32", 2, count=200)
    x, y = register(a, "f32"), register(b, "f32")
    for modifier in ("", ".relu", ".satfinite"):
        low = run(f"cvt.{rounding}{modifier}.{kind}.f32", y).view(np.uint16)
        high = run(f"cvt.{rounding}{modifier}.{kind}.f32", x).view(np.uint16)
        got = run(f"cvt.{rounding}{modifier}.{kind}x2.f32", x, y).view(np.uint16)
        np.testing.assert_array_equal(got[::2], low)
        np.testing.assert_array_equal(got[1::2], high)


def test_bfloat16_of_nan_is_the_canonical_one():
    nans = np.array([0x7F800001, 0xFFFFFFFF, 0x7FC00000], np.uint32).view(np.float32)
    assert run("cvt.rn.bf16.f32", nans).tolist() == [0x7FFF] * 3


#: Bits of the mantissa, exponent bias, largest number, and the byte of infinity.
BYTES = {"e4m3x2": (3, 7, 448.0, None), "e5m2x2": (2, 15, 57344.0, 0x7C)}


def decoded(byte: int, kind: str) -> float:
    mantissa, bias, _, infinity = BYTES[kind]
    size, sign = byte & 0x7F, -1 if byte & 0x80 else 1
    if infinity is not None and size >= infinity:
        return sign * math.inf if size == infinity else math.nan
    if infinity is None and size == 0x7F:
        return math.nan
    exponent, fraction = size >> mantissa, size & ((1 << mantissa) - 1)
    if exponent == 0:
        return sign * math.ldexp(fraction, 1 - bias - mantissa)
    return sign * math.ldexp((1 << mantissa) + fraction, exponent - bias - mantissa)


@pytest.mark.parametrize("kind", list(BYTES))
def test_every_byte_is_widened(kind):
    registers = np.arange(0, 65536, 257, dtype=np.uint16)  # both bytes alike
    got = unpacked(run(f"cvt.rn.f16x2.{kind}", registers), "f16")
    expected = [decoded(byte, kind) for byte in range(256) for _ in range(2)]
    assert not differences(kind, got, expected)
    upper = unpacked(run(f"cvt.rn.f16x2.{kind}", np.array([0x3C00], np.uint16)), "f16")
    assert upper == [0.0, decoded(0x3C, kind)]


def nearest_byte(x: float, kind: str) -> float:
    """The number that x is rounded to, by looking at all of them: ties go to the even byte."""
    largest = BYTES[kind][2]
    if abs(x) >= largest:
        return math.copysign(largest, x)
    numbers = [(decoded(byte, kind), byte) for byte in range(128)]
    finite = [(y, byte) for y, byte in numbers if math.isfinite(y)]
    distance = [(abs(Fraction(abs(x)) - Fraction(y)), byte % 2, y) for y, byte in finite]
    return math.copysign(min(distance)[2], x)


@pytest.mark.parametrize("kind", list(BYTES))
def test_floats_are_narrowed_to_bytes(kind):
    numbers = [x for x in operands("f16", 1, count=200)[0] if not math.isnan(x)]
    numbers += [sign * (decoded(k, kind) + decoded(k + 1, kind)) / 2
                for k in range(0x7B) for sign in (1, -1)]  # fmt: skip
    numbers = numbers[: len(numbers) // 2 * 2]
    expected = [nearest_byte(x, kind) for x in numbers]
    x = register(numbers, "f32")
    got = run(f"cvt.rn.satfinite.{kind}.f32", x, x).view(np.uint8)
    values = [decoded(int(byte), kind) for byte in got]
    assert not differences(kind, values[::2], expected, numbers)
    assert values[::2] == values[1::2]
    halves = [x for x in numbers if not math.isfinite(x) or rounded(Fraction(x), "f16") == x]
    halves = halves[: len(halves) // 2 * 2]
    pairs = register(halves, "f16").view(np.uint32)
    got = run(f"cvt.rn.satfinite.{kind}.f16x2", pairs).view(np.uint8)
    for x, byte in zip(halves, got, strict=True):
        assert same(decoded(int(byte), kind), nearest_byte(x, kind))
    positive = run(f"cvt.rn.satfinite.relu.{kind}.f32", np.float32([-3.0]), np.float32([1.0]))
    assert positive.view(np.uint8).tolist() == [run(f"cvt.rn.satfinite.{kind}.f32",
        np.float32([0.0]), np.float32([1.0])).view(np.uint8).tolist()[0], 0]  # fmt: skip
    nan = run(f"cvt.rn.satfinite.{kind}.f32", np.float32([math.nan]), np.float32([0.0]))
    assert math.isnan(decoded(int(nan[0]) >> 8, kind))
