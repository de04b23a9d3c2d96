"""Approximate functions: within the errors that the PTX manual documents."""

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
    rounded,
    run,
    same,
)

#: Opcode, definition, and the manual's bound on the relative error.
APPROXIMATE = [
    ("rcp.approx", lambda x: 1 / x if x else math.copysign(math.inf, x), 2.0**-23),
    ("rsqrt.approx", lambda x: 1 / math.sqrt(x) if x else math.copysign(math.inf, x), 2.0**-22.9),
    ("sqrt.approx", math.sqrt, 2.0**-23),
    ("ex2.approx", lambda x: 2.0 ** min(x, 999.0), 2.0**-22),
    ("lg2.approx", lambda x: math.log2(x) if x else -math.inf, 2.0**-22),
    ("sin.approx", math.sin, 2.0**-20),
    ("cos.approx", math.cos, 2.0**-20),
    ("tanh.approx", math.tanh, 2.0**-11),
]


@pytest.mark.parametrize("ftz", ["", ".ftz"])
@pytest.mark.parametrize(("opcode", "defined", "error"), APPROXIMATE, ids=str)
def test_approximate_functions_stay_within_their_error(opcode, defined, error, ftz):
    [numbers] = operands("f32", 1)
    got = held(run(f"{opcode}{ftz}.f32", register(numbers, "f32")), "f32")
    tiny = 2.0**-126
    for x, y in zip(numbers, got, strict=True):
        if ftz:
            x = flushed(x, "f32")
            assert not 0 < abs(y) < tiny
        try:
            truth = math.nan if math.isnan(x) else defined(x)
        except (ValueError, OverflowError):
            truth = math.nan
        if math.isnan(truth):
            assert math.isnan(y), x
        elif math.isinf(truth) or abs(truth) > 2.0**127.99:
            assert y == math.copysign(math.inf, truth) or abs(y) > 2.0**127.9, x
        else:
            assert abs(y - truth) <= max(abs(truth) * error, tiny if ftz else 2.0**-149), x


def test_approximate_functions_at_infinity():
    infinite = register([math.inf, -math.inf], "f32")
    limits = {"ex2": [math.inf, 0.0], "rcp": [0.0, -0.0], "tanh": [1.0, -1.0]}
    for name, expected in limits.items():
        got = held(run(f"{name}.approx.f32", infinite), "f32")
        assert not differences(name, got, expected)


def quotient_of(x, y):
    """x / y, as IEEE 754 has it for zeros and infinities."""
    if math.isnan(x) or math.isnan(y):
        return math.nan
    sign = math.copysign(1, x) * math.copysign(1, y)
    if math.isinf(x) or y == 0:
        return math.nan if math.isinf(y) or x == 0 else sign * math.inf
    return rounded(Fraction(x) / Fraction(y), "f32") if x / y else sign * 0.0


@pytest.mark.parametrize("mode", ["approx", "full", "approx.ftz", "full.ftz"])
def test_approximate_division(mode):
    a, b = operands("f32", 2)
    got = held(run(f"div.{mode}.f32", register(a, "f32"), register(b, "f32")), "f32")
    for x, y, quotient in zip(a, b, got, strict=True):
        if "ftz" in mode:
            x, y = flushed(x, "f32"), flushed(y, "f32")
        if "approx" in mode and 2.0**126 < abs(y) < math.inf:
            expected = (
                math.copysign(1, x) * math.copysign(0.0, y) if math.isfinite(x) else math.nan
            )  # as documented
        else:
            expected = quotient_of(x, y)
        if "ftz" in mode:
            expected = flushed(expected, "f32")
        close = math.isfinite(expected) and abs(quotient - expected) <= abs(expected) * 2.0**-22
        assert close or same(quotient, expected), (x, y)


def test_approximate_functions_of_float64():
    [numbers] = operands("f64", 1)
    for opcode, power in (("rcp.approx.ftz.f64", -1.0), ("rsqrt.approx.ftz.f64", -0.5)):
        result = run(opcode, register(numbers, "f64"))
        bits = result.view(np.uint64)[~np.isnan(result)]
        assert not (bits & np.uint64(0xFFFFFFFF)).any()
        for x, y in zip(numbers, held(result, "f64"), strict=True):
            if 2.0**-1000 < x < 2.0**1000:
                assert abs(y * x**-power - 1) < 2.0**-19
    got = held(run("rsqrt.approx.f64", register(numbers, "f64")), "f64")
    for x, y in zip(numbers, got, strict=True):
        if 0 < x < math.inf:
            assert abs(y * math.sqrt(x) - 1) < 2.0**-50


@pytest.mark.parametrize("kind", ["f16", "bf16"])
@pytest.mark.parametrize("name", ["ex2", "tanh"])
def test_approximate_functions_of_halves(name, kind):
    [numbers] = operands(kind, 1)
    ftz = ".ftz" if (name, kind) == ("ex2", "bf16") else ""
    got = held(run(f"{name}.approx{ftz}.{kind}", register(numbers, kind)), kind)
    error = 2.0 ** -(FORMATS[kind][0] - 2)
    for x, y in zip(numbers, got, strict=True):
        if math.isfinite(x) and abs(x) < 14:
            truth = 2.0**x if name == "ex2" else math.tanh(x)
            assert abs(y - truth) <= max(abs(truth) * error, 2.0**-24)
