"""gpugrad, eager: `nn.MLP` and `optim.SGD` with their defaults."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import peers
from benchmarks.cases import LEARNING_RATE, MOMENTUM, Array, Labels
from benchmarks.peers.with_numpy import threads as threads
from gpugrad import Tensor, default_device, nn, optim, tensor
from gpugrad.nn import functional as F


class Trainer:
    def __init__(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        sizes = [len(weight) for weight in weights] + [len(biases[-1])]
        with default_device(peers.device()):
            self.model = nn.MLP(sizes, activation="relu")
        values = [a for pair in zip(weights, biases, strict=True) for a in (pair[0].T, pair[1])]
        names = self.model.state_dict()  # weight, bias, weight, bias, ... from the input on
        self.model.load_state_dict(
            {name: tensor(value) for name, value in zip(names, values, strict=True)}
        )
        self.optimizer = optim.SGD(self.model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    def batch(self, x: Array, labels: Labels) -> tuple[Tensor, Tensor]:
        return tensor(x, device=peers.device()), tensor(labels, device=peers.device())

    def begin(self, x: Tensor, labels: Tensor) -> Tensor:
        """The step, of which a GPU may not have done all when this returns; the loss."""
        self.optimizer.zero_grad()
        loss: Tensor = F.cross_entropy(self.model(x), labels)
        loss.backward()
        self.optimizer.step()
        return loss

    def step(self, x: Tensor, labels: Tensor) -> float:
        value: float = self.begin(x, labels).item()
        return value
