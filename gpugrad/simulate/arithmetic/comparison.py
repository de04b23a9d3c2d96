"""Comparison and selection: setp, set, slct, testp."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpugrad.simulate.arithmetic import half
from gpugrad.simulate.arithmetic.floating import flush
from gpugrad.simulate.arithmetic.opcodes import GROUPS, TYPES, Array, Form, Function

#: Of integers; lo, ls, hi and hs are lt, le, gt and ge of unsigned ones.
_INTEGER: dict[str, Function] = {
    "eq": np.equal,
    "ne": np.not_equal,
    **dict.fromkeys(("lt", "lo"), np.less),
    **dict.fromkeys(("le", "ls"), np.less_equal),
    **dict.fromkeys(("gt", "hi"), np.greater),
    **dict.fromkeys(("ge", "hs"), np.greater_equal),
}


def _ordered_differ(a: Array, b: Array) -> Array:
    return np.less(a, b) | np.greater(a, b)


def _either_nan(a: Array, b: Array) -> Array:
    return np.isnan(a) | np.isnan(b)


def _not(function: Function) -> Function:
    return lambda a, b: np.logical_not(function(a, b))


#: Of floats: plain names are false if either is NaN, those with a u are true.
_FLOAT: dict[str, Function] = {
    **{name: _INTEGER[name] for name in ("eq", "lt", "le", "gt", "ge")},
    "ne": _ordered_differ,
    "equ": _not(_ordered_differ),
    "neu": np.not_equal,
    "ltu": _not(np.greater_equal),
    "leu": _not(np.greater),
    "gtu": _not(np.less_equal),
    "geu": _not(np.less),
    "num": _not(_either_nan),
    "nan": _either_nan,
}
_COMBINE: dict[str, Function] = {
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
}
PROPERTIES: dict[str, Function] = {
    "finite": np.isfinite,
    "infinite": np.isinf,
    "number": lambda x: ~np.isnan(x),
    "notanumber": np.isnan,
    "normal": lambda x: np.isfinite(x) & (np.abs(x) >= np.finfo(x.dtype).tiny),
    "subnormal": lambda x: (x != 0) & (np.abs(x) < np.finfo(x.dtype).tiny),
}
FLOATS = frozenset(("f16", "bf16", "f32", "f64"))
COMPARISONS = frozenset(GROUPS["compare"].split("|"))


def _comparison(form: Form) -> Function:
    """The comparison of two arrays of registers, as bools: (n,), or (n, 2) of packed pairs."""
    kind = half.single(form.kind)
    table = _FLOAT if kind in FLOATS else _INTEGER
    compare = table[form.among(COMPARISONS)]
    if kind == form.kind != "bf16" and "ftz" not in form:
        return compare

    def read(x: Array) -> Array:
        numbers = half.numbers(x, form.kind)
        return flush(numbers) if "ftz" in form else numbers

    return lambda a, b: compare(read(a), read(b))


def _join(met: Array, word: str, c: tuple[Array, ...]) -> Array:
    """The comparison joined with the predicate by .and, .or or .xor, if there is one."""
    joined: Array = _COMBINE[word](met, *c) if c else met
    return joined


def setp(form: Form) -> Function:
    """setp: p is the comparison, joined with predicate c; q the same of its opposite.

    Of packed pairs p is for the lower and q for the upper halves.
    """
    compare = _comparison(form)
    word = next((word for word in form.words if word in _COMBINE), "")
    if form.kind in half.PACKED:

        def of_pairs(a: Array, b: Array, *c: Array) -> Any:
            met = compare(a, b)
            return _join(met[:, 0], word, c), _join(met[:, 1], word, c)

        return of_pairs
    if form.pair:

        def with_opposite(a: Array, b: Array, *c: Array) -> Any:
            met = compare(a, b)
            return _join(met, word, c), _join(~met, word, c)

        return with_opposite
    return (lambda a, b, c: _join(compare(a, b), word, (c,))) if word else compare


def set_number(form: Form) -> Function:
    """set: 1.0, or all ones in an integer, where the comparison (joined with c) is met; else 0."""
    compare, target = _comparison(form), form.target
    word = next((word for word in form.words if word in _COMBINE), "")

    def run(a: Array, b: Array, *c: Array) -> Array:
        met = _join(compare(a, b), word, c)
        if half.single(target) in FLOATS:
            return half.registers(met.astype(np.float32), target)
        if form.kind in half.PACKED:  # a mask of 16 bits for each half
            return half.registers(np.negative(met.astype(np.uint16)), "u16x2")
        result: Array = np.negative(met.astype(TYPES[target]))
        return result

    return run


def select(a: Array, b: Array, p: Array) -> Array:
    """selp: a where the predicate holds, else b."""
    if p.size == 1 or a.dtype.itemsize != 4:
        return np.where(p, a, b)
    bits = np.dtype(np.int32)  # without branches, which cost most where p is random
    other = b.view(bits)
    chosen: Array = ((a.view(bits) ^ other) & np.negative(p.astype(bits))) ^ other
    return chosen.view(a.dtype)


def select_by_sign(form: Form) -> Function:
    """slct: a where c >= 0, else (also if c is NaN) b."""
    if "ftz" in form:
        return lambda a, b, c: np.where(flush(c) >= 0, a, b)
    return lambda a, b, c: np.where(c >= 0, a, b)


def has_property(form: Form) -> Function:
    """testp: whether a number is finite, infinite, NaN, normal or subnormal."""
    return PROPERTIES[form.among(PROPERTIES)]
