"""backward(): what it leaves in `.grad`, what it refuses, hooks, retained gradients."""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import DeviceError, DtypeError, GraphError, ShapeError

X = np.array([0.5, -1.5, 2.0])


def leaf(values=X, dtype="float64"):
    return gg.tensor(values, dtype=dtype, requires_grad=True)


# Leaves and accumulation


def test_grad_is_none_before_never_zero():
    assert leaf().grad is None


def test_gradients_accumulate_over_passes():
    x = leaf()
    (x**2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * X)
    (x**3).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * X + 3 * X**2)
    x.grad = None
    x.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


def test_gradients_accumulate_over_uses():
    x = leaf()
    y = x * 2
    (y * y + y * x + x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 8 * X + 4 * X + 1)


def test_accumulating_leaves_an_earlier_gradient_as_it_was():
    x = leaf()
    x.sum().backward()
    first = x.grad
    x.sum().backward()
    assert first.tolist() == [1.0, 1.0, 1.0]
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_gradients_of_two_leaves_that_get_the_same_share_are_apart():
    a, b = leaf(), leaf()
    (a + b).sum().backward()
    (a * 3).sum().backward()
    assert a.grad.tolist() == [4.0] * 3
    assert b.grad.tolist() == [1.0] * 3


def test_a_given_gradient_is_left_as_it_was():
    a, b = leaf(), leaf()
    g = np.ones(3)
    y = a + b
    z = y + a  # a gets two shares, the first of which is g itself
    z.backward(gg.asarray(g))
    assert g.tolist() == [1.0] * 3
    assert a.grad.tolist() == [2.0] * 3
    g[:] = 7.0
    assert b.grad.tolist() == [1.0] * 3


def test_gradients_are_constants():
    x = leaf()
    (x**2).sum().backward()
    assert not x.grad.requires_grad
    assert isinstance(x.grad, gg.Tensor)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_gradient_has_its_leafs_dtype_and_shape(dtype):
    x = leaf(np.ones((2, 1)), dtype)
    w = leaf(np.ones((1, 3)), "float64")
    (x * w).sum().backward()
    assert (x.grad.dtype, x.grad.shape) == (np.dtype(dtype), (2, 1))
    assert (w.grad.dtype, w.grad.shape) == (gg.float64, (1, 3))


def test_backward_of_a_leaf_itself():
    x = leaf(2.0)
    x.backward()
    assert x.grad.item() == 1.0


def test_writing_a_gradient_changes_no_later_pass():
    x = leaf(2.0)
    x.backward(create_graph=True)
    x.grad.copy_(0.0)
    x.grad[...] = 7.0
    y = leaf(3.0)
    (y * y).backward()
    assert y.grad.item() == 6.0


def test_only_leaves_keep_gradients():
    x = leaf()
    y = x * 2
    y.sum().backward()
    assert y.grad is None
    assert not y.is_leaf
    assert x.is_leaf


def test_what_needs_no_gradient_gets_none():
    x, c = leaf(), gg.tensor(X)
    (x * c).sum().backward()
    assert c.grad is None
    np.testing.assert_allclose(x.grad.numpy(), X)


def test_backward_returns_nothing():
    assert leaf(1.0).backward() is None


# A gradient given


def test_backward_of_an_array_takes_a_gradient():
    x = leaf()
    (x * x).backward(gg.tensor([1.0, 10.0, 100.0]))
    np.testing.assert_allclose(x.grad.numpy(), 2 * X * [1, 10, 100])


@pytest.mark.parametrize(
    "given", [np.array([1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]], ids=["array", "list"]
)
def test_the_gradient_may_be_an_array_or_a_list(given):
    x = leaf()
    (x * 1).backward(given)
    assert x.grad.tolist() == [1.0, 2.0, 3.0]


def test_the_gradient_is_converted_to_the_outputs_dtype():
    x = leaf(dtype="float32")
    (x * x).backward(np.ones(3, np.float64))
    assert x.grad.dtype == gg.float32


def test_a_tensor_of_one_element_needs_no_gradient():
    x = leaf(np.ones((1, 1)))
    (x * 3).backward()
    assert x.grad.tolist() == [[3.0]]


def test_backward_of_no_elements():
    x = leaf(np.zeros((0, 3)))
    x.sum().backward()
    assert x.grad.shape == (0, 3)


# Refusals


def test_a_constant_has_no_backward():
    with pytest.raises(
        GraphError, match="depends on nothing that requires a gradient\n  help: mak"
    ):
        gg.tensor(1.0).backward()


def test_a_result_under_no_grad_has_no_backward():
    x = leaf()
    with gg.no_grad():
        y = x.sum()
    with pytest.raises(GraphError, match=r"compute outside gg\.no_grad\(\)"):
        y.backward()


def test_a_non_scalar_needs_a_gradient(device):
    with pytest.raises(
        GraphError,
        match=rf"only a scalar has a gradient of its own, this is float64 \(3,\) on {device}\n"
        r"  help: reduce it first",
    ):
        (leaf() * 2).backward()


@pytest.mark.parametrize("shape", [(), (1,), (4,), (3, 1), (1, 3)])
def test_a_gradient_of_the_wrong_shape_is_refused(shape, device):
    x = leaf()
    with pytest.raises(
        ShapeError, match=rf"wrong shape\n  output: float64 \(3,\) on {device}\n  gradient"
    ):
        (x * 2).backward(np.ones(shape))
    assert x.grad is None


def test_a_gradient_of_integers_is_refused():
    with pytest.raises(DtypeError, match="the gradient given is int64; it must be floating"):
        (leaf() * 2).backward(np.ones(3, np.int64))


def test_backward_twice_is_refused_and_names_the_operation():
    x = leaf()
    y = gg.exp(x).sum()
    y.backward()
    with pytest.raises(
        GraphError, match=r"backward: .*(exp|sum).*freed by an earlier backward"
    ) as e:
        y.backward()
    assert "help: the first one needs backward(retain_graph=True)" in str(e.value)
    np.testing.assert_allclose(x.grad.numpy(), np.exp(X))


def test_backward_through_a_part_that_was_freed_is_refused():
    x = leaf()
    shared = gg.exp(x)
    shared.sum().backward()
    with pytest.raises(GraphError, match="the values that exp kept were freed"):
        (shared * 2).sum().backward()


def test_a_refused_second_pass_leaves_gradients_as_they_were():
    x = leaf()
    shared = gg.exp(x)
    y = gg.sin(shared)
    y.sum().backward()
    before = x.grad.tolist()
    with pytest.raises(GraphError):
        (shared * x).sum().backward()
    assert x.grad.tolist() == before


def test_retain_graph_allows_another_pass():
    x = leaf()
    y = gg.exp(x).sum()
    for times in (1, 2, 3):
        y.backward(retain_graph=times < 3)
        np.testing.assert_allclose(x.grad.numpy(), times * np.exp(X))
    with pytest.raises(GraphError, match="freed"):
        y.backward()


def test_create_graph_records_the_pass():
    x = leaf()
    gg.exp(2 * x).sum().backward(create_graph=True)
    g = x.grad
    assert g.requires_grad
    np.testing.assert_allclose(g.detach().numpy(), 2 * np.exp(2 * X))
    x.grad = None
    g.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 4 * np.exp(2 * X))


def test_create_graph_to_third_order():
    x = leaf(0.5)
    y = gg.sin(x)
    for wanted in (np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x)):
        x.grad = None
        y.backward(create_graph=True)
        y = x.grad
        assert y.item() == pytest.approx(wanted(0.5))


def test_create_graph_accumulates_too():
    x = leaf()
    (x**2).sum().backward(create_graph=True)
    (x**3).sum().backward(create_graph=True)
    np.testing.assert_allclose(x.grad.detach().numpy(), 2 * X + 3 * X**2)
    total = x.grad.sum()
    x.grad = None
    total.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 + 6 * X)


def test_a_gradient_penalty():
    x, w = leaf(), leaf(np.array([1.0, 2.0, 3.0]))
    y = (w * x**2).sum()
    y.backward(create_graph=True)
    penalty = (x.grad**2).sum()  # sum (2 w x)^2
    w.grad = x.grad = None
    penalty.backward()
    np.testing.assert_allclose(w.grad.numpy(), 8 * w.detach().numpy() * X**2)
    np.testing.assert_allclose(x.grad.numpy(), 8 * w.detach().numpy() ** 2 * X)


def test_backward_works_inside_no_grad():
    x = leaf()
    y = (x**2).sum()
    with gg.no_grad():
        y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * X)


# Setting grad


def test_grad_can_be_set_and_cleared():
    x = leaf()
    x.grad = gg.tensor(X)
    x.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), X + 1)
    x.grad = None
    assert x.grad is None


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (lambda: gg.ones(4, "float64"), ShapeError,
         r"a gradient has its tensor's shape and dtype\n  tensor: float64 \(3,\) on DEVICE\n"
         r"  grad: float64 \(4,\) on DEVICE"),
        (lambda: gg.ones(3, "float32"), ShapeError, r"grad: float32 \(3,\) on DEVICE"),
        (lambda: X, DtypeError, "expected a Tensor or None, not ndarray"),
        (lambda: 1.0, DtypeError, "expected a Tensor or None, not float"),
    ],
)  # fmt: skip
def test_a_wrong_grad_is_refused(value, error, message, device):
    x = leaf()
    with pytest.raises(error, match=message.replace("DEVICE", str(device))):
        x.grad = value()


def test_a_grad_elsewhere_is_refused(device):
    x = leaf()
    elsewhere = gg.ones(3, "float64", device="cpu")
    if elsewhere.device == device:
        x.grad = elsewhere
    else:
        with pytest.raises(DeviceError, match=r"on cuda:0, not on cpu\n  help: value\.to\('cuda"):
            x.grad = elsewhere


def test_a_constant_holds_no_grad():
    c = gg.tensor(X)
    c.grad = None
    with pytest.raises(GraphError, match=r"this tensor requires no gradient\n  help: t\.requires"):
        c.grad = gg.tensor(X)


# Hooks


def test_a_hook_sees_the_whole_gradient_of_a_leaf():
    x, seen = leaf(), []
    x.register_hook(lambda g: seen.append(g.tolist()))
    (x * 2 + x * 3).sum().backward()
    assert seen == [[5.0, 5.0, 5.0]]


def test_a_hook_sees_the_whole_gradient_of_a_recorded_tensor_once():
    x, seen = leaf(), []
    y = x * 2
    y.register_hook(lambda g: seen.append(g.tolist()))
    (y + y * 3).sum().backward()
    assert seen == [[4.0, 4.0, 4.0]]


def test_what_a_hook_returns_takes_the_gradients_place():
    x = leaf()
    y = x * 2
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert x.grad.tolist() == [20.0] * 3
    x.grad = None
    x.register_hook(lambda g: np.zeros(3))
    (x * 5).sum().backward()
    assert x.grad.tolist() == [0.0] * 3


def test_hooks_run_in_the_order_they_came_and_can_be_removed():
    x, order = leaf(), []
    first = x.register_hook(lambda g: order.append("first"))
    x.register_hook(lambda g: order.append("second"))
    third = x.register_hook(lambda g: order.append("third"))
    third.remove()
    x.sum().backward()
    assert order == ["first", "second"]
    first.remove()
    first.remove()  # nothing happens
    x.sum().backward()
    assert order == ["first", "second", "second"]


def test_each_hook_gets_what_the_one_before_returned():
    x, seen = leaf(), []
    x.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: seen.append(g.tolist()))
    x.register_hook(lambda g: g * 2)
    x.sum().backward()
    assert seen == [[2.0] * 3]
    assert x.grad.tolist() == [4.0] * 3


def test_one_function_may_be_registered_twice():
    x = leaf()
    double = lambda g: g * 2  # noqa: E731
    handles = [x.register_hook(double), x.register_hook(double)]
    x.sum().backward()
    assert x.grad.tolist() == [4.0] * 3
    handles[0].remove()
    x.grad = None
    x.sum().backward()
    assert x.grad.tolist() == [2.0] * 3


def test_a_hook_runs_before_the_gradient_is_accumulated():
    x = leaf()
    x.register_hook(lambda g: g * 2)
    x.sum().backward()
    x.sum().backward()
    assert x.grad.tolist() == [4.0] * 3


def test_a_hook_on_the_root():
    x = leaf()
    y = x.sum()
    y.register_hook(lambda g: g * 3)
    y.backward()
    assert x.grad.tolist() == [3.0] * 3


def test_a_hook_may_read_nothing_of_a_part_that_no_gradient_reaches():
    x, seen = leaf(), []
    y = x * 2
    y.register_hook(seen.append)
    (x * 3).sum().backward()
    assert seen == []


def test_hooks_are_differentiable_under_create_graph():
    x = leaf()
    y = x * 1
    y.register_hook(lambda g: g * g)
    (y**2).sum().backward(create_graph=True)  # (2x)^2
    total = x.grad.sum()
    x.grad = None
    total.backward()
    # 2 * (2x) * 2 arrives at y, and the hook squares that too
    np.testing.assert_allclose(x.grad.numpy(), 64 * X**2)


@pytest.mark.parametrize("wrong", [gg.ones(4, "float64"), gg.ones(3, "float32"), gg.ones((3, 1))])
def test_a_hook_must_keep_shape_and_dtype(wrong):
    x = leaf()
    x.register_hook(lambda g: wrong)
    with pytest.raises(
        ShapeError, match=r"hook: the gradient it returned is .*the gradient here is"
    ):
        x.sum().backward()


def test_an_error_in_a_hook_comes_out():
    x = leaf()
    x.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        x.sum().backward()
    assert gg.is_grad_enabled()


def test_constants_take_no_hooks():
    with pytest.raises(GraphError, match="register_hook: this tensor requires no gradient"):
        gg.tensor(1.0).register_hook(print)
    with pytest.raises(GraphError, match="retain_grad: this tensor requires no gradient"):
        gg.tensor(1.0).retain_grad()


# Retained gradients


def test_retain_grad_leaves_the_gradient_of_a_recorded_tensor():
    x = leaf()
    y = x * 2
    y.retain_grad()
    assert y.grad is None
    (y**2).sum().backward()
    np.testing.assert_allclose(y.grad.numpy(), 4 * X)
    np.testing.assert_allclose(x.grad.numpy(), 8 * X)


def test_retain_grad_accumulates_and_on_a_leaf_changes_nothing():
    x = leaf()
    x.retain_grad()
    y = x * 2
    y.retain_grad()
    for _ in range(2):
        y.sum().backward(retain_graph=True)
    assert y.grad.tolist() == [2.0] * 3
    assert x.grad.tolist() == [4.0] * 3


def test_retain_grad_of_the_root():
    x = leaf()
    y = x.sum()
    y.retain_grad()
    y.backward()
    assert y.grad.item() == 1.0


def test_retain_grad_and_hooks_together():
    x = leaf()
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 5)
    y.sum().backward()
    assert y.grad.tolist() == [5.0] * 3


def test_retained_gradient_of_one_output_of_several():
    x = leaf(np.ones((2, 3)))
    normal, mean, var = gg.standardize(x, 0, 1e-5)
    mean.retain_grad()
    (mean * 3 + var).sum().backward()
    assert mean.grad.tolist() == [[3.0, 3.0, 3.0]]
    assert normal.grad is None


# requires_grad


def test_requires_grad_can_be_switched_on_and_off():
    x = gg.tensor(X)
    assert x.requires_grad_() is x
    assert x.requires_grad
    x.requires_grad = False
    assert not (x * 2).requires_grad
    x.requires_grad_(False)
    assert x.is_leaf


def test_switching_off_inside_a_graph_is_refused():
    y = leaf() * 2
    with pytest.raises(
        GraphError, match=r"a recorded operation made this tensor\n  help: t\.detach"
    ):
        y.requires_grad_(False)
    assert y.requires_grad_() is y


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_integers_and_bools_have_no_gradient(dtype):
    with pytest.raises(
        DtypeError, match=f"only floating tensors have gradients, this is {dtype}\n"
    ):
        gg.tensor([1, 0], dtype=dtype, requires_grad=True)
    with pytest.raises(DtypeError, match=r"or convert it with t\.astype\(gg\.float32\) first"):
        gg.tensor([1, 0], dtype=dtype).requires_grad_()


def test_detach_shares_values_and_drops_the_graph():
    x = leaf()
    y = (x * 2).detach()
    assert not y.requires_grad
    (y * x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * X)
