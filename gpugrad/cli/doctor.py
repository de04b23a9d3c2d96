"""The command `gpugrad doctor`: whether `--device cuda` works here, and what mends it if not."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import typer

from gpugrad.cuda.finding import Finding


def doctor() -> None:
    """Check the driver, the packages and the versions that a GPU needs, and compute with it.

    Prints a table of what was looked at and, for each problem, what mends it. The exit status is 0
    if device cuda works, on a GPU or simulated (GPUGRAD_SIMULATE_CUDA=1), and 1 if it does not.
    """
    from gpugrad.cuda import is_simulated
    from gpugrad.cuda.diagnosis import diagnose

    typer.echo(
        f"gpugrad {_own_version()}, Python {platform.python_version()}, {platform.platform()}\n"
    )
    findings = []
    for finding in diagnose():  # row by row: some of them take a second
        typer.echo(row(finding))
        findings.append(finding)
    problems = [finding for finding in findings if finding.problem]
    typer.echo("")
    for mend, told in by_mend(problems).items():
        for problem in told:
            typer.echo(problem)
        typer.echo(f"    {mend}\n")
    if problems:
        typer.echo("Device cuda does not work here; device cpu does, and device auto takes it.")
        raise typer.Exit(1)
    typer.echo(f"Device cuda works here{', simulated' if is_simulated() else ''}.")


def row(finding: Finding) -> str:
    """One line of the table.

    >>> row(Finding("CuPy", "cupy-cuda12x 14.0.1"))
    'ok       CuPy                cupy-cuda12x 14.0.1'
    """
    return f"{finding.verdict:<8} {finding.about:<19} {finding.found}".rstrip()


def by_mend(problems: list[Finding]) -> dict[str, list[str]]:
    """The problems that each command mends, in the order of the table.

    >>> by_mend([Finding("CuPy", "none", "there is no CuPy", "pip install cupy-cuda12x")])
    {'pip install cupy-cuda12x': ['there is no CuPy']}
    """
    told: dict[str, list[str]] = {}
    for finding in problems:
        told.setdefault(finding.mend, []).append(finding.problem)
    return told


def _own_version() -> str:
    try:
        return version("gpugrad")
    except PackageNotFoundError:  # on the path, not installed
        return "(not installed)"
