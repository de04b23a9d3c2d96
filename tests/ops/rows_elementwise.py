"""Rows of ops/arithmetic, ops/elementary, ops/comparison, ops/special and ops/activation."""

from __future__ import annotations

import math

import numpy as np

import gpugrad as gg
from tests.ops.case import Case, binary, integers, unary

erf = np.vectorize(math.erf, otypes=[np.float64])
MASK = np.arange(12).reshape(3, 4) % 3 == 0
INTS = np.array([[3], [-2], [1]])


def sigmoid(x):
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), 1 - 1 / (1 + np.exp(-np.abs(x))))


def tanh_gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


ARITHMETIC = [
    *binary("add", np.add),
    *binary("subtract", np.subtract),
    *binary("multiply", np.multiply),
    *binary("divide", np.divide, high=(2.0, 3.0), low=(-2.0, 0.5)),
    Case("divide", lambda x: 2 / x, lambda x: 2 / x, low=-2.0, high=-0.5, label="of a number"),
    Case("divide", lambda x: x / 4, lambda x: x / 4, label="by a number"),
    *binary("floor_divide", np.floor_divide, low=(-5.0, 0.7), high=(5.0, 1.9)),
    *binary("remainder", np.remainder, low=(-5.0, 0.7), high=(5.0, 1.9)),
    *binary("pow", np.power, low=(0.3, -2.0), high=(2.0, 3.0)),
    Case("pow", lambda x: x**3, lambda x: x * x * x, label="cube", empty=((0, 3),)),
    Case("pow", lambda x: gg.pow(x, -2), lambda x: 1 / (x * x), low=0.5, label="inverse square"),
    # C's pow(-inf, 0.5) is inf where the square root is NaN, and NumPy takes one or the other.
    Case("pow", lambda x: x**0.5, np.sqrt, low=0.2, high=3.0, label="root", special=False),
    Case("pow", lambda x: gg.pow(x, 0), np.ones_like, label="zeroth"),
    Case("pow", lambda x: gg.pow(x, 1), np.positive, label="first"),
    Case("pow", lambda x: 2**x, np.exp2, label="of a number"),
    Case("pow", lambda x: gg.pow(0.5, x), lambda x: np.exp2(-x), label="of a fraction"),
    Case("pow", lambda x: x**INTS, lambda x: x ** INTS.astype(x.dtype), low=0.4,
         label="integer tensor"),
    *binary("hypot", np.hypot),
    *binary("maximum", np.maximum),
    *binary("minimum", np.minimum),
    *binary("atan2", np.arctan2),
    *binary("logaddexp", np.logaddexp),
    unary("negative", np.negative),
    unary("positive", np.positive),
    unary("abs", np.abs),
    unary("sign", np.sign),
    unary("square", np.square),
    unary("sqrt", np.sqrt, 0.2, 3.0),
    unary("reciprocal", np.reciprocal, 0.4, 3.0),
    unary("clip", lambda x: np.clip(x, -1, 0.5), call=lambda x: gg.clip(x, -1, 0.5)),
    unary("clip", lambda x: np.maximum(x, 0.25), call=lambda x: gg.clip(x, 0.25), label="below"),
    unary("clip", lambda x: np.minimum(x, 0.25), call=lambda x: gg.clip(x, max=0.25),
          label="above"),
    unary("clip", np.positive, call=gg.clip, label="nothing"),
    Case("clip", gg.clip, np.clip, ((3, 4), (4,), (3, 1)), low=(-3.0, -1.0, 0.5),
         high=(3.0, -0.5, 1.0), label="tensors", empty=((0, 3), (3,), (1, 1))),
    Case("clip", gg.clip, np.clip, ((3, 4), (4,), (3, 1)), low=(-3.0, 0.5, -1.0),
         high=(3.0, 1.0, 0.0), label="limits crossed"),
    Case("where", lambda a, b: gg.where(MASK, a, b), lambda a, b: np.where(MASK, a, b),
         ((3, 4), (3, 4))),
    Case("where", lambda a, b: gg.where(MASK, a, b), lambda a, b: np.where(MASK, a, b),
         ((4,), (3, 1)), label="broadcast"),
    Case("where", lambda a: gg.where(MASK[0], a, 0.5), lambda a: np.where(MASK[0], a, 0.5),
         empty=((0, 4),), label="number"),
    Case("where", lambda a: gg.where(a > 0, a, -3 * a), lambda a: np.where(a > 0, a, -3 * a),
         label="own condition", empty=((0,),)),
    *binary("chain", np.multiply, low=0.3, special=False),  # 0 * inf is 0 here: test_kinks.py
    Case("chain", lambda g: gg.chain(g, 3), lambda g: g * 3, label="number", empty=((0, 3),)),
]  # fmt: skip

ELEMENTARY = [
    unary("exp", np.exp),
    unary("exp2", np.exp2),
    unary("expm1", np.expm1),
    unary("log", np.log, 0.3, 3.0),
    unary("log1p", np.log1p, -0.6, 3.0),
    unary("log2", np.log2, 0.3, 3.0),
    unary("log10", np.log10, 0.3, 3.0),
    unary("sin", np.sin),
    unary("cos", np.cos),
    unary("tan", np.tan, -1.1, 1.1),
    unary("asin", np.arcsin, -0.8, 0.8),
    unary("acos", np.arccos, -0.8, 0.8),
    unary("atan", np.arctan),
    unary("sinh", np.sinh),
    unary("cosh", np.cosh),
    unary("tanh", np.tanh),
    unary("asinh", np.arcsinh),
    unary("acosh", np.arccosh, 1.5, 4.0),
    unary("atanh", np.arctanh, -0.7, 0.7),
    unary("erf", erf),
    unary("erf", erf, -7.0, 7.0, label="far"),
]

COMPARISON = [
    case
    for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
                 "logical_and", "logical_or", "logical_xor")
    for case in [
        *binary(name, getattr(np, name), result="bool"),
        integers(name, getattr(np, name), 2, result="bool", label="integers"),
    ]
] + [
    unary("logical_not", np.logical_not, result="bool"),
    unary("isnan", np.isnan, result="bool"),
    unary("isinf", np.isinf, result="bool"),
    unary("isfinite", np.isfinite, result="bool"),
    unary("signbit", np.signbit, result="bool"),
    integers("bitwise_and", np.bitwise_and, 2),
    integers("bitwise_or", np.bitwise_or, 2),
    integers("bitwise_xor", np.bitwise_xor, 2),
    integers("bitwise_invert", np.invert, 1),
    unary("floor", np.floor),
    unary("ceil", np.ceil),
    unary("trunc", np.trunc),
    unary("round", np.rint),
    unary("round", lambda x: np.round(x, 1), call=lambda x: gg.round(x, 1), label="decimals"),
]  # fmt: skip

ACTIVATION = [
    unary("relu", lambda x: np.maximum(x, 0)),
    unary("leaky_relu", lambda x: np.maximum(x, 0) + 0.01 * np.minimum(x, 0)),
    unary("leaky_relu", lambda x: np.maximum(x, 0) + 0.3 * np.minimum(x, 0),
          call=lambda x: gg.leaky_relu(x, 0.3), label="slope"),
    unary("elu", lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    unary("elu", lambda x: np.where(x > 0, x, 1.7 * np.expm1(np.minimum(x, 0))),
          call=lambda x: gg.elu(x, alpha=1.7), label="alpha"),
    unary("sigmoid", sigmoid, -5.0, 5.0),
    unary("log_sigmoid", lambda x: -np.logaddexp(0, -x), -5.0, 5.0),
    unary("softplus", lambda x: np.logaddexp(0, x), -5.0, 5.0),
    unary("softplus", lambda x: np.where(2 * x > 3, x, np.logaddexp(0, 2 * x) / 2), -4.0, 4.0,
          call=lambda x: gg.softplus(x, beta=2, threshold=3), label="threshold"),
    unary("gelu", lambda x: x * 0.5 * (1 + erf(x / np.sqrt(2))), -4.0, 4.0),
    unary("gelu", tanh_gelu, -4.0, 4.0, call=lambda x: gg.gelu(x, approximate="tanh"),
          label="tanh"),
    unary("silu", lambda x: x * sigmoid(x), -4.0, 4.0),
]  # fmt: skip

ROWS = [*ARITHMETIC, *ELEMENTARY, *COMPARISON, *ACTIVATION]
