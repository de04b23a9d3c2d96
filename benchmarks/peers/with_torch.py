"""PyTorch, eager: `nn.Sequential` and `optim.SGD` with their defaults."""

from __future__ import annotations

import os
from collections.abc import Sequence

os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # the profiler's own messages

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import peers
from benchmarks.cases import LEARNING_RATE, MOMENTUM, Array, Labels


def threads() -> str:
    return f"torch {torch.get_num_threads()}"


class Trainer:
    def __init__(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        layers: list[nn.Module] = []
        for weight, bias in zip(weights, biases, strict=True):
            linear = nn.Linear(*weight.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.tensor(weight.T))
                linear.bias.copy_(torch.tensor(bias))
            layers += [linear, nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1]).to(peers.device())
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM
        )

    def batch(self, x: Array, labels: Labels) -> tuple[Tensor, Tensor]:
        device = peers.device()
        return torch.tensor(x, device=device), torch.tensor(labels, device=device)

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(self.model(x), labels)

    def step(self, x: Tensor, labels: Tensor) -> float:
        self.optimizer.zero_grad()
        loss = self.loss(x, labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()
