"""What `import gpugrad.data` offers, and what it does not load."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import gpugrad.data

pytestmark = pytest.mark.once

HEAVY = ["csv", "gzip", "pooch", "sklearn", "pandas", "scipy"]


def test_every_exported_name_is_there():
    for name in gpugrad.data.__all__:
        assert getattr(gpugrad.data, name).__name__ == name
    assert set(gpugrad.data.__all__) == set(gpugrad.data._HOMES)
    assert set(gpugrad.data.__all__) <= set(dir(gpugrad.data))


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"'gpugrad\.data' has no attribute 'load_cvs'"):
        gpugrad.data.load_cvs  # noqa: B018


def test_loading_the_digits_loads_nothing_heavy():
    code = (
        "import json, sys, gpugrad.data as d; d.DataLoader(d.load_digits()); "
        f"print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == []
