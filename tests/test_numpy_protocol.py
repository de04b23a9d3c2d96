"""NumPy's functions on tensors are recorded, or refused with what to write instead."""

from __future__ import annotations

import operator
import re
import warnings

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import GradError, NumpyFunctionError

X = np.array([[0.52, 1.43, 0.27], [0.74, 0.13, 0.91]])
Y = np.array([0.6, 2.1, 1.05])


def leaf(values=X):
    return gg.tensor(values, requires_grad=True)


def one(name):
    return getattr(np, name)


def two(name):
    return lambda x: getattr(np, name)(x, Y)


RECORDED = {
    # ufuncs
    **{name: one(name) for name in (
        "sin", "cos", "tan", "exp", "log", "log1p", "expm1", "sqrt", "square", "abs", "absolute",
        "tanh", "sinh", "cosh", "arcsinh", "arctan", "negative", "positive", "reciprocal", "exp2",
        "log2", "log10", "sign", "floor", "ceil", "trunc", "rint", "fabs")},
    "arcsin": lambda x: np.arcsin(x / 2),
    "arccos": lambda x: np.arccos(x / 2),
    "arctanh": lambda x: np.arctanh(x / 2),
    "arccosh": lambda x: np.arccosh(x + 1),
    "add": lambda x: np.add(x, Y),
    "add on the right": lambda x: np.add(Y, x),
    "subtract": lambda x: np.subtract(Y, x),
    "multiply": lambda x: np.multiply(x, 3.0),
    "divide": lambda x: np.divide(Y, x),
    "true_divide": lambda x: np.true_divide(x, Y),
    "power": lambda x: np.power(x, Y),
    "float_power": lambda x: np.float_power(x, 2.0),
    "maximum": lambda x: np.maximum(x, Y),
    "minimum": lambda x: np.minimum(Y, x),
    "hypot": lambda x: np.hypot(x, Y),
    "arctan2": lambda x: np.arctan2(x, Y),
    "logaddexp": lambda x: np.logaddexp(x, Y),
    "remainder": lambda x: np.remainder(x, Y),
    "mod": lambda x: np.mod(x, Y),
    "floor_divide": lambda x: np.floor_divide(x, Y),
    "matmul": lambda x: np.matmul(x, Y),
    "matmul on the right": lambda x: np.matmul(np.ones((4, 2)), x),
    # functions
    "sum": lambda x: np.sum(x, axis=0),
    "sum of all": np.sum,
    "sum kept": lambda x: np.sum(x, axis=1, keepdims=True),
    "mean": lambda x: np.mean(x, axis=1),
    "prod": lambda x: np.prod(x, axis=0),
    "max": lambda x: np.max(x, axis=1),
    "amax": lambda x: np.amax(x),
    "min": lambda x: np.min(x),
    "amin": lambda x: np.amin(x, axis=0),
    "var": lambda x: np.var(x, axis=0),
    "var with ddof": lambda x: np.var(x, axis=0, ddof=1),
    "std": lambda x: np.std(x, axis=1),
    "cumsum": lambda x: np.cumsum(x, axis=1),
    "concatenate": lambda x: np.concatenate([x, x], axis=1),
    "concatenate with an array": lambda x: np.concatenate([X, x]),
    "stack": lambda x: np.stack([x, X], axis=1),
    "reshape": lambda x: np.reshape(x, (3, 2)),
    "ravel": np.ravel,
    "transpose": np.transpose,
    "transpose by axes": lambda x: np.transpose(x, (1, 0)),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "moveaxis": lambda x: np.moveaxis(x, 0, 1),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "squeeze": lambda x: np.squeeze(x[:1]),
    "broadcast_to": lambda x: np.broadcast_to(x, (4, 2, 3)),
    "flip": lambda x: np.flip(x, axis=1),
    "roll": lambda x: np.roll(x, 1, axis=0),
    "repeat": lambda x: np.repeat(x, 2, axis=0),
    "tile": lambda x: np.tile(x, (2, 1)),
    "clip": lambda x: np.clip(x, 0.2, 0.8),
    "where": lambda x: np.where(X > 0.5, x, 0.0),
    "where on the right": lambda x: np.where(X > 0.5, 0.0, x),
    "take": lambda x: np.take(x, np.array([0, 2]), axis=1),
    "take_along_axis": lambda x: np.take_along_axis(x, np.array([[1], [0]]), axis=1),
    "dot": lambda x: np.dot(x, Y),
    "outer": lambda x: np.outer(x[0], Y),
    "einsum": lambda x: np.einsum("ij,j->i", x, Y),
    "tril": np.tril,
    "triu": lambda x: np.triu(x, 1),
    "round": np.round,
    "around": lambda x: np.around(x, 1),
    # operators, with the array on the left
    "array + t": lambda x: X + x,
    "array - t": lambda x: Y - x,
    "array * t": lambda x: X * x,
    "array / t": lambda x: Y / x,
    "array ** t": lambda x: Y**x,
    "array @ t": lambda x: X.T @ x,
    "scalar + t": lambda x: np.float64(2.0) + x,
    "scalar * t": lambda x: np.float64(2.0) * x,
    "t + array": lambda x: x + X,
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_a_numpy_function_returns_a_recorded_tensor(name):
    f = RECORDED[name]
    x = leaf()
    y = f(x)
    assert isinstance(y, gg.Tensor)
    assert y.requires_grad
    expected = f(X)
    assert y.shape == np.shape(expected)
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-14)
    gg.check_grad(f, X)


@pytest.mark.parametrize("name", RECORDED)
def test_a_constant_tensor_stays_a_constant_tensor(name):
    y = RECORDED[name](gg.tensor(X))
    assert isinstance(y, gg.Tensor)
    assert not y.requires_grad


NOT_DIFFERENTIABLE = {
    **{name: two(name) for name in (
        "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and",
        "logical_or", "logical_xor")},
    **{name: one(name) for name in (
        "isnan", "isinf", "isfinite", "signbit", "logical_not", "argmax", "argmin", "all", "any")},
    "array == t": lambda x: operator.eq(X, x),
    "array < t": lambda x: operator.lt(X, x),
    "ones_like": lambda x: np.ones_like(x),
    "zeros_like": lambda x: np.zeros_like(x),
    "full_like": lambda x: np.full_like(x, 2.0),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_DIFFERENTIABLE)
def test_functions_without_a_gradient(name):
    f = NOT_DIFFERENTIABLE[name]
    y = f(leaf())
    assert isinstance(y, gg.Tensor)
    assert not y.requires_grad
    np.testing.assert_array_equal(y.numpy(), f(X), strict=True)


def test_bit_operations_on_integers():
    a = np.array([6, 3])
    for f in (np.bitwise_and, np.bitwise_or, np.bitwise_xor):
        np.testing.assert_array_equal(f(gg.tensor(a), a[::-1]).numpy(), f(a, a[::-1]))
    np.testing.assert_array_equal(np.invert(gg.tensor(a)).numpy(), ~a)


def test_shape_size_and_ndim_are_numbers():
    x = leaf()
    assert np.shape(x) == (2, 3)
    assert np.ndim(x) == 2
    assert np.size(x) == 6


REFUSED = {
    "linalg.svd": np.linalg.svd,
    "linalg.inv": lambda x: np.linalg.inv(x[:, :2]),
    "linalg.norm": np.linalg.norm,
    "fft.fft": np.fft.fft,
    "median": np.median,
    "sort": np.sort,
    "argsort": np.argsort,
    "percentile": lambda x: np.percentile(x, 50),
    "unique": np.unique,
    "nansum": np.nansum,
    "convolve": lambda x: np.convolve(x[0], Y),
    "interp": lambda x: np.interp(x, Y, Y),
    "cross": lambda x: np.cross(x, Y),
    "kron": lambda x: np.kron(x, x),
    "gradient": np.gradient,
    "save-like copy": np.copy,
    "allclose": lambda x: np.allclose(x, X),
    "array_equal": lambda x: np.array_equal(x, X),
    "histogram": np.histogram,
    "add.reduce": np.add.reduce,
    "add.accumulate": np.add.accumulate,
    "multiply.outer": lambda x: np.multiply.outer(x, Y),
    "maximum.reduce": np.maximum.reduce,
    "add.at": lambda x: np.add.at(x, 0, 1.0),
    "add.at on an array": lambda x: np.add.at(np.ones((2, 3)), 0, x[0]),
    "ldexp": lambda x: np.ldexp(x, 2),
    "copysign": lambda x: np.copysign(x, Y),
    "cbrt": np.cbrt,
    "modf": np.modf,
    "heaviside": lambda x: np.heaviside(x, 0.5),
    "out of a ufunc": lambda x: np.add(x, 1.0, out=np.zeros((2, 3))),
    "out positional": lambda x: np.add(x, 1.0, np.zeros((2, 3))),
    "out of a function": lambda x: np.sum(x, out=np.zeros(())),
    "out is the tensor": lambda x: np.add(X, 1.0, out=x),
    "where of a ufunc": lambda x: np.add(x, 1.0, where=X > 0),
    "where of a function": lambda x: np.sum(x, where=X > 0),
    "initial": lambda x: np.sum(x, initial=5.0),
    "in place on an array": lambda x: np.ones((2, 3)).__iadd__(x),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("make", [leaf, lambda: leaf() * 2], ids=["leaf", "recorded"])
def test_what_is_not_recorded_raises_and_says_what_to_write(name, make):
    with pytest.raises(NumpyFunctionError) as e:
        REFUSED[name](make())
    message = str(e.value)
    assert "\n  help: " in message
    assert re.search(r"gg\.|\.detach\(\)", message)


@pytest.mark.parametrize(
    ("call", "spelling"),
    [
        (np.add.reduce, "gg.sum"), (np.multiply.reduce, "gg.prod"), (np.maximum.reduce, "gg.max"),
        (np.minimum.reduce, "gg.min"),
    ],
)  # fmt: skip
def test_gpugrads_own_spelling_is_named(call, spelling):
    with pytest.raises(NumpyFunctionError, match=re.escape(spelling)):
        call(leaf())


@pytest.mark.parametrize("name", ["median", "linalg.svd", "fft.fft", "cbrt", "add.reduce"])
def test_the_function_is_named_as_the_user_wrote_it(name):
    with pytest.raises(NumpyFunctionError, match=re.escape(f"np.{name}")):
        REFUSED[name](leaf())


def test_no_gradient_is_ever_dropped_silently():
    """Every public function of NumPy with one array argument: a recorded tensor, or an error."""
    dropped = []
    for module in (np, np.linalg, np.fft):
        for name in sorted(dir(module)):
            function = getattr(module, name)
            if name.startswith("_") or isinstance(function, type) or not callable(function):
                continue
            if name in SAFE:
                continue
            try:
                with np.errstate(all="ignore"), warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    y = function(leaf())
            except (GradError, TypeError, ValueError, AttributeError, OSError):
                continue
            if not (isinstance(y, gg.Tensor) and (y.requires_grad or name in CONSTANT)):
                dropped.append(f"{module.__name__}.{name}: {y!r}")
    assert dropped == []


# Functions whose result is no array of the elements, or that ask nothing of an argument.
SAFE = {
    "shape", "ndim", "size", "isscalar", "iterable", "result_type", "min_scalar_type", "info",
    "can_cast", "may_share_memory", "shares_memory", "byte_bounds", "who", "source", "lookfor",
    "array_repr", "array_str", "array2string", "typename", "isfortran", "iscomplexobj",
    "isrealobj", "test", "deprecate", "get_include", "show_config", "show_runtime", "getbufsize",
    "setbufsize", "seterr", "seterrcall", "geterr", "geterrcall", "safe_eval", "disp", "save",
    "savetxt", "savez", "set_printoptions", "get_printoptions", "broadcast_shapes", "issubdtype",
    "printoptions",
    "einsum_path", "common_type", "mintypecode", "asmatrix", "require", "bmat", "bartlett",
    "isdtype", "fromregex", "loadtxt", "genfromtxt", "load", "fromfile",
}  # fmt: skip
CONSTANT = {
    "isnan", "isinf", "isfinite", "signbit", "logical_not", "argmax", "argmin", "all", "any",
    "ones_like", "zeros_like", "empty_like", "full_like", "invert", "bitwise_not",
    "bitwise_invert",
}  # fmt: skip
