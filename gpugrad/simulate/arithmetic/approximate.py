"""The .approx functions, computed in float64: nearer to the truth than a GPU's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpugrad.simulate.arithmetic.floating import flush
from gpugrad.simulate.arithmetic.opcodes import TYPES, Array, Form, Function


def _reciprocal(x: Array) -> Array:
    return 1.0 / x


def _reciprocal_root(x: Array) -> Array:
    return 1.0 / np.sqrt(x)


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "rcp": _reciprocal,
    "rsqrt": _reciprocal_root,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "ex2": np.exp2,
    "lg2": np.log2,
}


def core(name: str) -> Callable[[str, str], Function]:
    """The function of that name for `floating.modified`."""
    function = FUNCTIONS[name]

    def make(kind: str, rounding: str) -> Function:
        if kind == "f64":
            return function
        if kind == "bf16":
            return lambda x: function(x.astype(np.float64))
        return lambda x: function(x.astype(np.float64)).astype(TYPES[kind])

    return make


def coarse(form: Form) -> Function:
    """rcp.approx.ftz.f64 and rsqrt.approx.ftz.f64: upper 32 bits in, upper 32 bits out."""
    function = FUNCTIONS[form.name]

    def upper(x: Array, added: int) -> Array:
        cut: Array = (x.view(np.uint64) + np.uint64(added)) & np.uint64(0xFFFFFFFF00000000)
        return cut.view(np.float64)

    def run(x: Array) -> Array:
        result = upper(flush(function(flush(upper(x, 0)))), 0x80000000)  # rounded, not cut
        return np.where(np.isnan(x), np.nan, result)

    return run


def divide(a: Array, b: Array) -> Array:
    """div.approx: a * (1 / b), where 1 / b is 0 for |b| above 2**126, as documented."""
    quotient = np.divide(a, b, dtype=np.float64).astype(np.float32)
    size = np.abs(b)
    huge = (size > np.float32(2.0**126)) & (size < np.float32(np.inf))
    if huge.any():
        zero = np.where(np.signbit(a) ^ np.signbit(b), np.float32(-0.0), np.float32(0.0))
        zero = np.where(np.isfinite(a), zero, np.float32(np.nan))
        return np.where(huge, zero, quotient)
    return quotient
