"""Limits on the size of gradients, between `loss.backward()` and `optimizer.step()`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from gpugrad.device import common_device
from gpugrad.errors import AnomalyError, OptionError
from gpugrad.fast_path import Kernel
from gpugrad.optim.checks import demand, is_number, is_within
from gpugrad.tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale the gradients down together, so that the norm of all their elements is `max_norm`.

    The factor is min(1, max_norm / (norm + 1e-6)), as in PyTorch. Parameters without a gradient
    are left out. Each `p.grad` is replaced; the arrays that were there are not written.

    Args:
        norm_type: the p of the p-norm, above 0; `math.inf` takes the largest |element|.
        error_if_nonfinite: raise where the norm is NaN or infinite.
    Returns: () the norm before, in the dtype of the gradients.
    Raises:
        OptionError: `max_norm` < 0, or `norm_type` <= 0.
        AnomalyError: the norm is not finite, with `error_if_nonfinite`.

    >>> import gpugrad as gg
    >>> w = gg.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> gg.optim.clip_grad_norm_([w], max_norm=1.0)
    tensor(10.)
    >>> [round(element, 5) for element in w.grad.tolist()]
    [0.6, 0.8]
    """
    who = "clip_grad_norm_"
    demand(is_within(max_norm, 0), who, "max_norm", max_norm, "must be a number >= 0")
    possible = is_number(norm_type) and norm_type > 0
    demand(possible, who, "norm_type", norm_type, "must be a number above 0")
    tensors = _with_gradients(who, parameters)
    if not tensors:
        return Tensor._wrap(np.zeros((), np.float32))
    gradients = [tensor.grad._data for tensor in tensors]  # type: ignore[union-attr]
    device = tensors[0].device
    common_device(who, {f"parameters[{k}]": tensor for k, tensor in enumerate(tensors)})
    xp = device.xp
    if not xp.on_host:
        with device.use(who):
            done = CLIP(xp, gradients, float(max_norm), float(norm_type))
        if done is not NotImplemented:
            total, scaled = done
            _check_finite(who, norm_type, total, error_if_nonfinite)
            for tensor, gradient in zip(tensors, scaled, strict=True):
                tensor.grad = Tensor._wrap(gradient)
            return Tensor._wrap(total)
    with device.use(who), np.errstate(all="ignore"):
        norms = [_norm(xp, gradient, float(norm_type)) for gradient in gradients]
        total = _norm(xp, xp.stack(norms), float(norm_type))
        _check_finite(who, norm_type, total, error_if_nonfinite)
        factor = xp.minimum(float(max_norm) / (total + 1e-6), 1.0)
        for tensor, gradient in zip(tensors, gradients, strict=True):
            scaled = xp.multiply(gradient, factor.astype(gradient.dtype))
            tensor.grad = Tensor._wrap(xp.asarray(scaled))
    return Tensor._wrap(xp.asarray(total, dtype=gradients[0].dtype))


CLIP = Kernel("gpugrad.kernels.clip.clip_grad_norm")


def _check_finite(who: str, norm_type: float, total: Any, wanted: bool) -> None:
    if wanted and not math.isfinite(total.item()):
        raise AnomalyError(
            f"{who}: the norm of order {norm_type} of the gradients is {total.item()}\n"
            "  help: look for the NaN with gg.detect_anomaly(), or pass error_if_nonfinite=False"
        )


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of the gradients to [-clip_value, clip_value].

    Each `p.grad` is replaced; the arrays that were there are not written.

    Raises:
        OptionError: `clip_value` < 0.

    >>> import gpugrad as gg
    >>> w = gg.tensor([3.0, -4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> gg.optim.clip_grad_value_([w], 7.0)
    >>> w.grad
    tensor([ 6., -7.])
    """
    who = "clip_grad_value_"
    demand(is_within(clip_value, 0), who, "clip_value", clip_value, "must be a number >= 0")
    limit = float(clip_value)
    for tensor in _with_gradients(who, parameters):
        xp, gradient = tensor.device.xp, tensor.grad._data  # type: ignore[union-attr]
        with tensor.device.use(who):
            tensor.grad = Tensor._wrap(xp.asarray(xp.clip(gradient, -limit, limit)))


def _with_gradients(who: str, parameters: Any) -> list[Tensor]:
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise OptionError(
                f"{who}(parameters): expected tensors, but number {position} is "
                f"{type(tensor).__name__}\n  help: write model.parameters()"
            )
    unique = {id(tensor): tensor for tensor in tensors if tensor.grad is not None}
    return list(unique.values())


def _norm(xp: Any, x: Any, order: float) -> Any:
    """The p-norm of all elements; float16 is summed in float32, where its squares fit."""
    x = x.reshape(-1)
    if x.dtype == np.float16:
        x = x.astype(np.float32)
    if order == 2.0:
        return xp.sqrt(xp.vdot(x, x))
    x = xp.abs(x)
    if math.isinf(order):
        return xp.max(x) if x.size else x.sum()
    return xp.sum(x**order) ** (1.0 / order)
