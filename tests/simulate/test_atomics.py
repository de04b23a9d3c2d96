"""Atomic operations, beside what lanes that take turns in order find and leave."""

from __future__ import annotations

import numpy as np
import pytest

from gpugrad import simulate
from tests.simulate.handwritten import run

N = 64
RNG = np.random.default_rng(11)


def increment(old, bound):
    return 0 if old >= bound else old + 1


def decrement(old, bound):
    return bound if old == 0 or old > bound else old - 1


DEFINITIONS = {  # PTX ISA, atom
    "add": lambda old, v: old + v,
    "min": min,
    "max": max,
    "and": lambda old, v: old & v,
    "or": lambda old, v: old | v,
    "xor": lambda old, v: old ^ v,
    "exch": lambda old, v: v,
    "inc": increment,
    "dec": decrement,
}
ROWS = [
    *((op, kind) for op in ("add", "min", "max") for kind in ("u32", "s32", "u64", "s64")),
    *((op, kind) for op in ("and", "or", "xor", "exch") for kind in ("b32", "b64")),
    ("inc", "u32"), ("dec", "u32"), ("add", "f32"), ("add", "f64"), ("add", "f16"),
]  # fmt: skip


def registers(kind):
    return {"16": "%h", "32": "%r", "64": "%d"}[kind[1:]] if kind[0] != "f" else {
        "f16": "%h", "f32": "%f", "f64": "%g"}[kind]  # fmt: skip


def numbers(kind, n):
    if kind[0] == "f":
        return RNG.integers(-50, 50, n).astype(f"f{int(kind[1:]) // 8}")
    low = -40 if kind[0] == "s" else 0
    return RNG.integers(low, 40, n).astype(f"{'i' if kind[0] == 's' else 'u'}{int(kind[1:]) // 8}")


@pytest.mark.parametrize("cells", [1, 3, 40, N], ids=lambda cells: f"{cells}-cells")
@pytest.mark.parametrize("space", ["global", "shared"])
@pytest.mark.parametrize(("op", "kind"), ROWS, ids=lambda part: part)
def test_atom_finds_and_leaves_what_turns_in_order_do(op, kind, space, cells):
    values, where = numbers(kind, N), RNG.integers(0, cells, N).astype(np.uint32)
    where[:] = RNG.permutation(N) if cells == N else where
    memory = numbers(kind, cells)
    r, size = registers(kind), memory.itemsize
    plain = f"b{8 * size}"
    if space == "global":
        place, before, after = "%d30", "", ""
        at = "mad.wide.u32 %d30, %r20, " + f"{size}, %a2;"
    else:
        at = f"mov.u64 %d29, buffer; mad.wide.u32 %d30, %r20, {size}, %d29;"
        place = "%d30"
        copy = f"""
            setp.ge.u32 %p1, %t, {cells};
            @%p1 bra SKIP_NAME;
            mov.u64 %d28, buffer; mad.wide.u32 %d28, %t, {size}, %d28;
            mad.wide.u32 %d27, %t, {size}, %a2;
        """
        before = copy.replace("SKIP_NAME", "SKIP1") + (
            f"ld.global.{plain} {r}9, [%d27]; st.shared.{plain} [%d28], {r}9;\nSKIP1: bar.sync 0;"
        )
        after = (
            "bar.sync 0;"
            + copy.replace("SKIP_NAME", "SKIP2")
            + (f"ld.shared.{plain} {r}9, [%d28]; st.global.{plain} [%d27], {r}9;\nSKIP2:")
        )
    (_, found, left, _), report = run(
        f"""
        {before}
        ld.global.u32 %r20, [%e3];
        ld.global.{plain} {r}1, [%e0];
        {at}
        atom.{space}.{op}.{kind} {r}2, [{place}], {r}1;
        st.global.{plain} [%e1], {r}2;
        {after}
        """,
        values, np.zeros_like(values), memory, where,
        block=N,
        module=".shared .align 8 .b8 buffer[512];",
    )  # fmt: skip
    expected, olds = memory.copy(), np.zeros_like(values)
    for lane in range(N):
        cell = where[lane]
        olds[lane] = expected[cell]
        expected[cell] = memory.dtype.type(DEFINITIONS[op](expected[cell], values[lane]))
    np.testing.assert_array_equal(found, olds)
    np.testing.assert_array_equal(left, expected)
    collisions = sum(32 - len(set(where[k : k + 32].tolist())) for k in (0, 32))
    assert report.atomic_collisions == collisions


@pytest.mark.parametrize("kind", ["b32", "b64"])
@pytest.mark.parametrize("cells", [1, 40])
def test_compare_and_swap(kind, cells):
    r, dtype = registers(kind), f"u{int(kind[1:]) // 8}"
    memory = RNG.integers(0, 3, cells).astype(dtype)
    expected, new = (RNG.integers(0, 3, N).astype(dtype) for _ in range(2))
    where = RNG.integers(0, cells, N).astype(np.uint32)
    (_, _, found, left, _), _ = run(
        f"""
        ld.global.{kind} {r}1, [%e0];
        ld.global.{kind} {r}2, [%e1];
        ld.global.u32 %r20, [%e4];
        mad.wide.u32 %d30, %r20, {memory.itemsize}, %a3;
        atom.global.cas.{kind} {r}3, [%d30], {r}1, {r}2;
        st.global.{kind} [%e2], {r}3;
        """,
        expected, new, np.zeros_like(new), memory, where,
        block=N,
    )  # fmt: skip
    after, olds = memory.copy(), np.zeros_like(new)
    for lane in range(N):
        olds[lane] = after[where[lane]]
        if olds[lane] == expected[lane]:
            after[where[lane]] = new[lane]
    np.testing.assert_array_equal(found, olds)
    np.testing.assert_array_equal(left, after)


@pytest.mark.parametrize("instruction", ["red.global.add.f32 [%a1], %f1;",
                                         "atom.global.add.f32 %f2, [%a1], %f1;"])  # fmt: skip
def test_a_sum_that_nobody_reads_back_rounds_in_turn(instruction):
    values = RNG.random(4 * N, np.float32) * np.float32(1e4)
    (_, total), _ = run(
        f"ld.global.f32 %f1, [%e0]; {instruction}", values, np.ones(1, np.float32), grid=4, block=N
    )
    expected = np.float32(1)
    for value in values:
        expected += value
    assert total[0] == expected


@pytest.mark.parametrize("instruction", ["atom.global.min.noftz.bf16 %h1, [%a0], %h2;",
                                         "atom.global.frob.u32 %r1, [%a0], %r2;"])  # fmt: skip
def test_an_unknown_atomic_is_quoted(instruction):
    with pytest.raises(simulate.UnsupportedError, match=r"PTX atomic.*: atom\.global"):
        run(instruction, np.zeros(4, np.uint32))


@pytest.mark.parametrize("cells", [1, 40])
def test_sums_of_packed_halves(cells):
    values = RNG.integers(-40, 40, (N, 2)).astype(np.float16)
    where = RNG.integers(0, cells, N).astype(np.uint32)
    (_, found, left, _), _ = run(
        """
        ld.global.b32 %r1, [%e0];
        ld.global.u32 %r20, [%e3];
        mad.wide.u32 %d30, %r20, 4, %a2;
        atom.global.add.noftz.f16x2 %r2, [%d30], %r1;
        st.global.b32 [%e1], %r2;
        """,
        values.view(np.uint32)[:, 0], np.zeros(N, np.uint32), np.zeros(cells, np.uint32), where,
        block=N,
    )  # fmt: skip
    after, olds = np.zeros((cells, 2), np.float16), np.zeros((N, 2), np.float16)
    for lane in range(N):
        olds[lane] = after[where[lane]]
        after[where[lane]] += values[lane]
    np.testing.assert_array_equal(found.view(np.float16).reshape(N, 2), olds)
    np.testing.assert_array_equal(left.view(np.float16).reshape(cells, 2), after)


def test_a_sum_of_bfloat16():
    ones = np.full(N, 0x3F80, np.uint16)
    (_, total), _ = run(
        "ld.global.b16 %h1, [%e0]; red.global.add.noftz.bf16 [%a1], %h1;",
        ones, np.zeros(1, np.uint16),
        block=N,
    )  # fmt: skip
    assert total[0] == 0x4280  # 64
