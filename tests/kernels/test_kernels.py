"""Each kernel of each table against NumPy, over sizes and launch shapes, on the simulated card."""

from __future__ import annotations

import pytest

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from tests.kernels.harness import cases, check, rows  # noqa: E402

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("row", "size"),
    list(cases()),
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) else str(value),
)
def test_kernel_computes_and_moves_what_it_claims(row, size):
    for launch in row.launches:
        check(row, size, launch)


def test_names_are_unique():
    names = [row.name for row in rows()]
    assert len(set(names)) == len(names)
