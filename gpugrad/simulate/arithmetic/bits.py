"""Bit operations on integers: shifts, fields, counts, permutations."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpugrad.simulate.arithmetic.opcodes import TYPES, Array, Form, Function

_REVERSED = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], np.uint8)

#: The bytes that prmt's modes choose, as a default-mode selector for each value of c's low 2 bits.
PERMUTATIONS = {
    "f4e": (0x3210, 0x4321, 0x5432, 0x6543),
    "b4e": (0x5670, 0x6701, 0x7012, 0x0123),
    "rc8": (0x0000, 0x1111, 0x2222, 0x3333),
    "ecl": (0x3210, 0x3211, 0x3222, 0x3333),
    "ecr": (0x0000, 0x1110, 0x2210, 0x3210),
    "rc16": (0x1010, 0x3232, 0x1010, 0x3232),
}


def logical_not_bits(a: Array) -> Array:
    """cnot: 1 where a is 0, else 0."""
    result: Array = (a == 0).astype(a.dtype)
    return result


def shift(form: Form) -> Function:
    """shl and shr; an amount beyond the width acts as the width, in NumPy as in PTX."""
    function = np.left_shift if form.name == "shl" else np.right_shift
    kind = TYPES[form.kind]
    if kind.itemsize == 4:  # a huge amount looks negative, which NumPy takes as huge, too
        return lambda a, amount: function(a, amount.view(kind))
    if kind.itemsize == 8:
        return lambda a, amount: function(a, amount.astype(kind))
    return lambda a, amount: function(a, np.minimum(amount, np.uint32(16)).astype(kind))


def funnel_shift(form: Form) -> Function:
    """shf: 64 bits, b above a, shifted; left gives the upper word, right the lower."""
    left, wrap = "l" in form, "wrap" in form

    def run(a: Array, b: Array, amount: Array) -> Array:
        amount = amount & np.uint32(31) if wrap else np.minimum(amount, np.uint32(32))
        both = _joined(a, b)
        moved = both << amount >> np.uint64(32) if left else both >> amount
        return moved.astype(np.uint32)

    return run


def _joined(low: Array, high: Array) -> Array:
    joined: Array = (high.astype(np.uint64) << np.uint64(32)) | low
    return joined


def permute(form: Form) -> Function:
    """prmt: any four of the eight bytes of b above a; bit 3 of a selector spreads the sign."""
    mode = next((word for word in form.words if word in PERMUTATIONS), None)
    table = np.array(PERMUTATIONS[mode], np.uint32) if mode else None

    def run(a: Array, b: Array, selector: Array) -> Array:
        if table is not None:
            selector = table[selector & np.uint32(3)]
        places = [selector >> np.uint32(4 * place) & np.uint32(15) for place in range(4)]
        byte = _byte_of_all if selector.size == 1 else _byte
        result: Any = np.uint32(0)
        for place, choice in enumerate(places):
            result = result | (byte(a, b, choice).astype(np.uint32) << np.uint32(8 * place))
        shape = np.broadcast_shapes(a.shape, b.shape, selector.shape)
        return _in_shape(result, shape)

    return run


def _in_shape(result: Array, shape: tuple[int, ...]) -> Array:
    """The result for all lanes, also where the operand that they differ in was not used."""
    return result if result.shape == shape else np.broadcast_to(result, shape).copy()


def _byte_of_all(a: Array, b: Array, choice: Array) -> Array:
    """The byte that a selector names, the same for all lanes."""
    number = int(choice[0])
    source = b if number & 4 else a
    byte: Array = (source >> np.uint32(8 * (number & 3))).astype(np.uint8)
    return _spread(byte) if number & 8 else byte


def _byte(a: Array, b: Array, choice: Array) -> Array:
    """The byte that a selector names, for each lane its own."""
    source = np.where(choice & np.uint32(4), b, a)
    byte: Array = (source >> ((choice & np.uint32(3)) << np.uint32(3))).astype(np.uint8)
    return np.where(choice & np.uint32(8), _spread(byte), byte)


def _spread(byte: Array) -> Array:
    """The sign bit in all eight."""
    signs: Array = byte.view(np.int8) >> np.int8(7)
    return signs.view(np.uint8)


def _ones(count: Array, kind: np.dtype[Any]) -> Array:
    """Words with this many low bits set; all, where count is the width or more."""
    ones: Array = ~(~kind.type(0) << np.minimum(count, np.uint32(255)).astype(kind))
    return ones


def extract_field(form: Form) -> Function:
    """bfe: `length` bits of a from `position`, extended by the field's sign bit if signed."""
    kind = TYPES[form.kind]
    plain = np.dtype(f"u{kind.itemsize}")
    width = np.uint32(8 * kind.itemsize)

    def run(a: Array, position: Array, length: Array) -> Array:
        position, length = position & np.uint32(255), length & np.uint32(255)
        field = a.view(plain) >> position.astype(plain)
        if kind.kind == "u":
            result: Array = field & _ones(length, plain)
            return result
        kept = _ones(np.minimum(length, width - np.minimum(position, width)), plain)
        last = np.minimum(position + length - np.uint32(1), width - np.uint32(1))
        negative = (length != 0) & ((a.view(plain) >> last.astype(plain)) & plain.type(1) != 0)
        extended: Array = np.where(negative, field | ~kept, field & kept)
        return extended.view(kind)

    return run


def insert_field(a: Array, b: Array, position: Array, length: Array) -> Array:
    """bfi: b, with the low `length` bits of a in it from `position`."""
    kind = b.dtype
    moved = (position & np.uint32(255)).astype(kind)
    mask = _ones(length & np.uint32(255), kind) << moved
    result: Array = (b & ~mask) | ((a << moved) & mask)
    return result


def bit_length(a: Array) -> Array:
    """How many bits hold the unsigned number, as uint32."""
    if a.dtype.itemsize < 8:
        return np.frexp(a.astype(np.float64))[1].astype(np.uint32)
    high = bit_length((a >> np.uint64(32)).astype(np.uint32))
    low = bit_length(a.astype(np.uint32))
    return np.where(high, high + np.uint32(32), low)


def leading_zeros(a: Array) -> Array:
    return np.uint32(8 * a.dtype.itemsize) - bit_length(a)


def find_leading(form: Form) -> Function:
    """bfind: the place of the highest bit that is not the sign's; -1 if none is.

    With .shiftamt, how far left it must go to be the highest of all.
    """
    kind = TYPES[form.kind]
    plain = np.dtype(f"u{kind.itemsize}")

    def run(a: Array) -> Array:
        if kind.kind == "i":
            a = np.where(a < 0, ~a, a)
        place: Array = bit_length(a.view(plain)) - np.uint32(1)
        if "shiftamt" in form:
            top = np.uint32(8 * kind.itemsize - 1)
            return np.where(place == np.uint32(0xFFFFFFFF), place, top - place)
        return place

    return run


def count_ones(a: Array) -> Array:
    return np.bitwise_count(a).astype(np.uint32)


def reverse(a: Array) -> Array:
    reversed_bytes: Array = _REVERSED[np.ascontiguousarray(a).byteswap().view(np.uint8)]
    return reversed_bytes.view(a.dtype)


def logic_of_three(form: Form) -> Function:
    """lop3: bit by bit the function of three bits whose truth table is the immediate."""
    combine = {"and": np.logical_and, "or": np.logical_or}

    def run(a: Array, b: Array, c: Array, table: Array) -> Array:
        row = int(table.flat[0])
        result: Any = np.zeros(1, a.dtype)
        for index in range(8):
            if row >> index & 1:
                term = a if index & 4 else ~a
                term = term & (b if index & 2 else ~b)
                result = result | (term & (c if index & 1 else ~c))
        return _in_shape(result, np.broadcast_shapes(a.shape, b.shape, c.shape))

    word = next((word for word in form.words if word in combine), None)
    if word is None:
        return run

    def with_predicate(a: Array, b: Array, c: Array, table: Array, q: Array) -> Any:
        result = run(a, b, c, table)
        return result, combine[word](result != 0, q)

    return with_predicate


def find_set(mask: Array, base: Array, offset: Array) -> Array:
    """fns: the place of the |offset|-th set bit of mask from `base` up (down if negative).

    Offset 0 asks whether bit `base` itself is set. No such bit: all ones.
    """
    shape = np.broadcast_shapes(mask.shape, base.shape, offset.shape)
    start = np.broadcast_to(base, shape).astype(np.int64)
    step = np.where(offset < 0, -1, 1)
    wanted = np.where(offset == 0, 1, np.abs(offset.astype(np.int64)))
    found = np.full(shape, 0xFFFFFFFF, np.uint32)
    seen = np.zeros(shape, np.int64)
    for distance in range(32):
        place = start + step * distance
        inside = (place >= 0) & (place < 32) & ((offset != 0) | (distance == 0))
        bit = inside & ((mask >> np.clip(place, 0, 31).astype(np.uint32)) & np.uint32(1) != 0)
        seen = seen + bit
        found = np.where(bit & (seen == wanted), place, found).astype(np.uint32)
    return found


def bit_mask(form: Form) -> Function:
    """bmsk: b ones from bit a up; both clamped to 32 or taken modulo 32."""

    def run(a: Array, b: Array) -> Array:
        if "wrap" in form:
            a, b = a & np.uint32(31), b & np.uint32(31)
        mask: Array = _ones(b, np.dtype("u4")) << np.minimum(a, np.uint32(32))
        return mask

    return run


def extend(form: Form) -> Function:
    """szext: the low b bits of a, extended by their sign or by zeros."""
    signed = form.kind == "s32"

    def run(a: Array, b: Array) -> Array:
        length = b & np.uint32(31) if "wrap" in form else np.minimum(b, np.uint32(32))
        kept = _ones(length, np.dtype("u4"))
        bits = a.view(np.uint32)
        result: Array = bits & kept
        if signed:
            sign = bits >> (np.maximum(length, np.uint32(1)) - np.uint32(1)) & np.uint32(1)
            result = np.where((length != 0) & (sign != 0), bits | ~kept, result)
        return result.view(a.dtype)

    return run
