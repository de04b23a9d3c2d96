"""Schedules that come round again: CyclicLR, OneCycleLR, CosineAnnealingWarmRestarts.

Source of the formulas: the documentation of torch.optim.lr_scheduler; Smith, Cyclical Learning
Rates for Training Neural Networks (2017); Smith and Topin, Super-Convergence (2018); Loshchilov
and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts (2017), equation 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gpugrad.errors import OptionError
from gpugrad.optim.checks import demand, is_number, is_whole, is_within
from gpugrad.optim.lr_scheduler.base import (
    LRScheduler,
    for_each_group,
    load_callable,
    save_callable,
)

if TYPE_CHECKING:
    from gpugrad.optim.optimizer import Optimizer


class _MomentumCycle(LRScheduler):
    """Moves the momentum (SGD, RMSprop) or the first beta (Adam) against the learning rate."""

    def _open_momentum(self, cycle_momentum: bool, base: Any, peak: Any, last_epoch: int) -> None:
        self.cycle_momentum = cycle_momentum
        if not cycle_momentum:
            return
        bases = for_each_group(self, self.optimizer, "base_momentum", base)
        peaks = for_each_group(self, self.optimizer, "max_momentum", peak)
        for group, low, high in zip(self.optimizer.param_groups, bases, peaks, strict=True):
            if "momentum" not in group and "betas" not in group:
                raise OptionError(
                    f"{type(self).__name__}(cycle_momentum=True): the optimizer has neither "
                    "'momentum' nor 'betas'\n  help: pass cycle_momentum=False"
                )
            if last_epoch == -1:
                group["base_momentum"], group["max_momentum"] = low, high

    def _set_momenta(self, momenta: list[float]) -> None:
        for group, value in zip(self.optimizer.param_groups, momenta, strict=True):
            if "betas" in group:
                group["betas"] = (float(value), *group["betas"][1:])
            else:
                group["momentum"] = float(value)


class CyclicLR(_MomentumCycle):
    """Goes from `base_lr` up to `max_lr` and back, again and again; step it after every batch.

    Args:
        base_lr, max_lr: a number, or one for each parameter group.
        step_size_up, step_size_down: batches on the way up and on the way down (None: as up).
        mode: "triangular"; "triangular2" halves the height each cycle; "exp_range" scales it
            by gamma^batch.
        scale_fn, scale_mode: a scale of your own, of the cycle or of the batch, instead of mode.
        cycle_momentum: take the momentum from `max_momentum` to `base_momentum` meanwhile.
    Raises:
        OptionError: an impossible setting, or an optimizer without momentum to cycle.

    >>> import gpugrad as gg
    >>> optimizer = gg.optim.SGD([gg.tensor(1.0, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> schedule = gg.optim.lr_scheduler.CyclicLR(optimizer, 0.25, 1.0, step_size_up=2)
    >>> optimizer.step()
    >>> schedule.step()
    >>> optimizer.param_groups[0]["lr"], round(optimizer.param_groups[0]["momentum"], 2)
    (0.625, 0.85)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        bases = for_each_group(self, optimizer, "base_lr", base_lr)
        self.max_lrs = for_each_group(self, optimizer, "max_lr", max_lr)
        down = step_size_up if step_size_down is None else step_size_down
        for setting, value in (("step_size_up", step_size_up), ("step_size_down", down)):
            demand(
                is_number(value) and value > 0, self, setting, value, "must be a positive integer"
            )
        modes = ("triangular", "triangular2", "exp_range")
        demand(mode in modes or scale_fn is not None, self, "mode", mode, f"must be one of {modes}")
        scales = ("cycle", "iterations")
        demand(scale_mode in scales, self, "scale_mode", scale_mode, f"must be one of {scales}")
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma = mode, gamma
        self.scale_mode, self._scale_fn = scale_mode, scale_fn
        self.optimizer = optimizer
        self._open_momentum(cycle_momentum, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, base in zip(optimizer.param_groups, bases, strict=True):
                group["lr"] = base
        super().__init__(optimizer, last_epoch)
        # Another scheduler's initial_lr stays in the groups; this one starts from `base_lr`.
        self.base_lrs = bases
        self._set(self.get_lr())

    def scale_fn(self, x: float) -> float:
        """The height of cycle `x` (or of batch `x`, where the mode counts batches)."""
        if self._scale_fn is not None:
            return float(self._scale_fn(x))
        if self.mode == "triangular":
            return 1.0
        return float(0.5 ** (x - 1) if self.mode == "triangular2" else self.gamma**x)

    def get_lr(self) -> list[float]:
        turns = self.last_epoch / self.total_size
        cycle = math.floor(1 + turns)
        x = 1.0 + turns - cycle
        up = self.step_ratio
        height = x / up if x <= up else (x - 1) / (up - 1)
        by_batch = self._scale_fn is None and self.mode == "exp_range"
        by_batch = by_batch or (self._scale_fn is not None and self.scale_mode == "iterations")
        height *= self.scale_fn(self.last_epoch if by_batch else cycle)
        if self.cycle_momentum:
            self._set_momenta(
                [
                    group["max_momentum"]
                    - (group["max_momentum"] - group["base_momentum"]) * height
                    for group in self.optimizer.param_groups
                ]
            )
        pairs = zip(self.base_lrs, self.max_lrs, strict=True)
        return [base + (peak - base) * height for base, peak in pairs]

    def state_dict(self) -> dict[str, Any]:
        """As every scheduler's; a `scale_fn` is saved only where it is a callable object."""
        return {**super().state_dict(), "_scale_fn": save_callable(self._scale_fn)}

    def _load(self, state: dict[str, Any], known: set[str]) -> None:
        function = self._scale_fn
        super()._load(state, known)
        load_callable(function, state["_scale_fn"])
        self._scale_fn = function


class OneCycleLR(_MomentumCycle):
    """One rise from max_lr/div_factor to max_lr, then a fall to that start/final_div_factor.

    Step it after every batch, `total_steps` (or epochs times steps_per_epoch) of them. The
    momentum goes the other way. `three_phase` falls as far as it rose before it vanishes.

    Raises:
        OptionError: an impossible setting, or more steps than `total_steps`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        peaks = for_each_group(self, optimizer, "max_lr", max_lr)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise OptionError(
                    "OneCycleLR: the length of the schedule is not known\n"
                    "  help: pass total_steps, or both epochs and steps_per_epoch"
                )
            for setting, count in (("epochs", epochs), ("steps_per_epoch", steps_per_epoch)):
                demand(is_whole(count, 1), self, setting, count, "must be a positive integer")
            total_steps = epochs * steps_per_epoch
        possible = is_whole(total_steps, 1)
        demand(possible, self, "total_steps", total_steps, "must be a positive integer")
        demand(is_within(pct_start, 0, 1), self, "pct_start", pct_start, "must be between 0 and 1")
        for setting, value in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            demand(is_number(value) and value > 0, self, setting, value, "must be above 0")
        kinds = ("cos", "linear")
        possible = anneal_strategy in kinds
        demand(possible, self, "anneal_strategy", anneal_strategy, f"must be one of {kinds}")
        self.total_steps, self.pct_start = total_steps, pct_start
        self.anneal_strategy, self.three_phase = anneal_strategy, three_phase
        self.optimizer = optimizer
        self._open_momentum(cycle_momentum, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["initial_lr"] = peak / div_factor
                group["max_lr"] = peak
                group["min_lr"] = peak / div_factor / final_div_factor
        super().__init__(optimizer, last_epoch)

    def _phases(self) -> list[tuple[float, str, str, str, str]]:
        """Last step, learning rates and momenta (first, last) of each phase."""
        last, peak = float(self.total_steps - 1), self.pct_start * self.total_steps - 1
        up = ("initial_lr", "max_lr", "max_momentum", "base_momentum")
        if not self.three_phase:
            down = ("max_lr", "min_lr", "base_momentum", "max_momentum")
            return [(peak, *up), (last, *down)]
        down = ("max_lr", "initial_lr", "base_momentum", "max_momentum")
        vanish = ("initial_lr", "min_lr", "max_momentum", "max_momentum")
        return [(peak, *up), (2 * peak, *down), (last, *vanish)]

    def get_lr(self) -> list[float]:
        step = self.last_epoch
        if step > self.total_steps:
            raise OptionError(
                f"OneCycleLR: step {step} of a schedule of {self.total_steps} steps\n"
                "  help: give it the total number of batches as total_steps"
            )
        begin = 0.0
        for phase in self._phases():
            end = phase[0]
            if step <= end:
                break
            if end < self.total_steps - 1:
                begin = end
        done = min(1.0, (step - begin) / (end - begin)) if end > begin else 1.0
        if self.anneal_strategy == "cos":
            done = (1.0 - math.cos(math.pi * done)) / 2.0
        groups = self.optimizer.param_groups
        _, first, last, momentum, final = phase
        if self.cycle_momentum:
            self._set_momenta([g[momentum] + (g[final] - g[momentum]) * done for g in groups])
        return [g[first] + (g[last] - g[first]) * done for g in groups]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from the initial rate to `eta_min`, over and over, each `T_mult` times longer.

    Args:
        T_0: epochs of the first fall.
    Raises:
        OptionError: `T_0` or `T_mult` is not a positive integer, or `eta_min` is negative.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        demand(is_whole(T_0, 1), self, "T_0", T_0, "must be a positive integer")
        demand(is_whole(T_mult, 1), self, "T_mult", T_mult, "must be a positive integer")
        demand(is_within(eta_min, 0), self, "eta_min", eta_min, "must be at least 0")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def _start(self) -> None:
        self.T_i, self.T_cur = self.T_0, float(self.last_epoch)
        super()._start()

    def get_lr(self) -> list[float]:
        share = (1.0 + math.cos(math.pi * self.T_cur / self.T_i)) / 2.0
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go to the next epoch, or to `epoch`, which may be a fraction: epoch + batch/batches.

        Raises:
            OptionError: `epoch` is negative.
        """
        self._step_count += 1
        if epoch is None:
            self.last_epoch += 1
            self.T_cur += 1
        else:
            demand(is_within(epoch, 0), self, "epoch", epoch, "must be at least 0")
            self.last_epoch, self.T_i, self.T_cur = math.floor(epoch), self.T_0, epoch
            if self.T_mult == 1:
                self.T_cur = epoch % self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult
        self._set(self.get_lr())
