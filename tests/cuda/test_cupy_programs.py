"""Programs written with CuPy's functions have the gradients that they have on the CPU."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import DeviceError, GradError, NumpyFunctionError

pytestmark = pytest.mark.skipif(
    not gg.cuda.is_available(), reason="needs a GPU, or a simulated one"
)

X = np.array([[0.52, 1.43, 0.27], [0.74, 0.13, 0.91]])
ROW = np.array([0.6, 2.1, 1.05])

# Programs of (xp, x, row): with CuPy's functions on its arrays, and with NumPy's on NumPy's.
PROGRAMS = {
    "sin": lambda xp, x, row: xp.sum(xp.sin(x) * x),
    "array + t": lambda xp, x, row: xp.sum((row + x) ** 2),
    "array - t": lambda xp, x, row: xp.sum((row - x) ** 2),
    "array * t": lambda xp, x, row: xp.sum(row * x),
    "array / t": lambda xp, x, row: xp.sum(row / x),
    "array ** t": lambda xp, x, row: xp.sum(row**x),
    "array @ t": lambda xp, x, row: xp.sum(row @ x.T * 2),
    "array < t": lambda xp, x, row: xp.sum(xp.where(row < x, x * x, x)),
    "t @ array": lambda xp, x, row: xp.sum(xp.exp(x @ row)),
    "ufunc of both": lambda xp, x, row: xp.sum(xp.maximum(row, x) * xp.hypot(x, row)),
    "methods": lambda xp, x, row: (x * x).mean(axis=0).sum() + x.max(),
    "mean": lambda xp, x, row: xp.sum(xp.mean(x, axis=1, keepdims=True) ** 2),
    "var": lambda xp, x, row: xp.sum(xp.var(x, axis=0, ddof=1)),
    "max": lambda xp, x, row: xp.sum(xp.amax(x, axis=1) ** 2),
    "prod": lambda xp, x, row: xp.prod(x),
    "clip": lambda xp, x, row: xp.sum(xp.clip(x, 0.3, 0.8) * row),
    "where": lambda xp, x, row: xp.sum(xp.where(x > 0.5, xp.log(x), 0.0)),
    "reshape": lambda xp, x, row: xp.sum(xp.reshape(x, (3, 2)) ** 3),
    "ravel": lambda xp, x, row: xp.sum(xp.ravel(x) ** 3),
    "transpose": lambda xp, x, row: xp.sum(xp.transpose(x) @ x),
    "take": lambda xp, x, row: xp.sum(xp.take(x, xp.asarray([0, 0, 2]), axis=1) ** 2),
    "dot": lambda xp, x, row: xp.sum(xp.dot(x, row) ** 2),
    "numpy's": lambda xp, x, row: np.sum(np.sin(x) * row + np.add(row, x)),
    "numpy's of several": lambda xp, x, row: np.sum(np.stack([x[0], row]) ** 2),
}  # fmt: skip


@pytest.fixture
def cp():
    return gg.device("cuda").xp.module


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_has_the_gradient_that_it_has_on_the_cpu(cp, name):
    program = PROGRAMS[name]
    with gg.default_device("cpu"):
        expected = gg.grad(lambda x: program(np, x, ROW))(X)
    x, row = cp.asarray(X), cp.asarray(ROW)
    gradient = gg.grad(lambda x: program(cp, x, row))(x)
    assert type(gradient) is cp.ndarray
    np.testing.assert_allclose(gradient.get(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["sin", "array @ t", "var", "where"])
def test_a_program_records_on_tensors_too(cp, name):
    x = gg.tensor(X, device="cuda", requires_grad=True)
    PROGRAMS[name](cp, x, cp.asarray(ROW)).backward()
    with gg.default_device("cpu"):
        expected = gg.grad(lambda x: PROGRAMS[name](np, x, ROW))(X)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12)


def test_second_derivatives_of_a_program(cp):
    def f(x):
        return cp.sum(cp.sin(x) * x * x)

    second = gg.grad(lambda x: cp.sum(gg.grad(f)(x)))(cp.asarray(X))
    expected = 2 * np.sin(X) + 4 * X * np.cos(X) - X * X * np.sin(X)
    np.testing.assert_allclose(second.get(), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "call", "help_"),
    [
        ("cp.matmul", lambda cp, t, a: cp.matmul(a, t.T), r"write gg\.matmul\("),
        ("cp.concatenate", lambda cp, t, a: cp.concatenate([t, a]), r"write gg\.concat\("),
        ("cp.stack", lambda cp, t, a: cp.stack([t, a]), r"write gg\.stack\("),
        ("cp.cumsum", lambda cp, t, a: cp.cumsum(t, 0), r"write gg\.cumulative_sum\("),
        ("cp.einsum", lambda cp, t, a: cp.einsum("ij,ij->i", t, a), r"write gg\.einsum\("),
        ("cp.cbrt", lambda cp, t, a: cp.cbrt(t), "no such operation"),
        ("cp.asarray", lambda cp, t, a: cp.asarray(t), "write t itself"),
        ("cp.add", lambda cp, t, a: cp.add(t, a, out=a), r"write a = a \+ t"),
        ("np.add", lambda cp, t, a: np.add(a, a, out=t), r"write a = a \+ t"),
    ],
)
def test_what_is_not_recorded_says_what_to_write(cp, name, call, help_):
    with pytest.raises(NumpyFunctionError, match=help_) as e:
        gg.grad(lambda t: call(cp, t, cp.asarray(X)))(cp.asarray(X))
    assert str(e.value).startswith(name)


@pytest.mark.parametrize(
    "door",
    [
        lambda t, a: a.__setitem__(Ellipsis, t),
        lambda t, a: a.__setitem__(0, t[0]),
        lambda t, a: a.fill(t[0, 0]),
        lambda t, a: a[t],
        lambda t, a: a.dot(t.T),
        lambda t, a: operator.iadd(a, t),
        lambda t, a: np.asarray(t),
        lambda t, a: t.__dlpack__(),
        lambda t, a: t.__cuda_array_interface__,
    ],
)
def test_nothing_else_lets_a_recorded_tensor_through(cp, door):
    t, a = gg.tensor(X, device="cuda", requires_grad=True), cp.asarray(X)
    with pytest.raises((GradError, TypeError)):
        door(t, a)
    np.testing.assert_array_equal(a.get(), X)


def test_a_product_with_a_constant_on_the_right_is_cupys_to_refuse(cp):
    with pytest.raises(TypeError, match="got Tensor"):
        cp.asarray(X) @ gg.tensor(X.T, device="cuda")
    product = gg.asarray(cp.asarray(X)) @ gg.tensor(X.T, device="cuda")
    np.testing.assert_allclose(product.numpy(), X @ X.T, rtol=1e-12)


def test_a_sum_with_a_constant_is_a_tensor(cp):
    total = cp.asarray(X) + gg.tensor(X, device="cuda")
    assert isinstance(total, gg.Tensor)
    np.testing.assert_allclose(total.numpy(), 2 * X)


def test_cupys_array_comes_in_and_goes_out_without_a_copy(cp):
    a = cp.asarray(X)
    t = gg.asarray(a)
    assert t.device.kind == "cuda"
    assert t.data is a
    a[0, 0] = 9.0
    assert t.numpy()[0, 0] == 9.0


def test_what_is_kept_for_later_passes_is_waited_for_once(monkeypatch):
    from gpugrad.autodiff.backward import _one
    from gpugrad.cuda.backend import backend

    waits = []

    class Watched:
        def synchronize(self):
            waits.append("waited")

    monkeypatch.setattr(type(backend()), "current_stream", lambda self: Watched())
    _one.cache_clear()
    t = gg.tensor(X, device="cuda", requires_grad=True)
    for _ in range(2):
        gg.sum(t * t).backward()
    assert waits == ["waited"]


@pytest.mark.skipif(not gg.cuda.is_simulated(), reason="the simulated card is a T4")
def test_tf32_is_refused_by_a_card_without_it():
    message = r"cuda:0 \(simulated.*7\.5, and TensorFloat-32 begins with 8\.0\n  help: leave it off"
    with pytest.raises(DeviceError, match=message):
        gg.cuda.allow_tf32()
    gg.cuda.allow_tf32(False)
    assert not gg.cuda.tf32_allowed()
