"""Kinks, ties and zeros: no NaN from the branch not taken, at first and second order.

Where the cotangent is exactly 0 the product with an infinite or undefined partial is 0; where the
partial is finite nothing is masked. At kinks and ties the values are PyTorch's.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import gpugrad as gg

INF, NAN = np.inf, np.nan


def first_and_second(f, x):
    """The gradient of sum(f), the gradient of its sum by both ways of nesting, and the slope."""
    x = np.asarray(x, dtype=np.float64)

    def total(x):
        return f(x).sum()

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        g = gg.grad(total)(x)
        h = gg.grad(lambda x: gg.grad(total)(x).sum())(x)
        p = gg.hvp(total, x, np.ones_like(x))
        v = gg.jvp(total, (x,), (np.ones_like(x),))[1].item()
    return g, h, p, v


def branch(condition, taken, other):
    return lambda x: gg.where(condition(x), taken(x), other)


# f, x, first derivative, second derivative
CASES = {
    # the branch not taken
    "where sqrt": (branch(lambda x: x > 0, gg.sqrt, 0.0), [0.0, 4.0], [0.0, 0.25],
                   [0.0, -0.25 * 4.0**-1.5]),
    "where sqrt negative": (branch(lambda x: x > 0, gg.sqrt, 0.0), [-1.0, 4.0], [0.0, 0.25],
                            [0.0, -1 / 32]),
    "where log": (branch(lambda x: x > 0, gg.log, 0.0), [0.0, -2.0, 2.0], [0.0, 0.0, 0.5],
                  [0.0, 0.0, -0.25]),
    "where reciprocal": (branch(lambda x: x != 0, lambda x: 1 / x, 0.0), [0.0, 2.0], [0.0, -0.25],
                         [0.0, 0.25]),
    "where quotient": (branch(lambda x: x != 0, lambda x: gg.sin(x) / x, 1.0), [0.0, np.pi],
                       [0.0, -1 / np.pi], [0.0, 2 / np.pi**2]),
    "where power": (branch(lambda x: x > 0, lambda x: x**0.5, 0.0), [0.0, 4.0], [0.0, 0.25],
                    [0.0, -1 / 32]),
    "where power of itself": (branch(lambda x: x > 0, lambda x: x**x, 0.0), [0.0, 1.0], [0.0, 1.0],
                              [0.0, 2.0]),
    "where exp": (branch(lambda x: x < 100, gg.exp, 0.0), [1000.0, 0.0], [0.0, 1.0], [0.0, 1.0]),
    "where asin": (branch(lambda x: x < 1, gg.asin, 0.0), [1.0, 0.0, 2.0], [0.0, 1.0, 0.0],
                   [0.0, 0.0, 0.0]),
    "where acos": (branch(lambda x: x < 1, gg.acos, 0.0), [1.0, 0.0, 2.0], [0.0, -1.0, 0.0],
                   [0.0, 0.0, 0.0]),
    "where acosh": (branch(lambda x: x > 1, gg.acosh, 0.0), [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]),
    "where atanh": (branch(lambda x: x < 1, gg.atanh, 0.0), [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]),
    "where log1p": (branch(lambda x: x > -1, gg.log1p, 0.0), [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]),
    "where log2": (branch(lambda x: x > 0, gg.log2, 0.0), [0.0], [0.0], [0.0]),
    "where log10": (branch(lambda x: x > 0, gg.log10, 0.0), [0.0], [0.0], [0.0]),
    "where tan": (branch(lambda x: x < 1, gg.tan, 0.0), [INF, 0.0], [0.0, 1.0], [0.0, 0.0]),
    "where logaddexp": (branch(lambda x: x < 9, lambda x: gg.logaddexp(x, 0.0), 0.0), [INF, 0.0],
                        [0.0, 0.5], [0.0, 0.25]),
    "where of where": (
        lambda x: gg.where(x > 0, gg.where(x > 1, gg.log(x - 1), gg.sqrt(x)), 0.0),
        [0.0, 1.0, 2.0], [0.0, 0.5, 1.0], [0.0, -0.25, -1.0]),
    "the other way round": (lambda x: gg.where(x <= 0, 0.0, gg.sqrt(x)), [0.0, 4.0], [0.0, 0.25],
                            [0.0, -1 / 32]),
    "times a mask": (lambda x: gg.sqrt(x) * gg.asarray(np.array([0.0, 1.0])), [0.0, 4.0],
                     [0.0, 0.25], [0.0, -1 / 32]),
    "chosen by index": (lambda x: gg.sqrt(x)[1:], [0.0, 4.0], [0.0, 0.25], [0.0, -1 / 32]),
    "chosen by maximum": (lambda x: gg.maximum(gg.sqrt(x), 1.0), [0.0, 4.0], [0.0, 0.25],
                          [0.0, -1 / 32]),
    "chosen by max": (lambda x: gg.max(gg.sqrt(x)), [0.0, 4.0], [0.0, 0.25], [0.0, -1 / 32]),
    "chosen by clip": (lambda x: gg.clip(gg.log(x), -1.0, 5.0), [0.0, 2.0], [0.0, 0.5],
                       [0.0, -0.25]),
    "chosen by relu": (lambda x: gg.relu(gg.log(x)), [0.0, 2.0], [0.0, 0.5], [0.0, -0.25]),
    "norm in a branch": (
        lambda x: gg.where((x != 0).any(), gg.sqrt((x * x).sum()), 0.0), [0.0, 0.0], [0.0, 0.0],
        [0.0, 0.0]),
    "norm of rows in a branch": (
        lambda x: gg.where((x != 0).any(axis=1), gg.sqrt((x * x).sum(axis=1)), 0.0),
        [[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0], [0.6, 0.8]], [[0.0, 0.0], [0.032, -0.024]]),
    "chosen by a fused relu": (
        lambda x: gg.linear(gg.log(x).reshape(-1, 1), np.ones((1, 1)), activation="relu"),
        [0.0, 2.0], [0.0, 0.5], [0.0, -0.25]),
    "step of an infinite slope": (lambda x: gg.sign(gg.log(x)), [0.0, 2.0], [0.0, 0.0],
                                  [0.0, 0.0]),
    # powers at 0
    "x**0": (lambda x: x**0, [0.0, 2.0], [0.0, 0.0], [0.0, 0.0]),
    "x**1": (lambda x: x**1, [0.0, 2.0], [1.0, 1.0], [0.0, 0.0]),
    "x**2": (lambda x: x**2, [0.0, 2.0], [0.0, 4.0], [2.0, 2.0]),
    "x**3": (lambda x: x**3, [0.0, 2.0], [0.0, 12.0], [0.0, 12.0]),
    "x**2.0": (lambda x: x**2.0, [0.0, -2.0], [0.0, -4.0], [2.0, 2.0]),
    "x**tensor": (lambda x: x ** gg.asarray(np.array([0.0, 1.0, 2.0])), [0.0, 0.0, 0.0],
                  [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]),
    "0**b": (lambda b: 0.0**b, [0.5, 1.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
    "0**0": (lambda b: 0.0**b, [0.0], [0.0], None),
    "zero tensor ** b": (lambda b: gg.zeros(2, "float64") ** b, [1.0, 2.0], [0.0, 0.0], [0.0, 0.0]),
    "negative base, whole exponent": (lambda x: x**3, [-2.0], [12.0], [-12.0]),
    # kinks, as PyTorch
    "abs": (gg.abs, [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]),
    "sign": (gg.sign, [-2.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
    "relu": (gg.relu, [-2.0, 0.0, -0.0, 2.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]),
    "leaky_relu": (gg.leaky_relu, [-2.0, 0.0, 2.0], [0.01, 0.01, 1.0], [0.0, 0.0, 0.0]),
    "elu": (lambda x: gg.elu(x, 2.0), [0.0, 1.0], [2.0, 1.0], [2.0, 0.0]),
    "softplus at its threshold": (lambda x: gg.softplus(x, 1.0, 0.0), [0.0, 1.0], [0.5, 1.0],
                                  [0.25, 0.0]),
    "clip at its limits": (lambda x: gg.clip(x, -1.0, 1.0), [-2.0, -1.0, 0.0, 1.0, 2.0],
                           [0.0, 1.0, 1.0, 1.0, 0.0], [0.0] * 5),
    "maximum tie": (lambda x: gg.maximum(x, 1.0), [0.0, 1.0, 2.0], [0.0, 0.5, 1.0], [0.0] * 3),
    "minimum tie": (lambda x: gg.minimum(x, 1.0), [0.0, 1.0, 2.0], [1.0, 0.5, 0.0], [0.0] * 3),
    "maximum of itself": (lambda x: gg.maximum(x, x), [1.0, 2.0], [1.0, 1.0], [0.0, 0.0]),
    "max ties": (gg.max, [1.0, 3.0, 3.0, 3.0], [0.0, 1 / 3, 1 / 3, 1 / 3], [0.0] * 4),
    "min ties": (gg.min, [1.0, 1.0, 3.0], [0.5, 0.5, 0.0], [0.0] * 3),
    "max ties by row": (lambda x: gg.max(x, axis=1), [[1.0, 1.0], [1.0, 2.0]],
                        [[0.5, 0.5], [0.0, 1.0]], [[0.0] * 2] * 2),
    "floor": (gg.floor, [0.0, 0.5, 1.0], [0.0] * 3, [0.0] * 3),
    "remainder": (lambda x: x % 2.0, [0.0, 1.0, 2.0, -1.0], [1.0] * 4, [0.0] * 4),
    "hypot at the origin": (lambda x: gg.hypot(x[0], x[1]), [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]),
    "hypot on an axis": (lambda x: gg.hypot(x[0], x[1]), [0.0, 2.0], [0.0, 1.0], [0.5, 0.0]),
    "atan2 at the origin": (lambda x: gg.atan2(x[0], x[1]), [0.0, 0.0], [0.0, 0.0], None),
    # spreads and products
    "std of a constant": (gg.std, [3.0, 3.0, 3.0], [0.0] * 3, [0.0] * 3),
    "std of a constant row": (lambda x: gg.std(x, axis=1), [[1.0, 1.0], [1.0, 3.0]],
                              [[0.0, 0.0], [-0.5, 0.5]], [[0.0] * 2] * 2),
    "std of one element": (gg.std, [3.0], [0.0], [0.0]),
    "var of a constant": (gg.var, [3.0, 3.0], [0.0] * 2, [0.0] * 2),
    "prod with a zero": (gg.prod, [0.0, 2.0, 3.0], [6.0, 0.0, 0.0], [5.0, 3.0, 2.0]),
    "prod with two zeros": (gg.prod, [0.0, 0.0, 3.0], [0.0] * 3, [3.0, 3.0, 0.0]),
    "logsumexp of -inf": (gg.logsumexp, [-INF, 0.0], [0.0, 1.0], [0.0, 0.0]),
    "logsumexp of -inf alone": (gg.logsumexp, [-INF, -INF], [0.0, 0.0], None),
    "softmax with -inf": (lambda x: gg.softmax(x)[1:], [-INF, 0.0, 0.0], [0.0] * 3, [0.0] * 3),
    "log_softmax with -inf": (lambda x: gg.log_softmax(x)[1], [-INF, 0.0, 0.0], [0.0, 0.5, -0.5],
                              [0.0] * 3),
    # where the partial is finite, curvature at a minimum is not masked
    "minimum of a square": (lambda x: 0.5 * (gg.sqrt(x) - 2) ** 2, [4.0], [0.0], [1 / 16]),
    "minimum of a square at 1": (lambda x: (gg.log(x)) ** 2, [1.0], [0.0], [2.0]),
    "minimum of a quartic": (lambda x: (x - 1) ** 4, [1.0], [0.0], [0.0]),
    "minimum by square": (lambda x: gg.square(gg.exp(x) - 1), [0.0], [0.0], [2.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_derivative(name):
    f, x, first, second = CASES[name]
    g, h, p, v = first_and_second(f, x)
    np.testing.assert_allclose(g, first, rtol=1e-14, atol=1e-15)
    assert v == pytest.approx(np.sum(first), abs=1e-14)
    if second is None:  # it is infinite, or depends on the direction
        return
    np.testing.assert_allclose(h, second, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(p, second, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (gg.sqrt, 0.0, INF), (gg.log, 0.0, INF), (lambda x: 1 / x, 0.0, -INF), (gg.asin, 1.0, INF),
        (gg.acos, 1.0, -INF), (lambda x: x**0.5, 0.0, INF), (gg.log1p, -1.0, INF),
        (gg.acosh, 1.0, INF), (gg.atanh, 1.0, INF), (gg.log, -1.0, -1.0),
        (lambda x: gg.sqrt(x) + x, 0.0, INF),
    ],
)  # fmt: skip
def test_an_infinite_slope_that_counts_is_infinite(f, x, slope):
    """Only a cotangent of exactly 0 hides it: the chain rule invents no finite number."""
    with np.errstate(all="ignore"):
        assert gg.grad(f)(x).item() == slope


@pytest.mark.parametrize("f", [gg.sqrt, gg.asin, gg.acosh, lambda x: gg.log(gg.sqrt(x))])
def test_a_slope_outside_the_domain_is_nan(f):
    with np.errstate(all="ignore"):
        assert np.isnan(gg.grad(f)(-4.0).item())


def test_the_derivatives_of_sums_of_exponentials_at_infinity():
    with np.errstate(invalid="ignore"):
        a, b = gg.grad(gg.logaddexp, (0, 1))(INF, 0.0)
        assert (np.isnan(a.item()), b.item()) == (True, 0.0)
        a, b = gg.grad(gg.logaddexp, (0, 1))(-INF, -INF)
        assert (a.item(), b.item()) == (0.0, 0.0)
        a, b = gg.grad(gg.logaddexp, (0, 1))(-INF, 3.0)
        assert (a.item(), b.item()) == (0.0, 1.0)
        g = gg.grad(gg.logsumexp)(np.array([INF, 0.0, -INF]))
        np.testing.assert_array_equal(g, [NAN, 0.0, 0.0])


def test_a_nan_value_gives_a_nan_gradient_where_it_counts():
    g = gg.grad(lambda x: (x * x).sum())(np.array([NAN, 1.0]))
    np.testing.assert_array_equal(g, [NAN, 2.0])
    g = gg.grad(lambda x: gg.maximum(x, 0.0).sum())(np.array([NAN, 1.0]))
    assert g[1] == 1.0


def test_clip_shares_nothing_at_its_limits():
    x, low, high = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.full(5, -1.0), np.full(5, 1.0)
    gx, glow, ghigh = gg.grad(lambda x, low, high: gg.clip(x, low, high).sum(), (0, 1, 2))(
        x, low, high
    )
    assert gx.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert glow.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert ghigh.tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_maximum_tie_of_two_tensors_shares_equally():
    a, b = gg.grad(lambda a, b: gg.maximum(a, b).sum(), (0, 1))(np.ones(2), np.array([1.0, 0.0]))
    assert a.tolist() == [0.5, 1.0]
    assert b.tolist() == [0.5, 0.0]


def test_pow_of_zero_by_its_exponent():
    a, b = np.zeros(3), np.array([0.0, 1.0, 2.0])
    ga, gb = gg.grad(lambda a, b: (a**b).sum(), (0, 1))(a, b)
    assert ga.tolist() == [0.0, 1.0, 0.0]
    assert gb.tolist() == [0.0, 0.0, 0.0]

    def hessian_sums(a, b):
        ga, gb = gg.grad(lambda a, b: (a**b).sum(), (0, 1))(a, b)
        return ga.sum() + gb.sum()

    haa, hbb = gg.grad(hessian_sums, (0, 1))(a, b)
    assert not np.isnan(haa).any()
    assert not np.isnan(hbb).any()


def test_a_masked_row_that_is_nan_leaves_the_others_gradient_right():
    x = np.array([[1.0, 2.0], [NAN, 1.0]])

    def loss(w):
        each = gg.asarray(x) * w
        return gg.where(gg.isnan(each), 0.0, each**2).sum()

    g, h, p, _ = first_and_second(loss, [1.0, -1.0])
    np.testing.assert_allclose(g, [2.0, -10.0])
    np.testing.assert_allclose(h, [2.0, 10.0])
    np.testing.assert_allclose(p, [2.0, 10.0])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_chain_rules_product(dtype):
    cotangent = gg.tensor([0.0, 0.0, -0.0, 1.0, NAN, 0.0, 2.0], dtype=dtype)
    partial = gg.tensor([INF, NAN, -INF, INF, 0.0, 3.0, NAN], dtype=dtype)
    with np.errstate(invalid="ignore"):
        product = gg.chain(cotangent, partial)
    np.testing.assert_array_equal(product.numpy(), [0.0, 0.0, 0.0, INF, NAN, 0.0, NAN])
    assert product.dtype == np.dtype(dtype)


@pytest.mark.parametrize("partial", [2, 2.0, True, np.int64(2), np.arange(3)])
def test_the_chain_rules_product_has_the_cotangents_dtype(partial):
    for dtype in ("float16", "float32", "float64"):
        product = gg.chain(gg.ones(3, dtype), partial)
        assert product.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(product.numpy(), np.broadcast_to(partial, 3))


@pytest.mark.parametrize("number", [INF, -INF, NAN])
def test_the_chain_rules_product_with_a_number(number):
    with np.errstate(invalid="ignore"):
        product = gg.chain(gg.tensor([0.0, 1.0]), number)
    np.testing.assert_array_equal(product.numpy(), [0.0, number])


def test_the_chain_rules_product_of_what_overflows():
    """Looking for a NaN by way of squares must neither miss one nor take an infinity for one."""
    cotangent = gg.tensor([1e200, 0.0, -INF, 3.0], dtype="float64")
    partial = gg.tensor([1e200, INF, 1.0, 1.0], dtype="float64")
    with np.errstate(all="ignore"):
        product = gg.chain(cotangent, partial)
    np.testing.assert_array_equal(product.numpy(), [INF, 0.0, -INF, 3.0])


@pytest.mark.parametrize(
    "f", [lambda x: gg.sqrt(gg.sqrt(x)), lambda x: gg.log(gg.sqrt(x)), lambda x: gg.acos(x) ** 0.5]
)
@pytest.mark.parametrize("x", [0.0, -1.0, 1.0, 2.0])
def test_a_branch_not_taken_gives_no_nan_however_modes_are_nested(f, x):
    def chosen(x):
        return gg.where(x > 3, f(x), 0)

    def slope(x):
        return gg.jvp(chosen, (x,), (gg.ones_like(x),))[1]

    x = gg.tensor(x, dtype="float64")
    with np.errstate(all="ignore"):
        assert gg.grad(chosen)(x).item() == slope(x).item() == 0
        assert gg.grad(gg.grad(chosen))(x).item() == 0
        assert gg.hvp(chosen, x, gg.ones_like(x)).item() == 0
        assert gg.grad(slope)(x).item() == 0
        assert gg.jvp(slope, (x,), (gg.ones_like(x),))[1].item() == 0


def test_a_negative_number_to_a_power_has_no_derivative_in_it():
    with np.errstate(all="ignore"):
        for base in (-2.0, gg.tensor(-2.0)):
            assert np.isnan(gg.grad(lambda b: base**b)(2.0).item())  # noqa: B023
