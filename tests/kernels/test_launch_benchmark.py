"""The benchmark of launching runs without a driver, and tells the three ways apart."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.processes import ROOT
from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()
pytest.importorskip("cupy", reason="CuPy is not installed")

pytestmark = pytest.mark.once


def test_every_way_has_a_time(tmp_path):
    file = tmp_path / "times.json"
    command = [sys.executable, "-m", "benchmarks.launch", "--rounds", "3", "--calls", "200"]
    done = subprocess.run(
        [*command, "--json", str(file)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert {"processor", "cupy", "numba-cuda"} <= set(found["machine"])
    for ways in found["launch"].values():
        median = {way: times["median"] for way, times in ways.items()}
        assert len(median) == 4
        numba = next(time for way, time in median.items() if way.startswith("Numba"))
        assert numba > median["gpugrad: launch"] > 0
        assert all(way in done.stdout for way in median)
