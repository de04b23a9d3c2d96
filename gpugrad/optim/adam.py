"""Adam and its AMSGrad variant; `AdamW` differs in where the weight decay goes."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

from gpugrad.optim.checks import demand, is_within
from gpugrad.optim.optimizer import Optimizer, Params, descent


class Adam(Optimizer):
    """m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g²;  p = p - lr m̂ / (√v̂ + eps).

    m̂ = m / (1 - b1ᵗ) and v̂ = v / (1 - b2ᵗ) correct the start from zero. With `amsgrad`, v̂ is
    taken from the largest v so far.

    Args:
        params: tensors, (name, tensor) pairs, or group dicts.
        lr: learning rate.
        betas: (b1, b2), each in [0, 1).
        eps, weight_decay, amsgrad, maximize: as in PyTorch; `weight_decay` is added to g, unless
            `decoupled_weight_decay`, as in AdamW.
    Raises:
        OptionError: an impossible setting, or no parameters.
    Source: Kingma and Ba, Adam (2015), algorithm 1; Reddi et al., On the Convergence of Adam and
        Beyond (2018), algorithm 2.

    >>> import gpugrad as gg
    >>> w = gg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = gg.optim.Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, -1.5]
    """

    cuda = "adam"

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def check(self, options: Mapping[str, Any]) -> None:
        super().check(options)
        betas = options["betas"]
        possible = isinstance(betas, tuple | list) and len(betas) == 2
        possible = possible and all(is_within(beta, 0, 1) and beta < 1 for beta in betas)
        demand(possible, self, "betas", betas, "must be two numbers in [0, 1)")
        for name in ("eps", "weight_decay"):
            demand(is_within(options[name], 0), self, name, options[name], "must be a number >= 0")

    @staticmethod
    def slots(options: Mapping[str, Any]) -> dict[str, float]:
        names = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
        return {**names, "max_exp_avg_sq": 0.0} if options["amsgrad"] else names

    @staticmethod
    def update(
        xp: Any, parameter: Any, grad: Any, state: dict[str, Any], options: Mapping[str, Any]
    ) -> None:
        lr, eps, t = float(options["lr"]), float(options["eps"]), state["step"]
        beta1, beta2 = map(float, options["betas"])
        if options["decoupled_weight_decay"]:
            parameter *= 1.0 - lr * float(options["weight_decay"])
            grad = -grad if options["maximize"] else grad
        else:
            grad = descent(parameter, grad, options)
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m *= beta1
        m += (1.0 - beta1) * grad
        v *= beta2
        v += (1.0 - beta2) * grad * grad
        if options["amsgrad"]:
            v = xp.maximum(state["max_exp_avg_sq"], v, out=state["max_exp_avg_sq"])
        denominator = xp.sqrt(v)
        denominator *= 1.0 / sqrt(1.0 - beta2**t)
        denominator += eps
        step = m / denominator
        step *= lr / (1.0 - beta1**t)
        parameter -= step
