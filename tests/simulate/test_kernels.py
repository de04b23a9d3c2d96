"""Ordinary kernels, from one line to a grid that waits for itself, against NumPy."""

from __future__ import annotations

from functools import partial

import pytest

from gpugrad import simulate
from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from tests.simulate.kernels.cases import CASES  # noqa: E402


@pytest.mark.parametrize("cc", [(7, 5), (8, 0), (9, 0)], ids=lambda cc: "{}.{}".format(*cc))
@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernel_computes_what_numpy_does_without_a_false_alarm(case, cc):
    report = case.check(partial(simulate.run, cc=cc))
    assert {finding.kind for finding in report.findings} == set(case.findings), report.findings


def test_names_are_unique_and_there_are_enough():
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({case.kernel for case in CASES}) >= 28


def test_every_tolerance_and_every_finding_says_why():
    for case in CASES:
        assert bool(case.relative or case.absolute) == (case.why != type(case).why), case.name
        assert all(case.findings.values()), case.name
