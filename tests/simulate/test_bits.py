"""Bit operations against loops over single bits, as the PTX manual writes them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulate.definitions import integers, run, wrapped


def bits_of(number: int, width: int) -> list[int]:
    return [number >> k & 1 for k in range(width)]


def number_of(bits) -> int:
    return sum(bit << k for k, bit in enumerate(bits))


LOGIC = {
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
}


@pytest.mark.parametrize("width", [16, 32, 64])
@pytest.mark.parametrize("name", LOGIC)
def test_logic(name, width):
    a, b = (integers(f"u{width}", seed) for seed in range(2))
    expected = [LOGIC[name](x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert run(f"{name}.b{width}", a, b).tolist() == expected


@pytest.mark.parametrize("width", [16, 32, 64])
def test_not(width):
    a = integers(f"u{width}")
    assert run(f"not.b{width}", a).tolist() == [2**width - 1 - x for x in a.tolist()]
    assert run(f"cnot.b{width}", a).tolist() == [int(x == 0) for x in a.tolist()]


def test_logic_of_predicates():
    p, q = np.array([False, False, True, True]), np.array([False, True, False, True])
    for name, defined in LOGIC.items():
        expected = [defined(x, y) for x, y in zip(p.tolist(), q.tolist(), strict=True)]
        assert run(f"{name}.pred", p, q).tolist() == expected
    assert run("not.pred", p).tolist() == [True, True, False, False]


SHIFTS = [
    *(("shl", f"b{width}") for width in (16, 32, 64)),
    *(("shr", f"{sign}{width}") for sign in "bus" for width in (16, 32, 64)),
]


@pytest.mark.parametrize(("name", "kind"), SHIFTS, ids=str)
def test_shifts_by_every_amount(name, kind):
    number_kind = kind.replace("b", "u")
    amounts = np.array([*range(70), 255, 256, 65535, 65536, 2**31, 2**32 - 1], np.uint32)
    for x in integers(number_kind, count=10):
        got = run(f"{name}.{kind}", np.array([x]), amounts).tolist()
        for amount, value in zip(amounts.tolist(), got, strict=True):
            amount = min(amount, int(kind[1:]))
            exact = int(x) << amount if name == "shl" else int(x) >> amount
            assert value == wrapped(exact, number_kind), amount
    a = integers(number_kind)
    expected = [wrapped(x << 3 if name == "shl" else x >> 3, number_kind) for x in a.tolist()]
    assert run(f"{name}.{kind}", a, np.array([3], np.uint32)).tolist() == expected


@pytest.mark.parametrize("mode", ["clamp", "wrap"])
@pytest.mark.parametrize("way", ["l", "r"])
def test_funnel_shifts(way, mode):
    a, b = integers("u32", 1), integers("u32", 2)
    amounts = np.arange(len(a)).astype(np.uint32) % 70
    amounts[-1] = 2**32 - 1
    got = run(f"shf.{way}.{mode}.b32", a, b, amounts).tolist()
    for x, y, amount, value in zip(a.tolist(), b.tolist(), amounts.tolist(), got, strict=True):
        amount = min(amount, 32) if mode == "clamp" else amount % 32
        both = y << 32 | x
        expected = (both << amount >> 32) if way == "l" else both >> amount
        assert value == expected % 2**32, amount


#: The manual's table of modes: the byte taken for d's bytes 3, 2, 1 and 0, for c = 0, 1, 2, 3.
MODES = {
    "f4e": ["3 2 1 0", "4 3 2 1", "5 4 3 2", "6 5 4 3"],
    "b4e": ["5 6 7 0", "6 7 0 1", "7 0 1 2", "0 1 2 3"],
    "rc8": ["0 0 0 0", "1 1 1 1", "2 2 2 2", "3 3 3 3"],
    "ecl": ["3 2 1 0", "3 2 1 1", "3 2 2 2", "3 3 3 3"],
    "ecr": ["0 0 0 0", "1 1 1 0", "2 2 1 0", "3 2 1 0"],
    "rc16": ["1 0 1 0", "3 2 3 2", "1 0 1 0", "3 2 3 2"],
}


def permuted(x: int, y: int, selector: int) -> int:
    source = [*x.to_bytes(4, "little"), *y.to_bytes(4, "little")]
    chosen = []
    for place in range(4):
        nibble = selector >> (4 * place) & 15
        byte = source[nibble & 7]
        chosen.append((255 if byte & 128 else 0) if nibble & 8 else byte)
    return int.from_bytes(bytes(chosen), "little")


def test_prmt():
    a, b, c = (integers("u32", seed) for seed in range(3))
    lanes = list(zip(a.tolist(), b.tolist(), c.tolist(), strict=True))
    assert run("prmt.b32", a, b, c).tolist() == [permuted(*lane) for lane in lanes]
    for selector in (0x3210, 0x7654, 0x0123, 0x5410, 0xFEDC, 0xBA98, 0x1111, 0x9180):
        one = np.array([selector], np.uint32)
        assert run("prmt.b32", a, b, one).tolist() == [
            permuted(x, y, selector) for x, y, _ in lanes
        ]


@pytest.mark.parametrize("mode", MODES)
def test_modes_of_prmt(mode):
    a, b, c = (integers("u32", seed) for seed in range(3))
    got = run(f"prmt.b32.{mode}", a, b, c).tolist()
    for x, y, selector, value in zip(a.tolist(), b.tolist(), c.tolist(), got, strict=True):
        source = [*x.to_bytes(4, "little"), *y.to_bytes(4, "little")]
        chosen = [source[int(k)] for k in MODES[mode][selector & 3].split()]
        assert value == int.from_bytes(bytes(chosen), "big")


def fields(width, count):
    """Positions and lengths: all small ones and what lies beyond the word, also above 8 bits."""
    rng = np.random.default_rng(4)
    marks = [0, 1, 2, 7, 8, width - 1, width, width + 1, 200, 255, 256, 261, 2**32 - 1]
    pool = np.array([*marks, *range(width)], np.uint32)
    return rng.choice(pool, count), rng.choice(pool, count)


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
def test_bfe(kind):
    width = int(kind[1:])
    a = integers(kind, count=1500)
    position, length = fields(width, len(a))
    got = run(f"bfe.{kind}", a, position, length).tolist()
    lanes = zip(a.tolist(), position.tolist(), length.tolist(), got, strict=True)
    for x, start, count, value in lanes:
        start, count, source = start & 255, count & 255, bits_of(x, width)
        sign = 0
        if kind[0] == "s" and count:
            sign = source[min(start + count - 1, width - 1)]
        field = [
            source[start + k] if k < count and start + k < width else sign for k in range(width)
        ]
        assert value == wrapped(number_of(field), kind), (start, count)


@pytest.mark.parametrize("width", [32, 64])
def test_bfi(width):
    a, b = integers(f"u{width}", 1, 1500), integers(f"u{width}", 2, 1500)
    position, length = fields(width, len(a))
    got = run(f"bfi.b{width}", a, b, position, length).tolist()
    lanes = zip(a.tolist(), b.tolist(), position.tolist(), length.tolist(), got, strict=True)
    for x, y, start, count, value in lanes:
        start, count, target = start & 255, count & 255, bits_of(y, width)
        for k in range(count):
            if start + k < width:
                target[start + k] = bits_of(x, width)[k] if k < width else 0
        assert value == number_of(target), (start, count)


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
def test_bfind(kind):
    width = int(kind[1:])
    a = integers(kind)
    places = run(f"bfind.{kind}", a).tolist()
    shifts = run(f"bfind.shiftamt.{kind}", a).tolist()
    for x, place, shift in zip(a.tolist(), places, shifts, strict=True):
        expected = (~x if x < 0 else x).bit_length() - 1
        assert place == expected % 2**32
        assert shift == (2**32 - 1 if expected < 0 else width - 1 - expected)


@pytest.mark.parametrize("width", [32, 64])
def test_counts_and_reversal(width):
    a = integers(f"u{width}")
    numbers = a.tolist()
    assert run(f"popc.b{width}", a).tolist() == [bin(x).count("1") for x in numbers]
    assert run(f"clz.b{width}", a).tolist() == [width - x.bit_length() for x in numbers]
    reversed_bits = [number_of(bits_of(x, width)[::-1]) for x in numbers]
    assert run(f"brev.b{width}", a).tolist() == reversed_bits


@pytest.mark.parametrize("table", range(256))
def test_lop3_of_every_table(table):
    a, b, c = (integers("u32", seed, 20) for seed in range(3))
    got = run("lop3.b32", a, b, c, np.array([table], np.uint32))
    # The manual's own way to name a table: the function of these three constants.
    for x, y, z, value in zip(a.tolist(), b.tolist(), c.tolist(), got.tolist(), strict=True):
        picks = ((x >> k & 1) << 2 | (y >> k & 1) << 1 | z >> k & 1 for k in range(32))
        assert value == number_of(table >> pick & 1 for pick in picks)


def test_lop3_with_a_predicate():
    a, b, c = (integers("u32", seed, 40) for seed in range(3))
    q = np.arange(len(a)) % 2 == 0
    value, p = run("lop3.and.b32", a, b, c, np.array([0x80], np.uint32), q)
    assert value.tolist() == (a & b & c).tolist()
    assert p.tolist() == [bool(x) and bool(y) for x, y in zip(value, q, strict=True)]


def test_fns():
    rng = np.random.default_rng(2)
    mask = integers("u32", 1)
    base = rng.integers(0, 32, len(mask), dtype=np.uint32)
    offset = rng.integers(-6, 7, len(mask), dtype=np.int32)
    got = run("fns.b32", mask, base, offset).tolist()
    lanes = zip(mask.tolist(), base.tolist(), offset.tolist(), got, strict=True)
    for word, start, step, value in lanes:
        if step == 0:
            found = [start] if word >> start & 1 else []
        else:
            places = range(start, 32) if step > 0 else range(start, -1, -1)
            found = [k for k in places if word >> k & 1][abs(step) - 1 :]
        assert value == (found[0] if found else 2**32 - 1)


@pytest.mark.parametrize("mode", ["clamp", "wrap"])
def test_bmsk_and_szext(mode):
    a, b = fields(32, 600)
    limit = (lambda n: min(n, 32)) if mode == "clamp" else (lambda n: n % 32)
    for x, y, value in zip(a, b, run(f"bmsk.{mode}.b32", a, b).tolist(), strict=True):
        start, count = limit(int(x)), limit(int(y))
        assert value == ((2**count - 1) << start) % 2**32
    for kind in ("s32", "u32"):
        numbers = integers(kind, count=600)[: len(b)]
        got = run(f"szext.{mode}.{kind}", numbers, b).tolist()
        for x, y, value in zip(numbers.tolist(), b.tolist(), got, strict=True):
            count = limit(y)
            field = x % 2**count
            if kind == "s32" and count and field >> (count - 1):
                field -= 2**count
            assert value == field
