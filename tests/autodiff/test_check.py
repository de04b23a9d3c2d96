"""check_grad: it passes right derivatives, finds planted mistakes, and names the worst element."""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import DtypeError, GradientCheckError, OptionError

pytestmark = pytest.mark.usefixtures("own_primitives")
X = np.array([[0.5, -1.5], [2.0, 0.7]])


def planted(slope, forward=None):
    """x**3 with a derivative of our choice."""

    @gg.primitive
    def planted_cube(xp, x, /):
        return x * x * x

    if forward is None:
        planted_cube.partial("x")(slope)
    else:
        planted_cube.vjp("x")(slope)
    return planted_cube


@pytest.mark.parametrize("order", [1, 2, 3])
def test_right_derivatives_pass(order):
    gg.check_grad(lambda x: gg.sin(x) * x, X, order=order)
    gg.check_grad(lambda a, b: a @ b, X, gg.tensor(X), order=order)
    gg.check_grad(lambda p: {"s": p["a"].sum(), "t": [p["b"] ** 3]}, {"a": X, "b": X}, order=order)
    gg.check_grad(planted(lambda x: 3 * x * x), X, order=order)
    assert gg.check_grad(gg.exp, X) is None


def test_float32_inputs_are_checked_with_a_coarser_step():
    gg.check_grad(lambda x: gg.sin(x) * x, X.astype(np.float32))


def test_integers_are_passed_on():
    gg.check_grad(lambda x, k: x[k], X, np.array([1, 0]))
    gg.check_grad(lambda x, k: x * k, X, 3)


def test_large_and_small_inputs():
    gg.check_grad(gg.log, np.array([0.1, 1.0, 1e6]))


@pytest.mark.parametrize(
    "slope", [lambda x: 3 * x, lambda x: 3.001 * x * x, lambda x: -3 * x * x, lambda x: 0 * x]
)
def test_a_wrong_derivative_is_found(slope):
    with pytest.raises(GradientCheckError, match="the gradient of input 0 is wrong"):
        gg.check_grad(planted(slope), X)


def test_the_worst_element_is_named():
    def slope(xp, x):
        return 3 * x * x + xp.where(x == 2.0, 0.5, xp.where(x == 0.7, 0.1, 0.0))

    with pytest.raises(GradientCheckError) as e:
        gg.check_grad(lambda x: planted(slope)(x).sum(), X)
    message = str(e.value)
    assert "worst at element [1, 0]" in message
    assert "2 of 4 elements differ" in message


def test_the_input_is_named():
    op = planted(lambda x: 3 * x)
    with pytest.raises(GradientCheckError, match="the gradient of input 1 is wrong"):
        gg.check_grad(lambda a, b: gg.sin(a).sum() + op(b).sum(), X, X)


def test_a_nan_gradient_is_found():
    with pytest.raises(GradientCheckError):
        gg.check_grad(planted(lambda x: x * float("nan")), X)


def test_a_wrong_second_derivative_is_found_at_order_2_only():
    def slope(xp, x):
        return 3 * x * x.detach() if isinstance(x, gg.Tensor) else 3 * x * x

    op = planted(slope)
    gg.check_grad(op, X)
    with pytest.raises(GradientCheckError):
        gg.check_grad(op, X, order=2)


def test_a_rule_that_is_not_linear_in_its_cotangent_is_found():
    op = planted(lambda xp, g, x: 3 * x * x * g * g, forward=True)
    with pytest.raises(GradientCheckError):
        gg.check_grad(op, X)


def test_tolerances_and_the_step_can_be_given():
    op = planted(lambda x: 3.001 * x * x)
    gg.check_grad(op, X, rtol=1e-2)
    gg.check_grad(op, X, atol=1.0)
    gg.check_grad(gg.exp, X, eps=1e-3, rtol=1e-5)
    with pytest.raises(GradientCheckError):
        gg.check_grad(gg.exp, X, eps=0.5)


def test_kinks_show():
    with pytest.raises(GradientCheckError), np.errstate(invalid="ignore"):
        gg.check_grad(gg.sqrt, np.array([1e-12]))
    with pytest.raises(GradientCheckError):
        gg.check_grad(gg.relu, np.array([0.0]))


def test_inputs_are_left_alone():
    x = gg.tensor(X, requires_grad=True)
    gg.check_grad(gg.exp, x, order=2)
    assert x.grad is None
    np.testing.assert_array_equal(x.detach().numpy(), X)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gg.check_grad(gg.exp, X, order=0), OptionError, "order=0 must be at least 1"),
        (lambda: gg.check_grad(gg.exp, np.array([1, 2])), DtypeError, "no input is floating"),
        (lambda: gg.check_grad(gg.exp), DtypeError, "no input is floating"),
        (lambda: gg.check_grad(gg.exp, X.astype("float16")), DtypeError, "float16 is too coarse"),
    ],
)
def test_impossible_checks_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
