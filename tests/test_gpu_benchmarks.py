"""The model of cost against numbers worked out by hand; GPU benchmarks rehearsed without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.__main__ import main
from benchmarks.cost_model import (
    CARDS,
    LAUNCH_SECONDS,
    Card,
    Work,
    card_of,
    of_product,
    of_report,
    seconds,
)
from benchmarks.gpu import kernels
from benchmarks.gpu.predictions import table
from benchmarks.gpu.run import tables
from tests.simulate.numba_cuda_needed import needs_numba_cuda

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
CARD = Card("a card", (), bandwidth=100.0, peak=1000.0, source="", overhead=0.5)


def rehearsed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "--device", "cuda", *arguments],
        env={**os.environ, "GPUGRAD_SIMULATE_CUDA": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


# The model


def test_time_is_the_longer_of_moving_and_computing_and_what_launches_cost():
    assert Work("moves", bytes=300, flops=1000).seconds(CARD) == 3 + 0.5
    assert Work("computes", bytes=300, flops=4000, launches=2).seconds(CARD) == 4 + 1
    assert seconds([Work("a", 300, 0), Work("b", 0, 4000)], CARD) == 3.5 + 4.5  # not overlapped


def test_scaling_leaves_launches():
    assert Work("w", 10, 20, 3).scaled(4) == Work("w", 40, 80, 3)


def test_a_product():
    work = of_product(2, 3, 5)
    assert (work.bytes, work.flops) == (4 * (6 + 15 + 10), 2 * 2 * 3 * 5)


def test_a_kernel_is_counted_by_sectors_and_arithmetic():
    instructions = {"float32": 7, "integer": 5, "branch": 100, "total": 112}
    report = SimpleNamespace(
        kernel="k", load_sectors=10, store_sectors=4, instructions=instructions, launches=1
    )
    assert of_report(report) == Work("k", 32 * 14, 2 * 12, 1)


def test_a_kernel_that_adds_two_arrays_on_a_t4():
    # 2**24 float32 read twice and written once over 320 GB/s, and one launch
    t4 = CARDS[0]
    work = Work("scaled_sum", 12 * 2**24, 26 * 2**24)
    assert work.seconds(t4) == pytest.approx(629.1456e-6 + LAUNCH_SECONDS, rel=1e-9)


def test_cards_are_found_by_the_drivers_name():
    names = ("Tesla T4", "NVIDIA A100-SXM4-40GB", "NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe", "")
    found = [card_of(name) for name in names]
    assert [card and card.name for card in found] == ["T4", "A100", "H100", None, None]


# What is printed


def test_predictions_are_printed_as_predictions():
    works = {"a case": [Work("k", 32e6, 0), Work("l", 0, 8.1e6)]}
    found = table("steps, PREDICTED, not measured", "case", works, 1e-6, CARDS[:1])
    assert found.columns[-1] == "T4, us"
    # 32 MB / 320 GB/s = 100 us, 8.1 Mflop / 8.1 Tflop/s = 1 us, two launches
    assert found.rows == [["a case", "2", "32", "8.1", f"{101 + 2e6 * LAUNCH_SECONDS:.3g}"]]


def test_a_measurement_stands_beside_its_prediction_and_its_share_of_a_copy():
    row = {
        "element_bytes": 12,
        "memory_bound": True,
        "milliseconds": {"median": 1.0},
        "copy_milliseconds": {"median": 0.5},
        "gigabytes_a_second": 201.3,
        "share_of_copy": 0.75,
    }
    works = {"k": [Work("k", 320e6 - 320e3 * 3.8, 0)]}  # 1 ms less a launch, and a launch
    [line] = kernels.table({"k": row}, works, CARDS[0]).rows
    assert line == ["k", "1", "1", "1.00", "201", "75%", "NO"]
    [line] = kernels.table({"k": row}, works, None).rows  # no figures of that card
    assert line[2:4] == ["-", "-"]


def test_what_is_simulated_is_never_a_measurement():
    results = {
        "device": {"name": "simulated (no GPU)", "simulated": True},
        "machine": {},
        "took_seconds": 1,
        "predicted": {"kernels": {"k": [Work("k", 1, 1)]}, "steps": {}},
    }
    titles = [found.title for found in tables(results)]
    assert titles[0] == "simulated device: nothing here is a measurement"
    assert all("PREDICTED, not measured" in title for title in titles[1:])


# The rehearsal


@pytest.mark.slow
def test_a_rehearsal_checks_predicts_and_measures_nothing(tmp_path):
    needs_numba_cuda()
    before = set((ROOT / "benchmarks").rglob("*.json"))
    file = tmp_path / "rehearsed.json"
    done = rehearsed("--out", str(file), "--cases", "2-16-16-2")
    assert done.returncode == 0, done.stderr
    results = json.loads(file.read_text())
    assert results["device"]["simulated"] is True
    assert {check["name"]: check["held"] for check in results["checks"]} == {
        "memory returned after 5 steps": True,
        "two streams": True,
        "bits repeated, training": True,
        "bits repeated, kernels": True,
        "out of memory and recovered": True,
    }
    assert results["steps"] == {"agree": ["2-16-16-2@100"]}
    assert not {"kernels", "launches", "training"} & results.keys()  # nothing but times
    step = results["predicted"]["steps"]["2-16-16-2@100"]
    products = [work for work in step if work["name"] == "product"]
    # 2 -> 16 -> 16 -> 2 of 100 rows: three forward, and back for each weight and two inputs
    assert sum(work["flops"] for work in products) == 2 * 100 * (2 * 32 + 3 * 256 + 3 * 32)
    assert "_sgd" in {work["name"] for work in step}
    text = file.with_suffix(".txt").read_text()
    for printed in (done.stdout, text):
        assert "simulated device: nothing here is a measurement" in printed
        assert "PREDICTED, not measured" in printed
    assert set((ROOT / "benchmarks").rglob("*.json")) == before


def test_without_a_gpu_it_says_what_is_missing(monkeypatch, capsys):
    import gpugrad as gg

    if gg.cuda.is_available():
        pytest.skip("there is one")
    monkeypatch.setenv("GPUGRAD_BENCHMARK_DEVICE", "cpu")  # restored after
    assert main(["--device", "cuda"]) == 1
    assert "benchmark failed: device('cuda')" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "f.json"], "--out is for --device cuda"),
        (["--device", "cuda", "--json", "f.json"], "--json and --picture for the CPU"),
        (["--device", "cuda", "--sections", "epoch"], "no section 'epoch'"),
        (["--device", "cuda", "--peers", "mygrad"], "no peer 'mygrad'"),
        (["--sections", "kernels"], "no section 'kernels'"),
    ],
)
def test_impossible_options_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err
