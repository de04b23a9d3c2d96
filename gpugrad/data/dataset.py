"""TensorDataset: tensors of equal length that belong together, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gpugrad.errors import DataError, GraphError
from gpugrad.making import asarray
from gpugrad.tensor import Tensor


class TensorDataset:
    """Tensors of one length along their first axis: `data[i]` gives row i of each.

    Args:
        tensors: Tensors or NumPy arrays, whose memory is shared, not copied.
    Raises:
        DataError: no tensors, a tensor without axes, or tensors of different lengths.
        GraphError: a tensor requires a gradient, which batches do not carry.

    >>> import numpy as np
    >>> data = TensorDataset(np.arange(6.0).reshape(3, 2), np.array([0, 1, 0]))
    >>> len(data), [t.tolist() for t in data[1]], [t.shape for t in data[0:2]]
    (3, [[2.0, 3.0], 1], [(2, 2), (2,)])
    """

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise DataError("TensorDataset(): at least one tensor is needed")
        self.tensors: tuple[Tensor, ...] = tuple(asarray(tensor) for tensor in tensors)
        if any(tensor.ndim == 0 for tensor in self.tensors):
            raise DataError(
                "TensorDataset: every tensor needs a first axis to count its rows\n"
                + self._shapes()
            )
        if len({tensor.shape[0] for tensor in self.tensors}) > 1:
            lengths = ", ".join(str(tensor.shape[0]) for tensor in self.tensors)
            raise DataError(
                f"TensorDataset: the tensors differ in length: {lengths}\n" + self._shapes()
            )
        if any(tensor.requires_grad for tensor in self.tensors):
            raise GraphError(
                "TensorDataset: a tensor requires a gradient, but batches are constants\n"
                + self._shapes()
                + "\n  help: pass t.detach()"
            )

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        """Row `index` of each tensor, or the rows of a slice or index array."""
        return tuple(tensor[index] for tensor in self.tensors)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"TensorDataset({', '.join(str(tensor.shape) for tensor in self.tensors)})"

    def _shapes(self) -> str:
        return "\n".join(f"  {i}: {t.dtype} {t.shape}" for i, t in enumerate(self.tensors))
