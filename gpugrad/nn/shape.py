"""Modules that change no value: Flatten and Identity."""

from __future__ import annotations

from typing import Any

from gpugrad.errors import ShapeError
from gpugrad.making import asarray
from gpugrad.nn.module import Module
from gpugrad.tensor import describe


class Flatten(Module):
    """The axes from start_dim to end_dim made one; by default all but the batch's.

    Raises:
        ShapeError: from the call, if the input has no such axes.

    >>> import gpugrad as gg
    >>> Flatten()(gg.zeros((5, 8, 8))).shape
    (5, 64)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Any) -> Any:
        """x with those axes flattened."""
        x = asarray(x)
        first = self.start_dim + x.ndim if self.start_dim < 0 else self.start_dim
        last = self.end_dim + x.ndim if self.end_dim < 0 else self.end_dim
        if not 0 <= first <= last < x.ndim:
            raise ShapeError(
                f"Flatten: no axes from {self.start_dim} to {self.end_dim}\n  x: {describe(x)}"
            )
        if first == last:
            return x
        size = 1
        for n in x.shape[first : last + 1]:
            size *= n
        return x.reshape(*x.shape[:first], size, *x.shape[last + 1 :])

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Its input; takes any arguments, so that it can stand in any layer's place."""

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def forward(self, x: Any) -> Any:
        """x itself."""
        return x
