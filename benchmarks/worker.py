"""One library in one process: reads requests from stdin, a JSON line each, and answers on stdout.

prepare   make a section's workload ready; answers with the workload's report
count     warm up, and say how many runs fill a block
block     run that many; answers with the seconds that they took
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
import traceback
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from benchmarks import peers


class Workload(Protocol):
    """What a section measures with one library."""

    report: Any  # JSON-ready: what is known once it is prepared

    def run(self, count: int) -> Any:
        """Do it `count` times; what comes back is JSON-ready and not timed further."""


class Bench:
    """The requests, as methods."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.workload: Workload | None = None

    def describe(self) -> dict[str, str]:
        threads = peers.load(self.peer).threads()
        try:
            found = version(peers.package(self.peer))
        except PackageNotFoundError:  # a checkout on the path, or CuPy, whose wheels are named more
            module = importlib.import_module(peers.package(self.peer))
            found = getattr(module, "__version__", "a checkout")
        return {"version": found, "threads": threads}

    def prepare(self, section: str, **options: Any) -> Any:
        self.workload = None
        gc.collect()
        module = importlib.import_module(f"benchmarks.{section}")
        self.workload = module.workload(self.peer, **options)
        return self.workload.report

    def count(self, seconds: float) -> int:
        """Runs that fill a block of `seconds`, at least two, after warming up as long."""
        runs = 1
        began = time.perf_counter()
        while True:
            took: float = self.block(runs, warm=0.0)["seconds"]
            if time.perf_counter() - began > 2 * seconds and runs > 1:
                return max(2, round(runs * seconds / took))
            runs *= 2

    def block(self, runs: int, warm: float) -> dict[str, Any]:
        """Seconds for `runs` runs, begun after `warm` seconds of the same work untimed."""
        assert self.workload is not None
        gc.collect()
        until = time.perf_counter() + warm
        while time.perf_counter() < until:
            self.workload.run(1)
        began = time.perf_counter()
        value = self.workload.run(runs)
        return {"seconds": time.perf_counter() - began, "value": value}


def main() -> None:
    # Libraries may print; only answers go to the pipe.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    bench = Bench(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": getattr(bench, request.pop("do"))(**request)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
