"""The step written out by hand in NumPy: what an engine is measured against.

No more work than the mathematics asks for: bias and ReLU in place, no gradient of the input, and
parameters, gradients and velocity in one flat buffer each, so that the update is four calls
and allocates nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.cases import LEARNING_RATE, MOMENTUM, Array, Labels


def threads() -> str:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "BLAS default"
    return ", ".join(f"{pool['internal_api']} {pool['num_threads']}" for pool in threadpool_info())


def _views(flat: Array, likes: Sequence[Array]) -> list[Array]:
    ends = np.cumsum([like.size for like in likes]).tolist()
    bounds = zip([0, *ends], ends, likes, strict=False)
    return [flat[begin:end].reshape(like.shape) for begin, end, like in bounds]


class Trainer:
    xp: Any = np  # the array module

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        xp = self.xp
        arrays = [*weights, *biases]
        self.flat = xp.concatenate([array.ravel() for array in arrays])
        self.grad = xp.empty_like(self.flat)
        self.velocity = xp.zeros_like(self.flat)
        views, grads = _views(self.flat, arrays), _views(self.grad, arrays)
        depth = len(weights)
        self.weights, self.biases = views[:depth], views[depth:]
        self.weight_grads, self.bias_grads = grads[:depth], grads[depth:]

    def batch(self, x: Array, labels: Labels) -> tuple[Array, Labels]:
        return x, labels

    def step(self, x: Array, labels: Labels) -> float:
        xp, inputs = self.xp, [x]
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = inputs[-1] @ weight
            h += bias
            if layer < last:
                xp.maximum(h, 0, out=h)
            inputs.append(h)

        logits = inputs.pop()
        rows = xp.arange(len(labels))
        logits -= logits.max(axis=1, keepdims=True)
        picked = logits[rows, labels]
        xp.exp(logits, out=logits)
        total = logits.sum(axis=1, keepdims=True)
        loss = (xp.log(total).sum() - picked.sum()) / len(labels)

        g = logits
        g /= total
        g[rows, labels] -= 1
        g /= len(labels)
        for layer in range(last, -1, -1):
            h = inputs[layer]
            xp.matmul(h.T, g, out=self.weight_grads[layer])
            g.sum(axis=0, out=self.bias_grads[layer])
            if layer > 0:
                g = g @ self.weights[layer].T
                g *= h > 0

        self.velocity *= MOMENTUM
        self.velocity += self.grad
        xp.multiply(self.velocity, LEARNING_RATE, out=self.grad)
        self.flat -= self.grad
        return float(loss)
