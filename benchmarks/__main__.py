"""python -m benchmarks: gpugrad beside hand-written NumPy, PyTorch, JAX, autograd and MyGrad.

On the CPU, or with `--device cuda` on a GPU, which has sections and peers of its own and writes a
dated file of benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import epoch, imports, machine, memory, operations, peers, report, steps, targets
from benchmarks.cases import CASES, parse
from benchmarks.gpu import run as on_gpu
from benchmarks.processes import QUICK, BenchmarkError, Effort, Worker

SECTIONS = ("steps", "operations", "memory", "epoch", "imports")
QUICK_ROWS = 2_000


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="%(choices)s")
    parser.add_argument(
        "--peers",
        type=_names,
        help=f"some of {','.join(peers.PEERS[1:])}, and with cuda of "
        f"{','.join(peers.ON_GPU[1:])}; gpugrad always runs",
    )
    parser.add_argument(
        "--cases", type=_names, default=list(map(str, CASES)), help="such as 784-128-10@32,..."
    )
    parser.add_argument(
        "--sections",
        type=_names,
        help=f"some of {','.join(SECTIONS)}, and with cuda of {','.join(on_gpu.SECTIONS)}",
    )
    parser.add_argument("--rounds", type=int, default=Effort.rounds, help="blocks of each library")
    parser.add_argument("--root", help="folder of MNIST's IDX files (or $GPUGRAD_MNIST)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw the steps")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="with cuda: write it there")
    parser.add_argument("--quick", action="store_true", help="a smoke run; its times mean nothing")
    chosen = parser.parse_args(argv)
    cuda = chosen.device == "cuda"
    there = (on_gpu.SECTIONS, peers.ON_GPU) if cuda else (SECTIONS, peers.PEERS)
    chosen.sections = list(there[0]) if chosen.sections is None else chosen.sections
    chosen.peers = list(there[1]) if chosen.peers is None else chosen.peers
    for given, known, what in (
        (chosen.peers, there[1], "peer"),
        (chosen.sections, there[0], "section"),
    ):
        for name in given:
            if name not in known:
                parser.error(f"no {what} {name!r}; there are {', '.join(known)}")
    try:
        chosen.cases = [parse(text) for text in chosen.cases]
    except ValueError as error:
        parser.error(str(error))
    if (chosen.out and not cuda) or (cuda and (chosen.json or chosen.picture)):
        parser.error("--out is for --device cuda, --json and --picture for the CPU")
    if chosen.picture and "steps" not in chosen.sections:
        parser.error("--picture draws the section steps, which --sections leaves out")
    if chosen.rounds < 1:
        parser.error("--rounds must be at least 1")
    return chosen


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for, JSON-ready."""
    effort = QUICK if chosen.quick else Effort(rounds=chosen.rounds)
    wanted = [name for name in peers.PEERS if name == "gpugrad" or name in chosen.peers]
    names = [name for name in wanted if peers.installed(name)]
    results: dict[str, Any] = {"machine": machine.describe(), "quick": chosen.quick}
    warning = machine.busy(results["machine"])
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    began = time.perf_counter()
    with ExitStack() as stack:
        workers = {}
        for name in names:
            workers[name] = Worker(name)
            stack.callback(workers[name].close)
        results["libraries"] = {
            name: workers[name].ask("describe") if name in workers else {"missing": "not installed"}
            for name in wanted
        }
        measures = {
            "steps": lambda: steps.measure(workers, chosen.cases, effort),
            "operations": lambda: operations.measure(workers, effort),
            "memory": lambda: memory.measure(workers, chosen.cases),
            "epoch": lambda: epoch.measure(
                workers, chosen.root, effort, QUICK_ROWS if chosen.quick else epoch.ROWS
            ),
            "imports": lambda: imports.measure(names, effort),
        }
        for section in SECTIONS:
            if section in chosen.sections:
                print(f"measuring {section} ...", file=sys.stderr, flush=True)
                results[section] = measures[section]()
    results["targets"] = [target.as_dict() for target in targets.check(results)]
    results["measured_for_seconds"] = round(time.perf_counter() - began, 1)
    return results


def main(argv: Sequence[str] | None = None) -> int:
    chosen = arguments(argv)
    if chosen.device == "cuda":
        return on_gpu.main(chosen)
    try:
        results = run(chosen)
    except BenchmarkError as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    report.show(results)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1) + "\n")
    if chosen.picture:
        from benchmarks.picture import draw

        draw(results, chosen.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
