"""Comparison and selection, by what each name means for numbers and for NaN."""

from __future__ import annotations

import itertools
import math
import operator

import numpy as np
import pytest

from tests.simulate.definitions import (
    FORMATS,
    differences,
    flushed,
    held,
    integers,
    operands,
    register,
    run,
)

PLAIN = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
UNSIGNED = {"lo": operator.lt, "ls": operator.le, "hi": operator.gt, "hs": operator.ge}
BOOLEAN = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}


def compared(name, a, b):
    """The manual's table for floats: a plain name is false, one with u true if either is NaN."""
    unordered = math.isnan(a) or math.isnan(b)
    if name in ("num", "nan"):
        return unordered == (name == "nan")
    if unordered:
        return name.endswith("u")
    return PLAIN[name.removesuffix("u")](a, b)


FLOAT_NAMES = [*PLAIN, *(f"{name}u" for name in PLAIN), "num", "nan"]
INTEGER_CASES = [
    *((name, kind) for name in PLAIN for kind in ("s16", "u16", "s32", "u32", "s64", "u64")),
    *((name, kind) for name in UNSIGNED for kind in ("u16", "u32", "u64")),
    *((name, kind) for name in ("eq", "ne") for kind in ("b16", "b32", "b64")),
]


@pytest.mark.parametrize(("name", "kind"), INTEGER_CASES, ids=str)
def test_setp_of_integers(name, kind):
    a, b = (integers(kind.replace("b", "u"), seed) for seed in range(2))
    b[::3] = a[::3]
    meaning = {**PLAIN, **UNSIGNED}[name]
    expected = [meaning(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert run(f"setp.{name}.{kind}", a, b, count=3).tolist() == expected
    p, q = run(f"setp.{name}.{kind}", a, b, count=4)
    assert p.tolist() == expected
    assert q.tolist() == [not x for x in expected]


def pairs(kind):
    a, b = operands(kind, 2, count=200)
    return a, [x if k % 3 == 0 else y for k, (x, y) in enumerate(zip(a, b, strict=True))]


@pytest.mark.parametrize("kind", ["f32", "f64", "f16", "bf16"])
@pytest.mark.parametrize("name", FLOAT_NAMES)
def test_setp_of_floats(name, kind):
    a, b = pairs(kind)
    x, y = register(a, kind), register(b, kind)
    expected = [compared(name, *pair) for pair in zip(a, b, strict=True)]
    assert run(f"setp.{name}.{kind}", x, y).tolist() == expected
    if kind in ("f32", "f16"):
        flat = [
            compared(name, *(flushed(z, kind) for z in pair)) for pair in zip(a, b, strict=True)
        ]
        assert run(f"setp.{name}.ftz.{kind}", x, y).tolist() == flat


@pytest.mark.parametrize("word", BOOLEAN)
def test_setp_joined_with_a_predicate(word):
    a, b = pairs("f32")
    c = np.arange(len(a)) % 2 == 0
    x, y, join = register(a, "f32"), register(b, "f32"), BOOLEAN[word]
    met = [compared("lt", *pair) for pair in zip(a, b, strict=True)]
    expected = [join(m, z) for m, z in zip(met, c.tolist(), strict=True)]
    opposite = [join(not m, z) for m, z in zip(met, c.tolist(), strict=True)]
    assert run(f"setp.lt.{word}.f32", x, y, c, count=4).tolist() == expected
    p, q = run(f"setp.lt.{word}.f32", x, y, c, count=5)
    assert (p.tolist(), q.tolist()) == (expected, opposite)


@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_setp_and_set_of_pairs(kind):
    a, b = pairs(kind)
    a, b = a[: len(a) // 2 * 2], b[: len(b) // 2 * 2]
    x, y = (register(z, kind).view(np.uint32) for z in (a, b))
    met = [compared("le", *pair) for pair in zip(a, b, strict=True)]
    p, q = run(f"setp.le.{kind}x2", x, y)
    assert (p.tolist(), q.tolist()) == (met[::2], met[1::2])
    ones = run(f"set.le.{kind}x2.{kind}x2", x, y).view(np.uint16)
    if kind == "f16":
        ones = ones.view(np.float16)
    assert held(ones, kind) == [float(m) for m in met]
    masks = run(f"set.le.u32.{kind}x2", x, y).view(np.uint16)
    assert masks.tolist() == [0xFFFF * m for m in met]


SET_TARGETS = {"u32": 2**32 - 1, "s32": -1, "f32": 1.0, "u16": 2**16 - 1, "s16": -1}


@pytest.mark.parametrize(("target", "one"), list(SET_TARGETS.items()), ids=str)
def test_set_writes_ones(target, one):
    a, b = pairs("f32")
    c = np.arange(len(a)) % 2 == 0
    x, y = register(a, "f32"), register(b, "f32")
    met = [compared("geu", *pair) for pair in zip(a, b, strict=True)]
    assert run(f"set.geu.{target}.f32", x, y).tolist() == [one * m for m in met]
    joined = [one * (m ^ z) for m, z in zip(met, c.tolist(), strict=True)]
    assert run(f"set.geu.xor.{target}.f32", x, y, c).tolist() == joined
    low, high = integers("s32", 1), integers("s32", 2)
    less = [one * (n < m) for n, m in zip(low.tolist(), high.tolist(), strict=True)]
    assert run(f"set.lt.{target}.s32", low, high).tolist() == less


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(f"{sign}{8 * size}", f"{'i' if sign == 's' else 'u'}{size}")
     for sign, size in itertools.product("bsu", (2, 4, 8))]
    + [("f16", "f2"), ("f32", "f4"), ("f64", "f8"), ("bf16", "u2")],
)  # fmt: skip
def test_selp(kind, dtype):
    a, b = np.arange(8).astype(dtype), np.arange(8, 16).astype(dtype)
    p = np.array([True, False, True, True, False, False, True, False])
    assert run(f"selp.{kind}", a, b, p).tolist() == [0, 9, 2, 3, 12, 13, 6, 15]
    assert run(f"selp.{kind}", a[:1], b[:1], p).tolist() == [0, 8, 0, 0, 8, 8, 0, 8]


def test_slct_chooses_by_sign():
    c = [-1.0, -0.0, 0.0, 2.0, math.nan, -(2.0**-140), math.inf]
    a, b = (np.full(len(c), x, np.uint64) for x in (1, 2))
    assert run("slct.b64.f32", a, b, register(c, "f32")).tolist() == [2, 1, 1, 1, 2, 2, 1]
    assert run("slct.ftz.b64.f32", a, b, register(c, "f32")).tolist() == [2, 1, 1, 1, 2, 1, 1]
    numbers = integers("s32")
    x = run("slct.f32.s32", np.float32([1]), np.float32([2]), numbers)
    assert x.tolist() == [1.0 if n >= 0 else 2.0 for n in numbers.tolist()]


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_testp(kind):
    tiny = 2.0 ** FORMATS[kind][1]
    meaning = {
        "finite": math.isfinite,
        "infinite": math.isinf,
        "number": lambda x: not math.isnan(x),
        "notanumber": math.isnan,
        "normal": lambda x: math.isfinite(x) and abs(x) >= tiny,
        "subnormal": lambda x: 0 < abs(x) < tiny,
    }
    [numbers] = operands(kind, 1)
    for name, true in meaning.items():
        got = run(f"testp.{name}.{kind}", register(numbers, kind)).tolist()
        assert not differences(name, got, list(map(true, numbers)), numbers)
