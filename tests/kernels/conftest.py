"""The card on which the wrappers of kernels are tested."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The simulated one, whatever `device="cuda"` means in this process.

    Returns: `xp`, `put` (a NumPy array there), `launches` (a context: the report of each), `moved`.
    """
    from gpugrad.cuda.simulated.backend import SimulatedBackend
    from gpugrad.cuda.simulated.launch import launches
    from gpugrad.kernels import launch

    simulated = SimulatedBackend()
    monkeypatch.setattr(launch, "backend", lambda: simulated)
    return SimpleNamespace(xp=simulated.module, put=simulated.put, launches=launches, moved=_moved)


def _moved(reports: Iterable[Any]) -> tuple[int, int]:
    """The bytes loaded and stored by some launches, in which nothing is amiss."""
    reports = list(reports)
    for report in reports:
        assert not report.findings, "\n".join(map(str, report.findings))
    return sum(r.loaded_bytes for r in reports), sum(r.stored_bytes for r in reports)
