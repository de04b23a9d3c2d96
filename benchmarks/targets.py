"""What gpugrad promises of itself on the CPU, and whether a run kept it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.cases import CASES

SLOWER_PEERS = ("torch", "autograd", "mygrad")
RECORDING_LIMIT = 3.0  # microseconds for each recorded operation
EPOCH_RATIO = 1.5
IMPORT_RATIO = 1.5


@dataclass(frozen=True)
class Target:
    """One promise: the figure found, the limit, and whether it holds."""

    what: str
    found: float
    limit: float
    at_most: bool

    @property
    def met(self) -> bool:
        return self.found <= self.limit if self.at_most else self.found >= self.limit

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def at_most(what: str, found: float, limit: float) -> Target:
    return Target(what, found, limit, at_most=True)


def at_least(what: str, found: float, limit: float) -> Target:
    return Target(what, found, limit, at_most=False)


def _steps(steps: Mapping[str, Any]) -> list[Target]:
    found = []
    for peer in SLOWER_PEERS:
        ratios = {case: row["ratios"][peer] for case, row in steps.items() if peer in row["ratios"]}
        if ratios:
            worst = min(ratios, key=ratios.__getitem__)
            found.append(at_least(f"{peer} / gpugrad, worst case {worst}", ratios[worst], 1.0))
    limits = {str(case): case.numpy_limit for case in CASES}
    for case, row in steps.items():
        limit = limits.get(case)
        if limit is not None and "numpy" in row["ratios"]:
            found.append(
                at_most(f"gpugrad / numpy by hand, {case}", 1 / row["ratios"]["numpy"], limit)
            )
    return found


def _operations(operations: Mapping[str, Any]) -> list[Target]:
    found = []
    for part, meaning in (("forward", "recording"), ("training", "recording and backward")):
        costs = {kind: row[part]["over_numpy"].get("gpugrad") for kind, row in operations.items()}
        known = {kind: cost for kind, cost in costs.items() if cost is not None}
        if known:
            worst = max(known, key=known.__getitem__)
            what = f"us above NumPy for {meaning}, worst chain {worst}"
            found.append(at_most(what, known[worst], RECORDING_LIMIT))
    return found


def check(results: Mapping[str, Any]) -> list[Target]:
    """The targets that these results can answer."""
    found = _steps(results.get("steps", {})) + _operations(results.get("operations", {}))
    memory = {
        case: 1 / row["ratios"]["torch"]
        for case, row in results.get("memory", {}).items()
        if "torch" in row["ratios"]
    }
    if memory:
        worst = max(memory, key=memory.__getitem__)
        found.append(
            at_most(f"peak bytes, gpugrad / torch, worst case {worst}", memory[worst], 1.0)
        )
    epoch = results.get("epoch", {}).get("ratios", {})
    if "torch" in epoch:
        found.append(at_least("an epoch, torch / gpugrad", epoch["torch"], EPOCH_RATIO))
    imports = results.get("imports", {}).get("ratios", {})
    if "numpy" in imports:
        found.append(at_most("import gpugrad / import numpy", 1 / imports["numpy"], IMPORT_RATIO))
    return found
