"""Section `imports`: milliseconds of `import NAME` in a fresh Python process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.processes import ROOT, Effort, ratios, rotated, summary

CODE = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"


def once(name: str) -> float:
    """Seconds, with the interpreter's own start left out, from byte code as an install has it."""
    command = [sys.executable, "-c", CODE.format(name)]
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env=compiled
    )
    return float(done.stdout)


def measure(names: Sequence[str], effort: Effort) -> dict[str, Any]:
    for name in names:
        once(name)  # writes the byte code, reads the files into the cache
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(effort.rounds):
        for name in rotated(names, turn):
            seconds[name].append(once(name))
    times = {name: summary(blocks, 1e3) for name, blocks in seconds.items()}
    return {
        "milliseconds": times,
        "ratios": ratios({name: time["median"] for name, time in times.items()}),
    }
