"""bfloat16, which NumPy lacks, and pairs of 16-bit numbers packed in 32 bits.

A register holds them as bits; `numbers` unpacks them into arrays that NumPy can compute with
(bfloat16 as float32, pairs with a last axis of 2, the lower half first), `registers` packs.
"""

from __future__ import annotations

import numpy as np

from gpugrad.simulate.arithmetic import exact
from gpugrad.simulate.arithmetic.opcodes import TYPES, Array, Function

#: Packed types, and the type of each half.
PACKED = {"f16x2": "f16", "bf16x2": "bf16", "s16x2": "s16", "u16x2": "u16"}
_NAN = np.uint16(0x7FFF)


def single(kind: str) -> str:
    """The type of one number of a packed pair; other types as they are."""
    return PACKED.get(kind, kind)


def numbers(x: Array, kind: str) -> Array:
    """The numbers that registers of this type hold."""
    if kind in PACKED:
        x = np.ascontiguousarray(x).view(TYPES[PACKED[kind]]).reshape(-1, 2)
    return from_bfloat16(x) if single(kind) == "bf16" else x


def registers(x: Array, kind: str, rounding: str = "rn") -> Array:
    """Registers of this type that hold these numbers, rounded if they are finer."""
    x = to_bfloat16(x, rounding) if single(kind) == "bf16" else x.astype(TYPES[single(kind)])
    return np.ascontiguousarray(x).view(np.uint32)[:, 0] if kind in PACKED else x


def lifted(function: Function, kind: str) -> Function:
    """A function of numbers made one of registers of this type."""
    if single(kind) == kind != "bf16":
        return function
    return lambda *sources: registers(function(*(numbers(x, kind) for x in sources)), kind)


def from_bfloat16(bits: Array) -> Array:
    """The float32 numbers that these bits stand for."""
    wide: Array = bits.astype(np.uint32) << np.uint32(16)
    return wide.view(np.float32)


def to_bfloat16(x: Array, rounding: str = "rn") -> Array:
    """The bits of the bfloat16 numbers that x is rounded to, once; of NaN, the canonical ones."""
    if x.dtype == np.float64:
        x = to_odd_float32(x)
    x = np.ascontiguousarray(x.astype(np.float32, copy=False))
    bits = x.view(np.uint32)
    if rounding == "rn":
        carry: Array = np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    elif rounding == "rz":
        carry = np.zeros(1, np.uint32)
    else:
        away = np.signbit(x) if rounding == "rm" else ~np.signbit(x)
        carry = np.where(away, np.uint32(0xFFFF), np.uint32(0))
    rounded = (bits + carry) >> np.uint32(16)
    return np.where(np.isnan(x), _NAN, rounded.astype(np.uint16))


def to_odd_float32(x: Array) -> Array:
    """float64 x in float32, its last bit set if anything was cut off."""
    cut = exact.narrow(x, np.dtype(np.float32), "rz")
    odd: Array = cut.view(np.uint32) | (cut != x)
    return odd.view(np.float32)
