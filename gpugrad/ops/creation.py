"""New tensors: constants, ranges, and the shapes of others."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from gpugrad.device import Device, as_device
from gpugrad.dtypes import as_dtype, default_float
from gpugrad.errors import OptionError, ShapeError
from gpugrad.fast_path import Kernel
from gpugrad.making import asarray
from gpugrad.ops.arithmetic import positive, where
from gpugrad.ops.axes import as_tuple, is_one
from gpugrad.ops.core import astype, broadcast_to
from gpugrad.random import Generator, as_shape, default_generator
from gpugrad.tensor import Tensor

__all__ = [
    "arange", "eye", "full", "full_like", "linspace", "ones", "ones_like", "rand", "randn", "tril",
    "triu", "zeros", "zeros_like",
]  # fmt: skip

UNIFORM = Kernel("gpugrad.kernels.fill_random.uniform")

Shape = int | tuple[int, ...] | list[int]

Place = Device | str | None  # where a tensor is made: the default device if None


def _made(shape: Any, value: Any, dtype: Any, device: Place) -> Tensor:
    place = as_device(device)
    try:
        with place.use():
            return Tensor._wrap(place.xp.full(as_tuple(shape), value, dtype=dtype))
    except (ValueError, TypeError):
        raise ShapeError(f"{shape!r} is not a shape: use integers >= 0") from None


def zeros(shape: Shape, dtype: Any = None, device: Place = None) -> Tensor:
    """Zeros of the default float (or `dtype`).

    >>> import gpugrad as gg
    >>> gg.zeros(2)
    tensor([0., 0.])
    """
    return _made(shape, 0, default_float() if dtype is None else as_dtype(dtype), device)


def ones(shape: Shape, dtype: Any = None, device: Place = None) -> Tensor:
    """Ones of the default float (or `dtype`)."""
    return _made(shape, 1, default_float() if dtype is None else as_dtype(dtype), device)


def full(shape: Shape, value: Any, dtype: Any = None, device: Place = None) -> Tensor:
    """`value` everywhere, of the dtype it would have as a tensor (or `dtype`)."""
    number = isinstance(value, (bool, int, float, np.generic))
    value = asarray(value, device="cpu" if number else device)
    wanted = value.dtype if dtype is None else as_dtype(dtype)
    if value.requires_grad or value.ndim or not value.device.xp.on_host:
        return positive(broadcast_to(astype(value, wanted), shape))  # type: ignore[no-any-return]
    return _made(shape, value.item(), wanted, device if number else value.device)


def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """Zeros of the shape and dtype (or `dtype`) of x."""
    x = asarray(x)
    return _made(x.shape, 0, x.dtype if dtype is None else as_dtype(dtype), x.device)


def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """Ones of the shape and dtype (or `dtype`) of x."""
    x = asarray(x)
    return _made(x.shape, 1, x.dtype if dtype is None else as_dtype(dtype), x.device)


def full_like(x: Any, value: Any, dtype: Any = None) -> Tensor:
    """`value` everywhere, with the shape and dtype (or `dtype`) of x."""
    x = asarray(x)
    return full(x.shape, value, x.dtype if dtype is None else dtype, x.device)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: Any = None,
    device: Place = None,
) -> Tensor:
    """start, start + step, ... up to but without stop; arange(n) counts from 0.

    >>> import gpugrad as gg
    >>> gg.arange(3)
    tensor([0, 1, 2])
    """
    if step == 0:
        raise OptionError("arange: step is 0")
    first, end = (0, start) if stop is None else (start, stop)
    whole = all(is_one(v) for v in (first, end, step))
    wanted = (
        as_dtype(dtype) if dtype is not None else np.dtype("int64") if whole else default_float()
    )
    try:
        first, end, step = (_number(v) for v in (first, end, step))
        return _put(np.arange(first, end, step).astype(wanted), device)
    except (TypeError, ValueError, OverflowError):
        raise OptionError(
            f"arange: start, stop and step must be finite numbers, not {first!r}, {end!r}, {step!r}"
        ) from None


def linspace(
    start: Any, stop: Any, num: int = 50, dtype: Any = None, device: Place = None
) -> Tensor:
    """`num` evenly spaced numbers from start to stop, both included; tensors are recorded."""
    if not is_one(num):
        raise OptionError(f"linspace: num={num!r} must be a whole number")
    num = operator.index(num)
    if num < 0:
        raise OptionError(f"linspace: num={num} is negative")
    if isinstance(start, Tensor) or isinstance(stop, Tensor):
        both = start + stop
        wanted = default_float() if both.dtype.kind != "f" else both.dtype
        share = np.linspace(0.0, 1.0, num).astype(wanted).reshape((num,) + (1,) * both.ndim)
        share = both.device.put(share)
        spaced = start * (1 - share) + stop * share
        return astype(spaced, wanted if dtype is None else as_dtype(dtype))  # type: ignore[no-any-return]
    wanted = default_float() if dtype is None else as_dtype(dtype)
    return _put(np.linspace(start, stop, num).astype(wanted), device)


def eye(rows: int, columns: int | None = None, dtype: Any = None, device: Place = None) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    wanted = default_float() if dtype is None else as_dtype(dtype)
    size = rows, rows if columns is None else columns
    if not all(map(is_one, size)):
        raise ShapeError(f"eye: {size} is not a shape: use integers >= 0")
    if min(size) < 0:
        raise ShapeError(f"eye: {size} is not a shape: use integers >= 0")
    return _put(np.eye(*size, dtype=wanted), device)


def _number(value: Any) -> Any:
    return value.numpy().item() if isinstance(value, Tensor) else value


def _put(array: Any, device: Place) -> Tensor:
    return Tensor._wrap(as_device(device).put(array))


def _mask(x: Any, k: int) -> Any:
    if x.ndim < 2:
        raise ShapeError(f"tril/triu: x is {tuple(x.shape)}; a matrix has two axes")
    return x.device.put(np.tri(x.shape[-2], x.shape[-1], operator.index(k), dtype=bool))


def tril(x: Any, k: int = 0) -> Any:
    """x with zeros above its k-th diagonal."""
    x = asarray(x)
    return where(_mask(x, k), x, zeros_like(x))


def triu(x: Any, k: int = 0) -> Any:
    """x with zeros below its k-th diagonal."""
    x = asarray(x)
    return where(_mask(x, operator.index(k) - 1), zeros_like(x), x)


def rand(
    *shape: int, generator: Generator | None = None, dtype: Any = None, device: Place = None
) -> Tensor:
    """Uniform numbers from [0, 1), the same ones on every device."""
    wanted = default_float() if dtype is None else as_dtype(dtype)
    source, place = generator or default_generator(), as_device(device)
    if not place.xp.on_host and wanted == np.float32:
        with place.use():
            drawn = UNIFORM(place.xp, as_shape(shape), source.seed, source.position)
        if drawn is not NotImplemented:
            source.skip(drawn.size)
            return Tensor._wrap(drawn)
    return _put(source.uniform(shape, dtype=wanted), place)


def randn(
    *shape: int, generator: Generator | None = None, dtype: Any = None, device: Place = None
) -> Tensor:
    """Standard normal numbers, the same ones on every device.

    >>> import gpugrad as gg
    >>> gg.randn(2, 3, generator=gg.Generator(0)).shape
    (2, 3)
    """
    wanted = default_float() if dtype is None else dtype
    return _put((generator or default_generator()).normal(shape, dtype=wanted), device)
