"""LayerNorm and BatchNorm1d."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpugrad.device import Device, as_array, as_device
from gpugrad.errors import ShapeError
from gpugrad.making import asarray
from gpugrad.nn import functional, init
from gpugrad.nn.linear import new_parameter, positive
from gpugrad.nn.module import Module
from gpugrad.nn.parameter import Parameter
from gpugrad.tensor import Tensor, describe


class LayerNorm(Module):
    """The last axes brought to mean 0 and variance 1, then * weight + bias.

    Args:
        normalized_shape: the last axis or axes of the input.
        eps: added to the variance.
        elementwise_affine: learn weight (from 1) and bias (from 0), both of `normalized_shape`.
        bias: whether there is a bias then.

    >>> import gpugrad as gg
    >>> LayerNorm(2, eps=0.0)(gg.tensor([[1.0, 3.0]])).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: Any = None,
    ) -> None:
        sizes = normalized_shape if isinstance(normalized_shape, Sequence) else [normalized_shape]
        self.normalized_shape = tuple(positive("LayerNorm", "normalized_shape", n) for n in sizes)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight: Parameter | None = None
        self.bias: Parameter | None = None
        if elementwise_affine:
            self.weight = new_parameter(self.normalized_shape, device, dtype)
            self.bias = new_parameter(self.normalized_shape, device, dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Any) -> Any:
        """x (..., *normalized_shape), of the same shape."""
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class BatchNorm1d(Module):
    """Each channel brought to mean 0 and variance 1 over the batch, then * weight + bias.

    While training the batch's own statistics do it, and move the running ones (buffers
    `running_mean`, `running_var` and `num_batches_tracked`); in evaluation the running ones do it.

    Args:
        num_features: channels: C of (N, C) or (N, C, L).
        eps: added to the variance.
        momentum: the share of a batch in the new running statistics; None averages all batches.
        affine: learn weight (from 1) and bias (from 0), both (C,).
        bias: whether there is a bias then.
        track_running_stats: False keeps none: every batch is normalised by its own statistics.
    Raises:
        ShapeError: from the call, if the input is neither, has other channels, or has one value
            for each channel while training.

    >>> import gpugrad as gg
    >>> norm = BatchNorm1d(1, eps=0.0)
    >>> norm(gg.tensor([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    >>> norm.running_mean, norm.running_var
    (tensor([0.2]), tensor([1.1]))
    """

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Device | str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        self.num_features = positive("BatchNorm1d", "num_features", num_features)
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = new_parameter((num_features,), device, dtype) if affine else None
        self.bias = new_parameter((num_features,), device, dtype) if affine and bias else None
        zeros = new_parameter((num_features,), device, dtype)._data
        tracked = track_running_stats
        self.register_buffer("running_mean", Tensor._wrap(zeros) if tracked else None)
        self.register_buffer("running_var", Tensor._wrap(zeros + 1) if tracked else None)
        count = Tensor._wrap(as_device(device).xp.zeros((), dtype=np.int64))
        self.register_buffer("num_batches_tracked", count if tracked else None)
        if self.weight is not None:
            init.ones_(self.weight)

    def reset_running_stats(self) -> None:
        """Set the running statistics back to mean 0 and variance 1."""
        for buffer, value in (
            (self.running_mean, 0),
            (self.running_var, 1),
            (self.num_batches_tracked, 0),
        ):
            if buffer is not None:
                buffer.copy_(value)

    def reset_parameters(self) -> None:
        """Set weight and running variance to 1, bias and running mean to 0."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Any) -> Any:
        """x (N, C) or (N, C, L), of the same shape."""
        x = asarray(x)
        if x.ndim not in (2, 3) or x.shape[1] != self.num_features:
            raise ShapeError(
                f"BatchNorm1d: the input is (N, {self.num_features}) or "
                f"(N, {self.num_features}, L)\n  input: {describe(x)}"
            )
        mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        own = self.training or (mean is None and var is None)
        if not (self.training and self.track_running_stats) or count is None:
            if self.training:
                mean = var = None
            return functional.batch_norm(x, mean, var, self.weight, self.bias, own, 0.0, self.eps)
        batches = as_array(count._data + 1)  # where the buffer is: nobody waits for it
        momentum = 1.0 / batches if self.momentum is None else self.momentum
        y = functional.batch_norm(x, mean, var, self.weight, self.bias, own, momentum, self.eps)
        self.num_batches_tracked = Tensor._wrap(batches)
        return y

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )
