"""AdamW: Adam with the weight decay taken off the parameter itself."""

from __future__ import annotations

from gpugrad.optim.adam import Adam
from gpugrad.optim.optimizer import Params


class AdamW(Adam):
    """p = (1 - lr weight_decay) p, then Adam's step without weight decay in the gradient.

    Args: as `Adam`'s; `weight_decay` is 0.01 by default.
    Raises:
        OptionError: an impossible setting, or no parameters.
    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019), algorithm 2, with
        the decay scaled by lr, as in the documentation of torch.optim.AdamW.

    >>> import gpugrad as gg
    >>> w = gg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = gg.optim.AdamW([w], lr=0.5, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.25, -1.0]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
        )
