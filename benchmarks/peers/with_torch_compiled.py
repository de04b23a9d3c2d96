"""PyTorch, the model and its loss under `torch.compile`; the optimizer as in eager PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from benchmarks.cases import Array
from benchmarks.peers import with_torch
from benchmarks.peers.with_torch import threads as threads


class Trainer(with_torch.Trainer):
    def __init__(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        super().__init__(weights, biases)
        model = self.model
        self.loss = torch.compile(lambda x, labels: F.cross_entropy(model(x), labels))
