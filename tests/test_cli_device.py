"""`gpugrad train --device cuda` where the device is simulated, and what is done with such a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.cuda import probes
from gpugrad.train.build import load_parts

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(probes.installed("numba-cuda") is None, reason="numba-cuda is missing"),
]

SIMULATED = "cuda:0 (simulated)"


def command(folder, switch, *arguments):
    """The command in a process of its own, where the environment says whether to simulate."""
    code = "import sys; from gpugrad.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "GPUGRAD_SIMULATE_CUDA": switch},
    )


def simulated(folder, *arguments):
    """The lines of the command where device "cuda" is simulated."""
    ended = command(folder, "1", *arguments)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("simulated")


@pytest.fixture(scope="module")
def lines(folder):
    options = ["--device", "cuda", "--epochs", "2", "--hidden", "32"]
    return simulated(folder, "train", *options, "--out", "run")


def test_training_says_that_the_device_is_simulated(lines, folder):
    assert lines[1].endswith(f", float32 on {SIMULATED}")
    assert lines[-1].startswith("held-out accuracy")
    for name in ("config.json", "result.json"):
        assert json.loads((folder / "run" / name).read_text())["device"] == SIMULATED


def test_auto_takes_it(folder):
    said = simulated(folder, "train", "--data", "moons", "--epochs", "1", "--hidden", "4")
    assert said[1].endswith(f" on {SIMULATED}")


def test_the_run_is_judged_and_resumed_on_it(lines, folder):
    assert simulated(folder, "evaluate", "run") == lines[-1:]
    assert simulated(folder, "train", "--resume", "run")[-1] == lines[-1]


def test_the_cpu_trains_to_the_same_weights_but_for_rounding(lines, folder):
    """Both draw the same weights, batches and shifts, so they differ by the order of sums alone."""
    simulated(folder, "train", "--device", "cpu", "--epochs", "2", "--hidden", "32", "--out", "cpu")
    runs = [(folder / name / "metrics.jsonl").read_text().splitlines() for name in ("run", "cpu")]
    for ours, theirs in zip(*(map(json.loads, run) for run in runs), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-3)
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-3)


def on_the_cpu(folder, *arguments):
    """The lines of the command where there is no device "cuda"."""
    ended = command(folder, "", *arguments)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return ended.stdout.splitlines()


WITHOUT_A_GPU = pytest.mark.skipif(probes.driver_version() is not None, reason="there is a GPU")
ROW = ",".join(map(str, range(64)))


@WITHOUT_A_GPU
@pytest.mark.parametrize("use", ["evaluate run", "predict run new.csv", "train --resume run"])
def test_without_the_gpu_that_a_run_is_from_the_help_names_what_works(use, lines, folder):
    (folder / "new.csv").write_text(f"{ROW}\n")
    ended = command(folder, "", *use.split())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("gpugrad: --device cuda: there is no NVIDIA driver here")
    assert ended.stderr.endswith(", or use --device cpu\n")


@WITHOUT_A_GPU
def test_a_run_from_a_gpu_is_judged_and_predicts_on_the_cpu(lines, folder):
    assert on_the_cpu(folder, "evaluate", "run", "--device", "cpu") == lines[-1:]
    (folder / "new.csv").write_text(f"{ROW}\n")
    answers = on_the_cpu(folder, "predict", "run", "new.csv", "--device", "cpu")
    (digit,) = gg.train.load(folder / "run", device="cpu").predict([list(range(64))])
    assert answers[1].split(",")[0] == digit


def test_a_run_goes_on_where_device_says_and_stays_there(folder):
    options = ["--data", "moons", "--schedule", "constant", "--hidden", "4"]
    losses = {}
    for first, then in (("cuda", "cpu"), ("cpu", "cuda"), ("cpu", "cpu")):
        out = f"{first}-{then}"
        simulated(folder, "train", *options, "--device", first, "--epochs", "1", "--out", out)
        said = simulated(
            folder, "train", "--resume", out, "--epochs", "3", *["--device", then] * (first != then)
        )
        where = SIMULATED if then == "cuda" else "cpu"
        assert next(line for line in said if line.startswith("model: ")).endswith(f" on {where}")
        for name in ("config.json", "result.json"):
            assert json.loads((folder / out / name).read_text())["device"] == where
        assert json.loads((folder / out / "config.json").read_text())["settings"]["device"] == then
        records = (folder / out / "metrics.jsonl").read_text().splitlines()
        losses[out] = [json.loads(record)["val_loss"] for record in records]
        assert len(losses[out]) == 3
    for out in ("cuda-cpu", "cpu-cuda"):  # but for rounding
        assert losses[out] == pytest.approx(losses["cpu-cpu"], rel=1e-3)


@pytest.mark.skipif(gg.cuda.is_available(), reason="there is a GPU")
def test_a_model_from_a_gpu_is_used_without_one(lines, folder):
    with pytest.raises(gg.errors.DeviceError):
        gg.train.load(folder / "run")
    trained = gg.train.load(folder / "run", device="cpu")
    held_out = load_parts(trained.settings).held_out
    right = np.sum(trained.predict(held_out.rows).astype(int) == held_out.targets)
    assert f"({right} of 360)" in lines[-1]
