"""What the numbers were measured on."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np


def processor() -> str:
    """The CPU's name, from Linux where there is one."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def vectors() -> str:
    """NumPy's SIMD extensions found on this CPU: a name such as "Intel Xeon" says little."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return found[-1] if found else "baseline"


def blas() -> str:
    """The BLAS that NumPy was built with."""
    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{built.get('name', 'unknown')} {built.get('version', '')}".strip()


def load() -> float | None:
    """Processes that wanted the CPU in the last minute, before the benchmark began."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def busy(machine: dict[str, Any]) -> str | None:
    """A warning if others were computing here, which makes threaded libraries many times slower."""
    load = machine["load_before"]
    if load is None or load < 0.5 * machine["cores"]:
        return None
    return f"load {load:.1f} on {machine['cores']} cores before the start: do not trust the times"


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe() -> dict[str, Any]:
    threads = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "processor": processor(),
        "vectors": vectors(),
        "cores": cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "blas": blas(),
        "load_before": load(),
        "thread_settings": threads or "none: each library's default",
    }
