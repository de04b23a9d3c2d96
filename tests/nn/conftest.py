"""How these tests see what is wrong with values."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest

import gpugrad as gg


@pytest.fixture
def looking(device: gg.Device) -> Callable[[], AbstractContextManager[object]]:
    """A block in which values are checked: any on the CPU, `gg.detect_anomaly()` on a GPU."""
    return nullcontext if device.kind == "cpu" else gg.detect_anomaly
