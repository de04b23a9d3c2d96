"""Schedules made of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gpugrad.errors import OptionError, StateError
from gpugrad.optim.checks import is_whole
from gpugrad.optim.lr_scheduler.base import LRScheduler, with_groups
from gpugrad.optim.lr_scheduler.plateau import ReduceLROnPlateau

if TYPE_CHECKING:
    from gpugrad.optim.optimizer import Optimizer


class _Combined(LRScheduler):
    """Several schedulers of one optimizer."""

    def _adopt(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        name, self._schedulers = type(self).__name__, list(schedulers)
        if not self._schedulers:
            raise OptionError(f"{name}(schedulers=[]): at least one scheduler is needed")
        self.optimizer = self._schedulers[0].optimizer if optimizer is None else optimizer
        with_groups(self, self.optimizer)
        for index, scheduler in enumerate(self._schedulers):
            if isinstance(scheduler, ReduceLROnPlateau):
                raise OptionError(
                    f"{name}: schedulers[{index}] is ReduceLROnPlateau, whose step needs a metric\n"
                    "  help: step it by itself"
                )
            if scheduler.optimizer is not self.optimizer:
                raise OptionError(f"{name}: schedulers[{index}] belongs to another optimizer")

    def _note_rates(self) -> None:
        self._last_lr = [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """As every scheduler's, with the list of the schedulers' own under `_schedulers`."""
        states = [scheduler.state_dict() for scheduler in self._schedulers]
        return {**super().state_dict(), "_schedulers": states}

    def _load(self, state: dict[str, Any], known: set[str]) -> None:
        schedulers = self._schedulers
        states = state.get("_schedulers", [])
        super()._load(state, known)
        self._schedulers = schedulers
        if len(states) != len(schedulers):
            raise StateError(
                f"{type(self).__name__}.load_state_dict: the state does not fit\n"
                f"  _schedulers: {len(states)} saved, this one has {len(schedulers)}"
            )
        for scheduler, saved in zip(schedulers, states, strict=True):
            scheduler.load_state_dict(saved)


class SequentialLR(_Combined):
    """Follows `schedulers` one after the other; the next takes over at each of `milestones`.

    The scheduler that takes over starts at its epoch 0, from the initial learning rate. Inside
    another SequentialLR each part counts its own epochs from 0, as it does alone.

    Raises:
        OptionError: no scheduler, milestones that are not increasing integers, one fewer than
            the schedulers, a ReduceLROnPlateau, or a scheduler of another optimizer.

    >>> import gpugrad as gg
    >>> from gpugrad.optim.lr_scheduler import ExponentialLR, LinearLR, SequentialLR
    >>> optimizer = gg.optim.SGD([gg.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> warm = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> fall = ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = SequentialLR(optimizer, [warm, fall], milestones=[2])
    >>> for epoch in range(4):
    ...     print(schedule.get_last_lr())
    ...     optimizer.step()
    ...     schedule.step()
    [0.5]
    [0.75]
    [1.0]
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self._adopt(schedulers, optimizer)
        milestones = list(milestones)
        increasing = all(a < b for a, b in pairwise(milestones))
        if not (increasing and all(is_whole(milestone, 1) for milestone in milestones)):
            raise OptionError(
                f"SequentialLR(milestones={milestones}): milestones must be increasing integers"
            )
        if len(milestones) != len(self._schedulers) - 1:
            raise OptionError(
                f"SequentialLR: {len(self._schedulers)} schedulers need "
                f"{len(self._schedulers) - 1} milestones, not {len(milestones)}"
            )
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        # Each scheduler has set the learning rates of its epoch 0: only the first one's count.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for scheduler in self._schedulers:
            scheduler._rewind()
        self._schedulers[0]._start()
        self._note_rates()

    def _rewind(self) -> None:
        super()._rewind()
        self._schedulers[0]._rewind()

    def _restart(self) -> None:
        self.last_epoch = 0
        self._schedulers[0]._restart()
        self._note_rates()

    def _start(self) -> None:
        self.last_epoch += 1
        self._schedulers[0]._start()
        self._note_rates()

    def step(self) -> None:  # type: ignore[override]
        """Go to the next epoch, in the scheduler whose turn it is."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            self._schedulers[turn]._restart()
        else:
            self._schedulers[turn].step()
        self._note_rates()


class ChainedScheduler(_Combined):
    """Steps all `schedulers` together: each changes what the one before it has set.

    Raises:
        OptionError: no scheduler, a ReduceLROnPlateau, or schedulers of different optimizers.
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        self._adopt(schedulers, optimizer)
        self._note_rates()

    def _rewind(self) -> None:
        for scheduler in self._schedulers:
            scheduler._rewind()

    def _restart(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for scheduler in self._schedulers:
            scheduler.last_epoch = -1
            scheduler._start()
        self._note_rates()

    def _start(self) -> None:
        for scheduler in self._schedulers:
            scheduler._start()
        self._note_rates()

    def step(self) -> None:  # type: ignore[override]
        """Step every scheduler, in order."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._note_rates()
