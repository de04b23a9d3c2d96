"""Rows for NVIDIA's mathematical library: functions of real numbers, single and double.

`ulps` are the largest errors that NVIDIA states (CUDA C++ Programming Guide, Mathematical
Functions), single and double, and one more for the reference, which rounds too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numba.cuda import libdevice

from tests.simulate import references
from tests.simulate.packs import Function

ALL = (-30.5, -7.0, -2.5, -1.25, -1.0, -0.6, -0.1, -1e-3, 0.0, 1e-6, 0.3, 0.75, 1.0, 1.5, 3.3, 12.0)
POSITIVE = (1e-30, 1e-6, 0.01, 0.3, 0.7, 0.99, 1.0, 1.01, 1.5, 2.0, 2.718, 3.3, 10.0, 123.4, 5e8)
UNIT = (-1.0, -0.99, -0.75, -0.5, -0.3, -1e-2, -1e-6, 0.0, 1e-4, 0.2, 0.5, 0.51, 0.8, 0.999, 1.0)
INSIDE = tuple(value for value in UNIT if abs(value) < 1)
LOW = (-20.5, -8.0, -3.3, -1.0, -0.5, -1e-3, 0.0, 1e-5, 0.1, 0.7, 1.0, 2.2, 4.0, 7.7, 20.0)
WIDE = (*ALL, 1e4, -123456.0, 3e6, 1e-30)  # angles that must be reduced
CHANCE = (1e-10, 1e-4, 0.01, 0.1, 0.3, 0.5, 0.500001, 0.6, 0.9, 0.99, 0.9999)
HALVES = (-2.5, -1.5, -0.5, -0.3, 0.0, 0.4, 0.5, 0.6, 1.5, 2.5, 7.49, 1e6, -12345.5, 1e10)
ORDERS = (0, 1, 2, 3, 5, 2, 4, 3)
INFINITE = (math.inf, -math.inf, math.nan)

Reference = Callable[..., Any]
# name: (definition, values, ulps single, ulps double); single has an f at its name's end
UNARY: dict[str, tuple[Reference, tuple[float, ...], float, float]] = {
    "acos": (math.acos, UNIT, 2, 2),
    "acosh": (math.acosh, (1.0, 1.0001, 1.5, 2.0, 9.5, 1e9), 4, 3),
    "asin": (math.asin, UNIT, 2, 2),
    "asinh": (math.asinh, ALL, 3, 3),
    "atan": (math.atan, (*ALL, math.inf), 2, 2),
    "atanh": (math.atanh, INSIDE, 3, 2),
    "cbrt": (np.cbrt, ALL, 1, 1),
    "ceil": (lambda x: float(np.ceil(x)), (*HALVES, *INFINITE), 0, 0),
    "cos": (math.cos, WIDE, 2, 2),
    "cosh": (math.cosh, ALL, 2, 2),
    "cospi": (references.cos_of_pi, HALVES, 1, 2),
    "erf": (math.erf, (*ALL, math.inf), 2, 2),
    "erfc": (math.erfc, (*LOW[:-1], 9.0), 4, 5),
    "erfcinv": (references.inverse_erfc, (1e-10, 1e-3, 0.1, 0.5, 0.9, 1.0, 1.2, 1.7, 1.999), 4, 6),
    "erfcx": (references.scaled_erfc, (-3.0, -1.0, 0.0, 0.1, 0.9, 2.0, 4.5, 6.0, 30.0), 4, 4),
    "erfinv": (references.inverse_erf, INSIDE, 2, 5),
    "exp": (math.exp, (*LOW, *INFINITE), 2, 1),
    "exp10": (lambda x: float(np.power(10.0, x)), LOW, 2, 1),
    "exp2": (np.exp2, LOW, 2, 1),
    "expm1": (math.expm1, LOW, 1, 1),
    "fabs": (abs, (*ALL, -math.inf), 0, 0),
    "floor": (lambda x: float(np.floor(x)), (*HALVES, *INFINITE), 0, 0),
    "j0": (lambda x: references.bessel_j(0, x), POSITIVE[:-2], 9, 7),
    "j1": (lambda x: references.bessel_j(1, x), POSITIVE[:-2], 9, 7),
    "lgamma": (
        references.log_gamma,
        (0.1, 0.9, 1.0, 1.3, 2.0, 2.5, 4.0, 30.0, 1e5, -0.5, -1.7),
        6,
        4,
    ),
    "log": (math.log, (*POSITIVE, math.inf), 1, 1),
    "log10": (math.log10, POSITIVE, 2, 1),
    "log1p": (math.log1p, (-0.9, -0.5, -1e-4, 0.0, 1e-10, 1e-3, 0.3, 1.0, 7.0, 1e9), 1, 1),
    "log2": (math.log2, POSITIVE, 1, 1),
    "logb": (lambda x: float(math.frexp(x)[1] - 1), (*POSITIVE, -0.3, -1e5), 0, 0),
    "nearbyint": (lambda x: float(np.rint(x)), HALVES, 0, 0),
    "normcdf": (lambda x: 0.5 * math.erfc(-x / math.sqrt(2)), LOW[2:-1], 5, 5),
    "normcdfinv": (references.inverse_normal, CHANCE, 5, 8),
    "rcbrt": (lambda x: 1 / np.cbrt(x), (-30.5, -1.0, -1e-3, 0.2, 0.7, 1.0, 8.0, 1e9), 1, 1),
    "rint": (lambda x: float(np.rint(x)), HALVES, 0, 0),
    "round": (references.half_away, HALVES, 0, 0),
    "rsqrt": (lambda x: 1 / math.sqrt(x), POSITIVE, 2, 1),
    "sin": (math.sin, WIDE, 2, 2),
    "sinh": (math.sinh, ALL, 3, 2),
    "sinpi": (references.sin_of_pi, (-0.7, -0.3, 0.2, 0.5, 6.25, 3.0), 1, 2),
    "sqrt": (math.sqrt, POSITIVE, 0, 0),
    "tan": (math.tan, WIDE, 4, 2),
    "tanh": (math.tanh, (*ALL, math.inf), 2, 1),
    "tgamma": (math.gamma, (0.1, 0.9, 1.0, 1.3, 2.0, 4.5, 10.0, 20.5, -0.5, -1.7), 11, 10),
    "trunc": (lambda x: float(np.trunc(x)), HALVES, 0, 0),
    "y0": (lambda x: references.bessel_y(0, x), POSITIVE[2:-2], 9, 7),
    "y1": (lambda x: references.bessel_y(1, x), POSITIVE[2:-2], 9, 7),
}
PAIRS = ((1.5, -0.7), (-2.25, 3.5), (0.0, 1.0), (7.9, 2.0), (-8.5, -1.5), (1e5, 0.3), (0.4, 0.4))
POWERS = ((1.5, -0.7), (2.25, 3.5), (0.0, 1.0), (7.9, 2.0), (-8.5, -3.0), (1e5, 0.3), (0.4, 20.0))
BINARY: dict[str, tuple[Reference, tuple[tuple[float, float], ...], float, float]] = {
    "atan2": (math.atan2, PAIRS, 3, 2),
    "copysign": (math.copysign, (*PAIRS, (3.0, -0.0)), 0, 0),
    "fdim": (lambda x, y: max(x - y, 0.0), ((3.5, 1.25), (1.0, 2.0), (-0.5, -3.0)), 0, 0),
    "fmax": (max, (*PAIRS, (math.inf, 1.0)), 0, 0),
    "fmin": (min, (*PAIRS, (math.inf, 1.0)), 0, 0),
    "fmod": (math.fmod, PAIRS, 0, 0),
    "hypot": (math.hypot, PAIRS, 3, 2),
    "pow": (math.pow, POWERS, 9, 2),
    "remainder": (math.remainder, PAIRS, 0, 0),
}
SCALED = ((1.5, -3), (-2.25, 7), (0.0, 1), (7.9, 2), (-8.5, -1), (1e5, 5), (0.4, -20))
INTEGER_SECOND: dict[str, tuple[Reference, float, float]] = {
    "ldexp": (math.ldexp, 0, 0),
    "scalbn": (math.ldexp, 0, 0),
    "powi": (lambda x, n: math.pow(x, n) if x or n > 0 else math.inf, 16, 64),
}


def singles_and_doubles() -> Iterator[tuple[str, Any, int]]:
    """The end of a name, the dtype, and where its ulps stand in a row."""
    yield "f", np.float32, -2
    yield "", np.float64, -1


def _relative(name: str, dtype: Any) -> float:
    """What is stated as an absolute error: near a zero of the function no digits are left."""
    if name[:2] in ("j0", "j1", "jn", "y0", "y1", "yn"):
        return 3e-6 if dtype is np.float32 else 2e-12
    return 0.0


def _rows() -> Iterator[Function]:
    for suffix, dtype, which in singles_and_doubles():
        for name, row in UNARY.items():
            reference, values, ulps = row[0], np.array(row[1], dtype), row[which]
            absolute = _relative(name, dtype)
            call = getattr(libdevice, name + suffix)
            yield Function(
                name + suffix, call, [values], [dtype], reference, ulps + (ulps > 0), absolute
            )
        for name, row in BINARY.items():
            values = np.array(row[1], dtype).T.copy()
            call, ulps = getattr(libdevice, name + suffix), row[which]
            yield Function(name + suffix, call, [*values], [dtype], row[0], ulps + (ulps > 0))
        for name, row in INTEGER_SECOND.items():
            x, n = (list(column) for column in zip(*SCALED, strict=True))
            call, ulps = getattr(libdevice, name + suffix), row[which]
            arrays = [np.array(x, dtype), np.array(n, np.int32)]
            yield Function(name + suffix, call, arrays, [dtype], row[0], ulps + (ulps > 0))
        for name, reference in (("jn", references.bessel_j), ("yn", references.bessel_y)):
            arrays = [np.array(ORDERS, np.int32), np.array((0.5, 1, 2, 4, 9, 3.3, 7, 20), dtype)]
            call = getattr(libdevice, name + suffix)
            yield Function(
                name + suffix, call, arrays, [dtype], reference, 20, _relative(name, dtype)
            )


ROWS = list(_rows())
