"""The kernels that are timed, each through its wrapper: how to call it on (rows, COLUMNS) floats.

`element_bytes` is what has to go through memory for an element, in both directions: the docstring's
Traffic without what that says comes out of a cache. What is a row's or a column's is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

COLUMNS = 1024
ELEMENTS = 1 << 24  # where kernels are compared with a copy
SMALL = 1 << 16  # where the simulated device counts them

Run = Callable[[], Any]


@dataclass(frozen=True)
class Device:
    """What a case works with: the array module, and how arrays get there."""

    xp: Any
    put: Callable[[np.ndarray[Any, Any]], Any]
    rng: np.random.Generator

    def floats(self, *shape: int) -> Any:
        """Standard normal float32."""
        return self.put(self.rng.standard_normal(shape, dtype=np.float32))

    def integers(self, count: int, below: int) -> Any:
        """int64, each as likely."""
        return self.put(self.rng.integers(0, below, count))


@dataclass(frozen=True)
class KernelCase:
    """A kernel at a size.

    Args:
        make: from a device and a number of rows to the call that is timed.
        memory_bound: whether it should come near to a copy's bandwidth.
    """

    name: str
    element_bytes: int
    make: Callable[[Device, int], Run]
    memory_bound: bool = True


def _copy(on: Device, rows: int) -> Run:
    x, out = on.floats(rows, COLUMNS), on.xp.empty((rows, COLUMNS), dtype=np.float32)
    return lambda: on.xp.copyto(out, x)


COPY = KernelCase("copy", 8, _copy)


def _scaled_sum(on: Device, rows: int) -> Run:
    from gpugrad.kernels.scaled_sum import scaled_sum

    x, y = on.floats(rows * COLUMNS), on.floats(rows * COLUMNS)
    return lambda: scaled_sum(on.xp, x, y, 3.0)


def _bias_activation(on: Device, rows: int) -> Run:
    from gpugrad.kernels.bias_activation import bias_activation

    x, bias = on.floats(rows, COLUMNS), on.floats(COLUMNS)
    return lambda: bias_activation(on.xp, x, bias, "relu")


def _bias_activation_backward(on: Device, rows: int) -> Run:
    from gpugrad.kernels.bias_activation import bias_activation_backward

    g, y = on.floats(rows, COLUMNS), on.floats(rows, COLUMNS)
    return lambda: bias_activation_backward(on.xp, g, y, "relu")


def _chain(on: Device, rows: int) -> Run:
    from gpugrad.kernels.chain import chain

    cotangent, partial = on.floats(rows, COLUMNS), on.floats(rows, COLUMNS)
    return lambda: chain(on.xp, cotangent, partial)


def _softmax_cross_entropy(on: Device, rows: int) -> Run:
    from gpugrad.kernels.softmax_cross_entropy import softmax_cross_entropy

    logits, labels = on.floats(rows, COLUMNS), on.integers(rows, COLUMNS)
    return lambda: softmax_cross_entropy(on.xp, logits, labels)


def _norm(kernels: str, backward: bool) -> Callable[[Device, int], Run]:
    def make(on: Device, rows: int) -> Run:
        from importlib import import_module

        module = import_module(f"gpugrad.kernels.{kernels}")
        x, g = on.floats(rows, COLUMNS), on.floats(rows, COLUMNS)
        forward, back = getattr(module, kernels), getattr(module, f"{kernels}_backward")
        if not backward:
            return lambda: forward(on.xp, x, 1e-5)
        normal, _, var = forward(on.xp, x, 1e-5)
        return lambda: back(on.xp, g, normal, var, 1e-5)

    return make


def _dropout(on: Device, rows: int) -> Run:
    from gpugrad.kernels.dropout import dropout

    x = on.floats(rows, COLUMNS)
    return lambda: dropout(on.xp, x, 1, 0, 2**31, 2.0)


def _uniform(on: Device, rows: int) -> Run:
    from gpugrad.kernels.fill_random import uniform

    return lambda: uniform(on.xp, (rows, COLUMNS), 1, 0)


def _optimizer_step(optimizer: str, **options: Any) -> Callable[[Device, int], Run]:
    def make(on: Device, rows: int) -> Run:
        import gpugrad as gg

        with gg.default_device("cuda"):
            parameter = gg.nn.Parameter(gg.Tensor(on.floats(rows, COLUMNS)))
            step = getattr(gg.optim, optimizer)([parameter], lr=1e-6, **options)
        parameter.grad = gg.Tensor(on.floats(rows, COLUMNS))
        step.step()  # makes its state
        return lambda: step.step()

    return make


def _clip(on: Device, rows: int) -> Run:
    from gpugrad.kernels.clip import clip_grad_norm

    gradients = [on.floats(rows, COLUMNS)]
    return lambda: clip_grad_norm(on.xp, gradients, 1.0, 2.0)


def _gather_rows(on: Device, rows: int) -> Run:
    from gpugrad.kernels.gather_rows import gather_rows

    x, order = on.floats(rows, COLUMNS), on.put(on.rng.permutation(rows))
    return lambda: gather_rows(on.xp, x, order)


def _scatter_add_rows(on: Device, rows: int) -> Run:
    from gpugrad.kernels.scatter_add_rows import scatter_add_rows

    v, index = on.floats(rows, COLUMNS), on.integers(rows, rows)
    return lambda: scatter_add_rows(on.xp, v, index, rows)


def _reduce(function: str, axis: int | None) -> Callable[[Device, int], Run]:
    def make(on: Device, rows: int) -> Run:
        from gpugrad.kernels import reduce

        x, reduced = on.floats(rows, COLUMNS), getattr(reduce, function)
        return lambda: reduced(on.xp, x, axis)

    return make


def _accuracy(on: Device, rows: int) -> Run:
    from gpugrad.kernels.accuracy import accuracy

    scores, labels = on.floats(rows, COLUMNS), on.integers(rows, COLUMNS)
    return lambda: accuracy(on.xp, scores, labels)


CASES = (
    KernelCase("scaled_sum", 12, _scaled_sum),
    KernelCase("bias_activation", 8, _bias_activation),
    KernelCase("bias_activation, backward", 12, _bias_activation_backward),
    KernelCase("chain", 12, _chain),
    KernelCase("softmax_cross_entropy", 8, _softmax_cross_entropy),
    KernelCase("layer_norm", 8, _norm("layer_norm", False)),
    KernelCase("layer_norm, backward", 12, _norm("layer_norm", True)),
    KernelCase("batch_norm", 16, _norm("batch_norm", False)),
    KernelCase("batch_norm, backward", 20, _norm("batch_norm", True)),
    KernelCase("dropout", 8, _dropout),
    KernelCase("fill_random, uniform", 4, _uniform, memory_bound=False),
    KernelCase("optimizer_step, SGD with momentum", 20, _optimizer_step("SGD", momentum=0.9)),
    KernelCase("optimizer_step, Adam", 28, _optimizer_step("Adam")),
    KernelCase("clip", 12, _clip),
    KernelCase("gather_rows", 8, _gather_rows),
    KernelCase("scatter_add_rows", 8, _scatter_add_rows),
    KernelCase("reduce, sum of rows", 4, _reduce("sum", 1)),
    KernelCase("reduce, sum of columns", 4, _reduce("sum", 0)),
    KernelCase("reduce, sum", 4, _reduce("sum", None)),
    KernelCase("reduce, variance of rows", 8, _reduce("var", 1)),
    KernelCase("accuracy", 4, _accuracy),
)
