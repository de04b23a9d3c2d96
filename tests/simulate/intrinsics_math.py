"""Rows for Python's `math` inside kernels: the functions of the library, by another name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.simulate import libdevice
from tests.simulate.packs import Function

OTHER_NAMES = {"gamma": "tgamma"}
UNARY = (
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "erf", "erfc", "exp",
    "expm1", "fabs", "gamma", "lgamma", "log", "log10", "log1p", "log2", "sin", "sinh", "sqrt",
    "tan", "tanh",
)  # fmt: skip
BINARY = ("atan2", "copysign", "fmod", "hypot", "pow", "remainder")
ROUNDING = ("ceil", "floor", "trunc")
TESTS = ("isfinite", "isinf", "isnan")


def _rows() -> Iterator[Function]:
    for dtype, which in ((np.float32, -2), (np.float64, -1)):

        def row(name: str, columns: Any, result: Any, reference: Any, ulps: float, dtype=dtype):
            label = f"math.{name} {np.dtype(dtype)}"
            arrays = [np.array(column, dtype) for column in columns]
            return Function(label, getattr(math, name), arrays, [result], reference, ulps)

        for name in UNARY:
            reference, values, *ulps = libdevice.UNARY[OTHER_NAMES.get(name, name)]
            stated = ulps[which]
            yield row(name, [values], dtype, reference, stated + (stated > 0))
        for name in BINARY:
            reference, pairs, *ulps = libdevice.BINARY[name]
            stated = ulps[which]
            yield row(name, zip(*pairs, strict=True), dtype, reference, stated + (stated > 0))
        for name in ROUNDING:
            yield row(name, [libdevice.HALVES], np.int64, getattr(math, name), 0)
        for name in TESTS:
            yield row(name, [(0.0, 1.5, *libdevice.INFINITE)], np.bool_, getattr(math, name), 0)


ROWS = list(_rows())
