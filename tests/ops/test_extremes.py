"""Large, small and cancelling arguments: values and derivatives keep their digits."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gpugrad as gg
from tests.ops.case import FLOATS

EPS = {name: float(np.finfo(name).eps) for name in FLOATS}

# f, x, f(x), f'(x), worked out by hand or from a series
CASES = {
    "exp of little": (gg.exp, -745.0, 5e-324, 5e-324),
    "expm1 near 0": (gg.expm1, 1e-12, 1e-12, 1.0),
    "log1p near 0": (gg.log1p, 1e-12, 1e-12, 1.0),
    "sigmoid far left": (gg.sigmoid, -700.0, math.exp(-700), math.exp(-700)),
    "sigmoid far right": (gg.sigmoid, 800.0, 1.0, 0.0),
    "sigmoid at 0": (gg.sigmoid, 0.0, 0.5, 0.25),
    "log_sigmoid far left": (gg.log_sigmoid, -1000.0, -1000.0, 1.0),
    "log_sigmoid far right": (gg.log_sigmoid, 50.0, -math.exp(-50), math.exp(-50)),
    "softplus far left": (gg.softplus, -50.0, math.exp(-50), math.exp(-50)),
    "softplus far right": (gg.softplus, 1000.0, 1000.0, 1.0),
    "tanh far": (gg.tanh, 500.0, 1.0, 0.0),
    "tanh near 0": (gg.tanh, 1e-10, 1e-10, 1.0),
    "silu far left": (gg.silu, -700.0, -700 * math.exp(-700), math.exp(-700) * -699),
    "silu far right": (gg.silu, 800.0, 800.0, 1.0),
    "gelu far right": (gg.gelu, 50.0, 50.0, 1.0),
    "gelu far left": (gg.gelu, -50.0, 0.0, 0.0),
    "gelu tanh far": (lambda x: gg.gelu(x, approximate="tanh"), 200.0, 200.0, 1.0),
    "elu far left": (gg.elu, -1000.0, -1.0, 0.0),
    "elu far right": (gg.elu, 1000.0, 1000.0, 1.0),
    "erf near 0": (gg.erf, 1e-10, 2e-10 / math.sqrt(math.pi), 2 / math.sqrt(math.pi)),
    "erf far": (gg.erf, 30.0, 1.0, 0.0),
    "hypot of large": (lambda x: gg.hypot(x, x), 1e200, math.sqrt(2) * 1e200, math.sqrt(2)),
    "hypot of small": (lambda x: gg.hypot(x, x), 1e-200, math.sqrt(2) * 1e-200, math.sqrt(2)),
    "logaddexp far": (lambda x: gg.logaddexp(x, 0.0), 1000.0, 1000.0, 1.0),
    "logaddexp of one far left": (lambda x: gg.logaddexp(x, 0.0), -800.0, 0.0, 0.0),
    "atan of large": (gg.atan, 1e200, math.pi / 2, 0.0),
    "asinh of large": (gg.asinh, 1e200, math.log(2e200), 1e-200),
    "acosh near 1": (gg.acosh, 1 + 2**-40, math.sqrt(2) * 2**-20, 2**20 / math.sqrt(2)),
    "asin near 1": (gg.asin, 1 - 2**-40, math.pi / 2 - math.sqrt(2) * 2**-20,
                    2**20 / math.sqrt(2)),
    "cube root of nothing": (lambda x: x**3, 1e-200, 0.0, 0.0),
    "reciprocal of small": (gg.reciprocal, 1e-150, 1e150, -1e300),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_far_and_near(name):
    f, x, value, slope = CASES[name]
    y, g = gg.value_and_grad(f)(gg.tensor(x, dtype="float64"))
    assert y.item() == pytest.approx(value, rel=1e-11, abs=0)
    assert g.item() == pytest.approx(slope, rel=1e-11, abs=1e-300)
    moved = gg.jvp(f, (gg.tensor(x, dtype="float64"),), (gg.tensor(1.0, dtype="float64"),))[1]
    assert moved.item() == pytest.approx(slope, rel=1e-11, abs=1e-300)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_erf_is_accurate_to_a_few_units_in_the_last_place(dtype):
    x = np.concatenate([np.linspace(-7, 7, 4001), np.geomspace(1e-30, 1, 200)]).astype(dtype)
    exact = np.array([math.erf(v) for v in x.astype(float)])
    error = np.abs(gg.erf(gg.asarray(x)).numpy().astype(float) - exact) / np.abs(exact).clip(1e-300)
    assert error.max() < 4 * EPS[dtype]


def test_erf_is_odd_and_grows():
    x = np.linspace(0, 8, 2001)
    y = gg.erf(gg.asarray(x)).numpy()
    np.testing.assert_array_equal(gg.erf(gg.asarray(-x)).numpy(), -y)
    assert (np.diff(y) >= 0).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
def test_softmaxes_and_logsumexp_of_shifted_values(dtype, shift):
    x = np.array([0.0, 1.0, 2.0, -3.0])
    wide = np.exp(x) / np.exp(x).sum()
    t = gg.tensor((x + shift).astype(dtype))
    if (t.numpy().astype(float) != x + shift).any():  # float16 cannot hold these sums
        t = gg.tensor((x * 64 + shift).astype(dtype))
        wide = np.exp(64 * x) / np.exp(64 * x).sum()
        x = x * 64
    tolerance = 4 * EPS[dtype]
    np.testing.assert_allclose(gg.softmax(t).numpy(), wide, atol=tolerance)
    exact = math.log(np.exp(x - x.max()).sum()) + x.max()
    np.testing.assert_allclose(
        gg.log_softmax(t).numpy(), x - exact, rtol=tolerance, atol=4 * tolerance
    )
    found = gg.logsumexp(t).item()
    assert found == pytest.approx(exact + shift, rel=tolerance)
    np.testing.assert_allclose(gg.grad(gg.logsumexp)(t).numpy(), wide, atol=abs(found) * tolerance)


def test_cross_entropy_of_large_logits():
    loss, _ = gg.softmax_cross_entropy(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0]))
    assert loss.item() == 5000.0
    g = gg.grad(lambda x: gg.softmax_cross_entropy(x, np.array([0, 0]))[0])(
        np.array([[1e4, 0.0], [0.0, 1e4]])
    )
    np.testing.assert_array_equal(g, [[0.0, 0.0], [-0.5, 0.5]])


def test_half_precision_sums_do_not_lose_what_is_small():
    """Ones summed one by one in float16 would stop at 2048."""
    x = gg.ones(10_000, "float16")
    assert x.sum().item() == 10_000
    assert x.mean().item() == 1.0
    assert gg.var(x).item() == 0.0
    assert gg.mean(gg.full(10_000, 100.0, "float16")).item() == 100.0
    spread = gg.tensor([300.0, -300.0] * 5000, dtype="float16")
    assert gg.std(spread).item() == 300.0
    np.testing.assert_allclose(
        gg.grad(gg.std)(spread).numpy(), spread.numpy().astype(float) / 3e6, rtol=4e-3
    )
    g = gg.grad(lambda x: gg.asinh(x).sum() + gg.atan2(x, 400.0).sum())(
        gg.full(2, 300.0, "float16")
    )
    np.testing.assert_allclose(g.numpy(), 1 / 300 + 400 / 500**2, rtol=4e-3)


def test_large_sums_keep_their_digits():
    x = gg.full(2_000_000, 0.1, "float32")
    assert x.sum().item() == pytest.approx(200_000.0, rel=1e-5)  # one by one: 1e-2 off


def test_variance_of_numbers_far_from_0():
    x = np.array([1e8, 1e8 + 1, 1e8 + 2])
    assert gg.var(gg.tensor(x)).item() == pytest.approx(2 / 3)
    np.testing.assert_allclose(gg.grad(gg.var)(x), [-2 / 3, 0.0, 2 / 3])


def test_a_gradient_through_many_halves_is_not_lost():
    x = gg.tensor(1.0, dtype="float64", requires_grad=True)
    y = x
    for _ in range(1000):
        y = y * 0.5
    for _ in range(1000):
        y = y * 2.0
    y.backward()
    assert x.grad.item() == 1.0


def test_products_of_many_factors():
    x = np.full(400, 0.9)
    np.testing.assert_allclose(gg.grad(gg.prod)(x), 0.9**399, rtol=1e-12)
    x[[3, 7]] = 0.0
    assert not gg.grad(gg.prod)(x).any()
    x[3] = 2.0
    g = gg.grad(gg.prod)(x)
    assert g[7] == pytest.approx(2 * 0.9**398)
    assert not np.delete(g, 7).any()


def test_long_sums_of_float16_exponentials_fit():
    x = gg.zeros(70_000, "float16")  # float16 ends at 65504
    assert gg.softmax(x)[0].item() == pytest.approx(1 / 70_000, rel=0.01)
    assert gg.log_softmax(x)[0].item() == pytest.approx(-math.log(70_000), rel=1e-3)
    assert gg.logsumexp(x).item() == pytest.approx(math.log(70_000), rel=1e-3)


@pytest.mark.parametrize("divisor", [0.3, 0.0, -7, True, 10**30])
def test_a_recorded_derivative_of_a_division_by_a_number_keeps_its_digits(divisor):
    x = gg.tensor(1.3, dtype="float64", requires_grad=True)
    with np.errstate(all="ignore"):
        (x / divisor).backward(create_graph=True)
        assert x.grad.item() == np.divide(1.0, float(divisor))
