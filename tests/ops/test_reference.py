"""Gradients beside those of PyTorch, JAX and autograd, of programs rather than of operations.

Each program is written once against a namespace; `xp` is gpugrad, `torch`, `jax.numpy` or
`autograd.numpy`.
"""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg

pytestmark = pytest.mark.reference

RNG = np.random.default_rng(0)
A, B, W = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3)), RNG.normal(size=(3, 3))
P = RNG.uniform(0.2, 2.0, size=(4, 3))

# Programs in names that all four libraries share; each returns one number.
PROGRAMS = {
    "arithmetic": lambda xp, a, b, w: ((a * b - a / (b * b + 1)) ** 2).sum(),
    "exponentials": lambda xp, a, b, w: (xp.exp(a) * xp.sin(b) + xp.tanh(a * b)).sum(),
    "logarithms": lambda xp, a, b, w: xp.log(1 + a * a + xp.sqrt(1 + b * b)).sum(),
    "matmul": lambda xp, a, b, w: ((a @ w) * b).sum(),
    "quadratic form": lambda xp, a, b, w: (a @ w @ a.T).sum() + (w @ w @ w).sum(),
    "layers": lambda xp, a, b, w: (xp.tanh(xp.tanh(a @ w) @ w) * b).sum(),
    "kinks": lambda xp, a, b, w: (xp.abs(a) * xp.sign(b) + xp.maximum(a, b)).sum(),
    "where": lambda xp, a, b, w: xp.where(a > 0, a * b, xp.sin(b)).sum(),
    "slices": lambda xp, a, b, w: (a[1:, ::2] * b[:-1, 1:]).sum() + (a[2] * a[0]).sum(),
    "broadcasting": lambda xp, a, b, w: ((a[:, None, :] - b[None, :, :]) ** 2).sum(-1).mean(),
    "einsum": lambda xp, a, b, w: xp.einsum("ij,jk,ik->", a, w, b),
    "hyperbolic": lambda xp, a, b, w: (xp.sinh(a) / xp.cosh(b) + xp.arctan(a * b)).sum(),
    "powers": lambda xp, a, b, w: ((a * a + 0.5) ** b).sum(),
    "softmax by hand": lambda xp, a, b, w: -(
        a - xp.log(xp.exp(a).sum(1, keepdims=True)) * 1.0
    )[np.arange(4), np.array([0, 2, 1, 1])].sum(),
    "norm": lambda xp, a, b, w: xp.sqrt((a * a).sum(1)).sum() / xp.sqrt((b * b).sum()),
    "variance": lambda xp, a, b, w: (((a - a.mean(0)) ** 2).mean(0) ** 0.5 * b).sum(),
}  # fmt: skip

# f(gpugrad), f(torch), argument
OPERATIONS = {
    "gelu": (gg.gelu, lambda t, x: t.nn.functional.gelu(x), A),
    "gelu tanh": (lambda x: gg.gelu(x, approximate="tanh"),
                  lambda t, x: t.nn.functional.gelu(x, approximate="tanh"), A),
    "silu": (gg.silu, lambda t, x: t.nn.functional.silu(x), A),
    "elu": (lambda x: gg.elu(x, 1.3), lambda t, x: t.nn.functional.elu(x, 1.3), A),
    "leaky_relu": (gg.leaky_relu, lambda t, x: t.nn.functional.leaky_relu(x), A),
    "softplus": (lambda x: gg.softplus(x, 2.0, 1.0),
                 lambda t, x: t.nn.functional.softplus(x, 2.0, 1.0), A),
    "log_sigmoid": (gg.log_sigmoid, lambda t, x: t.nn.functional.logsigmoid(x), A),
    "softmax": (lambda x: gg.softmax(x, axis=0), lambda t, x: t.softmax(x, 0), A),
    "log_softmax": (gg.log_softmax, lambda t, x: t.log_softmax(x, -1), A),
    "logsumexp": (lambda x: gg.logsumexp(x, axis=1), lambda t, x: t.logsumexp(x, 1), A),
    "std": (lambda x: gg.std(x, axis=0, correction=1), lambda t, x: t.std(x, 0), A),
    "var": (lambda x: gg.var(x, axis=1), lambda t, x: t.var(x, 1, correction=0), A),
    "prod": (lambda x: gg.prod(x, axis=1), lambda t, x: t.prod(x, 1), A),
    "cumulative_sum": (lambda x: gg.cumulative_sum(x, axis=0), lambda t, x: t.cumsum(x, 0), A),
    "erf": (gg.erf, lambda t, x: t.erf(x), A),
    "hypot": (lambda x: gg.hypot(x, 2 * B), lambda t, x: t.hypot(x, t.tensor(2 * B)), A),
    "atan2": (lambda x: gg.atan2(x, B), lambda t, x: t.atan2(x, t.tensor(B)), A),
    "logaddexp": (lambda x: gg.logaddexp(x, B), lambda t, x: t.logaddexp(x, t.tensor(B)), A),
    "acosh": (lambda x: gg.acosh(x + 1), lambda t, x: t.acosh(x + 1), P),
    "roll": (lambda x: gg.roll(x, 2, axis=0) * B, lambda t, x: t.roll(x, 2, 0) * t.tensor(B), A),
    "take_along_axis": (lambda x: gg.take_along_axis(x, np.array([[0], [2], [1], [1]])),
                        lambda t, x: t.gather(x, 1, t.tensor([[0], [2], [1], [1]])), A),
}  # fmt: skip

# At kinks and ties gpugrad's derivative is PyTorch's.
KINKS = {
    "relu": (gg.relu, lambda t, x: t.relu(x), [-1.0, 0.0, 1.0]),
    "abs": (gg.abs, lambda t, x: t.abs(x), [-1.0, 0.0, 1.0]),
    "amax": (gg.max, lambda t, x: t.amax(x, 0), [1.0, 3.0, 3.0]),
    "amin": (gg.min, lambda t, x: t.amin(x, 0), [1.0, 1.0, 3.0]),
    "maximum": (lambda x: gg.maximum(x, gg.tensor([1.0, 1.0])),
                lambda t, x: t.maximum(x, t.ones(2, dtype=x.dtype)), [1.0, 2.0]),
    "minimum": (lambda x: gg.minimum(x, gg.tensor([1.0, 1.0])),
                lambda t, x: t.minimum(x, t.ones(2, dtype=x.dtype)), [1.0, 2.0]),
    "clip": (lambda x: gg.clip(x, -1, 1), lambda t, x: t.clip(x, -1, 1), [-1.0, 0.0, 1.0, 2.0]),
    "leaky_relu": (gg.leaky_relu, lambda t, x: t.nn.functional.leaky_relu(x), [-1.0, 0.0, 1.0]),
    "elu": (lambda x: gg.elu(x, 2.0), lambda t, x: t.nn.functional.elu(x, 2.0), [0.0]),
    "sign": (gg.sign, lambda t, x: t.sign(x), [-1.0, 0.0, 1.0]),
    "power at 0": (lambda x: x**2, lambda t, x: x**2, [0.0]),
    "prod with zeros": (gg.prod, lambda t, x: t.prod(x), [0.0, 2.0, 3.0]),
    "remainder": (lambda x: x % 2.0, lambda t, x: x % 2.0, [0.0, 1.0, -2.0]),
    "softplus": (gg.softplus, lambda t, x: t.nn.functional.softplus(x), [20.0, 21.0]),
    "where": (lambda x: gg.where(x > 0, x, 0.0), lambda t, x: t.where(x > 0, x, 0.0), [0.0, 1.0]),
}  # fmt: skip


def ours(program):
    return gg.grad(lambda a, b, w: program(gg, a, b, w), (0, 1, 2))(A, B, W)


def agree(found, wanted):
    for g, e in zip(found, wanted, strict=True):
        np.testing.assert_allclose(np.asarray(g), np.asarray(e), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_as_in_pytorch(name):
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(x, requires_grad=True) for x in (A, B, W)]
    result = PROGRAMS[name](torch, *tensors)
    agree(ours(PROGRAMS[name]), torch.autograd.grad(result, tensors, materialize_grads=True))


@pytest.mark.filterwarnings("ignore:Output seems independent of input")
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_as_in_autograd(name):
    autograd = pytest.importorskip("autograd")
    anp = pytest.importorskip("autograd.numpy")
    wanted = [
        autograd.grad(lambda a, b, w: PROGRAMS[name](anp, a, b, w), k)(A, B, W) for k in range(3)
    ]
    agree(ours(PROGRAMS[name]), wanted)


@pytest.fixture
def jax():
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        yield jax


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_as_in_jax(name, jax):
    program = PROGRAMS[name]
    arguments = [jax.numpy.asarray(x) for x in (A, B, W)]

    def theirs(a, b, w):
        return program(jax.numpy, a, b, w)

    agree(ours(program), jax.grad(theirs, (0, 1, 2))(*arguments))


@pytest.mark.parametrize("name", ["layers", "powers", "norm", "einsum", "exponentials", "variance"])
def test_second_order_as_in_jax(name, jax):
    program = PROGRAMS[name]
    arguments = [jax.numpy.asarray(x) for x in (A, B, W)]
    theirs = jax.hessian(lambda w: program(jax.numpy, arguments[0], w, arguments[2]))(arguments[1])
    agree([gg.hessian(lambda b: program(gg, gg.asarray(A), b, gg.asarray(W)))(B)], [theirs])
    theirs = jax.jvp(
        jax.grad(lambda a: program(jax.numpy, a, *arguments[1:])), arguments[:1], arguments[1:2]
    )[1]
    found = gg.hvp(lambda a: program(gg, a, gg.asarray(B), gg.asarray(W)), A, B)
    agree([found], [theirs])


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_as_in_pytorch(name):
    torch = pytest.importorskip("torch")
    f, theirs, x = OPERATIONS[name]
    t = torch.tensor(x, requires_grad=True)
    y = theirs(torch, t)
    u = RNG.normal(size=tuple(y.shape))
    (first,) = torch.autograd.grad(y, t, torch.tensor(u), create_graph=True)
    (second,) = (
        torch.autograd.grad(first.sum(), t, materialize_grads=True)
        if first.requires_grad
        else (torch.zeros_like(t),)
    )

    def gradient(x):
        return gg.grad(lambda x: (f(x) * u).sum())(x)

    np.testing.assert_allclose(f(gg.asarray(x)).numpy(), y.detach().numpy(), rtol=1e-13, atol=1e-14)
    agree([gradient(x)], [first.detach().numpy()])
    agree([gg.grad(lambda x: gradient(x).sum())(x)], [second.detach().numpy()])


@pytest.mark.parametrize("name", KINKS)
def test_kinks_as_in_pytorch(name):
    torch = pytest.importorskip("torch")
    f, theirs, x = KINKS[name]
    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    (wanted,) = torch.autograd.grad(theirs(torch, t).sum(), t)
    np.testing.assert_allclose(gg.grad(lambda x: f(x).sum())(np.array(x)), wanted.numpy(), 1e-15)
