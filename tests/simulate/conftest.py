"""The simulator's own tests: their kernels run in it whatever `device="cuda"` means."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    """Mark every module here `once`."""
    module: pytest.Module = pytest.Module.from_parent(parent, path=module_path)
    module.add_marker(pytest.mark.once)
    return module
