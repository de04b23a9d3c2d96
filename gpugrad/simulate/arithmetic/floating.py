"""Floating-point arithmetic: rounding modes, flushing of subnormals, saturation, min and max."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpugrad.simulate.arithmetic import exact, half
from gpugrad.simulate.arithmetic.opcodes import TYPES, Array, Form, Function, in_pieces

_BELOW = np.int64(0x1FFFFFFF)  # the bits of a float64 that a normal float32 lacks
_TIE = np.int64(0x10000000)
_TINY = np.finfo(np.float32).tiny


def flush(x: Array) -> Array:
    """Subnormals become zeros of their sign."""
    result: Array = np.multiply(x, np.abs(x) >= np.finfo(x.dtype).tiny)
    return result


def saturate(x: Array) -> Array:
    """Clamped to 0 ... 1; NaN and -0 become 0."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    result: Array = np.fmin(np.fmax(x, zero), one) + zero
    return result


def relu(x: Array) -> Array:
    """Negative numbers become 0, NaN stays."""
    zero = x.dtype.type(0)
    result: Array = np.maximum(x, zero) + zero
    return result


def flushing(function: Function) -> Function:
    return lambda *sources: flush(function(*map(flush, sources)))


def then(function: Function, last: Function) -> Function:
    return lambda *sources: last(function(*sources))


def modified(core: Callable[[str, str], Function]) -> Callable[[Form], Function]:
    """A maker from a maker: `core(kind, rounding)` gives the bare function of single numbers.

    bfloat16 reaches it as float32. The modifiers .ftz, .sat and .relu and the packing of pairs
    are added here.
    """

    def make(form: Form) -> Function:
        function = core(half.single(form.kind), form.rounding)
        if "ftz" in form:
            function = flushing(function)
        if "sat" in form:
            function = then(function, saturate)
        if "relu" in form:
            function = then(function, relu)
        return half.lifted(function, form.kind)

    return make


@in_pieces(1 << 14)
def fused_float32(a: Array, b: Array, c: Array) -> Array:
    """a * b + c of float32, rounded once.

    The product is exact in float64. Its sum with c is rounded there first, which matters only if
    that makes a tie in float32; those lanes are done again with the rounding error.
    """
    product = np.multiply(a, b, dtype=np.float64)
    total = np.add(product, c, dtype=np.float64)
    result = total.astype(np.float32)
    doubtful = (total.view(np.int64) & _BELOW) == _TIE
    small = np.abs(result) <= _TINY  # where float32 has fewer bits, ties lie elsewhere
    if small.any():
        doubtful |= small & (total != 0)
    if doubtful.any():
        product, addend = (np.broadcast_to(x, result.shape)[doubtful] for x in (product, c))
        odd = exact.to_odd(*exact.two_sum(product, addend.astype(np.float64)))
        result[doubtful] = odd.astype(np.float32)
    return result


def _fused_directed(rounding: str) -> Function:
    def run(a: Array, b: Array, c: Array) -> Array:
        product, addend = np.multiply(a, b, dtype=np.float64), c.astype(np.float64)
        total, error = exact.two_sum(product, addend)
        odd = exact.signed_zero(exact.to_odd(total, error), product, addend, rounding)
        return exact.narrow(odd, np.dtype(np.float32), rounding)

    return run


def _fused_half(a: Array, b: Array, c: Array) -> Array:
    # Exact, or so near c that one rounding more changes nothing: 22 bits and 11, in 40 places.
    result: Array = a.astype(np.float64) * b.astype(np.float64) + c.astype(np.float64)
    return result.astype(np.float16)


def _fused_bfloat(a: Array, b: Array, c: Array) -> Array:
    product = np.multiply(a, b, dtype=np.float64)
    return exact.to_odd(*exact.two_sum(product, c.astype(np.float64)))  # packing rounds it


def fma(kind: str, rounding: str) -> Function:
    if kind == "f64":
        return lambda a, b, c: exact.fused(a, b, c, rounding=rounding)
    if kind == "f32":
        return fused_float32 if rounding == "rn" else _fused_directed(rounding)
    return _fused_half if kind == "f16" else _fused_bfloat


def add(kind: str, rounding: str) -> Function:
    if rounding == "rn":  # float16: NumPy adds in float32, and the second rounding changes nothing
        return np.add
    fused = fma(kind, rounding)
    one = TYPES[kind].type(1)
    return lambda a, b: fused(a, np.full(1, one), b)


def subtract(kind: str, rounding: str) -> Function:
    if rounding == "rn":
        return np.subtract
    total = add(kind, rounding)
    return lambda a, b: total(a, -b)


def multiply(kind: str, rounding: str) -> Function:
    if rounding == "rn":
        return np.multiply
    fused = fma(kind, rounding)
    zero = TYPES[kind].type(0)

    def run(a: Array, b: Array) -> Array:
        sign = np.where(np.signbit(a) ^ np.signbit(b), -zero, zero)
        result: Array = fused(a, b, sign)  # a zero of the product's sign changes nothing
        return result

    return run


def divide(kind: str, rounding: str) -> Function:
    if rounding == "rn":
        return np.divide
    if kind == "f64":
        return lambda a, b: exact.quotient(a, b, rounding)
    # Quotients of 24-bit numbers lie too far from float32 numbers for float64 to land on one.
    return lambda a, b: exact.narrow(np.divide(a, b, dtype=np.float64), TYPES[kind], rounding)


def reciprocal(kind: str, rounding: str) -> Function:
    quotient = divide(kind, rounding)
    one = np.full(1, 1, TYPES[kind])
    return lambda x: quotient(one, x)


def square_root(kind: str, rounding: str) -> Function:
    if rounding == "rn":
        return np.sqrt
    if kind == "f64":
        return lambda x: exact.square_root(x, rounding)
    return lambda x: exact.narrow(np.sqrt(x, dtype=np.float64), TYPES[kind], rounding)


def absolute(kind: str, rounding: str) -> Function:
    return np.abs


def negative(kind: str, rounding: str) -> Function:
    return np.negative


def extremum(form: Form) -> Function:
    """min and max: -0 is less than +0; of a number and NaN, the number, or with .NaN, NaN."""
    least, keeps_nan = form.name == "min", "NaN" in form
    if keeps_nan:
        pick: Function = np.minimum if least else np.maximum
    else:
        pick = np.fmin if least else np.fmax
    join = np.bitwise_or if least else np.bitwise_and  # of two zeros, the sign bits

    def run(a: Array, b: Array) -> Array:
        result: Array = pick(a, b)
        nan = np.isnan(result)
        if not keeps_nan and nan.any():  # NumPy keeps a NaN that is signalling
            result = np.where(nan, np.where(np.isnan(a), b, a), result)
        zero = result == 0
        if zero.any():
            bits = np.dtype(f"i{a.dtype.itemsize}")
            joined = join(a.view(bits), b.view(bits)).view(a.dtype)
            result = np.where(zero & (a == b), joined, result)
        return result

    if "xorsign" in form or "xorsign.abs" in form:
        return _modified_extremum(form, _with_sign_of_both(run))
    return _modified_extremum(form, run)


def _with_sign_of_both(function: Function) -> Function:
    def run(a: Array, b: Array) -> Array:
        size = function(np.abs(a), np.abs(b))
        negative = np.signbit(a) ^ np.signbit(b)
        result: Array = np.where(negative, -size, size)
        return result

    return run


def _modified_extremum(form: Form, function: Function) -> Function:
    return modified(lambda kind, rounding: function)(form)


def copy_sign(a: Array, b: Array) -> Array:
    """copysign: b with the sign of a, in PTX's order."""
    return np.copysign(b, a)
