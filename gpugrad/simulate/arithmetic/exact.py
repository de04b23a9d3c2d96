"""Sums and products with their rounding error, and results rounded once from them.

A pair (s, e) stands for the exact s + e, where s is the float64 nearest to it. Everything here
is float64. Sources: Dekker (1971) for the product, Knuth for the sum, Boldo and Melquiond (2008)
for rounding to odd, which keeps what a second, coarser rounding must know.
"""

from __future__ import annotations

import numpy as np

from gpugrad.simulate.arithmetic.opcodes import Array, in_pieces

_SPLIT = np.int64(1 << 26)
_UPPER = np.int64(-1 << 27)


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b exactly, as a pair."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """a * b exactly, as a pair; the product must be between 2**-960 and 2**1020, or 0."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _split(x: Array) -> tuple[Array, Array]:
    """Two numbers of 26 bits whose sum is x. Split as bits: no overflow, as in x * (2**27 + 1)."""
    high = ((np.ascontiguousarray(x).view(np.int64) + _SPLIT) & _UPPER).view(np.float64)
    return high, x - high


def to_odd(total: Array, error: Array) -> Array:
    """The pair rounded to odd: if it is no float64, the neighbour whose last bit is set."""
    bits = total.view(np.int64)
    inexact = (error > 0) | (error < 0)  # an infinite sum has error NaN, and is right
    away = np.where((error > 0) == (total > 0), 1, -1)
    odd: Array = bits + np.where(inexact & (bits & 1 == 0), away, 0)
    return odd.view(np.float64)


def step(nearest: Array, error: Array, rounding: str) -> Array:
    """One of the two neighbours of nearest + error, by a directed rounding (or rn: nearest)."""
    if rounding == "rn":
        return nearest
    if rounding == "rz":
        moves = ((error < 0) & (nearest > 0)) | ((error > 0) & (nearest < 0))
        goal = 0.0
    elif rounding == "rm":
        moves, goal = error < 0, -np.inf
    else:
        moves, goal = error > 0, np.inf
    return np.where(moves, np.nextafter(nearest, nearest.dtype.type(goal)), nearest)


def narrow(x: Array, kind: np.dtype[np.floating], rounding: str) -> Array:
    """x in a smaller float type, rounded once."""
    nearest = x.astype(kind)
    if rounding == "rn":
        return nearest
    below, above = nearest < x, nearest > x
    return step(nearest, below.astype(kind) - above.astype(kind), rounding)


def signed_zero(total: Array, a: Array, b: Array, rounding: str) -> Array:
    """total = a + b with the sign of an exact zero as the rounding wants it: IEEE 754, 6.3."""
    if rounding != "rm":
        return total
    negative = (total == 0) & (np.signbit(a) | np.signbit(b))
    return np.where(negative, -0.0, total)


def finish(total: Array, error: Array, exponent: Array, rounding: str) -> Array:
    """(total + error) * 2**exponent rounded once, also where that is subnormal or too large.

    Of the error only the sign matters, and that it is less than half the last place of total.
    """
    result = np.ldexp(total, exponent)
    rest = total - np.ldexp(result, -exponent)  # exact: what the subnormal result leaves out
    if rounding != "rn":
        return step(result, np.where(rest != 0, rest, error), rounding)
    half = np.ldexp(1.0, -1075 - exponent)
    up = (rest == half) & (error > 0) & (rest != 0)  # ldexp saw a tie where there was none
    down = (rest == -half) & (error < 0) & (rest != 0)
    result = np.where(up, np.nextafter(result, np.inf), result)
    return np.where(down, np.nextafter(result, -np.inf), result)


@in_pieces(1 << 13)
def fused(a: Array, b: Array, c: Array, rounding: str = "rn") -> Array:
    """a * b + c of float64, rounded once."""
    if rounding != "rn":
        return _fused_scaled(a, b, c, rounding)
    product, low = two_product(a, b)
    total, tail = two_sum(product, c)
    rest = tail + low  # the one inexact step: sure is what a last bit more or less cannot change
    result: Array = total + rest * (1 - 2.0**-52)
    sure = result == total + rest * (1 + 2.0**-52)
    size = np.abs(product)
    sure &= (size > 2.0**-900) & (size < 2.0**1000) & (np.abs(c) < 2.0**1000)
    if not sure.all():
        a, b, c = (np.broadcast_to(x, result.shape)[~sure] for x in (a, b, c))
        result[~sure] = _fused_scaled(a, b, c, rounding)
    return result


def _fused_scaled(a: Array, b: Array, c: Array, rounding: str) -> Array:
    """As `fused`, on mantissas near 1, so that nothing overflows or gets lost on the way."""
    (a_part, a_exponent), (b_part, b_exponent), (c_part, c_exponent) = map(np.frexp, (a, b, c))
    product, low = two_product(a_part, b_part)
    exponent = a_exponent + b_exponent
    gap = np.where(c_part == 0, 0, c_exponent - exponent)
    # Further apart than this, the smaller one counts only by its sign: bring them nearer.
    exponent = exponent + np.maximum(gap - 120, 0)
    addend = np.ldexp(c_part, np.clip(gap, -200, 120))
    high, rest = two_sum(addend, low)
    total, tail = two_sum(product, high)
    nearest, error = two_sum(total, to_odd(*two_sum(rest, tail)))
    nearest = signed_zero(nearest, product, c, rounding)
    result = finish(nearest, error, exponent, rounding)
    plain = product + c  # right where the product is 0 or something is infinite or NaN
    is_plain = (product == 0) | ~np.isfinite(plain)
    return np.where(is_plain, signed_zero(plain, product, c, rounding), result)


def quotient(a: Array, b: Array, rounding: str) -> Array:
    """a / b of float64, rounded once."""
    plain = a / b
    if rounding == "rn":
        return plain
    (a_part, a_exponent), (b_part, b_exponent) = np.frexp(a), np.frexp(b)
    ratio = a_part / b_part
    product, low = two_product(ratio, b_part)
    left = ((a_part - product) - low) * np.sign(b_part)
    result = finish(ratio, left, a_exponent - b_exponent, rounding)
    is_plain = ~np.isfinite(a) | ~np.isfinite(b) | (a == 0) | (b == 0)
    return np.where(is_plain, plain, result)


def square_root(x: Array, rounding: str) -> Array:
    """The square root of float64, rounded once."""
    plain = np.sqrt(x)
    if rounding == "rn":
        return plain
    square, low = two_product(plain, plain)
    part, exponent = np.frexp(x)
    odd = exponent & 1
    part, exponent = np.ldexp(part, odd), exponent - odd
    root = np.sqrt(part)
    square, low = two_product(root, root)
    result = finish(root, (part - square) - low, exponent >> 1, rounding)
    return np.where((x > 0) & np.isfinite(x), result, plain)
