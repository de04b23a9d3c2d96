"""The benchmark beside Numba's simulator runs, and both simulators agree."""

from __future__ import annotations

import json

import pytest

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from benchmarks.simulator import NUMBA, OURS, main  # noqa: E402


def test_a_round_of_one_kernel_writes_both_times(tmp_path, capsys):
    file = tmp_path / "times.json"
    assert main(["--rounds", "1", "--kernels", "gelu", "--json", str(file)]) == 0
    found = json.loads(file.read_text())["kernels"]["gelu"]
    assert {NUMBA, OURS} < set(found["microseconds a thread"])
    assert found["times faster"] > 0
    assert "gelu" in capsys.readouterr().out


def test_an_unknown_kernel_is_named(capsys):
    with pytest.raises(SystemExit):
        main(["--kernels", "mandelbrot"])
    assert "kernels are saxpy, " in capsys.readouterr().err
