"""Section `steps`: microseconds of one training step, in the cases of the table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import peers
from benchmarks.cases import Case, batches, initial, parse
from benchmarks.processes import BenchmarkError, Effort, Worker, interleave, ratios, summary

FIRST = 5  # losses that every library must agree on
TOLERANCE = 1e-4  # relative: float32 sums in another order


class Steps:
    def __init__(self, peer: str, case: Case) -> None:
        self.trainer = peers.load(peer).Trainer(*initial(case.sizes))
        self.pool = [self.trainer.batch(x, labels) for x, labels in batches(case)]
        self.taken = 0
        self.report = [self.run(1) for _ in range(FIRST)]

    def run(self, count: int) -> float:
        pool, step, start = self.pool, self.trainer.step, self.taken
        size = len(pool)
        loss = math.nan
        for i in range(start, start + count):
            x, labels = pool[i % size]
            loss = step(x, labels)
        self.taken += count
        return loss


def workload(peer: str, case: str) -> Steps:
    return Steps(peer, parse(case))


def agree(losses: Mapping[str, Sequence[float]], what: str) -> None:
    """Raise unless all libraries computed the same first losses."""
    first = next(iter(losses))
    for name, values in losses.items():
        pairs = zip(values, losses[first], strict=True)
        if not all(math.isclose(a, b, rel_tol=TOLERANCE) for a, b in pairs):
            rows = "\n".join(f"  {peer:9} {list(row)}" for peer, row in losses.items())
            raise BenchmarkError(f"{name} and {first} do not train alike in {what}:\n{rows}")


def measure(workers: Mapping[str, Worker], cases: Sequence[Case], effort: Effort) -> dict[str, Any]:
    results = {}
    for case in cases:
        asked = {
            name: w.ask("prepare", section="steps", case=str(case)) for name, w in workers.items()
        }
        agree(asked, str(case))
        seconds, _ = interleave(workers, effort)
        times = {name: summary(blocks, 1e6) for name, blocks in seconds.items()}
        results[str(case)] = {
            "first_losses": asked,
            "microseconds": times,
            "ratios": ratios({name: time["median"] for name, time in times.items()}),
        }
    return results
