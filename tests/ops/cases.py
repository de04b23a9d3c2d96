"""The table of operations: a row for each way to call one."""

from __future__ import annotations

from tests.ops import rows_elementwise, rows_products, rows_reductions, rows_structure

CASES = [
    *rows_elementwise.ROWS,
    *rows_products.ROWS,
    *rows_reductions.ROWS,
    *rows_structure.ROWS,
]
NUMBERED = {str(case): case for case in CASES}  # a name twice would lose a row: test_table notices
