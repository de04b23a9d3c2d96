"""python -m benchmarks.gpu.predictions: what kernels and training steps should take on each card.

Predicted, not measured: each is counted on the simulated device, and `benchmarks/cost_model.py`
makes times of the counts. Kernels are counted at a small size and scaled up to 2**24 elements.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from benchmarks import peers
from benchmarks.cases import CASES, Case, batches, initial, parse
from benchmarks.cost_model import CARDS, Card, Work, seconds
from benchmarks.gpu import kernel_cases
from benchmarks.gpu.counting import counted
from benchmarks.gpu.kernel_cases import COLUMNS, ELEMENTS, SMALL
from benchmarks.processes import ROOT, BenchmarkError
from benchmarks.report import Table, markdown, number, plain

Works = Mapping[str, Sequence[Work]]
WARM_UP = 2  # steps, after which the optimizer has its state and its tables


def kernels() -> dict[str, list[Work]]:
    """The works of each kernel at 2**24 elements."""
    from gpugrad.cuda.backend import backend

    gpu = backend()
    device = kernel_cases.Device(gpu.module, gpu.put, np.random.default_rng(0))
    found = {}
    for case in (kernel_cases.COPY, *kernel_cases.CASES):
        run = case.make(device, SMALL // COLUMNS)
        with counted() as works:
            run()
        found[case.name] = [work.scaled(ELEMENTS / SMALL) for work in works]
    return found


def steps(cases: Sequence[Case]) -> dict[str, list[Work]]:
    """The works of a training step of each case."""
    found = {}
    for case in cases:
        trainer = peers.load("gpugrad").Trainer(*initial(case.sizes))
        pool = [trainer.batch(x, labels) for x, labels in batches(case)[: WARM_UP + 1]]
        for x, labels in pool[:WARM_UP]:
            trainer.step(x, labels)
        with counted() as works:
            trainer.step(*pool[WARM_UP])
        found[str(case)] = works
    return found


def in_its_own_process(cases: Sequence[Case]) -> dict[str, dict[str, list[Work]]]:
    """`kernels` and `steps`, counted by a process whose device is the simulated one.

    Raises:
        BenchmarkError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu.predictions", "--count", ",".join(map(str, cases))],
        env={**os.environ, "GPUGRAD_SIMULATE_CUDA": "1", peers.VARIABLE: "cuda"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise BenchmarkError("the process that counts on the simulated device failed")
    return {
        section: {name: [Work(**work) for work in works] for name, works in found.items()}
        for section, found in json.loads(done.stdout).items()
    }


def table(title: str, first: str, works: Works, unit: float, cards: Sequence[Card]) -> Table:
    """A row for each name: what it does, and its predicted time on each card.

    Args:
        unit: the seconds in the times that are printed, 1e-3 or 1e-6.
    """
    name = {1e-3: "ms", 1e-6: "us"}[unit]
    columns = [first, "launches", "MB", "Mflop", *(f"{card.name}, {name}" for card in cards)]
    rows = []
    for key, parts in works.items():
        totals = [sum(w.bytes for w in parts) / 1e6, sum(w.flops for w in parts) / 1e6]
        times = [seconds(parts, card) / unit for card in cards]
        figures = [*totals, *times]
        launches = sum(w.launches for w in parts)
        rows.append([key, str(launches), *map(number, figures)])
    return Table(title, columns, rows)


def tables(found: Mapping[str, Works], cards: Sequence[Card] = CARDS) -> list[Table]:
    """The predictions of kernels and of steps."""
    said = "PREDICTED, not measured"
    return [
        table(f"kernels at 2**24 elements, {said}", "kernel", found["kernels"], 1e-3, cards),
        table(f"training steps, {said}", "MLP@batch", found["steps"], 1e-6, cards),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.gpu.predictions", description=__doc__)
    every = ",".join(map(str, CASES))
    parser.add_argument("--cases", default=every, help="training steps: some of %(default)s")
    parser.add_argument("--markdown", action="store_true", help="as the tables of docs/gpu.md")
    parser.add_argument("--count", help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    if chosen.count is not None:
        cases = [parse(text) for text in chosen.count.split(",") if text]
        both = {"kernels": kernels(), "steps": steps(cases)}
        counts = {k: {n: [asdict(w) for w in ws] for n, ws in v.items()} for k, v in both.items()}
        print(json.dumps(counts))
        return 0
    try:
        cases = [parse(text) for text in chosen.cases.split(",")]
    except ValueError as error:
        parser.error(str(error))
    for found in tables(in_its_own_process(cases)):
        print(markdown(found) if chosen.markdown else plain(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
