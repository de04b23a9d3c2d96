"""Schedules that follow a curve c(epoch): lr = floor + (initial lr - floor) c(epoch).

They are applied as PyTorch applies them: each epoch multiplies the learning rate that is there,
above the floor, by c(epoch) / c(epoch - 1), so that several schedulers and a hand on `lr` compose.

Source of the formulas: the documentation of torch.optim.lr_scheduler; the cosine is from
Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts (2017), equation 5.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from gpugrad.errors import OptionError
from gpugrad.optim.checks import demand, is_whole, is_within
from gpugrad.optim.lr_scheduler.base import (
    LRScheduler,
    load_callable,
    save_callable,
    with_groups,
)

if TYPE_CHECKING:
    from gpugrad.optim.optimizer import Optimizer


class CurveLR(LRScheduler):
    """A scheduler given by its curve; a subclass defines `curve(epoch)`, with a `floor` if any."""

    floor = 0.0

    def curve(self, epoch: int) -> float:
        """c(epoch), the share of the initial learning rate above the floor."""
        raise NotImplementedError(f"{type(self).__name__} must define curve(epoch)")

    def get_lr(self) -> list[float]:
        here = self.curve(self.last_epoch)
        before = self.curve(self.last_epoch - 1) if self.last_epoch > 0 else 1.0
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if here == before:
            return rates
        if before == 0:  # nothing left to multiply: start again from the initial rates
            pairs = zip(rates, self.base_lrs, strict=True)
            return [rate + (base - self.floor) * here for rate, base in pairs]
        return [self.floor + (rate - self.floor) * (here / before) for rate in rates]

    def _get_closed_form_lr(self) -> list[float]:
        here = self.curve(self.last_epoch)
        return [self.floor + (base - self.floor) * here for base in self.base_lrs]


class StepLR(CurveLR):
    """Multiplies the learning rate by `gamma` every `step_size` epochs.

    Raises:
        OptionError: `step_size` is not a positive integer, or `gamma` is negative.

    >>> import gpugrad as gg
    >>> optimizer = gg.optim.SGD([gg.tensor(1.0, requires_grad=True)], lr=0.5)
    >>> schedule = gg.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for epoch in range(4):
    ...     print(schedule.get_last_lr())
    ...     optimizer.step()
    ...     schedule.step()
    [0.5]
    [0.5]
    [0.25]
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        demand(is_whole(step_size, 1), self, "step_size", step_size, "must be a positive integer")
        demand(is_within(gamma, 0), self, "gamma", gamma, "must be at least 0")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def curve(self, epoch: int) -> float:
        return float(self.gamma ** (epoch // self.step_size))


class MultiStepLR(CurveLR):
    """Multiplies the learning rate by `gamma` at each epoch in `milestones`.

    Raises:
        OptionError: a milestone is not an integer >= 0, or `gamma` is negative.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = list(milestones)
        possible = all(is_whole(milestone, 0) for milestone in self.milestones)
        demand(possible, self, "milestones", self.milestones, "must be integers of at least 0")
        demand(is_within(gamma, 0), self, "gamma", gamma, "must be at least 0")
        self.milestones.sort()
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def curve(self, epoch: int) -> float:
        return float(self.gamma ** bisect_right(self.milestones, epoch))


class ConstantLR(CurveLR):
    """Multiplies the learning rate by `factor` until epoch `total_iters`.

    Raises:
        OptionError: `factor` is outside [0, 1], or `total_iters` is not a positive integer.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        demand(is_within(factor, 0, 1), self, "factor", factor, "must be between 0 and 1")
        _demand_length(self, "total_iters", total_iters)
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def curve(self, epoch: int) -> float:
        return self.factor if epoch < self.total_iters else 1.0


class LinearLR(CurveLR):
    """Multiplies the learning rate by a factor that goes linearly from `start_factor` at epoch 0
    to `end_factor` at epoch `total_iters`, and stays there.

    Raises:
        OptionError: `start_factor` is outside (0, 1], `end_factor` outside [0, 1], or
            `total_iters` is not a positive integer.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        possible = is_within(start_factor, 0, 1) and start_factor > 0
        demand(possible, self, "start_factor", start_factor, "must be above 0 and at most 1")
        demand(is_within(end_factor, 0, 1), self, "end_factor", end_factor, "must be from 0 to 1")
        _demand_length(self, "total_iters", total_iters)
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def curve(self, epoch: int) -> float:
        done = min(epoch, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done


class ExponentialLR(CurveLR):
    """Multiplies the learning rate by `gamma` every epoch.

    Raises:
        OptionError: `gamma` is negative.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        demand(is_within(gamma, 0), self, "gamma", gamma, "must be at least 0")
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def curve(self, epoch: int) -> float:
        return float(self.gamma**epoch)


class PolynomialLR(CurveLR):
    """Takes the learning rate to 0 at epoch `total_iters` along (1 - epoch/total_iters)^power.

    Raises:
        OptionError: `total_iters` is not a positive integer, or `power` is negative.
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        _demand_length(self, "total_iters", total_iters)
        demand(is_within(power, 0), self, "power", power, "must be at least 0")
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def curve(self, epoch: int) -> float:
        return float((1.0 - min(epoch, self.total_iters) / self.total_iters) ** self.power)


class CosineAnnealingLR(CurveLR):
    """Takes the learning rate to `eta_min` at epoch `T_max` along half a cosine, then back up.

    Raises:
        OptionError: `T_max` is not a positive integer, or `eta_min` is negative.

    >>> import gpugrad as gg
    >>> optimizer = gg.optim.SGD([gg.tensor(1.0, requires_grad=True)], lr=0.5)
    >>> schedule = gg.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    >>> for epoch in range(4):
    ...     optimizer.step()
    ...     schedule.step()
    ...     print(round(schedule.get_last_lr()[0], 4))
    0.4268
    0.25
    0.0732
    0.0
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        _demand_length(self, "T_max", T_max)
        demand(is_within(eta_min, 0), self, "eta_min", eta_min, "must be at least 0")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    @property
    def floor(self) -> float:  # type: ignore[override]
        return self.eta_min

    def curve(self, epoch: int) -> float:
        return (1.0 + math.cos(math.pi * epoch / self.T_max)) / 2.0


class _FunctionLR(LRScheduler):
    """A schedule written by the user: one function of the epoch, or one for each group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(with_groups(self, optimizer).param_groups)
        single = not isinstance(lr_lambda, list | tuple)
        self.lr_lambdas: list[Any] = [lr_lambda] * groups if single else list(lr_lambda)  # type: ignore[arg-type]
        if len(self.lr_lambdas) != groups or not all(map(callable, self.lr_lambdas)):
            raise OptionError(
                f"{type(self).__name__}(lr_lambda={lr_lambda!r}): lr_lambda must be a function, "
                f"or one for each of the {groups} parameter groups"
            )
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """As every scheduler's; of `lr_lambdas`, functions are not saved, callable objects are."""
        return {**super().state_dict(), "lr_lambdas": [save_callable(f) for f in self.lr_lambdas]}

    def _load(self, state: dict[str, Any], known: set[str]) -> None:
        functions = self.lr_lambdas
        super()._load(state, known)
        for function, saved in zip(functions, state["lr_lambdas"], strict=True):
            load_callable(function, saved)
        self.lr_lambdas = functions


class LambdaLR(_FunctionLR):
    """The initial learning rate times `lr_lambda(epoch)`.

    Raises:
        OptionError: `lr_lambda` is neither a function nor a list with one for each group.

    >>> import gpugrad as gg
    >>> optimizer = gg.optim.SGD([gg.tensor(1.0, requires_grad=True)], lr=0.5)
    >>> gg.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (epoch + 1)).get_last_lr()
    [0.5]
    """

    def get_lr(self) -> list[float]:
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * function(self.last_epoch) for base, function in pairs]


class MultiplicativeLR(_FunctionLR):
    """Multiplies the learning rate by `lr_lambda(epoch)` every epoch from 1 on.

    Raises:
        OptionError: `lr_lambda` is neither a function nor a list with one for each group.
    """

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [group["lr"] for group in self.optimizer.param_groups]
        return self._get_closed_form_lr()

    def _get_closed_form_lr(self) -> list[float]:
        pairs = zip(self.optimizer.param_groups, self.lr_lambdas, strict=True)
        return [group["lr"] * function(self.last_epoch) for group, function in pairs]


def _demand_length(owner: object, setting: str, value: Any) -> None:
    demand(is_whole(value, 1), owner, setting, value, "must be a positive integer")
