"""Each kernel linked for each card: float32 throughout, no spills, and what it takes unchanged."""

from __future__ import annotations

import pytest

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from tests.kernels.machine_code import TABLE, codes, kernels, table, taken, toolchain  # noqa: E402

pytestmark = pytest.mark.once

REFRESH = "run `python scripts/machine_code_table.py`, and look at the difference"


@pytest.mark.parametrize("row", kernels().values(), ids=str)
def test_kernel_is_float32_keeps_its_registers_and_takes_what_the_table_says(row):
    linked = list(codes(row))
    for code in linked:
        assert not code.float64_lines
        assert ".f64" not in code.ptx
        assert (code.spilled_bytes, code.local_bytes) == (0, 0)
        assert code.occupancy(256).blocks >= 1
    if toolchain() in (known := table()):
        assert taken(linked) == known[toolchain()].get(row.name), REFRESH


def test_table_has_the_kernels_there_are():
    for tools, rows in table().items():
        assert set(rows) == set(kernels()), f"{TABLE.name}, {tools}: {REFRESH}"
