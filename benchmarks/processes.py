"""The other end of the pipes: starts a process for each library and takes turns with them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ROOT = Path(__file__).parent.parent


class BenchmarkError(RuntimeError):
    """A library failed, or two of them disagree."""


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int = 15
    seconds: float = 0.05  # of one block
    # Before each block, untimed: the threads of the library that ran before go on spinning for some
    # 30 ms (OpenBLAS) and slow down whoever comes next, up to twofold on 2 cores. So a pause, then
    # the same work for a while, to bring caches and threads back.
    pause: float = 0.08
    warm: float = 0.02

    @property
    def few(self) -> int:
        """Rounds for what takes seconds by itself."""
        return max(1, self.rounds // 3)


QUICK = Effort(rounds=2, seconds=0.004, pause=0.0, warm=0.0)


class Worker:
    """A library in its own process."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", peer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def ask(self, do: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise BenchmarkError(f"the process of {self.peer} died, asked to {do}")
        reply = json.loads(line)
        if "error" in reply:
            raise BenchmarkError(f"{self.peer} failed, asked to {do}:\n{reply['error']}")
        return reply["answer"]

    def close(self) -> None:
        with self._process:  # closes both pipes, which ends the worker, and waits for it
            pass


def rotated(names: Sequence[str], by: int) -> list[str]:
    """The names in turn, beginning with another one each time: A B C, B C A, ..."""
    by %= len(names)
    return [*names[by:], *names[:by]]


def _runs_in_a_block(worker: Worker, effort: Effort) -> int:
    time.sleep(effort.pause)
    runs: int = worker.ask("count", seconds=effort.seconds)
    return runs


def interleave(
    workers: Mapping[str, Worker], effort: Effort, *, runs: int | None = None
) -> tuple[dict[str, list[float]], dict[str, list[Any]]]:
    """Seconds of one run in each block, and what the runs returned, by library.

    The workers are prepared. A block holds `runs` runs, or as many as fill `effort.seconds`.
    """
    names = list(workers)
    counts = {name: runs or _runs_in_a_block(worker, effort) for name, worker in workers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    values: dict[str, list[Any]] = {name: [] for name in names}
    for turn in range(effort.rounds):
        for name in rotated(names, turn):
            time.sleep(effort.pause)
            warm = 0.0 if runs else effort.warm
            block = workers[name].ask("block", runs=counts[name], warm=warm)
            seconds[name].append(block["seconds"] / counts[name])
            values[name].append(block["value"])
    return seconds, values


def summary(blocks: Sequence[float], scale: float = 1.0) -> dict[str, Any]:
    """Median and quartiles of the blocks, all multiplied by `scale`."""
    scaled = [value * scale for value in blocks]
    low, _, high = quantiles(scaled, n=4) if len(scaled) > 1 else scaled * 3
    return {"median": median(scaled), "quartiles": [low, high], "blocks": scaled}


def ratios(medians: Mapping[str, float], to: str = "gpugrad") -> dict[str, float]:
    """Each library over gpugrad: above 1, gpugrad is the faster, or the smaller."""
    return {name: value / medians[to] for name, value in medians.items()} if to in medians else {}
