"""Random programs: values many times used, views, assignments, constants, in both modes.

Every program runs on gpugrad and on NumPy. Its value, its gradient by every door, its slope and its
second derivatives are compared with NumPy and with finite differences.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import gpugrad as gg
from tests.numeric import along, close, differences

SHAPES = ((3, 4), (4,), (3, 1))
STEPS = 14
TOLERANCE = 1e-7  # fourteen steps deep, the third derivatives are larger than in the table


def squash(xp, x):
    """Keep values, and with them derivatives, of the size of 1."""
    return xp.tanh(x)


def assigned(xp, x, y):
    """x with its first row (or element) replaced, in each library's way."""
    out = x.copy() if isinstance(x, np.ndarray) else x * 1.0
    out[0] = y.sum() * 0.3
    return out


UNARY = [
    lambda xp, x: xp.sin(x),
    lambda xp, x: xp.exp(-x * x),
    lambda xp, x: squash(xp, x) * 2 - x * 0.5,
    lambda xp, x: x[::-1],
    lambda xp, x: x[..., 1:] if x.shape[-1] > 2 else x,
    lambda xp, x: xp.reshape(x, (-1,)),
    lambda xp, x: x.T,
    lambda xp, x: x.sum(axis=0) * 0.5 if x.ndim > 1 else x,
    lambda xp, x: xp.expand_dims(x, 0) if x.ndim < 3 else x[0],
    lambda xp, x: x[np.array([0, 0, -1])],
    lambda xp, x: xp.sqrt(x * x + 0.5),
    lambda xp, x: x - x.mean(),
    lambda xp, x: xp.maximum(x, 0.1234),
    lambda xp, x: xp.where(x > 0.05, x * x, -x),
    lambda xp, x: x / (x * x + 1.0),
    lambda xp, x: xp.concat([x, x * 0.5], axis=0)[: x.shape[0] + 1] if x.ndim else x,
    lambda xp, x: xp.broadcast_to(x, (2, *x.shape))[1] + x,
]
BINARY = [
    lambda xp, x, y: x * y,
    lambda xp, x, y: x + y,
    lambda xp, x, y: x - squash(xp, y) * x,
    lambda xp, x, y: xp.minimum(x, y),
    lambda xp, x, y: xp.logaddexp(x, y),
    lambda xp, x, y: x / (1.5 + squash(xp, y)),
    lambda xp, x, y: x * y.mean(),
    assigned,
]


@dataclass
class Program:
    """A list of steps, each an operation and the values that it takes."""

    steps: list

    def __call__(self, xp, *inputs):
        values = list(inputs)
        for operation, places in self.steps:
            values.append(operation(xp, *[values[k] for k in places]))
        return sum((squash(xp, v) * (0.3 + k % 3)).sum() for k, v in enumerate(values))


def made(seed: int) -> tuple[Program, list[np.ndarray]]:
    """A program whose shapes fit, found by trying."""
    rng = np.random.default_rng(seed)
    inputs = [rng.uniform(-1.2, 1.2, shape) for shape in SHAPES]
    values, steps = list(inputs), []
    while len(steps) < STEPS:
        pool, count = (UNARY, 1) if rng.random() < 0.55 else (BINARY, 2)
        step = (
            pool[rng.integers(len(pool))],
            [int(k) for k in rng.integers(len(values), size=count)],
        )
        try:
            value = np.asarray(step[0](np, *[values[k] for k in step[1]]))
        except (ValueError, IndexError):
            continue
        if 0 < value.size <= 30 and 0 < value.ndim <= 3:
            values.append(value)
            steps.append(step)
    return Program(steps), inputs


@pytest.mark.parametrize("seed", range(60))
def test_a_random_program(seed):
    program, inputs = made(seed)

    def number(*arrays):
        return program(np, *arrays)

    def ours(*tensors):
        return program(gg, *tensors)

    every = (0, 1, 2)
    value, found = gg.value_and_grad(ours, every)(*inputs)
    close(value.item(), number(*inputs), 1e-13)
    for g, slope in zip(found, differences(number, inputs), strict=True):
        close(g, slope, TOLERANCE)

    leaves = [gg.tensor(x, requires_grad=True) for x in inputs]
    result = ours(*leaves)
    result.backward(retain_graph=True)
    for t, g in zip(leaves, found, strict=True):
        close(t.grad, g, 1e-14)
    result.backward(create_graph=True)
    for t, g in zip(leaves, found, strict=True):
        close(t.grad, 2 * g, 1e-13)

    rng = np.random.default_rng(seed + 1000)
    v = [rng.uniform(-1, 1, x.shape) for x in inputs]
    slope = gg.jvp(ours, tuple(inputs), tuple(v))[1].item()
    close(slope, sum(np.sum(g * d) for g, d in zip(found, v, strict=True)), 1e-12)

    def gradient(*arrays):
        return np.concatenate([g.ravel() for g in gg.grad(ours, every)(*arrays)])

    def along_v(*tensors):
        return sum((g * d).sum() for g, d in zip(gg.grad(ours, every)(*tensors), v, strict=True))

    wanted = along(gradient, inputs, v)
    for product in (gg.hvp(ours, tuple(inputs), tuple(v)), gg.grad(along_v, every)(*inputs)):
        close(np.concatenate([p.ravel() for p in product]), wanted, 10 * TOLERANCE)


@pytest.mark.parametrize("seed", range(5))
def test_some_inputs_are_constants(seed):
    program, inputs = made(seed + 100)
    together = gg.grad(lambda *xs: program(gg, *xs), (0, 1, 2))(*inputs)
    for k in range(3):
        leaves = [gg.tensor(x, requires_grad=n == k) for n, x in enumerate(inputs)]
        program(gg, *leaves).backward()
        close(leaves[k].grad, together[k], 1e-13)
        assert all(t.grad is None for n, t in enumerate(leaves) if n != k)
