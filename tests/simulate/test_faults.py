"""Each planted mistake is reported as what it is, where it is; its mended twin is clean."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gpugrad import simulate
from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from tests.simulate.faults import PLANTED, Planted  # noqa: E402

EXCEPTIONS = [planted for planted in PLANTED if not isinstance(planted.raises, str)]
FINDINGS = [planted for planted in PLANTED if isinstance(planted.raises, str)]
everywhere = pytest.mark.parametrize(
    "cc", [(7, 5), (8, 0), (9, 0)], ids=lambda cc: "{}.{}".format(*cc)
)


def launch(kernel, planted, cc):
    arguments = planted.arguments()
    return simulate.run(kernel, planted.grid, planted.block, *arguments, cc=cc), arguments


def test_there_are_twelve():
    assert len(PLANTED) == len(set(map(str, PLANTED))) == 12


@everywhere
@pytest.mark.parametrize("planted", EXCEPTIONS, ids=str)
def test_a_fault_is_raised_on_its_line(planted: Planted, cc):
    with pytest.raises(planted.raises, match=planted.match) as caught:
        launch(planted.faulty, planted, cc)
    fault = caught.value
    assert type(fault) is planted.raises
    assert fault.kernel == planted.faulty.py_func.__name__
    assert fault.line == planted.line()
    assert fault.block in planted.blocks
    assert fault.thread in planted.threads
    assert f"faulty.py:{fault.line}" in str(fault)


@everywhere
@pytest.mark.parametrize("planted", FINDINGS, ids=str)
def test_a_finding_names_its_line(planted: Planted, cc):
    report, _ = launch(planted.faulty, planted, cc)
    (finding,) = report.findings
    assert finding.kind == planted.raises
    assert finding.line == planted.line()
    assert re.search(planted.match, finding.text)


@everywhere
@pytest.mark.parametrize("planted", PLANTED, ids=str)
def test_the_mended_kernel_is_clean(planted: Planted, cc):
    report, arguments = launch(planted.mended, planted, cc)
    assert report.findings == []
    changed = zip(arguments, planted.arguments(), strict=True)
    assert any(not np.array_equal(after, before) for after, before in changed)


@pytest.mark.parametrize(
    "name", ["missing barrier", "lost update without an atomic", "two blocks writing one address"]
)
def test_a_race_names_both_accesses(name):
    (planted,) = (planted for planted in PLANTED if str(planted) == name)
    with pytest.raises(simulate.RaceError) as caught:
        launch(planted.faulty, planted, (7, 5))
    fault = caught.value
    other = "other" if name == "missing barrier" else "fault"
    assert fault.other_line == planted.line(other)
    assert fault.other_block in planted.blocks
    assert fault.other_thread in planted.threads
    assert (fault.block, fault.thread) != (fault.other_block, fault.other_thread)
    apart = fault.block != fault.other_block
    assert ("no barrier orders two blocks" if apart else "put a barrier between") in str(fault)
