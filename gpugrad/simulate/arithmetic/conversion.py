"""cvt: between integer and floating types, with every rounding and saturation."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpugrad.simulate.arithmetic import exact, half
from gpugrad.simulate.arithmetic.comparison import FLOATS
from gpugrad.simulate.arithmetic.floating import flush, relu, saturate, then
from gpugrad.simulate.arithmetic.opcodes import TYPES, Array, Form, Function

_TO_INTEGER: dict[str, Function] = {
    "rni": np.rint,
    "rzi": np.trunc,
    "rmi": np.floor,
    "rpi": np.ceil,
}
_LOW = np.uint64(0xFFFFFFFF)


def convert(form: Form) -> Function:
    """The function of a cvt with one source."""
    to_float, from_float = form.target in FLOATS, form.kind in FLOATS
    if not to_float:
        return _float_to_integer(form) if from_float else _integer_to_integer(form)
    function = _float_to_float(form) if from_float else _integer_to_float(form)
    if "ftz" in form and form.target == "f32":
        function = then(function, flush)
    if "sat" in form:
        function = then(function, saturate)
    return function


def _integer_to_integer(form: Form) -> Function:
    kind = TYPES[form.target]
    if "sat" not in form:
        return lambda x: x.astype(kind)
    source, target = np.iinfo(TYPES[form.kind]), np.iinfo(kind)
    low, high = max(source.min, target.min), min(source.max, target.max)
    return lambda x: np.clip(x, low, high).astype(kind)


def _integer_to_float(form: Form) -> Function:
    kind, rounding = TYPES[form.target], form.rounding
    source = TYPES[form.kind]
    if form.target == "f64" and (rounding == "rn" or source.itemsize < 8):
        return lambda x: x.astype(np.float64)
    if form.target == "f32" and rounding == "rn":
        return lambda x: x.astype(np.float32)

    def run(x: Array) -> Array:
        nearest, error = _as_pair(x)
        if form.target == "f64":
            return exact.step(nearest, error, rounding)
        odd = exact.to_odd(nearest, error)
        if form.target == "bf16":
            return half.to_bfloat16(odd, rounding)
        return exact.narrow(odd, kind, rounding)

    return run


def _as_pair(x: Array) -> tuple[Array, Array]:
    """Integers as float64 and its rounding error."""
    if x.dtype.itemsize < 8:
        return x.astype(np.float64), np.zeros(1)
    high = (x >> x.dtype.type(32)).astype(np.float64) * 2.0**32
    low = (x.view(np.uint64) & _LOW).astype(np.float64)
    return exact.two_sum(high, low)


def _float_to_integer(form: Form) -> Function:
    kind, round_to_integer = TYPES[form.target], _TO_INTEGER[form.among(_TO_INTEGER)]
    limits = np.iinfo(kind)
    bits = 8 * kind.itemsize
    # As the manual has it: 0, but of float64, or into 64 bits, the highest bit alone.
    of_nan = 1 << (bits - 1) if form.kind == "f64" or bits == 64 else 0
    if kind.kind == "i" and of_nan:
        of_nan = limits.min

    def read(x: Array) -> Array:
        x = half.numbers(x, form.kind)
        if "ftz" in form and form.kind == "f32":
            x = flush(x)
        return x.astype(np.float64, copy=False)

    def into_word(x: Array) -> Array:
        number = np.clip(round_to_integer(read(x)), limits.min, limits.max)
        nan = np.isnan(number)
        if nan.any():
            number = np.where(nan, float(of_nan), number)
        result: Array = number.astype(kind)
        return result

    def into_double_word(x: Array) -> Array:
        number = round_to_integer(read(x))
        low, high = float(limits.min), float(limits.max)  # high rounds up to 2**63 or 2**64
        inside = (number >= low) & (number < high)
        result: Array = np.where(inside, number, 0.0).astype(kind)
        if not inside.all():
            result[number >= high] = limits.max
            result[number < low] = limits.min
            result[np.isnan(number)] = of_nan
        return result

    return into_word if bits < 64 else into_double_word


def _float_to_float(form: Form) -> Function:
    kind, rounding = TYPES[half.single(form.target)], form.rounding
    to_integer = next((_TO_INTEGER[word] for word in form.words if word in _TO_INTEGER), None)

    def run(x: Array) -> Array:
        x = half.numbers(x, form.kind)
        if "ftz" in form and form.kind == "f32":
            x = flush(x)
        if to_integer is not None:
            x = to_integer(x)
        if "relu" in form:
            x = relu(x)
        if form.target == "bf16":
            result = half.to_bfloat16(x, rounding)
            return _finite_bfloat16(result, x) if "satfinite" in form else result
        if x.dtype.itemsize <= kind.itemsize:
            return x.astype(kind)
        result = exact.narrow(x, kind, rounding)
        return _finite(result) if "satfinite" in form else result

    return run


def _finite(x: Array) -> Array:
    """Infinities become the largest finite numbers."""
    largest = np.finfo(x.dtype).max
    return np.clip(x, -largest, largest)


def _finite_bfloat16(bits: Array, x: Array) -> Array:
    infinite = (bits & np.uint16(0x7FFF)) == np.uint16(0x7F80)
    return np.where(infinite, bits - np.uint16(1), bits)


def convert_pair(form: Form) -> Function:
    """cvt.f16x2.f32 and cvt.bf16x2.f32: a into the upper half, b into the lower."""
    words = (*form.words[:-2], half.single(form.target), form.kind)
    one = _float_to_float(Form(words))
    if form.target == "bf16x2":
        return lambda a, b: _join(one(b), one(a))
    return lambda a, b: _join(one(b).view(np.uint16), one(a).view(np.uint16))


def _join(low: Array, high: Array) -> Array:
    joined: Array = (high.astype(np.uint32) << np.uint32(16)) | low
    return joined


def to_tensor_float(form: Form) -> Function:
    """cvt.tf32.f32: the bits of a float32 whose last 13 are rounded away."""

    def run(x: Array) -> Array:
        bits: Any = x.view(np.uint32)
        if "rna" in form:
            bits = bits + np.uint32(0x1000)
        elif "rn" in form:
            bits = bits + np.uint32(0xFFF) + (bits >> np.uint32(13) & np.uint32(1))
        bits = bits & np.uint32(0xFFFFE000)
        if "relu" in form:
            bits = np.where(bits >> np.uint32(31), np.uint32(0), bits)
        return np.where(np.isnan(x), np.uint32(0x7FFFFFFF), bits)

    return run
