"""One array expression, one kernel and one matrix product on the device, compared with NumPy.

All numbers are small whole ones, so that every correct device gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gpugrad.cuda.backend import Backend, backend
from gpugrad.cuda.finding import Finding, report, skipped
from gpugrad.cuda.probes import one_line

Host = np.ndarray[Any, Any]


def trials() -> Iterator[Finding]:
    """Run each, up to a failure: that may have broken what the next would need."""
    failed = ""
    for about, run, expected in _TRIALS:
        finding = skipped(about, f"needs the {failed}") if failed else _try(about, run, expected)
        if finding.problem:
            failed = about
        yield finding


def _try(about: str, run: Callable[[Backend], Any], expected: Callable[[], Host]) -> Finding:
    try:
        gpu = backend()
        result = gpu.get(run(gpu))
    except Exception as error:
        _, _, own = str(error).partition("\n  help: ")
        return Finding(about, "fails", f"the {about} fails: {one_line(error)}", own or report())
    wrong = int(np.sum(result != expected()))
    if wrong:
        problem = f"the {about} gives another result than NumPy in {wrong} of {result.size} places"
        return Finding(about, "differs from NumPy", problem, report())
    return Finding(about, "as NumPy's")


def _numbers(rows: int, columns: int) -> Host:
    return (np.arange(rows * columns, dtype=np.float32) % 13 - 6).reshape(rows, columns)


def _expression(gpu: Backend) -> Any:
    x = gpu.put(_numbers(8, 33))
    return gpu.module.maximum(x * x - x, x)


def _expected_expression() -> Host:
    x = _numbers(8, 33)
    result: Host = np.maximum(x * x - x, x)
    return result


def _kernel(gpu: Backend) -> Any:
    from gpugrad.kernels.scaled_sum import scaled_sum

    x, y = gpu.put(_numbers(1, 1000)[0]), gpu.put(_numbers(1000, 2)[:, 1])
    return scaled_sum(gpu.module, x, y, 3.0)


def _expected_kernel() -> Host:
    x, y = _numbers(1, 1000)[0], _numbers(1000, 2)[:, 1]
    total: Host = np.float32(3) * x + y
    return total


def _product(gpu: Backend) -> Any:
    return gpu.module.matmul(gpu.put(_numbers(32, 17)), gpu.put(_numbers(17, 64)))


def _expected_product() -> Host:
    product: Host = _numbers(32, 17) @ _numbers(17, 64)
    return product


_TRIALS = (
    ("array expression", _expression, _expected_expression),
    ("kernel", _kernel, _expected_kernel),
    ("matrix product", _product, _expected_product),
)
