"""Floating-point operations against exact fractions, rounded by the definition of each mode."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from tests.simulate.definitions import (
    FORMATS,
    differences,
    flushed,
    held,
    operands,
    register,
    root,
    rounded,
    run,
    saturated,
)

ROUNDINGS = ("rn", "rz", "rm", "rp")


def exactly(name, kind, rounding, *x):
    """What IEEE 754 says an operation gives, from Python floats."""
    zero = -0.0 if rounding == "rm" else 0.0
    if any(map(math.isnan, x)):
        return math.nan
    if name == "sub":
        return exactly("add", kind, rounding, x[0], -x[1])
    if name == "rcp":
        return exactly("div", kind, rounding, 1.0, x[0])
    if name == "add":
        if not all(map(math.isfinite, x)):
            return x[0] + x[1]
        if x[0] == x[1] == 0:
            same_sign = math.copysign(1, x[0]) == math.copysign(1, x[1])
            return x[0] if same_sign else zero
        total = Fraction(x[0]) + Fraction(x[1])
        return rounded(total, kind, rounding) if total else zero
    if name == "mul":
        sign = math.copysign(1, x[0]) * math.copysign(1, x[1])
        if not all(map(math.isfinite, x)):
            return math.nan if 0 in x else sign * math.inf
        return math.copysign(rounded(Fraction(x[0]) * Fraction(x[1]), kind, rounding), sign)
    if name == "div":
        sign = math.copysign(1, x[0]) * math.copysign(1, x[1])
        if math.isinf(x[0]) or x[1] == 0:
            return math.nan if math.isinf(x[1]) or x[0] == 0 else sign * math.inf
        if math.isinf(x[1]):
            return sign * 0.0
        return math.copysign(rounded(Fraction(x[0]) / Fraction(x[1]), kind, rounding), sign)
    if name == "sqrt":
        if x[0] <= 0 or math.isinf(x[0]):
            return math.nan if x[0] < 0 else x[0]
        return rounded(root(Fraction(x[0])), kind, rounding)
    assert name == "fma"
    a, b, c = x
    if not (math.isfinite(a) and math.isfinite(b)):
        return exactly("add", kind, rounding, exactly("mul", kind, rounding, a, b), c)
    if math.isinf(c):
        return c
    if a == 0 or b == 0:
        return exactly("add", kind, rounding, math.copysign(0.0, a) * math.copysign(1, b), c)
    total = Fraction(a) * Fraction(b) + Fraction(c)
    return rounded(total, kind, rounding) if total else zero


ARITY = {"add": 2, "sub": 2, "mul": 2, "div": 2, "rcp": 1, "sqrt": 1, "fma": 3, "mad": 3}
ROUNDED = [
    *((f"{name}.{mode}", kind) for name in ARITY for mode in ROUNDINGS for kind in ("f32", "f64")),
    *((name, kind) for name in ("add", "sub", "mul") for kind in ("f32", "f64", "f16", "bf16")),
    *((f"{name}.rn", kind) for name in ("add", "sub", "mul", "fma") for kind in ("f16", "bf16")),
    *((f"{name}.{mode}.ftz", "f32") for name in ARITY for mode in ROUNDINGS),
    *((f"{name}.rn.ftz", "f16") for name in ("add", "sub", "mul", "fma")),
    *((f"{name}.rn.sat", "f32") for name in ("add", "sub", "mul", "fma")),
    *((f"{name}.rz.ftz.sat", "f32") for name in ("add", "sub", "mul", "fma")),
    *((f"{name}.sat", "f16") for name in ("add", "sub", "mul")),
    ("fma.rn.sat", "f16"),
    ("fma.rn.relu", "f16"),
    ("fma.rn.relu", "bf16"),
]


@pytest.mark.parametrize(("opcode", "kind"), ROUNDED, ids=str)
def test_results_are_rounded_once(opcode, kind):
    name, *words = opcode.split(".")
    rounding = next((word for word in words if word in ROUNDINGS), "rn")
    sources = operands(kind, ARITY[name], count=400)
    expected = []
    for x in zip(*sources, strict=True):
        if "ftz" in words:
            x = [flushed(one, kind) for one in x]
        y = exactly(name.replace("mad", "fma"), kind, rounding, *x)
        if "ftz" in words:
            y = flushed(y, kind)
        if "sat" in words:
            y = saturated(y)
        if "relu" in words and y <= 0:
            y = 0.0
        expected.append(y)
    full = f"{opcode}.{kind}"
    got = held(run(full, *(register(column, kind) for column in sources)), kind)
    assert not differences(full, got, expected, *sources)
    if len(sources) > 1:  # a value that is the same for all lanes comes as an array of one
        firsts = [register(column[:1], kind) for column in sources]
        mixed = [*firsts[:-1], register(sources[-1], kind)]
        repeated = [np.repeat(one, len(expected)) for one in firsts[:-1]] + mixed[-1:]
        np.testing.assert_array_equal(run(full, *mixed), run(full, *repeated))


def test_fma_of_float32_where_a_subnormal_result_ties():
    """(2**23 - 1) * (2**23 + 1) is 2**46 less 1: just under half a last place of c."""
    a, b, c = math.ldexp(2**23 - 1, -98), math.ldexp(2**23 + 1, -98), 2.0**-127 + 2.0**-149
    assert held(run("fma.rn.f32", *(register([x], "f32") for x in (a, b, c))), "f32") == [c]


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_many_lanes_are_as_good_as_few(kind):
    columns = [np.tile(register(x, kind), 50)[:40_001] for x in operands(kind, 3)]
    columns[1] = columns[1][:1]
    whole = run(f"fma.rn.{kind}", *columns)
    for first in (0, 8_000, 16_300, 39_990):
        few = slice(first, first + 11)
        part = run(f"fma.rn.{kind}", columns[0][few], columns[1], columns[2][few])
        np.testing.assert_array_equal(whole[few], part)


def short(kind, rng, exponents):
    """Numbers of few bits with these lowest exponents."""
    bits = rng.integers(1, FORMATS[kind][0] + 1, len(exponents))
    whole = [int(rng.integers(2 ** int(n - 1), 2 ** int(n))) for n in bits]
    signs = rng.choice([-1, 1], len(exponents))
    lanes = zip(whole, exponents, signs, strict=True)
    return [rounded(Fraction(n * int(s)) * Fraction(2) ** int(e), kind) for n, e, s in lanes]


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("name", ["fma", "mul", "div"])
def test_results_too_small_for_all_their_bits_are_rounded_once(name, kind, rounding):
    rng = np.random.default_rng(6)
    precision, lowest, _ = FORMATS[kind]
    last, half = lowest - precision + 1, lowest // 2
    a = short(kind, rng, rng.integers(half - 30, half, 500))
    b = short(kind, rng, rng.integers(half - precision, half - precision + 30, 500))
    if name == "div":
        b = [1 / x if x else 1.0 for x in b]
        b = [rounded(Fraction(x), kind) for x in b]
    sources = [a, b]
    if name == "fma":
        sources.append(short(kind, rng, rng.integers(last, last + precision, 500)))
    expected = [exactly(name, kind, rounding, *x) for x in zip(*sources, strict=True)]
    assert sum(0 < abs(y) < 2.0**lowest for y in expected) > 100
    opcode = f"{name}.{rounding}.{kind}"
    got = held(run(opcode, *(register(column, kind) for column in sources)), kind)
    assert not differences(opcode, got, expected, *sources)


def test_fma_of_float32_needs_more_than_float64():
    a, b, c = (register([x], "f32") for x in (4097.0, 4099.0, -(2.0**-40)))
    assert held(run("fma.rn.f32", a, b, c), "f32") == [16793602.0]
    assert np.float32(4097.0 * 4099.0 - 2.0**-40) == 16793604.0  # rounded twice


def lesser(a, b):
    """min of numbers, -0 before 0."""
    return a if (a, math.copysign(1, a)) <= (b, math.copysign(1, b)) else b


def extreme(name, a, b, keeps_nan):
    if math.isnan(a) or math.isnan(b):
        return math.nan if keeps_nan or (math.isnan(a) and math.isnan(b)) else (
            b if math.isnan(a) else a
        )  # fmt: skip
    return lesser(a, b) if name == "min" else -lesser(-a, -b)


EXTREMES = [
    (f"{name}{ftz}{nan}", kind)
    for name in ("min", "max")
    for kind in ("f32", "f64", "f16", "bf16")
    for ftz in ("", ".ftz")
    for nan in ("", ".NaN")
    if not (ftz and kind in ("f64", "bf16")) and not (nan and kind == "f64")
]


@pytest.mark.parametrize(("opcode", "kind"), EXTREMES, ids=str)
def test_min_and_max(opcode, kind):
    sources = operands(kind, 2, count=400)
    numbers = sources
    if "ftz" in opcode:
        numbers = [[flushed(x, kind) for x in column] for column in sources]
    expected = [extreme(opcode[:3], a, b, "NaN" in opcode) for a, b in zip(*numbers, strict=True)]
    full = f"{opcode}.{kind}"
    got = held(run(full, *(register(column, kind) for column in sources)), kind)
    assert not differences(full, got, expected, *sources)


def test_min_with_the_sign_of_both():
    a, b = [3.0, -3.0, -0.0, math.nan], [-2.0, -5.0, 4.0, -2.0]
    got = held(run("min.xorsign.abs.f32", register(a, "f32"), register(b, "f32")), "f32")
    assert not differences("min.xorsign.abs", got[:3], [-2.0, 3.0, -0.0])
    assert abs(got[3]) == 2.0


SIGNS = [
    ("abs.f32", "f32", lambda x: abs(x)),
    ("neg.f32", "f32", lambda x: -x),
    ("abs.ftz.f32", "f32", lambda x: abs(flushed(x, "f32"))),
    ("neg.ftz.f32", "f32", lambda x: -flushed(x, "f32")),
    ("abs.f64", "f64", lambda x: abs(x)),
    ("neg.f64", "f64", lambda x: -x),
    ("abs.f16", "f16", lambda x: abs(x)),
    ("neg.f16", "f16", lambda x: -x),
    ("neg.ftz.f16", "f16", lambda x: -flushed(x, "f16")),
    ("abs.bf16", "bf16", lambda x: abs(x)),
    ("neg.bf16", "bf16", lambda x: -x),
]


@pytest.mark.parametrize(("opcode", "kind", "defined"), SIGNS, ids=str)
def test_abs_and_neg(opcode, kind, defined):
    [numbers] = operands(kind, 1)
    got = held(run(opcode, register(numbers, kind)), kind)
    assert not differences(opcode, got, list(map(defined, numbers)), numbers)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_copysign_takes_the_sign_of_its_first_source(kind):
    a, b = operands(kind, 2)
    got = held(run(f"copysign.{kind}", register(a, kind), register(b, kind)), kind)
    expected = [math.copysign(y, x) for x, y in zip(a, b, strict=True)]
    assert not differences("copysign", got, expected, a, b)


@pytest.mark.parametrize("opcode", ["min.f32", "max.f32"])
@pytest.mark.parametrize("lanes", [1, 37])
def test_a_signalling_nan_is_no_number_either(opcode, lanes):
    numbers = np.ones(lanes, np.float32)
    signalling = np.full(lanes, 0x7F800001, np.uint32).view(np.float32)
    for pair in ((numbers, signalling), (signalling, numbers)):
        assert run(opcode, *pair).tolist() == numbers.tolist()
