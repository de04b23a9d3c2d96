"""Losses as modules, which hold their settings; the functions are in `nn.functional`."""

from __future__ import annotations

from typing import Any

from gpugrad.errors import DtypeError
from gpugrad.making import asarray, tensor
from gpugrad.nn import functional
from gpugrad.nn.functional.reduction import check_reduction
from gpugrad.nn.module import Module
from gpugrad.tensor import Tensor


class _Loss(Module):
    """A loss with a reduction: "mean", "sum" or "none"."""

    def __init__(self, reduction: str = "mean") -> None:
        check_reduction(type(self).__name__, reduction)
        self.reduction = reduction


class _WeightedLoss(_Loss):
    """A loss with a factor for each class, which is a buffer of the module."""

    weight: Tensor | None

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", None if weight is None else tensor(weight))


class MSELoss(_Loss):
    """The mean of (input - target)**2; see `functional.mse_loss`.

    >>> import gpugrad as gg
    >>> MSELoss()(gg.tensor([1.0, 2.0]), gg.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, input: Any, target: Any) -> Any:
        return functional.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """The mean of abs(input - target); see `functional.l1_loss`."""

    def forward(self, input: Any, target: Any) -> Any:
        return functional.l1_loss(input, target, self.reduction)


class HuberLoss(_Loss):
    """Quadratic as far as delta, linear beyond; see `functional.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        return functional.huber_loss(input, target, self.reduction, self.delta)


class SmoothL1Loss(_Loss):
    """The Huber loss divided by beta; see `functional.smooth_l1_loss`."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        return functional.smooth_l1_loss(input, target, self.reduction, self.beta)


class CrossEntropyLoss(_WeightedLoss):
    """The cross-entropy of softmax(input) and the target; see `functional.cross_entropy`.

    >>> import gpugrad as gg
    >>> loss = CrossEntropyLoss()(gg.tensor([[2.0, -1.0]]), gg.tensor([0]))
    >>> round(loss.item(), 4)
    0.0486
    """

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        return functional.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class NLLLoss(_WeightedLoss):
    """The negative log-likelihood of the target's classes; see `functional.nll_loss`."""

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        return functional.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """The cross-entropy of sigmoid(input) and the target.

    See `functional.binary_cross_entropy_with_logits`.
    """

    pos_weight: Tensor | None

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(weight, reduction)
        self.register_buffer("pos_weight", None if pos_weight is None else tensor(pos_weight))

    def forward(self, input: Any, target: Any) -> Any:
        return functional.binary_cross_entropy_with_logits(
            input, target, self.weight, self.reduction, self.pos_weight
        )


class MultiMarginLoss(_WeightedLoss):
    """A hinge for every wrong class; see `functional.multi_margin_loss`."""

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction)
        self.p = p
        self.margin = margin

    def forward(self, input: Any, target: Any) -> Any:
        return functional.multi_margin_loss(
            input, target, self.p, self.margin, self.weight, self.reduction
        )


class HingeLoss(_Loss):
    """The hinge loss, for two classes or many, by the target's shape.

    A target of the input's shape holds -1 and 1 (`functional.hinge_loss`); one with an axis less
    holds class numbers (`functional.multi_margin_loss`, p = 1).

    >>> import gpugrad as gg
    >>> loss = HingeLoss()
    >>> loss(gg.tensor([0.25, -2.0]), gg.tensor([1, -1])).item()
    0.375
    >>> round(loss(gg.tensor([[0.1, 0.2, 0.4, 0.8]]), gg.tensor([3])).item(), 4)
    0.325
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input: Any, target: Any) -> Any:
        input, target = asarray(input), asarray(target)
        if input.ndim == target.ndim + 1 and input.shape[-1] != 1:
            if target.dtype.kind == "f":
                raise DtypeError("HingeLoss: class numbers are integers, not floats")
            return functional.multi_margin_loss(
                input, target, margin=self.margin, reduction=self.reduction
            )
        return functional.hinge_loss(input, target, self.margin, self.reduction)
