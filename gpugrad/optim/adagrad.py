"""Adagrad: each element's step shrinks with the gradients it has seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpugrad.optim.checks import demand, is_within
from gpugrad.optim.optimizer import Optimizer, Params, descent


class Adagrad(Optimizer):
    """s = s + g²;  p = p - lr / (1 + (t - 1) lr_decay) g / (√s + eps).

    Args:
        params: tensors, (name, tensor) pairs, or group dicts.
        lr: learning rate.
        initial_accumulator_value: what s starts from.
        lr_decay, weight_decay, eps, maximize: as in PyTorch.
    Raises:
        OptionError: an impossible setting, or no parameters.
    Source: Duchi, Hazan and Singer, Adaptive Subgradient Methods (2011), with the decay of lr of
        the documentation of torch.optim.Adagrad.

    >>> import gpugrad as gg
    >>> w = gg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = gg.optim.Adagrad([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, -1.5]
    """

    cuda = "adagrad"

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, options: Mapping[str, Any]) -> None:
        super().check(options)
        for name in ("lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            demand(is_within(options[name], 0), self, name, options[name], "must be a number >= 0")

    @staticmethod
    def slots(options: Mapping[str, Any]) -> dict[str, float]:
        return {"sum": float(options["initial_accumulator_value"])}

    @staticmethod
    def update(
        xp: Any, parameter: Any, grad: Any, state: dict[str, Any], options: Mapping[str, Any]
    ) -> None:
        lr = float(options["lr"]) / (1.0 + (state["step"] - 1) * float(options["lr_decay"]))
        grad = descent(parameter, grad, options)
        total = state["sum"]
        total += grad * grad
        denominator = xp.sqrt(total)
        denominator += float(options["eps"])
        step = grad / denominator
        step *= lr
        parameter -= step
