"""Dropout: elements set to 0 at random while training."""

from __future__ import annotations

from typing import Any

from gpugrad.errors import OptionError
from gpugrad.nn import functional
from gpugrad.nn.module import Module
from gpugrad.random import Generator


class Dropout(Module):
    """While training, each element set to 0 with probability p, else divided by 1 - p.

    Args:
        p: from 0 to 1.
        inplace: changes nothing; here for PyTorch's sake.
        generator: draws what is dropped; the default one if None.
    Raises:
        OptionError: p is no probability.

    >>> import gpugrad as gg
    >>> Dropout(0.5).eval()(gg.ones(2))
    tensor([1., 1.])
    """

    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, generator: Generator | None = None
    ) -> None:
        if not 0.0 <= p <= 1.0:
            raise OptionError(f"Dropout(p={p}): p must lie in [0, 1]")
        self.p = p
        self.generator = generator

    def forward(self, x: Any) -> Any:
        """x with elements dropped, of the same shape."""
        return functional.dropout(x, self.p, self.training, self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}"
