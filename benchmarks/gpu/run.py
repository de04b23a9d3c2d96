"""`python -m benchmarks --device cuda`: measure on a GPU, beside what was predicted for it.

On a simulated device nothing is measured: its times would be the interpreter's. There the same
checks run in small sizes, a step is compared with NumPy's, and predictions are printed as what they
are. Only a run on a GPU writes a file by itself, benchmarks/results/DATE-CARD.json, and the tables
beside it as text.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import machine, peers, report, steps
from benchmarks.cases import Case
from benchmarks.cost_model import CARDS, Card, card_of
from benchmarks.cost_model import seconds as predicted_seconds
from benchmarks.epoch import mnist_folder
from benchmarks.gpu import checks, predictions
from benchmarks.processes import QUICK, ROOT, BenchmarkError, Effort, Worker
from benchmarks.report import Table

SECTIONS = ("kernels", "launches", "steps", "training", "checks")
SIMULATED_SECTIONS = ("steps", "checks")  # the others are nothing but times
SIMULATED_CASES = 2  # the smallest
RESULTS = ROOT / "benchmarks" / "results"


def main(chosen: argparse.Namespace) -> int:
    """Run the sections that were chosen; 1 if one of them failed or a check did not hold."""
    import gpugrad as gg

    os.environ[peers.VARIABLE] = "cuda"
    simulated = gg.cuda.is_simulated()
    try:
        about = asdict(gg.device("cuda").properties)
        results = {
            "device": {**about, "simulated": simulated},
            "machine": machine.describe(),
            **run(chosen, simulated, about["name"]),
        }
    except (BenchmarkError, gg.errors.DeviceError) as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    shown = list(tables(results))
    report.show_tables(shown)
    path = chosen.out or (None if simulated else _file(about["name"], results["machine"]["date"]))
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_plain(results), indent=1) + "\n")
        path.with_suffix(".txt").write_text("\n".join(map(report.plain, shown)).lstrip() + "\n")
        print(f"written to {path} and {path.with_suffix('.txt').name}", file=sys.stderr)
    failed = [check["name"] for check in results.get("checks", []) if not check["held"]]
    for section, trace in results.get("failed", {}).items():
        print(f"section {section} failed:\n{trace}", file=sys.stderr)
    if failed:
        print(f"did not hold: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed or "failed" in results else 0


def run(chosen: argparse.Namespace, simulated: bool, name: str) -> dict[str, Any]:
    """The results of each section, and the predictions, which are counted first, in peace."""
    cases = chosen.cases[:SIMULATED_CASES] if simulated else chosen.cases
    effort = QUICK if simulated or chosen.quick else Effort(rounds=chosen.rounds)
    began = time.perf_counter()
    print("counting what is predicted ...", file=sys.stderr, flush=True)
    results: dict[str, Any] = {"predicted": predictions.in_its_own_process(cases)}
    for section in SIMULATED_SECTIONS if simulated else SECTIONS:
        if section in chosen.sections:
            print(f"{'trying' if simulated else 'measuring'} {section} ...", file=sys.stderr)
            try:
                results[section] = _measure(section, chosen, cases, effort, simulated)
            except Exception:  # of a run on a lent GPU, what else could be measured must be kept
                results.setdefault("failed", {})[section] = traceback.format_exc()
    results["took_seconds"] = round(time.perf_counter() - began, 1)
    return results


def _measure(
    section: str, chosen: argparse.Namespace, cases: Sequence[Case], effort: Effort, simulated: bool
) -> Any:
    if section == "kernels":
        from benchmarks.gpu import kernels

        return kernels.measure(effort.rounds)
    if section == "launches":
        from benchmarks.gpu import launches

        return launches.measure(cases, effort.rounds)
    if section == "training":
        from benchmarks.gpu import training

        return training.measure(mnist_folder(chosen.root))
    if section == "checks":
        return [asdict(check) for check in checks.measure(small=simulated)]
    return _simulated_steps(cases) if simulated else _steps(chosen.peers, cases, effort)


def _steps(wanted: Sequence[str], cases: Sequence[Case], effort: Effort) -> dict[str, Any]:
    """Section `steps` of the CPU, by those peers that are installed and compute on this GPU."""
    found: dict[str, Any] = {"left_out": {}}
    with ExitStack() as stack:
        workers = {}
        for name in peers.ON_GPU:
            if name != "gpugrad" and name not in wanted:
                continue
            if not peers.installed(name):
                found["left_out"][name] = "not installed"
                continue
            worker = Worker(name)
            stack.callback(worker.close)
            try:
                worker.ask("prepare", section="steps", case=str(cases[0]))
                found[name] = worker.ask("describe")["version"]
            except BenchmarkError as error:
                if name == "gpugrad":
                    raise
                found["left_out"][name] = str(error).strip().splitlines()[-1]
                continue
            workers[name] = worker
        return {"versions": found, "cases": steps.measure(workers, cases, effort)}


def _simulated_steps(cases: Sequence[Case]) -> dict[str, Any]:
    """That the first losses are those of NumPy by hand; nothing is timed."""
    for case in cases:
        losses = {name: steps.Steps(name, case).report for name in ("gpugrad", "numpy")}
        steps.agree(losses, str(case))
    return {"agree": [str(case) for case in cases]}


def tables(results: Mapping[str, Any]) -> list[Table]:
    """Everything to be printed; measurements have predictions beside them."""
    device, predicted = results["device"], results["predicted"]
    card = card_of(device["name"])
    facts = {**device, **results["machine"], "took seconds": results["took_seconds"]}
    title = "simulated device: nothing here is a measurement" if device["simulated"] else "device"
    shown = [Table(title, ["", ""], [[k.replace("_", " "), str(v)] for k, v in facts.items()])]
    if "kernels" in results:
        from benchmarks.gpu import kernels

        shown.append(kernels.table(results["kernels"], predicted["kernels"], card))
    if "launches" in results:
        from benchmarks.gpu import launches

        shown += launches.tables(results["launches"], predicted["steps"])
    if "cases" in results.get("steps", {}):
        shown += _step_tables(results["steps"], predicted["steps"], card)
    if "agree" in results.get("steps", {}):
        rows = [[case, "as NumPy's"] for case in results["steps"]["agree"]]
        shown.append(Table("first losses on the simulated device", ["MLP@batch", ""], rows))
    if "training" in results:
        rows = [[key.replace("_", " "), str(v)] for key, v in results["training"].items()]
        shown.append(Table("MNIST to 98 % of the test images, after a warm-up", ["", ""], rows))
    if "checks" in results:
        rows = [[c["name"], "yes" if c["held"] else "NO", c["seen"]] for c in results["checks"]]
        shown.append(Table("checks", ["", "held", "seen"], rows))
    if device["simulated"]:
        shown += predictions.tables(predicted, CARDS)
    return shown


def _step_tables(
    found: Mapping[str, Any], predicted: predictions.Works, card: Card | None
) -> list[Table]:
    shown = [report.steps_table(found["cases"])]
    if card:
        rows = []
        for case, row in found["cases"].items():
            time_ = row["microseconds"]["gpugrad"]["median"]
            guess = predicted_seconds(predicted[case], card) * 1e6
            rows.append([case, f"{time_:,.0f}", f"{guess:,.0f}", f"{time_ / guess:.2f}"])
        columns = ["MLP@batch", "us", "predicted", "times that"]
        shown.append(Table("a training step of gpugrad beside its prediction", columns, rows))
    rows = [[name, str(value)] for name, value in found["versions"].items()]
    return [*shown, Table("libraries", ["", ""], rows)]


def _file(name: str, date: str) -> Path:
    """Where a run on a GPU is written, such as results/2026-11-26-tesla-t4.json."""
    return RESULTS / f"{date[:10]}-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.json"


def _plain(results: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-ready."""
    counts = {
        section: {name: [asdict(work) for work in works] for name, works in found.items()}
        for section, found in results["predicted"].items()
    }
    return {**results, "predicted": counts}
