"""The 8-bit floats e4m3 and e5m2, which travel in pairs: cvt from and to float32 and float16."""

from __future__ import annotations

import numpy as np

from gpugrad.simulate.arithmetic import half
from gpugrad.simulate.arithmetic.floating import relu
from gpugrad.simulate.arithmetic.opcodes import Array, Form, Function

_NAN = np.uint8(0x7F)


def _finite(mantissa: int, bias: int, count: int) -> Array:
    """The finite numbers that are not negative, in the order of their bits, which is theirs."""
    bits = np.arange(count)
    exponent, fraction = bits >> mantissa, (bits & ((1 << mantissa) - 1)) / (1 << mantissa)
    normal = np.ldexp(1 + fraction, exponent - bias)
    return np.where(exponent == 0, np.ldexp(fraction, 1 - bias), normal)


_FINITE = {"e4m3x2": _finite(3, 7, 0x7F), "e5m2x2": _finite(2, 15, 0x7C)}


def _table(kind: str) -> Array:
    """The number, as float16, of each of the 256 bytes."""
    positive = np.full(128, np.nan)
    finite = _FINITE[kind]
    positive[: len(finite)] = finite
    if kind == "e5m2x2":
        positive[len(finite)] = np.inf
    return np.concatenate([positive, -positive]).astype(np.float16)


_NUMBERS = {kind: _table(kind) for kind in _FINITE}


def _encode(x: Array, kind: str) -> Array:
    """The bytes of the nearest numbers, ties to even; beyond the largest, the largest."""
    finite = _FINITE[kind]
    size = np.minimum(np.abs(x).astype(np.float64), finite[-1])
    above = np.minimum(np.searchsorted(finite, size), len(finite) - 1)
    below = np.maximum(above - 1, 0)
    up, down = finite[above] - size, size - finite[below]
    bits = np.where((down < up) | ((down == up) & (below % 2 == 0)), below, above)
    signed = (bits | (np.signbit(x) * 0x80)).astype(np.uint8)
    return np.where(np.isnan(x), _NAN, signed)


def narrow_pair(form: Form) -> Function:
    """cvt to e4m3x2 or e5m2x2 from two float32 (the first goes into the upper byte) or an f16x2."""
    kind = next(word for word in form.words if word in _FINITE)

    def pack(low: Array, high: Array) -> Array:
        if "relu" in form:
            low, high = relu(low), relu(high)
        packed: Array = (_encode(high, kind).astype(np.uint16) << np.uint16(8)) | _encode(low, kind)
        return packed

    def from_pair(x: Array) -> Array:
        numbers = half.numbers(x, "f16x2")
        return pack(numbers[:, 0], numbers[:, 1])

    return from_pair if form.kind == "f16x2" else lambda a, b: pack(b, a)


def widen_pair(form: Form) -> Function:
    """cvt.rn.f16x2 from e4m3x2 or e5m2x2."""
    table = _NUMBERS[form.kind]

    def run(x: Array) -> Array:
        low, high = table[x & np.uint16(0xFF)], table[x >> np.uint16(8)]
        pair = np.stack([low, high], axis=-1)
        return half.registers(relu(pair) if "relu" in form else pair, "f16x2")

    return run
