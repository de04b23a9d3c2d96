"""RMSprop, plain and centred, with or without momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpugrad.optim.checks import demand, is_within
from gpugrad.optim.optimizer import Optimizer, Params, descent


class RMSprop(Optimizer):
    """v = alpha v + (1 - alpha) g²;  p = p - lr g / (√v + eps).

    `centered` subtracts the square of the mean gradient from v under the root; with `momentum`,
    b = momentum b + g / (√v + eps) and p = p - lr b.

    Args:
        params: tensors, (name, tensor) pairs, or group dicts.
        lr: learning rate.
        alpha, eps, weight_decay, momentum, centered, maximize: as in PyTorch.
    Raises:
        OptionError: an impossible setting, or no parameters.
    Source: Hinton, Neural Networks for Machine Learning (2012), lecture 6e; centred: Graves,
        Generating Sequences With Recurrent Neural Networks (2013), equations 38 to 41.

    >>> import gpugrad as gg
    >>> w = gg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = gg.optim.RMSprop([w], lr=0.5, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.0, -1.0]
    """

    cuda = "rmsprop"

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, options: Mapping[str, Any]) -> None:
        super().check(options)
        for name in ("eps", "weight_decay", "momentum"):
            demand(is_within(options[name], 0), self, name, options[name], "must be a number >= 0")
        alpha = options["alpha"]
        demand(is_within(alpha, 0, 1), self, "alpha", alpha, "must be a number in [0, 1]")

    @staticmethod
    def slots(options: Mapping[str, Any]) -> dict[str, float]:
        wanted = {
            "square_avg": True,
            "momentum_buffer": options["momentum"],
            "grad_avg": options["centered"],
        }
        return {name: 0.0 for name, needed in wanted.items() if needed}

    @staticmethod
    def update(
        xp: Any, parameter: Any, grad: Any, state: dict[str, Any], options: Mapping[str, Any]
    ) -> None:
        lr, alpha = float(options["lr"]), float(options["alpha"])
        grad = descent(parameter, grad, options)
        v = state["square_avg"]
        v *= alpha
        v += (1.0 - alpha) * grad * grad
        if options["centered"]:
            mean = state["grad_avg"]
            mean *= alpha
            mean += (1.0 - alpha) * grad
            v = v - mean * mean
        denominator = xp.sqrt(v)
        denominator += float(options["eps"])
        step = grad / denominator
        if options["momentum"]:
            buffer = state["momentum_buffer"]
            buffer *= float(options["momentum"])
            buffer += step
            step = buffer
        parameter -= lr * step
