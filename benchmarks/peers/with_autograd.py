"""autograd: `value_and_grad` of a function of the list of arrays, momentum in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad

from benchmarks.cases import LEARNING_RATE, MOMENTUM, Array, Labels
from benchmarks.peers.with_numpy import threads as threads


def loss_of(parameters: list[Array], x: Array, labels: Labels) -> Any:
    h = x
    for layer in range(0, len(parameters) - 2, 2):
        h = anp.maximum(anp.dot(h, parameters[layer]) + parameters[layer + 1], 0)
    logits = anp.dot(h, parameters[-2]) + parameters[-1]
    logits = logits - logits.max(axis=1, keepdims=True)
    picked = logits[np.arange(len(labels)), labels]
    return anp.mean(anp.log(anp.sum(anp.exp(logits), axis=1)) - picked)


loss_and_grads = value_and_grad(loss_of)


class Trainer:
    def __init__(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        pairs = zip(weights, biases, strict=True)
        self.parameters = [array.copy() for pair in pairs for array in pair]
        self.velocity = [np.zeros_like(array) for array in self.parameters]

    def batch(self, x: Array, labels: Labels) -> tuple[Array, Labels]:
        return x, labels

    def step(self, x: Array, labels: Labels) -> float:
        loss, grads = loss_and_grads(self.parameters, x, labels)
        for parameter, velocity, grad in zip(self.parameters, self.velocity, grads, strict=True):
            velocity *= MOMENTUM
            velocity += grad
            parameter -= LEARNING_RATE * velocity
        return float(loss)
