"""Why `device="cuda"` does not work here, and what mends it.

The checks stand in the order in which they matter: without a driver nothing else counts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from gpugrad.cuda import checks, probes
from gpugrad.cuda.backend import SIMULATE, is_simulated
from gpugrad.cuda.finding import Finding, report, skipped
from gpugrad.cuda.probes import one_line

Check = Callable[[], Finding]

ON_A_GPU: tuple[Check, ...] = (
    checks.driver,
    checks.gpu,
    checks.capability,
    checks.cupy,
    checks.cupy_imports,
    checks.cupy_and_driver,
    checks.cublas,
    checks.numba_cuda,
    checks.compiler,
    checks.linker,
)


def first_problem() -> Finding | None:
    """The first thing wrong with the installation, or None; it never raises.

    `str()` of it is the problem and, on a line that begins with `help:`, what mends it. Only as
    much is looked at as it takes to find it: on a machine without a driver no package is imported.
    """
    return next((finding for finding in installation() if finding.problem), None)


def installation() -> Iterator[Finding]:
    """What each check of the installation finds, one after another; nothing is computed."""
    return map(_examined, _checks())


def diagnose() -> Iterator[Finding]:
    """What the installation is like, and whether the device computes what NumPy does."""
    problems = False
    for finding in installation():
        problems |= bool(finding.problem)
        yield finding
    if problems:
        yield skipped("computation", "not tried: the installation has problems")
        return
    from gpugrad.cuda.trial import trials

    yield from trials()


def _examined(check: Check) -> Finding:
    try:
        return check()
    except Exception as error:
        name = check.__name__
        return Finding(name, "fails", f"the check {name} fails: {one_line(error)}", report())


def _checks() -> tuple[Check, ...]:
    if is_simulated():
        return _simulated, checks.numba_cuda, checks.compiler
    # No package would help: there is no CUDA for macOS, and a Colab runtime with a GPU has all.
    hopeless = sys.platform == "darwin" or probes.on_colab()
    return ON_A_GPU[:1] if hopeless and probes.driver_version() is None else ON_A_GPU


def _simulated() -> Finding:
    return Finding("device", f"simulated on the CPU, since {SIMULATE} is set")
