"""Embedding: a learned row for each of a set of numbers."""

from __future__ import annotations

from typing import Any

from gpugrad.device import Device
from gpugrad.errors import OptionError
from gpugrad.nn import functional, init
from gpugrad.nn.linear import new_parameter, positive
from gpugrad.nn.module import Module
from gpugrad.random import Generator


class Embedding(Module):
    """Integers (...) to the rows of `weight` they name: (..., embedding_dim).

    The rows begin as standard normal numbers.

    Args:
        num_embeddings: rows; the integers lie in [0, num_embeddings).
        embedding_dim: features of a row.
        padding_idx: a row of zeros that gets no gradient; from the end if negative.
        generator: draws the rows; the default one if None.
    Raises:
        OptionError: a size that is not a positive integer, or padding_idx is no row.
        IndexRangeError: from the call, an integer out of range.

    >>> import gpugrad as gg
    >>> Embedding(10, 3)(gg.tensor([[1, 2], [9, 0]])).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        device: Device | str | None = None,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        self.num_embeddings = positive("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = positive("Embedding", "embedding_dim", embedding_dim)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise OptionError(
                    f"Embedding: padding_idx={padding_idx} is none of the {num_embeddings} rows"
                )
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.weight = new_parameter((num_embeddings, embedding_dim), device, dtype)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the rows anew."""
        init.normal_(self.weight, generator=generator)
        if self.padding_idx is not None:
            self.weight._data[self.padding_idx] = 0
            self.weight._written("Embedding.reset_parameters")

    def forward(self, x: Any) -> Any:
        """x (...) integers to (..., embedding_dim)."""
        return functional.embedding(x, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
