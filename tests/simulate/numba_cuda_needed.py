"""Where numba-cuda is not installed, tests that compile kernels are skipped, and say so."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest


def needs_numba_cuda() -> None:
    """Skip the module that calls this unless the distribution numba-cuda is installed."""
    try:
        version("numba-cuda")
    except PackageNotFoundError:
        pytest.skip(
            "the distribution numba-cuda is not installed (`pip show numba-cuda`): it comes with "
            "the extra `simulate`, on Linux and Windows",
            allow_module_level=True,
        )
