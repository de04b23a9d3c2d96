"""Layers as functions: linear, dropout, embedding, layer and batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpugrad.dtypes import float16, float32
from gpugrad.errors import IndexRangeError, OptionError, ShapeError
from gpugrad.foreign import foreign_array
from gpugrad.later import check_later
from gpugrad.making import asarray
from gpugrad.ops.arithmetic import where
from gpugrad.ops.indexing import check_on_host, take
from gpugrad.ops.normalization import dropout as counted
from gpugrad.ops.normalization import masked_scale, standardize
from gpugrad.ops.products import linear as _linear
from gpugrad.random import Generator, default_generator
from gpugrad.tensor import Tensor, describe


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """input @ weight.T + bias: (..., in) to (..., out); weight (out, in), bias (out,) or None."""
    return _linear(input, weight, bias)


def dropout(
    input: Any, p: float = 0.5, training: bool = True, generator: Generator | None = None
) -> Any:
    """Each element set to 0 with probability p, else divided by 1 - p; as it is if not training.

    Raises:
        OptionError: p is no probability.
    Source: Srivastava et al., "Dropout" (2014).

    >>> import gpugrad as gg
    >>> x = dropout(gg.ones(1000), 0.25, generator=gg.Generator(0))
    >>> bool(((x == 0) | (x == 4 / 3)).all())
    True
    """
    if not 0.0 <= p <= 1.0:
        raise OptionError(f"dropout: p={p} must lie in [0, 1]")
    input = asarray(input)
    if not training or p == 0.0:
        return input
    source = generator or default_generator()
    scale = 1.0 / (1.0 - p) if p < 1.0 else 1.0
    if input.device.xp.on_host:  # keeping a mask costs less than drawing it again
        return masked_scale(input, Tensor._wrap(source.bernoulli(input.shape, 1.0 - p)), scale)
    seed, start = source.skip(input.size)
    return counted(input, seed=seed, start=start, keep=1.0 - p, scale=scale)


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """The rows of `weight` (rows, features) that `input` (...) names: (..., features).

    Args:
        padding_idx: a row that gets no gradient.
    Raises:
        IndexRangeError: the input is no integer in [0, rows).

    >>> import gpugrad as gg
    >>> embedding(gg.tensor([1, 0]), gg.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[3.0, 4.0], [1.0, 2.0]]
    """
    given, input, weight = input, asarray(input), asarray(weight)
    if input.dtype.kind in "iu" and input.size:
        if not input.device.xp.on_host:
            if not isinstance(given, Tensor) and foreign_array(given) is None:
                given = np.asarray(given)
                if given.min() < 0:
                    raise _negative(f"the index {given.min()}", input)
                check_on_host("embedding", given, weight, 0)
            check_later(lambda: input._data < 0, lambda: _negative("an index", input))
        elif input._data.min() < 0:
            raise _negative(f"the index {int(input._data.min())}", input)
    rows = take(weight, input, axis=0)
    if padding_idx is None or weight._node is None:
        return rows
    padding = input._data == padding_idx % len(weight)
    return where(Tensor._wrap(padding[..., None]), rows.detach(), rows)


def _negative(which: str, input: Tensor) -> IndexRangeError:
    return IndexRangeError(f"embedding: {which} is negative\n  input: {describe(input)}")


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """The last axes, of `normalized_shape`, brought to mean 0 and variance 1, then * weight + bias.

    Source: Ba et al., "Layer normalization" (2016).

    >>> import gpugrad as gg
    >>> layer_norm(gg.tensor([[1.0, 3.0]]), (2,), eps=0.0).tolist()
    [[-1.0, 1.0]]
    """
    input = asarray(input)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ShapeError(
            f"layer_norm: the input's last axes must be {shape}\n  input: {describe(input)}"
        )
    for name, factor in (("weight", weight), ("bias", bias)):
        if factor is not None and tuple(factor.shape) != shape:
            raise ShapeError(f"layer_norm: {name} is {tuple(factor.shape)}, but must be {shape}")
    axes = tuple(range(-len(shape), 0)) if len(shape) > 1 else -1
    normal = _standardized(input, axes, eps)[0]
    if weight is not None:
        normal = normal * weight
    return normal if bias is None else normal + bias


def batch_norm(
    input: Any,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each channel brought to mean 0 and variance 1 over the batch, then * weight + bias.

    Args:
        input: (N, C) or (N, C, ...).
        running_mean, running_var: (C,); what is used unless training, and while training moved
            towards the batch's mean and unbiased variance.
        weight, bias: (C,) or None.
        training: use the batch's own statistics.
        momentum: the share of the batch in the new running statistics.
    Raises:
        ShapeError: an input without channels, or with one value for each while training.
        OptionError: neither training nor running statistics.
    Source: Ioffe and Szegedy, "Batch normalization" (2015).
    """
    input = asarray(input)
    if input.ndim < 2:
        raise ShapeError(f"batch_norm: the input is (N, C, ...)\n  input: {describe(input)}")
    channels = input.shape[1]
    given = {
        "running_mean": running_mean,
        "running_var": running_var,
        "weight": weight,
        "bias": bias,
    }
    for name, values in given.items():
        if values is not None and tuple(values.shape) != (channels,):
            raise ShapeError(
                f"batch_norm: {name} is {tuple(values.shape)}, but the input has {channels} "
                f"channels\n  input: {describe(input)}"
            )
    column = (channels,) + (1,) * (input.ndim - 2)
    if input.ndim > 2:
        weight = None if weight is None else weight.reshape(column)
        bias = None if bias is None else bias.reshape(column)
    if training:
        count = input.size // channels if channels else 0
        if count <= 1:
            raise ShapeError(
                f"batch_norm: training needs more than one value for each channel\n"
                f"  input: {describe(input)}\n"
                "  help: a larger batch (DataLoader's drop_last=True), or model.eval()"
            )
        axes = (0, *range(2, input.ndim)) if input.ndim > 2 else 0
        normal, mean, var = _standardized(input, axes, eps)
        _move(running_mean, mean, momentum, 1.0)
        _move(running_var, var, momentum, count / (count - 1))
    else:
        if running_mean is None or running_var is None:
            raise OptionError("batch_norm: without training=True it needs running statistics")
        deviation = (running_var + eps).sqrt().reshape(column)
        # Two operations on the batch instead of four: x * scale + shift.
        scale = 1.0 / deviation if weight is None else weight / deviation
        shift = running_mean.reshape(column) * -scale
        return input * scale + (shift if bias is None else shift + bias)
    if weight is not None:
        normal = normal * weight
    return normal if bias is None else normal + bias


def _standardized(input: Tensor, axis: Any, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """`standardize`; of float16 in float32, where squares and their sums fit."""
    if input.dtype != float16:
        return standardize(input, axis=axis, eps=eps)  # type: ignore[no-any-return]
    normal, mean, var = standardize(input.astype(float32), axis=axis, eps=eps)
    return normal.astype(float16), mean, var


def _move(running: Tensor | None, batch: Tensor, momentum: float, factor: float) -> None:
    """Move a running statistic towards the batch's; a new array takes the place of the old."""
    if running is not None:
        fresh = batch._data.reshape(-1) * (momentum * factor)
        running.copy_(Tensor._wrap(running._data * (1.0 - momentum) + fresh))
