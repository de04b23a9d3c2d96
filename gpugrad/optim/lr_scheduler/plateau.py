"""ReduceLROnPlateau: lower the learning rate when a metric stops getting better."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gpugrad.optim.checks import demand, is_whole, is_within
from gpugrad.optim.lr_scheduler.base import LRScheduler, for_each_group, with_groups

if TYPE_CHECKING:
    from gpugrad.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Multiplies the learning rate by `factor` after more than `patience` epochs without progress.

    Args:
        mode: "min" (a loss) or "max" (an accuracy).
        threshold, threshold_mode: what counts as progress: better than the best by the share
            `threshold` ("rel") or by the amount `threshold` ("abs").
        cooldown: epochs after a reduction during which bad ones are not counted.
        min_lr: where to stop, a number or one for each parameter group.
        eps: a smaller change of the learning rate is not made.
    Raises:
        OptionError: `factor` is not in [0, 1), or another impossible setting.

    >>> import gpugrad as gg
    >>> optimizer = gg.optim.SGD([gg.tensor(1.0, requires_grad=True)], lr=0.5)
    >>> schedule = gg.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (1.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
    ) -> None:
        self.optimizer = with_groups(self, optimizer)
        possible = is_within(factor, 0, 1) and factor < 1
        demand(possible, self, "factor", factor, "must be at least 0 and below 1")
        for setting, value, options in (
            ("mode", mode, ("min", "max")),
            ("threshold_mode", threshold_mode, ("rel", "abs")),
        ):
            demand(value in options, self, setting, value, f"must be one of {options}")
        for setting, count in (("patience", patience), ("cooldown", cooldown)):
            demand(is_whole(count, 0), self, setting, count, "must be an integer of at least 0")
        for setting, size in (("threshold", threshold), ("eps", eps)):
            demand(is_within(size, 0), self, setting, size, "must be at least 0")
        self.min_lrs = for_each_group(self, optimizer, "min_lr", min_lr)
        self.mode, self.factor, self.patience, self.cooldown = mode, factor, patience, cooldown
        self.threshold, self.threshold_mode, self.eps = threshold, threshold_mode, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = self.last_epoch = 0
        self._last_lr = [float(group["lr"]) for group in optimizer.param_groups]

    def is_better(self, metric: float, best: float) -> bool:
        """Whether `metric` is progress over `best`."""
        way = -1 if self.mode == "min" else 1
        shift = way * self.threshold
        bound = best * (1 + shift) if self.threshold_mode == "rel" else best + shift
        return way * metric > way * bound

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take the metric of this epoch (a number or a scalar tensor) and lower lr if it is time.

        Raises:
            OptionError: `metrics` is not a number.
        """
        try:
            metric = float(metrics)
        except (TypeError, ValueError):
            demand(False, self, "metrics", metrics, "must be a number or a tensor with one element")
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(metric, self.best):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = [float(group["lr"]) for group in self.optimizer.param_groups]

    def _reduce(self) -> None:
        for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            rate = max(group["lr"] * self.factor, least)
            if group["lr"] - rate > self.eps:
                group["lr"] = float(rate)
