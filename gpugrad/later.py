"""Checks of values on a GPU, whose answer is looked at when the host waits for the device anyway.

Looking at a value (is this label in range?) would make every step wait. So such checks are made
within `gg.detect_anomaly()` only, on the device, and their answers are collected: what reads a
result (`.item()`, `.numpy()`, `gg.cuda.synchronize()`) or the end of the block raises. Without them
a loss whose label is wrong becomes NaN (`nan_where`), for which nobody need look.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from gpugrad.mode import WATCH, mode

Check = tuple[Any, Callable[[], Exception]]  # () bool on the device, and the error it stands for


class _Pending(threading.local):
    def __init__(self) -> None:
        self.checks: list[Check] = []


_pending = _Pending()


def check_later(wrong: Callable[[], Any], error: Callable[[], Exception]) -> None:
    """Within `gg.detect_anomaly()`, raise `error()` once it is known that an element is true.

    Args:
        wrong: makes the array of bools, on the device.
    """
    if mode() & WATCH:
        _pending.checks.append((wrong().any(), error))


def nan_where(xp: Any, wrong: Callable[[], Any], values: Any) -> Any:
    """`values`, on a GPU NaN where an argument is wrong: on the CPU a check has raised already.

    Args:
        wrong: makes the array of bools, on the device; it broadcasts with the values.
        values: an array or a tensor.
    """
    if isinstance(getattr(values, "_data", values), (np.ndarray, np.generic)):
        return values
    return xp.where(wrong(), values * math.nan, values)


def forget_pending() -> None:
    """Ask no more for the answers of the checks so far: an error has ended what they were of."""
    _pending.checks = []


def raise_pending() -> None:
    """Raise the error of the first check that failed; the others are forgotten.

    Raises:
        GradError: what the check found.
    """
    if _pending.checks:
        checks, _pending.checks = _pending.checks, []
        for wrong, error in checks:
            if wrong.item():
                raise error()
