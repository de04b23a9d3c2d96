"""Integer arithmetic against Python's integers, and the table of operations itself."""

from __future__ import annotations

import numpy as np
import pytest

from gpugrad.simulate.arithmetic.table import operation
from tests.simulate.definitions import clamped, integer_dtype, integers, run, wrapped

KINDS = ("s16", "u16", "s32", "u32", "s64", "u64")
WIDER = {"s16": "s32", "u16": "u32", "s32": "s64", "u32": "u64"}


def high(product: int, kind: str) -> int:
    return product >> int(kind[1:])


def low_24(x: int, kind: str) -> int:
    x &= 0xFFFFFF
    return x - 2**24 if kind[0] == "s" and x >> 23 else x


def quotient(a: int, b: int) -> int:
    if b == 0:
        return -1
    size = abs(a) // abs(b)
    return size if (a < 0) == (b < 0) else -size


def remainder(a: int, b: int) -> int:
    return a - b * quotient(a, b) if b else -1


#: Opcode without its type, the types, operands, and the definition on unbounded integers.
DEFINED = [
    ("add", KINDS, "tt", lambda a, b, kind: a + b),
    ("sub", KINDS, "tt", lambda a, b, kind: a - b),
    ("add.sat", ("s32",), "tt", lambda a, b, kind: clamped(a + b, kind)),
    ("sub.sat", ("s32",), "tt", lambda a, b, kind: clamped(a - b, kind)),
    ("mul.lo", KINDS, "tt", lambda a, b, kind: a * b),
    ("mul.hi", KINDS, "tt", lambda a, b, kind: high(a * b, kind)),
    ("mad.lo", KINDS, "ttt", lambda a, b, c, kind: a * b + c),
    ("mad.hi", KINDS, "ttt", lambda a, b, c, kind: high(a * b, kind) + c),
    ("mad.hi.sat", ("s32",), "ttt", lambda a, b, c, kind: clamped(high(a * b, kind) + c, kind)),
    ("mul24.lo", ("s32", "u32"), "tt", lambda a, b, kind: low_24(a, kind) * low_24(b, kind)),
    ("mul24.hi", ("s32", "u32"), "tt", lambda a, b, kind: low_24(a, kind) * low_24(b, kind) >> 16),
    ("mad24.lo", ("s32", "u32"), "ttt",
     lambda a, b, c, kind: low_24(a, kind) * low_24(b, kind) + c),
    ("mad24.hi", ("s32", "u32"), "ttt",
     lambda a, b, c, kind: (low_24(a, kind) * low_24(b, kind) >> 16) + c),
    ("mad24.hi.sat", ("s32",), "ttt",
     lambda a, b, c, kind: clamped((low_24(a, kind) * low_24(b, kind) >> 16) + c, kind)),
    ("sad", KINDS, "ttt", lambda a, b, c, kind: c + abs(a - b)),
    ("div", KINDS, "tt", lambda a, b, kind: quotient(a, b)),
    ("rem", KINDS, "tt", lambda a, b, kind: remainder(a, b)),
    ("min", KINDS, "tt", lambda a, b, kind: min(a, b)),
    ("max", KINDS, "tt", lambda a, b, kind: max(a, b)),
    ("min.relu", ("s32",), "tt", lambda a, b, kind: max(0, min(a, b))),
    ("max.relu", ("s32",), "tt", lambda a, b, kind: max(0, a, b)),
    ("abs", ("s16", "s32", "s64"), "t", lambda a, kind: abs(a)),
    ("neg", ("s16", "s32", "s64"), "t", lambda a, kind: -a),
]  # fmt: skip
CASES = [(f"{name}.{kind}", kind, x, f) for name, kinds, x, f in DEFINED for kind in kinds]


@pytest.mark.parametrize(("opcode", "kind", "sources", "defined"), CASES, ids=str)
def test_integer_arithmetic(opcode, kind, sources, defined):
    columns = [integers(kind, seed) for seed in range(len(sources))]
    numbers = [column.tolist() for column in columns]
    expected = [wrapped(defined(*x, kind), kind) for x in zip(*numbers, strict=True)]
    assert run(opcode, *columns).tolist() == expected
    if len(columns) > 1:
        for start in (0, 1, 5):
            one = columns[0][start : start + 1]
            mixed = run(opcode, one, *columns[1:])
            full = run(opcode, np.repeat(one, len(expected)), *columns[1:])
            np.testing.assert_array_equal(mixed, full)


@pytest.mark.parametrize("kind", ["s32", "s64", "s16"])
def test_the_least_integer_divided_by_minus_one(kind):
    least = np.array([-(2 ** (int(kind[1:]) - 1))], integer_dtype(kind))
    assert run(f"div.{kind}", least, least // least - 2) == least
    assert run(f"rem.{kind}", least, least // least - 2) == 0


@pytest.mark.parametrize("kind", list(WIDER))
def test_wide_products(kind):
    a, b, c = integers(kind, 1), integers(kind, 2), integers(WIDER[kind], 3)
    products = [x * y for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert run(f"mul.wide.{kind}", a, b).tolist() == products
    sums = [wrapped(p + z, WIDER[kind]) for p, z in zip(products, c.tolist(), strict=True)]
    assert run(f"mad.wide.{kind}", a, b, c).tolist() == sums


def carried(name, numbers, carry, width):
    """The exact result of an instruction with carry, and the flag, on unsigned integers."""
    if name.startswith("add"):
        total = sum(numbers) + carry
    elif name.startswith("sub"):
        total = numbers[0] - numbers[1] - carry
    else:
        product = numbers[0] * numbers[1] % 2 ** (2 * width)
        part = product >> width if ".hi" in name else product % 2**width
        total = part + numbers[2] + carry
    return total % 2**width, not 0 <= total < 2**width


CARRYING = [
    (f"{name}{cc}", kind)
    for name in ("add", "addc", "sub", "subc", "mad.lo", "mad.hi", "madc.lo", "madc.hi")
    for cc in ("", ".cc")
    for kind in ("u32", "s32", "u64", "s64")
    if cc or name[3:4] == "c"
]


@pytest.mark.parametrize(("opcode", "kind"), CARRYING, ids=str)
def test_carry(opcode, kind):
    width, reads = int(kind[1:]), opcode[3] == "c"
    columns = [integers(kind, seed) for seed in range(3 if opcode[:3] == "mad" else 2)]
    columns[1][::4] = columns[0][::4]  # a - a is where a borrow matters most
    carry = np.random.default_rng(9).random(len(columns[0])) < 0.5
    result = run(f"{opcode}.{kind}", *columns, *([carry] if reads else []))
    values, flags = result if opcode.endswith("cc") else (result, None)
    for lane in range(len(carry)):
        numbers = [int(column[lane]) for column in columns]
        if not (opcode[:3] == "mad" and kind[0] == "s"):  # signed only matters to a high product
            numbers = [n % 2**width for n in numbers]
        else:
            numbers[2] %= 2**width
        expected, flag = carried(opcode, numbers, bool(reads and carry[lane]), width)
        assert int(values[lane]) % 2**width == expected, numbers
        if flags is not None:
            assert bool(flags[lane]) == flag, numbers


def byte(word: int, index: int, kind: str) -> int:
    return wrapped(word >> (8 * index), f"{kind[0]}8")


@pytest.mark.parametrize("kinds", ["s32.s32", "s32.u32", "u32.s32", "u32.u32"])
def test_dot_products_of_bytes(kinds):
    a_kind, b_kind = kinds.split(".")
    a, b, c = (integers("u32", seed) for seed in range(3))
    lanes = list(zip(a.tolist(), b.tolist(), c.tolist(), strict=True))
    got = run(f"dp4a.{a_kind}.{b_kind}", a, b, c).tolist()
    for (x, y, z), value in zip(lanes, got, strict=True):
        dot = sum(byte(x, k, a_kind) * byte(y, k, b_kind) for k in range(4))
        assert value == (z + dot) % 2**32
    for mode, first in (("lo", 0), ("hi", 2)):
        got = run(f"dp2a.{mode}.{a_kind}.{b_kind}", a, b, c).tolist()
        for (x, y, z), value in zip(lanes, got, strict=True):
            halves = (wrapped(x >> (16 * k), f"{a_kind[0]}16") for k in range(2))
            dot = sum(half * byte(y, first + k, b_kind) for k, half in enumerate(halves))
            assert value == (z + dot) % 2**32


@pytest.mark.parametrize("name", ["add", "min", "max"])
@pytest.mark.parametrize("kind", ["s16", "u16"])
def test_packed_integers(name, kind):
    a, b = integers("u32", 1), integers("u32", 2)
    defined = {"add": lambda x, y: x + y, "min": min, "max": max}[name]
    for x, y, value in zip(a.tolist(), b.tolist(), run(f"{name}.{kind}x2", a, b), strict=True):
        halves = (defined(*(wrapped(w >> s, kind) for w in (x, y))) % 2**16 for s in (0, 16))
        assert int(value) == sum(half << 16 * k for k, half in enumerate(halves))


@pytest.mark.parametrize(
    "opcode",
    ["", "add", "add.f128", "add.sat.u32", "fma.f32", "mul.s32.lo", "cvt.f32.s32", "cvt.rn.s32.f32",
     "setp.s32", "setp.lt", "mov.u32", "ld.global.f32", "shl.f32", "add.f32.", "rcp.f32"],
)  # fmt: skip
def test_what_is_no_operation(opcode):
    assert operation(opcode) is None
