"""How optimizers and schedulers refuse an impossible setting."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from gpugrad.errors import OptionError


def is_number(value: Any) -> bool:
    """Whether `value` is a real number other than NaN (True and False are not numbers here)."""
    return isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)


def is_whole(value: Any, low: int) -> bool:
    """Whether `value` is an integer of at least `low`."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= low


def is_within(value: Any, low: float, high: float = math.inf) -> bool:
    """Whether `value` is a number with low <= value <= high."""
    return is_number(value) and low <= value <= high


def demand(possible: bool, owner: object, setting: str, value: Any, rule: str) -> None:
    """Raise unless a setting is possible, naming the class, the setting, its value and the rule.

    Raises:
        OptionError: `possible` is false.

    >>> demand(False, LookupError(), "lr", -1, "must be at least 0")
    Traceback (most recent call last):
    gpugrad.errors.OptionError: LookupError(lr=-1): lr must be at least 0
    """
    if not possible:
        name = owner if isinstance(owner, str) else type(owner).__name__
        raise OptionError(f"{name}({setting}={value!r}): {setting} {rule}")
