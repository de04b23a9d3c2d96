"""Rows for NVIDIA's mathematical library: what has one right answer, and pairs of results."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numba.cuda import libdevice

from tests.simulate import references
from tests.simulate.packs import Function

MODES = tuple(references.MODES)
# Sums, products and quotients that are inexact, both ways, and one that is a tie
LEFT = (1.0, -1.0, 0.1, 1e10, -7.25, 3.0, 1 + 2**-23, -0.3)
RIGHT = (3.0, 3.0, 0.7, -3e-3, 1.1, 2**-24, 2**-24, 1e-5)
THIRD = (0.1, -0.1, 1e-9, 5.5, 7.975, 2**-50, -1.0, 3e-6)
REALS = (0.5, 1.5, 2.5, -0.5, -1.5, 0.99, -0.01, 7.3, -1234.567, 1e5 + 0.25, 0.0)
INTEGERS = (0, 1, -1, 16777217, -16777219, 2**31 - 1, -(2**31), 33554435)
LONGS = (0, 1, -1, 2**53 + 1, -(2**53) - 3, 2**63 - 1, -(2**63), 2**40 + 2**10 + 1)
PATTERNS = (0, 1, -1, 0x12345678, -0x12345678, 0x00FF0F00, 2**31 - 1, -(2**31))
OTHERS = (1, 3, 2, 0x0FEDCBA9, 0x7654321, -7, 12, 5)

f32, f64, i16, i32, i64 = np.float32, np.float64, np.int16, np.int32, np.int64


def _row(name: str, columns: Any, result: Any, reference: Any, **options: Any) -> Function:
    return Function(name, getattr(libdevice, name), columns, [result], reference, **options)


def _directed() -> Iterator[Function]:
    """Arithmetic in each of four roundings."""
    operations = {
        "add": (2, lambda x, y: Fraction(x) + Fraction(y)),
        "sub": (2, lambda x, y: Fraction(x) - Fraction(y)),
        "mul": (2, lambda x, y: Fraction(x) * Fraction(y)),
        "div": (2, lambda x, y: Fraction(x) / Fraction(y)),
        "rcp": (1, lambda x: 1 / Fraction(x)),
        "fma": (3, lambda x, y, z: Fraction(x) * Fraction(y) + Fraction(z)),
        "sqrt": (1, None),
    }
    for prefix, dtype in (("f", f32), ("d", f64)):
        columns = [np.array(column, dtype) for column in (LEFT, RIGHT, THIRD)]
        for operation, (arity, exact) in operations.items():
            name = prefix + operation
            if operation == "fma":
                name = "fmaf" if dtype is f32 else "fma"
            if name == "dsub":
                continue  # there is none
            for mode in MODES:

                def reference(*values: float, exact=exact, dtype=dtype, mode=mode) -> Any:
                    if exact is None:
                        return references.rounded_root(values[0], dtype, mode)
                    return references.rounded(exact(*values), dtype, mode)

                given = [abs(columns[0])] if exact is None else columns[:arity]
                yield _row(f"{name}_{mode}", given, dtype, reference)
        name = "fmaf" if dtype is f32 else "fma"
        yield _row(
            name,
            columns,
            dtype,
            lambda x, y, z, dtype=dtype: references.rounded(
                Fraction(x) * Fraction(y) + Fraction(z), dtype, "rn"
            ),
        )
    roots = np.array((0.25, 4.0, 64.0, 2.0**-40), f32)
    yield _row("frsqrt_rn", [roots], f32, lambda x: 1 / math.sqrt(x))


def _conversions() -> Iterator[Function]:
    """Between kinds of numbers; unsigned ones travel as the signed ones that Numba declares."""
    for mode in MODES:
        for source, dtype in (("float", f32), ("double", f64)):
            for target, result, least in (
                ("int", i32, -math.inf),
                ("uint", i32, 0),
                ("ll", i64, -math.inf),
                ("ull", i64, 0),
            ):
                values = np.array([x for x in REALS if x >= least], dtype)
                yield _row(
                    f"{source}2{target}_{mode}",
                    [values],
                    result,
                    lambda x, mode=mode: references.rounded_integer(x, mode),
                )
                numbers = np.array(INTEGERS if result is i32 else LONGS, result)
                name = f"{target}2{source}_{mode}"
                if hasattr(libdevice, name):
                    bits = 8 * numbers.itemsize
                    yield _row(
                        name,
                        [numbers],
                        dtype,
                        lambda n, mode=mode, bits=bits, least=least, dtype=dtype: (
                            references.rounded(
                                Fraction(n % 2**bits if least == 0 else n), dtype, mode
                            )
                        ),
                    )
        yield _row(
            f"double2float_{mode}",
            [np.array((0.1, -0.1, 1 / 3, 1e-20, -7.25, 3e30))],
            f32,
            lambda x, mode=mode: references.rounded(Fraction(x), f32, mode),
        )
    halves = np.array((0.0, 0.1, -1 / 3, 1000.3, -65504.0, 6e-8), f32)
    yield _row("float2half_rn", [halves], i16, lambda x: int(np.float16(x).view(i16)))
    yield _row(
        "half2float",
        [halves.astype(np.float16).view(i16)],
        f32,
        lambda bits: float(np.int16(bits).view(np.float16)),
    )


def _same_bits(source: str, target: str) -> Any:
    return lambda value: struct.unpack(target, struct.pack(source, value))[0]


def _patterns() -> Iterator[Function]:
    """Numbers taken apart and put together."""
    singles, doubles = np.array(REALS, f32), np.array(REALS, f64)
    words = np.array(PATTERNS, i32)
    yield _row("float_as_int", [singles], i32, _same_bits("<f", "<i"))
    yield _row("int_as_float", [singles.view(i32)], f32, _same_bits("<i", "<f"))
    yield _row("double_as_longlong", [doubles], i64, _same_bits("<d", "<q"))
    yield _row("longlong_as_double", [doubles.view(i64)], f64, _same_bits("<q", "<d"))
    halves = {
        name: (lambda x, k=k: struct.unpack("<ii", struct.pack("<d", x))[k])
        for k, name in enumerate(("double2loint", "double2hiint"))
    }
    for name, reference in halves.items():
        yield _row(name, [doubles], i32, reference)
    yield _row(
        "hiloint2double",
        [words // 2, words[::-1].copy()],
        f64,
        lambda high, low: struct.unpack("<d", struct.pack("<ii", low, high))[0],
    )
    strange = (0.0, -0.0, 1.5, -2.5, math.inf, -math.inf, math.nan)
    tests = {"isinf": math.isinf, "isnan": math.isnan, "signbit": lambda x: math.copysign(1, x) < 0}
    for suffix, dtype in (("f", f32), ("d", f64)):
        given = np.array(strange, dtype)
        for name, test in tests.items():
            yield _row(name + suffix, [given[:6] if name == "signbit" else given], i32, test)
        finite = "finitef" if suffix == "f" else "isfinited"
        yield _row(finite, [given], i32, math.isfinite)
        step = dtype(1.5), dtype(-2.0), dtype(0.0), dtype(7.0)
        to = dtype(2.0), dtype(-9.0), dtype(1.0), dtype(7.0)
        name = "nextafterf" if suffix == "f" else "nextafter"
        yield _row(
            name,
            [np.array(step), np.array(to)],
            dtype,
            lambda x, y, dtype=dtype: float(np.nextafter(dtype(x), dtype(y))),
        )


def _whole() -> Iterator[Function]:
    """Integers of 32 and 64 bits."""
    x, y = np.array(PATTERNS, i32), np.array(OTHERS, i32)
    wide_x, wide_y = np.array(LONGS, i64), np.array(OTHERS, i64) * 0x123456789
    unsigned, signed = references.unsigned, references.signed
    small = 2**24
    choices = np.array((0x3210, 0x7654, 0x1357, 0, 0x4520, 0x6543, 0x7777, 0x0123), i32)
    for name, columns, result, reference in (
        ("abs", [x[:-1]], i32, abs),
        ("llabs", [wide_x[:-2]], i64, abs),
        ("brev", [x], i32, lambda v: references.reversed_bits(v, 32)),
        ("brevll", [wide_x], i64, lambda v: references.reversed_bits(v, 64)),
        ("byte_perm", [x, y, choices], i32, references.chosen_bytes),
        ("clz", [x], i32, lambda v: references.leading_zeros(v, 32)),
        ("clzll", [wide_x], i32, lambda v: references.leading_zeros(v, 64)),
        ("ffs", [x], i32, lambda v: references.first_set(v, 32)),
        ("ffsll", [wide_x], i32, lambda v: references.first_set(v, 64)),
        ("popc", [x], i32, lambda v: (v % 2**32).bit_count()),
        ("popcll", [wide_x], i32, lambda v: (v % 2**64).bit_count()),
        ("hadd", [x, y], i32, lambda a, b: a + b >> 1),
        ("rhadd", [x, y], i32, lambda a, b: a + b + 1 >> 1),
        ("uhadd", [x, y], i32, unsigned(lambda a, b: a + b >> 1)),
        ("urhadd", [x, y], i32, unsigned(lambda a, b: a + b + 1 >> 1)),
        ("max", [x, y], i32, max),
        ("min", [x, y], i32, min),
        ("umax", [x, y], i32, unsigned(max)),
        ("umin", [x, y], i32, unsigned(min)),
        ("llmax", [wide_x, wide_y], i64, max),
        ("llmin", [wide_x, wide_y], i64, min),
        ("ullmax", [wide_x, wide_y], i64, unsigned(max, 64)),
        ("ullmin", [wide_x, wide_y], i64, unsigned(min, 64)),
        ("mul24", [x, y], i32, lambda a, b: signed(signed(a, 24) * signed(b, 24), 32)),
        ("umul24", [x, y], i32, lambda a, b: signed(a % small * (b % small), 32)),
        ("mulhi", [x, y], i32, lambda a, b: a * b >> 32),
        ("umulhi", [x, y], i32, unsigned(lambda a, b: a * b >> 32)),
        ("mul64hi", [wide_x, wide_y], i64, lambda a, b: a * b >> 64),
        ("umul64hi", [wide_x, wide_y], i64, unsigned(lambda a, b: a * b >> 64, 64)),
        ("sad", [x // 2, y // 2, y], i32, lambda a, b, c: signed(abs(a - b) + c, 32)),
        ("usad", [x, y, y], i32, unsigned(lambda a, b, c: abs(a - b) + c)),
    ):  # fmt: skip
        yield _row(name, columns, result, reference)
    for suffix, dtype in (("f", f32), ("", f64)):
        reals = np.array(REALS, dtype)
        yield _row(f"ilogb{suffix}", [reals[:-1]], i32, lambda v: math.frexp(v)[1] - 1)
        yield _row(f"llrint{suffix}", [reals], i64, round)
        yield _row(f"llround{suffix}", [reals], i64, lambda v: int(references.half_away(v)))


def _pairs() -> Iterator[Function]:
    """Functions of two results."""
    for suffix, dtype in (("f", f32), ("", f64)):
        reals, angles = np.array(REALS, dtype), np.array(LEFT, dtype)
        divided = [np.array(LEFT, dtype), np.array(RIGHT, dtype)]
        for name, columns, second, reference, ulps in (
            ("frexp", [reals], i32, math.frexp, 0),
            ("modf", [reals], dtype, math.modf, 0),
            ("remquo", [divided[0], abs(divided[1]) + 1], i32, references.quotient_bits, 0),
            ("sincos", [angles], dtype, lambda x: (math.sin(x), math.cos(x)), 3),
            ("sincospi", [angles[4:]], dtype, _sincospi, 3),
        ):
            yield Function(
                name + suffix,
                getattr(libdevice, name + suffix),
                columns,
                [dtype, second],
                reference,
                ulps,
            )


def _sincospi(x: float) -> tuple[float, float]:
    return references.sin_of_pi(x), references.cos_of_pi(x)


def _fast() -> Iterator[Function]:
    """Approximations of the hardware, with the errors that NVIDIA states for them."""
    angles = np.array((-3.0, -1.5, -0.2, 0.0, 0.7, 1.2, 3.1), f32)
    near = np.array((0.6, 0.9, 1.0, 1.3, 1.9), f32)
    powers = np.array((-8.0, -1.0, 0.0, 0.3, 2.0, 7.5), f32)
    two = 2.0**-21.4
    yield _row("fast_sinf", [angles], f32, math.sin, absolute=two)
    yield _row("fast_cosf", [angles], f32, math.cos, absolute=two)
    yield _row("fast_tanf", [angles[2:6]], f32, math.tan, absolute=4e-6)
    yield _row("fast_expf", [powers], f32, math.exp, ulps=2 + 1.173 * 8 + 1)
    yield _row("fast_exp10f", [powers], f32, lambda x: 10.0**x, ulps=2 + 2.97 * 8 + 1)
    yield _row("fast_logf", [near], f32, math.log, absolute=2.0**-21.41)
    yield _row("fast_log2f", [near], f32, math.log2, absolute=2.0**-22)
    yield _row("fast_log10f", [near], f32, math.log10, absolute=2.0**-24 * 2)
    yield _row("fast_powf", [near, near[::-1].copy()], f32, math.pow, ulps=16)
    yield _row("fast_fdividef", [angles[:5], near], f32, lambda x, y: x / y, ulps=3)
    yield _row("saturatef", [angles], f32, lambda x: min(max(x, 0.0), 1.0))
    yield Function(
        "fast_sincosf",
        libdevice.fast_sincosf,
        [angles],
        [f32, f32],
        lambda x: (math.sin(x), math.cos(x)),
        absolute=two,
    )


ROWS = [*_directed(), *_conversions(), *_patterns(), *_whole(), *_pairs(), *_fast()]
