"""Sums, products, extremes and moments along axes."""

from __future__ import annotations

import math
from typing import Any

from gpugrad.dtypes import as_dtype, float16, float32
from gpugrad.errors import GradError, OptionError, ShapeError
from gpugrad.ops.axes import Axis, as_tuple, axes_of
from gpugrad.primitive import primitive

__all__ = [
    "all", "any", "argmax", "argmin", "cumulative_sum", "logsumexp", "max", "mean", "min", "prod",
    "std", "sum", "var",
]  # fmt: skip


def _count(shape: tuple[int, ...], axis: Axis) -> int:
    """How many elements of an array of this shape are reduced to one."""
    return math.prod(shape[k] for k in axes_of(axis, len(shape)))


def _restored(xp: Any, y: Any, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Any:
    """y with the reduced axes back, of size 1."""
    if keepdims or not shape:
        return y
    axes = axes_of(axis, len(shape))
    return xp.reshape(y, tuple(1 if k in axes else n for k, n in enumerate(shape)))


def _accumulated(xp: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """The sum of x; that of float16 is accumulated in float32."""
    if x.dtype == float16:
        return xp.astype(xp.sum(x, axis=axis, keepdims=keepdims, dtype=float32), float16)
    return xp.sum(x, axis=axis, keepdims=keepdims)


@primitive(linear=True, cuda="gpugrad.kernels.reduce", methods=["sum"])
def sum(xp: Any, x: Any, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum along `axis` (all axes if None). float16 is accumulated in float32.

    >>> import gpugrad as gg
    >>> gg.sum(gg.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """
    if dtype is not None:
        return xp.sum(x, axis=axis, keepdims=keepdims, dtype=as_dtype(dtype))
    return _accumulated(xp, x, axis, keepdims)


@sum.vjp("x")
def sum_dx(xp: Any, g: Any, x_shape: Any, axis: Axis, keepdims: bool) -> Any:
    return xp.broadcast_to(_restored(xp, g, x_shape, axis, keepdims), x_shape)


@primitive(linear=True, floating=True, cuda="gpugrad.kernels.reduce", methods=["mean"])
def mean(xp: Any, x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The mean along `axis` (all axes if None); that of nothing is NaN.

    >>> import gpugrad as gg
    >>> gg.mean(gg.tensor([1, 2]))
    tensor(1.5)
    """
    return _mean(xp, x, axis, keepdims)


@mean.vjp("x")
def mean_dx(xp: Any, g: Any, x_shape: Any, axis: Axis, keepdims: bool) -> Any:
    share = g / (_count(x_shape, axis) or 1)
    return xp.broadcast_to(_restored(xp, share, x_shape, axis, keepdims), x_shape)


@primitive(methods=["prod"])
def prod(xp: Any, x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The product along `axis` (all axes if None); its derivatives are right at zeros too."""
    return xp.prod(x, axis=axis, keepdims=keepdims)


@prod.vjp("x")
def prod_dx(xp: Any, g: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    axes = axes_of(axis, x.ndim)
    rest = tuple(k for k in range(x.ndim) if k not in axes)
    order = (*rest, *axes)
    shape = tuple(x.shape[k] for k in order)
    rows = math.prod(shape[: len(rest)])
    moved = xp.reshape(xp.permute_dims(x, order), (rows, _count(x.shape, axis)))
    others = xp.reshape(_product_of_others(xp, moved), shape)
    back = tuple(order.index(k) for k in range(x.ndim))
    return xp.chain(
        xp.broadcast_to(_restored(xp, g, x.shape, axis, keepdims), x.shape),
        xp.permute_dims(others, back),
    )


def _product_of_others(xp: Any, x: Any) -> Any:
    """For each element of a row, the product of the row's other elements; x (rows, n).

    Exclusive products from both ends, each doubling its reach a step (Hillis and Steele, 1986): no
    division, hence right where elements are 0.
    """
    n = x.shape[1]

    def exclusive(x: Any) -> Any:
        ones = xp.ones_like(x[:, :1])
        product = xp.concat([ones, x[:, : n - 1]], axis=1) if n else x
        reach = 1
        while reach < n:
            head = xp.broadcast_to(ones, (x.shape[0], reach))
            product = product * xp.concat([head, product[:, : n - reach]], axis=1)
            reach *= 2
        return product

    return exclusive(x) * xp.flip(exclusive(xp.flip(x, axis=1)), axis=1)


@primitive(cuda="gpugrad.kernels.reduce", methods=["max"])
def max(xp: Any, x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The largest element along `axis`; equal ones share the gradient equally. NaN wins.

    >>> import gpugrad as gg
    >>> gg.grad(gg.max)(gg.tensor([1.0, 3.0, 3.0]))
    tensor([0. , 0.5, 0.5])
    """
    return xp.max(x, axis=axis, keepdims=keepdims)


@primitive(methods=["min"])
def min(xp: Any, x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The smallest element along `axis`; equal ones share the gradient equally. NaN wins."""
    return xp.min(x, axis=axis, keepdims=keepdims)


@max.vjp("x")
@min.vjp("x")
def extreme_dx(xp: Any, g: Any, y: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    chosen = xp.astype(x == _restored(xp, y, x.shape, axis, keepdims), x.dtype)
    chosen = chosen / xp.sum(chosen, axis=axis, keepdims=True)
    return xp.chain(_restored(xp, g, x.shape, axis, keepdims), chosen)


@primitive(methods=["argmax"])
def argmax(xp: Any, x: Any, /, axis: int | None = None, *, keepdims: bool = False) -> Any:
    """The index (int64) of the first largest element along `axis` (of the flat array if None)."""
    return xp.argmax(x, axis=axis, keepdims=keepdims)


@primitive(methods=["argmin"])
def argmin(xp: Any, x: Any, /, axis: int | None = None, *, keepdims: bool = False) -> Any:
    """The index (int64) of the first smallest element along `axis` (of the flat array if None)."""
    return xp.argmin(x, axis=axis, keepdims=keepdims)


@primitive(methods=["all"])
def all(xp: Any, x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """Whether every element along `axis` is true (non-zero)."""
    return xp.all(x, axis=axis, keepdims=keepdims)


@primitive(methods=["any"])
def any(xp: Any, x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """Whether an element along `axis` is true (non-zero)."""
    return xp.any(x, axis=axis, keepdims=keepdims)


@primitive(floating=True, cuda="gpugrad.kernels.reduce", methods=["var"])
def var(
    xp: Any, x: Any, /, axis: Axis = None, *, correction: float = 0, keepdims: bool = False
) -> Any:
    """The variance along `axis`: squared deviations summed, over the count less `correction`.

    >>> import gpugrad as gg
    >>> gg.var(gg.tensor([1.0, 3.0])), gg.var(gg.tensor([1.0, 3.0]), correction=1)
    (tensor(1.), tensor(2.))
    """
    if x.dtype == float16:  # squares and their sum may not fit
        wide = var.forward(xp, xp.astype(x, float32), axis, correction=correction,
                           keepdims=keepdims)  # fmt: skip
        return xp.astype(wide, float16)
    deviation = x - _mean(xp, x, axis)
    total = _accumulated(xp, deviation * deviation, axis, keepdims)
    return _over(total, _count(x.shape, axis) - correction)


def _mean(xp: Any, x: Any, axis: Axis, keepdims: bool = True) -> Any:
    count = _count(x.shape, axis)
    if x.dtype == float16:  # the sum may not fit where the mean does
        total = xp.sum(x, axis=axis, keepdims=keepdims, dtype=float32)
        return xp.astype(_over(total, count), float16)
    return _over(xp.sum(x, axis=axis, keepdims=keepdims), count)


def _over(total: Any, count: float) -> Any:
    """total / count, which is NaN (never an error) where there is nothing to divide by."""
    return total / count if count > 0 else total * math.nan


@var.vjp("x")
def var_dx(xp: Any, g: Any, x: Any, axis: Axis, correction: float, keepdims: bool) -> Any:
    deviation = x - _mean(xp, x, axis)
    scale = _over(_restored(xp, g, x.shape, axis, keepdims), _count(x.shape, axis) - correction)
    return xp.chain(scale, deviation * 2)


@primitive(floating=True, methods=["std"])
def std(
    xp: Any, x: Any, /, axis: Axis = None, *, correction: float = 0, keepdims: bool = False
) -> Any:
    """The standard deviation along `axis`; where it is 0, so is its gradient."""
    if x.dtype == float16:  # the variance may not fit where its root does
        wide = std.forward(xp, xp.astype(x, float32), axis, correction=correction,
                           keepdims=keepdims)  # fmt: skip
        return xp.astype(wide, float16)
    return xp.sqrt(var.forward(xp, x, axis=axis, correction=correction, keepdims=keepdims))


@std.vjp("x")
def std_dx(xp: Any, g: Any, y: Any, x: Any, axis: Axis, correction: float, keepdims: bool) -> Any:
    deviation = x - _mean(xp, x, axis)
    # d std = d var / (2 std), with 0 / 0 = 0 at a constant row.
    spread = xp.where(y == 0, 1, y)
    share = _restored(xp, xp.where(y == 0, 0, g / spread), x.shape, axis, keepdims)
    return _over(xp.chain(share, deviation), _count(x.shape, axis) - correction)


@primitive(floating=True, methods=["logsumexp"])
def logsumexp(xp: Any, x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) along `axis` without overflow.

    Source: Bishop, Pattern Recognition and Machine Learning (2006), section 4.3.4.

    >>> import gpugrad as gg
    >>> gg.round(gg.logsumexp(gg.tensor([1000.0, 1000.0])), 2)
    tensor(1000.69)
    """
    if x.dtype == float16:  # a long sum may not fit
        wide = logsumexp.forward(xp, xp.astype(x, float32), axis, keepdims=keepdims)
        return xp.astype(wide, float16)
    if not x.size:
        return xp.log(xp.sum(xp.exp(x), axis=axis, keepdims=keepdims))
    top = xp.max(x, axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)
    total = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else xp.reshape(total, _reduced_shape(x.shape, axis))


def _reduced_shape(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    axes = axes_of(axis, len(shape))
    return tuple(n for k, n in enumerate(shape) if k not in axes)


@logsumexp.vjp("x")
def logsumexp_dx(xp: Any, g: Any, y: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    top = _restored(xp, y, x.shape, axis, keepdims)
    # All elements -inf: exp(-inf - 0) = 0 for each of them.
    softmax = xp.exp(x - xp.where(top == -math.inf, 0, top))
    return xp.chain(_restored(xp, g, x.shape, axis, keepdims), softmax)


@primitive(linear=True, methods=["cumulative_sum"])
def cumulative_sum(xp: Any, x: Any, /, axis: int | None = None) -> Any:
    """The sums of the elements up to and including each, along `axis`.

    >>> import gpugrad as gg
    >>> gg.cumulative_sum(gg.tensor([1.0, 2.0, 3.0]))
    tensor([1., 3., 6.])
    """
    if axis is None:
        if x.ndim != 1:
            raise OptionError(f"cumulative_sum: x has {x.ndim} axes; say along which (axis=...)")
        axis = 0
    return xp.cumulative_sum(x, axis=axis)


@cumulative_sum.vjp("x")
def cumulative_sum_dx(xp: Any, g: Any, axis: int | None) -> Any:
    along = 0 if axis is None else axis
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=along), axis=along), axis=along)


def explain_axis(x: Any, axis: Any = None, **options: Any) -> str | GradError | None:
    """What to say when an operation along an axis failed."""
    for k in () if axis is None else as_tuple(axis):
        if not -x.ndim <= k < x.ndim:
            return ShapeError(
                f"axis {k} does not exist: x has {x.ndim} axes\n  x: {tuple(x.shape)}"
            )
    return "an empty x has no such element" if x.size == 0 else None


for _operation in (sum, mean, prod, max, min, argmax, argmin, all, any, var, std, logsumexp,
                   cumulative_sum):  # fmt: skip
    _operation.explain(explain_axis)
