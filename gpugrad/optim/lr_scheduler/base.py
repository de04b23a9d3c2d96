"""What every scheduler shares: counting epochs, writing `param_groups[i]["lr"]`, saving itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any

from gpugrad.errors import OptionError, StateError
from gpugrad.optim.checks import demand, is_number, is_whole

if TYPE_CHECKING:
    from gpugrad.optim.optimizer import Optimizer


class LRScheduler:
    """Base class: a subclass sets its options, calls `super().__init__` and defines `get_lr`.

    Args:
        optimizer: its `param_groups[i]["lr"]` is what changes.
        last_epoch: -1 starts the schedule; k >= 0 goes on after epoch k, for groups that hold
            the `initial_lr` a scheduler left there.
    Raises:
        OptionError: an impossible setting, or no `initial_lr` where `last_epoch` needs one.

    >>> import gpugrad as gg
    >>> class Halving(gg.optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [base * 0.5**self.last_epoch for base in self.base_lrs]
    >>> optimizer = gg.optim.SGD([gg.tensor(1.0, requires_grad=True)], lr=0.4)
    >>> schedule = Halving(optimizer)
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.1]
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = with_groups(self, optimizer)
        demand(is_whole(last_epoch, -1), self, "last_epoch", last_epoch, "must be at least -1")
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise OptionError(
                    f"{type(self).__name__}(last_epoch={last_epoch}): "
                    f"param_groups[{index}] has no 'initial_lr' to go on from\n"
                    "  help: load the optimizer's state_dict first, or start with last_epoch=-1"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._last_lr: list[float] = []
        self._start()

    def _start(self) -> None:
        """Set the learning rates of epoch `last_epoch` + 1."""
        self._step_count = 0
        self.step()

    def _restart(self) -> None:
        """Go back to epoch 0 and its learning rates."""
        self.step(0)

    def _rewind(self) -> None:
        """Take back the step that the constructor made."""
        self.last_epoch -= 1

    def get_lr(self) -> Sequence[float]:
        """The learning rates of epoch `self.last_epoch`, one for each parameter group."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr()")

    def _get_closed_form_lr(self) -> Sequence[float]:
        """As `get_lr`, whatever the learning rates are now; for a jump to an epoch."""
        return self.get_lr()

    def get_last_lr(self) -> list[float]:
        """The learning rates this scheduler set last, one for each parameter group."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch, or to `epoch`, and set the learning rates.

        Call it after `optimizer.step()`; warns where none has been called yet.
        """
        if self._step_count == 1 and not getattr(self.optimizer, "_opt_called", True):
            warnings.warn(
                "lr_scheduler.step() was called before optimizer.step(): the first learning rate "
                "of the schedule is skipped. Call optimizer.step() first.",
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is None:
            self.last_epoch += 1
            rates = self.get_lr()
        else:
            self.last_epoch = epoch
            rates = self._get_closed_form_lr()
        self._set(rates)

    def _set(self, rates: Sequence[float]) -> None:
        # A NumPy scalar as learning rate would make float32 updates compute in float64.
        self._last_lr = [float(rate) for rate in rates]
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, in a dict of numbers, strings, lists and dicts."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict()` of a scheduler of this kind returned.

        Raises:
            StateError: naming every key that is missing or extra.
        """
        self._load(dict(state_dict), set(self.state_dict()))

    def _load(self, state: dict[str, Any], known: set[str]) -> None:
        missing, extra = sorted(known - state.keys()), sorted(state.keys() - known)
        groups = len(self.optimizer.param_groups)
        count = len(state.get("base_lrs", [0] * groups))
        if missing or extra or count != groups:
            lines = [f"{type(self).__name__}.load_state_dict: the state does not fit"]
            lines += [f"  missing: {key}" for key in missing]
            lines += [f"  extra: {key}" for key in extra]
            if count != groups:
                lines.append(f"  base_lrs: {count} groups saved, the optimizer has {groups}")
            lines.append("  help: load it into a scheduler of the kind and options that saved it")
            raise StateError("\n".join(lines))
        vars(self).update(state)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(last_epoch={self.last_epoch}, last_lr={self._last_lr})"


def with_groups(owner: object, optimizer: Any) -> Any:
    """`optimizer`, once it is sure to be one."""
    if not isinstance(getattr(optimizer, "param_groups", None), list):
        raise OptionError(
            f"{type(owner).__name__}(optimizer={type(optimizer).__name__}): "
            "optimizer must be a gpugrad.optim.Optimizer"
        )
    return optimizer


def for_each_group(owner: object, optimizer: Any, setting: str, value: Any) -> list[float]:
    """`value` for each parameter group: a number for all of them, or a list with one for each."""
    groups = len(with_groups(owner, optimizer).param_groups)
    values = list(value) if isinstance(value, list | tuple) else [value] * groups
    demand(
        len(values) == groups and all(map(is_number, values)),
        owner,
        setting,
        value,
        f"must be a number, or one for each of the {groups} parameter groups",
    )
    return values


def save_callable(function: Callable[..., Any] | None) -> dict[str, Any] | None:
    """The attributes of a callable object; None for a plain function, which is not saved."""
    if function is None or isinstance(function, FunctionType) or not hasattr(function, "__dict__"):
        return None
    return dict(vars(function))


def load_callable(function: Callable[..., Any] | None, saved: dict[str, Any] | None) -> None:
    """Give a callable object its saved attributes."""
    if function is not None and saved is not None:
        vars(function).update(saved)
