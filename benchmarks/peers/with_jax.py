"""JAX: the whole step under one `jit`, parameters and velocity donated."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks import peers

os.environ.setdefault("JAX_PLATFORMS", peers.device())
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # it shares the GPU with others

import jax
import jax.numpy as jnp

from benchmarks.cases import LEARNING_RATE, MOMENTUM, Array, Labels

Tree = Any

if peers.device() == "cuda":  # float32 as the others compute it, not TF32
    jax.config.update("jax_default_matmul_precision", "highest")


def threads() -> str:
    return f"XLA default of {os.cpu_count()} cores"


def loss_of(parameters: Tree, x: jax.Array, labels: jax.Array) -> jax.Array:
    h = x
    for weight, bias in parameters[:-1]:
        h = jax.nn.relu(h @ weight + bias)
    weight, bias = parameters[-1]
    logs = jax.nn.log_softmax(h @ weight + bias)
    return -jnp.take_along_axis(logs, labels[:, None], axis=1).mean()


@partial(jax.jit, donate_argnums=(0, 1))
def update(
    parameters: Tree, velocity: Tree, x: jax.Array, labels: jax.Array
) -> tuple[Tree, Tree, jax.Array]:
    loss, grads = jax.value_and_grad(loss_of)(parameters, x, labels)
    velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, grads)
    parameters = jax.tree.map(lambda p, v: p - LEARNING_RATE * v, parameters, velocity)
    return parameters, velocity, loss


class Trainer:
    def __init__(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        pairs = zip(weights, biases, strict=True)
        self.parameters = [(jnp.array(weight), jnp.array(bias)) for weight, bias in pairs]
        self.velocity = jax.tree.map(jnp.zeros_like, self.parameters)

    def batch(self, x: Array, labels: Labels) -> tuple[jax.Array, jax.Array]:
        return jnp.array(x), jnp.array(labels)

    def step(self, x: jax.Array, labels: jax.Array) -> float:
        self.parameters, self.velocity, loss = update(self.parameters, self.velocity, x, labels)
        return float(loss)
