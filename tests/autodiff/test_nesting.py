"""Derivatives of derivatives: any order, either mode over either, closures, no confusion."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import gpugrad as gg


def reverse(f):
    return gg.grad(f)


def forward(f):
    return lambda x: gg.jvp(f, (x,), (gg.ones_like(x),))[1]


MODES = {"reverse": reverse, "forward": forward}
FUNCTIONS = {
    # f, and its first four derivatives
    "sin": (gg.sin, [np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin]),
    "exp of a square": (
        lambda x: gg.exp(x * x),
        [lambda x: 2 * x * np.exp(x * x), lambda x: (2 + 4 * x**2) * np.exp(x * x),
         lambda x: (12 * x + 8 * x**3) * np.exp(x * x),
         lambda x: (12 + 48 * x**2 + 16 * x**4) * np.exp(x * x)],
    ),
    "quotient": (
        lambda x: x / (1 + x),
        [lambda x: (1 + x) ** -2, lambda x: -2 * (1 + x) ** -3, lambda x: 6 * (1 + x) ** -4,
         lambda x: -24 * (1 + x) ** -5],
    ),
    "power": (
        lambda x: x**2.5,
        [lambda x: 2.5 * x**1.5, lambda x: 3.75 * x**0.5, lambda x: 1.875 * x**-0.5,
         lambda x: -0.9375 * x**-1.5],
    ),
    "through a matrix": (
        lambda x: (gg.stack([x, x * x]) @ gg.stack([gg.sin(x), x])).sum(),
        [lambda x: np.sin(x) + x * np.cos(x) + 3 * x**2,
         lambda x: 2 * np.cos(x) - x * np.sin(x) + 6 * x,
         lambda x: -3 * np.sin(x) - x * np.cos(x) + 6,
         lambda x: -4 * np.cos(x) + x * np.sin(x)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("modes", [p for n in (2, 3) for p in itertools.product(MODES, repeat=n)],
                         ids="-".join)  # fmt: skip
@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_mode_over_any_other(name, modes):
    f, derivatives = FUNCTIONS[name]
    derivative = f
    for mode in modes:
        derivative = MODES[mode](derivative)
    found = derivative(gg.tensor(0.7, dtype="float64"))
    assert found.dtype == gg.float64
    assert not found.requires_grad
    assert found.item() == pytest.approx(derivatives[len(modes) - 1](0.7), rel=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_fourth_order(name):
    f, derivatives = FUNCTIONS[name]
    found = gg.grad(gg.grad(gg.grad(gg.grad(f))))(gg.tensor(0.7, dtype="float64"))
    assert found.item() == pytest.approx(derivatives[3](0.7), rel=1e-11)


def test_the_third_derivative_tensor_is_symmetric():
    x = gg.tensor(np.array([0.3, -0.5, 0.9]))
    third = gg.jacobian(gg.hessian(lambda x: gg.exp(x[0] * x[1]) * gg.sin(x[2]) + x.prod()))(
        x
    ).numpy()
    assert third.shape == (3, 3, 3)
    for axes in itertools.permutations(range(3)):
        np.testing.assert_allclose(third, third.transpose(axes), atol=1e-14)
    assert third[0, 1, 2] == pytest.approx(
        math.exp(-0.15) * (1 - 0.15) * math.cos(0.9) + 1.0, rel=1e-12
    )


# Perturbation confusion: each level of differentiation has its own variable.
# Siskind and Pearlmutter, "Confusing the forward and reverse modes" (2005), and kin.


@pytest.mark.parametrize(("outer", "inner"), [*itertools.product(MODES, repeat=2)])
def test_an_inner_derivative_treats_the_outer_variable_as_a_constant(outer, inner):
    outer, inner = MODES[outer], MODES[inner]
    # d/dx [x * d/dy (x + y)] = d/dx [x * 1] = 1, and 2 if the two are confused
    assert outer(lambda x: x * inner(lambda y: x + y)(gg.tensor(1.0)))(gg.tensor(1.0)).item() == 1.0
    # d/dx [x * d/dy (x * y)] = d/dx x^2
    assert outer(lambda x: x * inner(lambda y: x * y)(gg.tensor(2.0)))(gg.tensor(3.0)).item() == 6.0
    # the inner point depends on x as well: d/dx [d/dy (y^2 x) at y = x] = d/dx 2 x^2
    assert outer(lambda x: inner(lambda y: y * y * x)(x))(gg.tensor(3.0)).item() == 12.0


@pytest.mark.parametrize(("outer", "inner"), [*itertools.product(MODES, repeat=2)])
def test_an_inner_derivative_of_the_outer_variable_alone_is_zero(outer, inner):
    outer, inner = MODES[outer], MODES[inner]
    assert outer(lambda x: inner(lambda y: x * x)(gg.tensor(1.0)))(gg.tensor(2.0)).item() == 0.0


def test_a_closure_over_a_closure():
    # f(x) = d/dy d/dz (x y z + x^2 y^2 z^3) at y = z = 2:  x + 2 x^2 y 3 z^2 = x + 48 x^2
    def f(x):
        return gg.grad(lambda y: gg.grad(lambda z: x * y * z + x**2 * y**2 * z**3)(2.0))(2.0)

    assert gg.grad(f)(2.0).item() == 1 + 96 * 2
    assert gg.jvp(f, (2.0,), (1.0,))[1].item() == 1 + 96 * 2


def test_a_constant_shadow_of_the_variable():
    # detach cuts the derivative of one factor, at every level
    def f(x):
        return x * x.detach()

    assert gg.grad(f)(3.0).item() == 3.0
    assert gg.grad(gg.grad(f))(3.0).item() == 0.0


def test_gradient_descent_inside_a_loss_is_differentiable():
    # one step of descent on (w - a)^2 from w = 0 with rate r gives w = 2 r a
    def after_a_step(rate, a):
        w = gg.tensor(0.0, dtype="float64")
        w = w - rate * gg.grad(lambda w: (w - a) ** 2)(w)
        return (w - a) ** 2

    # (2 r a - a)^2 = a^2 (2r - 1)^2
    rate, a = gg.grad(after_a_step, (0, 1))(
        gg.tensor(0.25, dtype="float64"), gg.tensor(3.0, dtype="float64")
    )
    assert rate.item() == pytest.approx(9 * 2 * (-0.5) * 2)
    assert a.item() == pytest.approx(2 * 3 * 0.25)


def test_a_numpy_argument_inside_an_outer_derivative_keeps_the_graph():
    """A NumPy gradient would be cut from the outer graph; here it must count."""

    def f(x):
        return (gg.grad(lambda y: (x * y**2).sum())(np.array([1.0, 2.0]))).sum()

    np.testing.assert_allclose(gg.grad(f)(np.array([1.0, 1.0])), [2.0, 4.0])


def test_vjp_functions_are_differentiable_in_their_cotangent():
    def f(u):
        _, pull = gg.vjp(gg.sin, gg.tensor([0.5, 1.0], dtype="float64"))
        return (pull(u)[0] ** 2).sum()

    u = np.array([1.0, 2.0])
    np.testing.assert_allclose(gg.grad(f)(u), 2 * u * np.cos([0.5, 1.0]) ** 2)


def test_jvp_is_differentiable_in_its_tangent():
    x = gg.tensor([0.5, 1.0], dtype="float64")
    u = np.array([1.0, 2.0])
    found = gg.grad(lambda v: (gg.jvp(gg.sin, (x,), (v,))[1] ** 2).sum())(u)
    np.testing.assert_allclose(found, 2 * u * np.cos(x.numpy()) ** 2)


def test_jacobian_inside_grad():
    def f(x):
        return (gg.jacobian(lambda y: gg.outer(x, y * y))(x) ** 2).sum()

    x = np.array([0.5, -1.0])
    # J[i, j, k] = 2 x_i x_j delta_jk, so f = 4 (sum x^2)^2
    np.testing.assert_allclose(gg.grad(f)(x), 16 * np.sum(x * x) * x)


def test_backward_of_a_hessian_vector_product():
    x = gg.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    v = gg.tensor([1.0, 1.0], dtype="float64")
    gg.hvp(lambda x: (x**4).sum(), x, v).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 24 * x.detach().numpy())


def test_a_long_tower_of_reverse_mode():
    f = lambda x: gg.exp(2 * x)  # noqa: E731
    for _ in range(6):
        f = gg.grad(f)
    assert f(gg.tensor(0.1, dtype="float64")).item() == pytest.approx(64 * math.exp(0.2))
