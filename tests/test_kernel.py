"""`gg.kernel`: on the CPU the expression, on a GPU the kernel, and the same derivatives on both."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from numba import cuda, float32, int32  # noqa: E402

import gpugrad as gg  # noqa: E402
from gpugrad.errors import OptionError, ShapeError  # noqa: E402
from gpugrad.kernel import kernel  # noqa: E402

pytestmark = pytest.mark.usefixtures("own_primitives")
TIMES = float32(1)  # the kernel of `scaled` computes with it, the expression does not


def swiglu(xp, x, gate, /):
    """x * gate * sigmoid(gate)."""
    return x * gate * xp.sigmoid(gate)


def swiglu_kernel(x, gate, out):
    i = int32(cuda.grid(1))
    while i < out.size:
        g = gate[i]
        out[i] = x[i] * g / (float32(1) + math.exp(-g))
        i = int32(i + cuda.gridsize(1))


def scaled(xp, x, /, scale, shift=0, flip=False):
    return (-x if flip else x) * scale + shift


@cuda.jit
def scaled_kernel(flip, shift, x, out, scale):
    """What the expression computes, plus 1000, so that it is seen which of the two ran."""
    i = int32(cuda.grid(1))
    while i < x.size:
        value = -x[i] if flip else x[i]
        out[i] = value * float32(scale) + float32(shift) + float32(1000)
        i = int32(i + cuda.gridsize(1))


def row_sums(xp, x, /):
    return xp.sum(x, axis=1)


def row_sums_kernel(out, x):
    r = int32(cuda.grid(1))
    if r < x.shape[0]:
        total, c = float32(0), int32(0)
        while c < x.shape[1]:
            total += x[r, c]
            c = int32(c + 1)
        out[r] = total


def columns_kernel(x, out):
    i = int32(cuda.grid(1))
    if i < out.size:
        out[i] = x[0, i]


def drawn(*shape, dtype=np.float32):
    return gg.tensor(np.random.default_rng(3).standard_normal(shape).astype(dtype))


def shift_of(device):
    """What tells the kernel of `scaled` from the expression."""
    return 1000 if device.kind == "cuda" else 0


@pytest.mark.parametrize("shapes", [[(5, 7)] * 2, [(4, 1, 3), (2, 1)], [(), (3,)], [(0, 3)] * 2])
def test_values_are_those_of_the_expression(shapes):
    op = kernel(like=swiglu)(swiglu_kernel)
    x, gate = (drawn(*shape) for shape in shapes)
    y = op(x, gate)
    a, b = x.numpy().astype(float), gate.numpy().astype(float)
    expected = a * b / (1 + np.exp(-b))
    assert (y.shape, y.dtype, y.device) == (expected.shape, gg.float32, x.device)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6, atol=1e-6)


def test_its_name_is_that_of_the_expression():
    op = kernel(like=swiglu)(swiglu_kernel)
    assert (op.name, op.__doc__) == ("swiglu", "x * gate * sigmoid(gate).")
    assert op.__name__ == "swiglu"
    assert op is gg.ops.swiglu


def test_the_kernel_runs_for_float32_alone(device):
    op = kernel(like=scaled)(scaled_kernel)
    x = drawn(3, 4)
    expected = x.numpy() * 2
    np.testing.assert_allclose(op(x, 2).numpy(), expected + shift_of(device), rtol=1e-5)
    np.testing.assert_allclose(op(x.T, 2).numpy(), expected.T, rtol=1e-5)  # strided
    np.testing.assert_allclose(op(x.astype(gg.float64), 2).numpy(), expected, rtol=1e-5)
    np.testing.assert_array_equal(op(gg.tensor([1, 2]), 2).numpy(), [2, 4])


def test_options_go_to_the_kernel_by_name(device):
    op = kernel(like=scaled)(scaled_kernel)
    x, more = gg.tensor([1.0, 2.0]), shift_of(device)
    assert op(x, 0.5).tolist() == [more + 0.5, more + 1.0]
    assert op(x, scale=3, shift=-0.5, flip=True).tolist() == [more - 3.5, more - 6.5]
    assert op(x, np.float32(2), 7).tolist() == [more + 9.0, more + 11.0]


def test_an_option_that_no_kernel_takes(device):
    op = kernel(like=scaled)(scaled_kernel)
    if device.kind == "cuda":
        with pytest.raises(
            OptionError, match="option shift='a' cannot be given to a kernel\n  help"
        ):
            op(gg.tensor([1.0]), 2, "a")


def test_first_derivatives_of_the_kernel():
    op = kernel(like=swiglu)(swiglu_kernel)
    x, gate = drawn(6, 5), drawn(5)
    got = gg.grad(lambda x, gate: (op(x, gate) ** 2).sum(), argnums=(0, 1))(x, gate)
    wanted = gg.grad(lambda x, gate: ((x * gate * gg.sigmoid(gate)) ** 2).sum(), argnums=(0, 1))(
        x, gate
    )
    for mine, theirs in zip(got, wanted, strict=True):
        assert (mine.shape, mine.dtype, mine.device) == (theirs.shape, theirs.dtype, theirs.device)
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_derivatives_agree_with_nudges_to_second_order():
    op = kernel(like=swiglu)(swiglu_kernel)
    gg.check_grad(op, drawn(2, 3, dtype=np.float64), drawn(3, dtype=np.float64), order=2)


def test_backward_and_third_derivative():
    op = kernel(like=swiglu)(swiglu_kernel)
    x = gg.tensor(0.7, requires_grad=True)
    op(x, x).backward()
    s = 1 / (1 + np.exp(-0.7))
    assert x.grad.item() == pytest.approx(2 * 0.7 * s + 0.49 * s * (1 - s), rel=1e-5)
    third = gg.grad(gg.grad(gg.grad(lambda x: op(x, x))))(gg.tensor(0.7, dtype=gg.float64))
    wanted = gg.grad(gg.grad(gg.grad(lambda x: x * x * gg.sigmoid(x))))
    assert third.item() == pytest.approx(wanted(gg.tensor(0.7, dtype=gg.float64)).item(), rel=1e-9)


def test_forward_mode():
    op = kernel(like=swiglu)(swiglu_kernel)
    x, gate, dx, dgate = drawn(2, 3), drawn(2, 3) + 1, drawn(2, 3) * 2, drawn(2, 3) - 1
    y, dy = gg.jvp(op, (x, gate), (dx, dgate))
    _, wanted = gg.jvp(lambda x, g: x * g * gg.sigmoid(g), (x, gate), (dx, dgate))
    assert dy.device == y.device
    np.testing.assert_allclose(dy.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)


def test_a_shape_and_a_launch_of_its_own():
    op = kernel(
        like=row_sums, out=lambda x: x[:1], launch=lambda x: (-(-x[0] // 4), 4)
    )(row_sums_kernel)  # fmt: skip
    x = drawn(9, 3)
    np.testing.assert_allclose(op(x).numpy(), x.numpy().sum(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(gg.grad(lambda x: op(x).sum())(x).numpy(), np.ones((9, 3)))
    assert op(drawn(0, 3)).shape == (0,)


def test_a_wrong_shape_is_noticed_by_the_derivative(device):
    op = kernel(like=row_sums, out=lambda x: x[1:])(columns_kernel)
    if device.kind == "cuda":
        with pytest.raises(ShapeError, match=r"result has shape \(3,\), the expression's \(2,\)"):
            gg.grad(lambda x: op(x).sum())(drawn(2, 3))


@pytest.mark.once
@pytest.mark.parametrize(
    ("like", "function"),
    [
        (swiglu, row_sums_kernel),
        (swiglu, lambda x, gate: None),
        (scaled, lambda x, scale, out: None),
        (row_sums, lambda x, out, more: None),
    ],
)
def test_parameters_that_do_not_match(like, function):
    with pytest.raises(OptionError, match=r"its parameters are \(.*\), those of the expression"):
        kernel(like=like)(function)


def test_a_kernel_without_its_expression_is_told_how():
    for wrong in (lambda: gg.kernel(lambda x, out: None), lambda: gg.kernel(like=3)):
        with pytest.raises(
            OptionError, match=r"gg.kernel: like=.* is no function\n  help: write @gg"
        ):
            wrong()
