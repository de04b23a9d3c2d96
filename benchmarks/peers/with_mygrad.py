"""MyGrad: its fused softmax cross-entropy, momentum in place, memory guarding off for speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet.activations import relu
from mygrad.nnet.losses import softmax_crossentropy

from benchmarks.cases import LEARNING_RATE, MOMENTUM, Array, Labels
from benchmarks.peers.with_numpy import threads as threads

mg.turn_memory_guarding_off()  # the faster of its two documented modes


class Trainer:
    def __init__(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        pairs = zip(weights, biases, strict=True)
        self.layers = [(mg.tensor(weight), mg.tensor(bias)) for weight, bias in pairs]
        self.parameters = [tensor for layer in self.layers for tensor in layer]
        self.velocity = [np.zeros_like(tensor.data) for tensor in self.parameters]

    def batch(self, x: Array, labels: Labels) -> tuple[Array, Labels]:
        return x, labels

    def step(self, x: Array, labels: Labels) -> float:
        h: Any = x
        for weight, bias in self.layers[:-1]:
            h = relu(mg.matmul(h, weight) + bias)
        weight, bias = self.layers[-1]
        loss = softmax_crossentropy(mg.matmul(h, weight) + bias, labels)
        loss.backward()
        for tensor, velocity in zip(self.parameters, self.velocity, strict=True):
            velocity *= MOMENTUM
            velocity += tensor.grad
            tensor.data -= LEARNING_RATE * velocity
        return loss.item()
