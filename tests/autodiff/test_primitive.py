"""Declaring operations: what a rule may name, what follows from it, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import DtypeError, GraphError, OptionError, ShapeError
from gpugrad.namespace import PRIMITIVES
from tests.numeric import SLOPE_TOLERANCE, close, differences

pytestmark = pytest.mark.usefixtures("own_primitives")
X = np.array([0.5, -1.5, 2.0])


def test_an_elementwise_partial_gives_both_modes_and_any_order():
    @gg.primitive
    def cubed(xp, x, /):
        return x * x * x

    @cubed.partial("x")
    def dcubed_dx(x):
        return 3 * x * x

    np.testing.assert_allclose(gg.grad(lambda x: cubed(x).sum())(X), 3 * X**2)
    np.testing.assert_allclose(gg.jvp(cubed, (X,), (X,))[1].numpy(), 3 * X**3)
    np.testing.assert_allclose(gg.hessian(lambda x: cubed(x).sum())(X), np.diag(6 * X))
    third = gg.grad(lambda x: gg.grad(lambda x: gg.grad(cubed)(x))(x))
    assert third(2.0).item() == 6.0
    assert PRIMITIVES["cubed"] is cubed


def test_a_vjp_alone_gives_forward_mode_by_transposition():
    @gg.primitive
    def unit(xp, x, /):
        return x / xp.sqrt(xp.sum(x * x))

    @unit.vjp("x")
    def unit_dx(xp, g, y, x):
        return (g - y * xp.sum(g * y)) / xp.sqrt(xp.sum(x * x))

    jacobian = differences(lambda x: x / np.sqrt(np.sum(x * x)), [X])[0]
    close(gg.jacobian(unit)(X), jacobian, SLOPE_TOLERANCE)
    for direction in np.eye(3):
        close(gg.jvp(unit, (X,), (direction,))[1].numpy(), jacobian @ direction, SLOPE_TOLERANCE)
    hessian = differences(
        lambda x: gg.grad(lambda x: (unit(x) * np.array([1.0, 2.0, 3.0])).sum())(x), [X]
    )[0]
    found = gg.hvp(lambda x: (unit(x) * np.array([1.0, 2.0, 3.0])).sum(), X, X)
    close(found, hessian @ X, SLOPE_TOLERANCE)


def test_a_linear_operation_is_its_own_tangent():
    calls = []

    @gg.primitive(linear=True)
    def halves(xp, x, /, factor=0.5):
        calls.append(factor)
        return x * factor

    @halves.vjp("x")
    def halves_dx(g, factor):
        return g * factor

    np.testing.assert_allclose(gg.jvp(lambda x: halves(x, 0.25), (X,), (2 * X,))[1].numpy(), X / 2)
    assert calls == [0.25, 0.25]
    np.testing.assert_allclose(gg.grad(lambda x: halves(x, factor=3.0).sum())(X), np.full(3, 3.0))


def test_a_cotangent_is_summed_and_cast_to_its_argument():
    @gg.primitive
    def plus(xp, a, b, /):
        return a + b

    @plus.partial("a", "b")
    def dplus():
        return 1

    a, b = gg.ones((2, 1), "float32"), gg.ones((1, 3), "float64")
    ga, gb = gg.grad(lambda a, b: plus(a, b).sum(), (0, 1))(a, b)
    assert (ga.tolist(), ga.dtype) == ([[3.0], [3.0]], gg.float32)
    assert (gb.tolist(), gb.dtype) == ([[2.0, 2.0, 2.0]], gg.float64)


def test_options_by_position_and_by_name_and_arrays_by_name():
    @gg.primitive
    def scaled(xp, x, offset=None, /, scale=2.0, *, power=1):
        return (x if offset is None else x + offset) * scale**power

    @scaled.partial("x", "offset")
    def dscaled(scale, power):
        return scale**power

    x = gg.tensor(X)
    for y in (scaled(x), scaled(x, None), scaled(x, None, 2.0), scaled(x=x), scaled(x, scale=2.0),
              scaled(x, power=1, scale=2.0), scaled(x, offset=None)):  # fmt: skip
        np.testing.assert_allclose(y.numpy(), 2 * X)
    np.testing.assert_allclose(scaled(x, offset=x).numpy(), 4 * X)
    np.testing.assert_allclose(scaled(offset=x, x=x, power=2).numpy(), 8 * X)
    np.testing.assert_allclose(
        gg.grad(lambda o: scaled(x, o, 3.0, power=2).sum())(gg.tensor(X)).numpy(), np.full(3, 9.0)
    )


def test_several_outputs():
    @gg.primitive(outputs=["low", "high"])
    def limits(xp, x, /):
        return xp.min(x), xp.max(x)

    @limits.vjp("x")
    def limits_dx(xp, g, x, low, high):
        share = xp.zeros_like(x)
        for index, value in enumerate((low, high)):
            if g.get(index) is not None:
                share = share + xp.where(x == value, g.get(index), 0)
        return share

    low, high = limits(gg.tensor(X))
    assert (low.item(), high.item()) == (-1.5, 2.0)
    g = gg.grad(lambda x: (lambda low, high: low * high + high)(*limits(x)))(X)
    np.testing.assert_allclose(g, [0.0, 2.0, -0.5])
    g = gg.grad(lambda x: limits(x)[1])(X)
    np.testing.assert_allclose(g, [0.0, 0.0, 1.0])
    _, (dlow, dhigh) = gg.jvp(limits, (X,), (np.array([1.0, 10.0, 100.0]),))
    assert (dlow.item(), dhigh.item()) == (10.0, 100.0)
    h = gg.hessian(lambda x: (lambda low, high: low * high)(*limits(x)))(X)
    np.testing.assert_allclose(h, [[0, 0, 0], [0, 0, 1], [0, 1, 0]])


def test_any_number_of_arrays():
    @gg.primitive
    def total(xp, /, *arrays, weights):
        return sum(w * a for w, a in zip(weights, arrays, strict=True))

    @total.vjp("arrays")
    def total_d(g, position, weights):
        return g * weights[position]

    found = gg.grad(lambda *xs: total(*xs, weights=(1.0, 2.0, 3.0)).sum(), (0, 1, 2))(X, X, X)
    assert [g[0] for g in found] == [1.0, 2.0, 3.0]
    found = gg.grad(lambda x: total(X, x, X, weights=(1.0, 2.0, 3.0)).sum())(X)
    assert found[0] == 2.0
    slope = gg.jvp(lambda *xs: total(*xs, weights=(1.0, 2.0)).sum(), (X, X), (X, X))[1]
    assert slope.item() == pytest.approx(3 * X.sum())


def test_a_rule_may_name_shapes_of_any_number_of_arrays():
    @gg.primitive
    def joined(xp, /, *parts):
        return xp.concat([xp.reshape(p, (-1,)) for p in parts])

    @joined.vjp("parts")
    def joined_d(xp, g, position, parts_shape):
        sizes = [int(np.prod(s)) for s in parts_shape]
        start = sum(sizes[:position])
        return xp.reshape(g[start : start + sizes[position]], parts_shape[position])

    a, b = gg.grad(lambda a, b: (joined(a, b) * np.arange(7.0)).sum(), (0, 1))(np.ones((2, 2)), X)
    assert a.tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert b.tolist() == [4.0, 5.0, 6.0]


def test_the_tail_is_applied_before_every_rule():
    @gg.primitive
    def tanh_of_product(xp, a, b, /):
        return xp.tanh(a * b)

    @tanh_of_product.tail
    def dtanh(y):
        return 1 - y * y

    @tanh_of_product.vjp("a")
    def product_da(g, b):
        return g * b

    @tanh_of_product.vjp("b")
    def product_db(g, a):
        return g * a

    a, b = np.array([0.3, 0.7]), np.array([0.5, -0.2])

    def f(a, b):
        return tanh_of_product(a, b).sum()

    slopes = differences(lambda a, b: np.tanh(a * b).sum(), [a, b])
    for g, slope in zip(gg.grad(f, (0, 1))(a, b), slopes, strict=True):
        close(g, slope, SLOPE_TOLERANCE)
    moved = gg.jvp(f, (a, b), (a, b))[1].item()
    assert moved == pytest.approx(np.sum((1 - np.tanh(a * b) ** 2) * 2 * a * b))
    second = differences(lambda a: gg.grad(f)(a, b), [a])[0]
    close(gg.hessian(f)(a, b), second, SLOPE_TOLERANCE)


def test_separate_arguments_keep_their_dtype():
    seen = []

    @gg.primitive(separate=["mask"])
    def masked(xp, x, mask, /):
        seen.append(mask.dtype)
        return xp.where(mask, x, 0)

    @masked.vjp("x")
    def masked_dx(xp, g, mask):
        return xp.where(mask, g, 0)

    y = masked(gg.tensor(X, dtype="float16"), X > 0)
    assert y.dtype == gg.float16
    assert seen == [gg.bool_]


def test_floating_operations_convert_integers():
    @gg.primitive(floating=True)
    def root(xp, x, /):
        return xp.sqrt(x)

    assert root(gg.tensor([4, 9])).dtype == gg.float32
    assert root(4).tolist() == 2.0


def test_methods_are_attached_to_tensors(monkeypatch):
    @gg.primitive(methods=["thrice"])
    def thrice(xp, x, /):
        return x * 3

    try:
        assert gg.tensor(2.0).thrice().item() == 6.0
    finally:
        del gg.Tensor.thrice


def test_an_operation_without_a_derivative_says_so_when_it_is_recorded():
    @gg.primitive
    def opaque(xp, x, other=None, /):
        return x * 1

    assert opaque(gg.tensor(X)).tolist() == X.tolist()
    x = gg.tensor(X, requires_grad=True)
    with pytest.raises(
        GraphError, match=r"opaque: .*no derivative with respect to 'x'\n  help: pass x\.detach\(\)"
    ):
        opaque(x)
    with gg.no_grad():
        assert opaque(x).tolist() == X.tolist()


def test_a_result_that_is_not_floating_is_not_recorded():
    @gg.primitive
    def positive_mask(xp, x, /):
        return x > 0

    assert not positive_mask(gg.tensor(X, requires_grad=True)).requires_grad


def test_its_repr_and_docstring_are_the_functions():
    @gg.primitive
    def documented(xp, x, /, scale=1.0):
        """What it does."""
        return x * scale

    assert documented.__doc__ == "What it does."
    assert repr(documented) == "<primitive documented(x, /, scale=1.0)>"


def test_explanations_of_failures(device):
    @gg.primitive
    def pair(xp, a, b, /):
        return xp.add(a, b)

    with pytest.raises(
        ShapeError, match=rf"pair\(a, b\): .*\n  a: float64 \(3,\) on {device}\n  b: flo"
    ):
        pair(gg.tensor(X), np.ones(2))

    @pair.explain
    def explain_pair(a, b):
        return "a and b must match\n  help: make them equal"

    with pytest.raises(
        ShapeError,
        match=rf"pair\(a, b\): a and b must match\n  a: float64 \(3,\) on {device}\n"
        rf"  b: float64 \(2,\) on {device}\n  help: make them equal",
    ):
        pair(gg.tensor(X), np.ones(2))


def declare_without_slash():
    @gg.primitive
    def bare(xp, x):
        return x


def declare_y():
    @gg.primitive
    def clash(xp, y, /):
        return y


def declare_unknown_rule():
    @gg.primitive
    def ok(xp, x, /, scale=1.0):
        return x

    @ok.vjp("x")
    def ok_dx(g, scales):
        return g


def declare_unknown_argument():
    @gg.primitive
    def ok(xp, x, /):
        return x

    @ok.vjp("w")
    def ok_dw(g):
        return g


def declare_a_library_name():
    @gg.primitive
    def exp(xp, x, /):
        return x


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (declare_without_slash, r"primitive bare: the arrays must stand before a '/'\n  help: def"),
        (declare_y, "primitive clash: an array cannot be called y"),
        (
            declare_unknown_rule,
            r"names 'scales', which is neither an argument nor an output\n  hel",
        ),
        (declare_unknown_argument, "primitive ok: it has no array argument 'w'"),
        (declare_a_library_name, r"primitive exp: gpugrad\.ops\.elementary already declares"),
    ],
)
def test_impossible_declarations_say_what_is_wrong(declare, message):
    with pytest.raises(OptionError, match=message):
        declare()
    assert gg.exp(0.0).item() == 1.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gg.exp(), OptionError, r"exp\(x, /\) was not given x"),
        (lambda: gg.add(1.0), OptionError, r"add\(a, b, /\) was not given b"),
        (lambda: gg.exp(1.0, 2.0), OptionError, r"exp\(x, /\) was given 2 arguments"),
        (lambda: gg.sum(1.0, axes=0), OptionError,
         r"sum: there is no option 'axes'.*\n  help: it is sum\(x, /, axis=None"),
        (lambda: gg.reshape(X), OptionError, r"was not given shape"),
        (lambda: gg.clip(), OptionError, r"was not given x"),
        (lambda: gg.exp(None), OptionError, "was given no array"),
        (lambda: gg.exp("text"), DtypeError, "its argument 'x' cannot be a tensor"),
        (lambda: gg.add(1.0, {"a": 1}), DtypeError, "its argument 'b' cannot be a tensor"),
        (lambda: gg.concat([1j]), DtypeError, "cannot be a tensor"),
    ],
)  # fmt: skip
def test_wrong_calls_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
