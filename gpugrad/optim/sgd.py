"""SGD: stochastic gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpugrad.errors import OptionError
from gpugrad.optim.checks import demand, is_number, is_within
from gpugrad.optim.optimizer import Optimizer, Params, descent


class SGD(Optimizer):
    """v = momentum v + (1 - dampening) g;  p = p - lr v, where g holds the weight decay.

    The first v is g itself. With `nesterov`, p = p - lr (g + momentum v).

    Args:
        params: tensors, (name, tensor) pairs, or group dicts.
        lr: learning rate.
        momentum, dampening, weight_decay, nesterov, maximize: as in PyTorch.
    Raises:
        OptionError: an impossible setting, or no parameters.
    Source: Sutskever et al., On the importance of initialization and momentum (2013), with v not
        scaled by lr, as in the documentation of torch.optim.SGD.

    >>> import gpugrad as gg
    >>> w = gg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = gg.optim.SGD([w], lr=0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (w * w).sum().backward()
    ...     optimizer.step()
    >>> w.tolist()
    [0.0, 0.0]
    """

    counts = False

    cuda = "sgd"

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, options: Mapping[str, Any]) -> None:
        super().check(options)
        for name in ("momentum", "weight_decay"):
            demand(is_within(options[name], 0), self, name, options[name], "must be a number >= 0")
        dampening = options["dampening"]
        demand(is_number(dampening), self, "dampening", dampening, "must be a number")
        if options["nesterov"] and (options["momentum"] <= 0 or dampening != 0):
            raise OptionError(
                f"SGD(nesterov=True, momentum={options['momentum']}, dampening={dampening}): "
                "Nesterov momentum requires a momentum above 0 and zero dampening"
            )

    @staticmethod
    def slots(options: Mapping[str, Any]) -> dict[str, float]:
        return {"momentum_buffer": 0.0} if options["momentum"] else {}

    @staticmethod
    def update(
        xp: Any, parameter: Any, grad: Any, state: dict[str, Any], options: Mapping[str, Any]
    ) -> None:
        lr, momentum = float(options["lr"]), float(options["momentum"])
        grad = descent(parameter, grad, options)
        if momentum:
            velocity = state["momentum_buffer"]
            if state["step"] == 1:
                velocity[...] = grad
            else:
                velocity *= momentum
                damping = options["dampening"]
                velocity += (1.0 - float(damping)) * grad if damping else grad
            grad = grad + momentum * velocity if options["nesterov"] else velocity
        parameter -= lr * grad
