"""A GPU in software: the PTX that Numba compiles for a kernel, interpreted on NumPy.

    from gpugrad import simulate
    report = simulate.run(kernel, grid, block, *arrays)

What a kernel does wrong raises a `Fault` with the line of its source; what it does slowly is in
`report.findings`. `docs/simulate.md` says how it works and what it cannot see.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gpugrad.simulate.faults import (
    BarrierError,
    CompileError,
    Fault,
    HangError,
    LaunchError,
    MemoryFault,
    RaceError,
    ShuffleError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from gpugrad.simulate.device import Device
    from gpugrad.simulate.frontend.machine_code import MachineCode, compile
    from gpugrad.simulate.launch import run
    from gpugrad.simulate.report.findings import Finding
    from gpugrad.simulate.report.report import Report

__all__ = [
    "BarrierError", "CompileError", "Device", "Fault", "Finding", "HangError", "LaunchError",
    "MachineCode", "MemoryFault", "RaceError", "Report", "ShuffleError", "UnsupportedError",
    "compile", "run",
]  # fmt: skip

_WHERE = {
    "Device": "device",
    "Finding": "report.findings",
    "MachineCode": "frontend.machine_code",
    "Report": "report.report",
    "compile": "frontend.machine_code",
    "run": "launch",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'gpugrad.simulate' has no attribute {name!r}")
    found = getattr(import_module(f"gpugrad.simulate.{_WHERE[name]}"), name)
    globals()[name] = found  # over the submodule of the same name, once and for all
    return found
