"""Integer arithmetic: sums and products of every width, with carry, saturation and division."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpugrad.simulate.arithmetic.opcodes import TYPES, Array, Form, Function, in_pieces

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def wider(x: Array) -> Array:
    """The same integers in twice as many bits."""
    return x.astype(np.dtype(f"{x.dtype.kind}{2 * x.dtype.itemsize}"))


def unsigned(x: Array) -> Array:
    """The same bits, without a sign."""
    return x.view(np.dtype(f"u{x.dtype.itemsize}"))


def multiply_wide(a: Array, b: Array) -> Array:
    product: Array = wider(a) * b
    return product


def multiply_high(a: Array, b: Array) -> Array:
    """The upper half of the product."""
    if a.dtype.itemsize < 8:
        bits = 8 * a.dtype.itemsize
        product: Array = wider(a) * b
        result: Array = (product >> product.dtype.type(bits)).astype(a.dtype)
        return result
    high: Array = _multiply_high_unsigned(unsigned(a), unsigned(b))
    if a.dtype.kind == "u":
        return high
    # A negative a is the unsigned one less 2**64, so its product is less by b * 2**64.
    signed: Array = high.view(np.int64)
    return signed - np.where(a < 0, b, 0) - np.where(b < 0, a, 0)


@in_pieces(1 << 13)
def _multiply_high_unsigned(a: Array, b: Array) -> Array:
    a_low, a_high, b_low, b_high = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    middle = a_high * b_low + (a_low * b_low >> _HALF)  # fits: (2**32 - 1)**2 + 2**32 - 1
    other = a_low * b_high + (middle & _LOW)
    high: Array = a_high * b_high + (middle >> _HALF) + (other >> _HALF)
    return high


def multiply_add(a: Array, b: Array, c: Array) -> Array:
    product: Array = a * b
    return product + c


def multiply_add_wide(a: Array, b: Array, c: Array) -> Array:
    return multiply_wide(a, b) + c


def multiply_add_high(a: Array, b: Array, c: Array) -> Array:
    return multiply_high(a, b) + c


def _saturated(x: Array) -> Array:
    return np.clip(x, -(2**31), 2**31 - 1).astype(np.int32)


def add_saturating(a: Array, b: Array) -> Array:
    return _saturated(np.add(a, b, dtype=np.int64))


def subtract_saturating(a: Array, b: Array) -> Array:
    return _saturated(np.subtract(a, b, dtype=np.int64))


def multiply_add_high_saturating(a: Array, b: Array, c: Array) -> Array:
    return _saturated(np.add(multiply_high(a, b), c, dtype=np.int64))


def multiply_24(form: Form) -> Function:
    """mul24 and mad24: the product of the operands' low 24 bits, its low 32 bits or bits 47:16."""
    shift = 16 if "hi" in form else 0
    kind = TYPES[form.kind]

    def low_24(x: Array) -> Array:
        return wider(x << kind.type(8) >> kind.type(8))  # the shift right extends the sign

    def multiply(a: Array, b: Array) -> Array:
        product: Array = low_24(a) * low_24(b)
        result: Array = (product >> product.dtype.type(shift)).astype(kind)
        return result

    if form.name == "mul24":
        return multiply
    if "sat" in form:
        return lambda a, b, c: add_saturating(multiply(a, b), c)
    return lambda a, b, c: multiply(a, b) + c


def sum_of_difference(a: Array, b: Array, c: Array) -> Array:
    """sad: c + |a - b|."""
    difference: Array = np.maximum(a, b) - np.minimum(a, b)
    return c + difference


def divide(a: Array, b: Array) -> Array:
    """The quotient, cut towards zero; by zero, all ones: PTX leaves that result open."""
    by_zero = b == 0
    if by_zero.any():
        return np.where(by_zero, ~b, divide(a, b | by_zero))
    if a.dtype.itemsize < 8:  # float64 holds the quotient well enough, and divides faster
        return np.divide(a, b, dtype=np.float64).astype(np.int64).astype(a.dtype)
    if a.dtype.kind == "u":
        return np.floor_divide(a, b)
    result: Array = np.floor_divide(a - np.fmod(a, b), b)
    return result


def remainder(a: Array, b: Array) -> Array:
    """What `divide` leaves, with the sign of a; by zero, all ones."""
    by_zero = b == 0
    if by_zero.any():
        return np.where(by_zero, ~b, np.fmod(a, b | by_zero))
    return np.fmod(a, b)


def relu(function: Function) -> Function:
    return lambda a, b: np.maximum(function(a, b), 0)


def with_carry(form: Form) -> Function:
    """add, sub and mad that read (addc, subc, madc) or write (.cc) the carry flag.

    The flag is the carry of the unsigned sum; of a difference, the borrow.
    """
    combine = _subtract if form.name.startswith("sub") else _add
    reads, writes = form.name.endswith("c"), "cc" in form
    multiply = None
    if form.name.startswith("mad"):
        multiply = multiply_high if "hi" in form else np.multiply

    def run(*operands: Array) -> Any:
        carry = operands[-1] if reads else None
        numbers = operands[:-1] if reads else operands
        if multiply is not None:
            numbers = (multiply(numbers[0], numbers[1]), numbers[2])
        result, flag = combine(unsigned(numbers[0]), unsigned(numbers[1]), carry)
        result = result.view(operands[0].dtype)
        return (result, flag) if writes else result

    return run


def _add(a: Array, b: Array, carry: Array | None) -> tuple[Array, Array]:
    total = a + b
    flag = total < a
    if carry is not None:
        flag = flag | (carry & (total == np.iinfo(a.dtype).max))
        total = total + carry
    return total, flag


def _subtract(a: Array, b: Array, borrow: Array | None) -> tuple[Array, Array]:
    difference = a - b
    flag = a < b
    if borrow is not None:
        flag = flag | (borrow & (difference == 0))
        difference = difference - borrow
    return difference, flag


def dot_product(form: Form) -> Function:
    """dp4a and dp2a: a's bytes (or 16-bit halves) times bytes of b, added to c."""
    a_kind, b_kind = (word[0].replace("s", "i") for word in form.words[-2:])
    width = 1 if form.name == "dp4a" else 2
    first = 2 if "hi" in form else 0

    def parts(x: Array, kind: str, size: int) -> Array:
        pieces = np.ascontiguousarray(x).view(np.dtype(f"{kind}{size}"))
        return pieces.reshape(-1, 4 // size).astype(np.int64)

    def run(a: Array, b: Array, c: Array) -> Array:
        b_parts = parts(b, b_kind, 1)[:, first : first + 4 // width]
        products = parts(a, a_kind, width) * b_parts
        result: Array = (products.sum(axis=1) + c).astype(np.uint32)
        return result

    return run
