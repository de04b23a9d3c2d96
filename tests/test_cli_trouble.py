"""What goes wrong around a training on the command line: one line each, no NumPy warning."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gpugrad.cli import main
from gpugrad.train import experiment

pytestmark = pytest.mark.once

QUICK = ["train", "--data", "moons", "--epochs", "2", "--out", "run"]


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Calls the command in a folder with a table y = 100 + 3 x; gives status, output, errors."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{x},{100 + 3 * x}\n" for x in range(100))
    (tmp_path / "line.csv").write_text("x,y\n" + rows)

    def call(*arguments):
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return call


def line(*more):
    return ["train", "--data", "csv", "--file", "line.csv", "--target", "y", "--out", "run", *more]


@pytest.mark.parametrize("where", ["load_parts", "_draw"])
def test_ctrl_c_outside_the_loop_says_so(where, run, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, where, interrupted)
    status, _, err = run(*QUICK)
    assert (status, err) == (130, "gpugrad: interrupted\n")


def test_a_network_that_does_not_fit_in_memory_takes_one_line(run, monkeypatch):
    def full(*args):
        raise MemoryError("Unable to allocate 74.5 GiB")

    monkeypatch.setattr(experiment, "build_model", full)
    status, _, err = run(*QUICK)
    assert status == 2
    assert err == (
        "gpugrad: out of memory: Unable to allocate 74.5 GiB; help: smaller --hidden or "
        "--batch-size\n"
    )


def test_a_loss_that_turns_nan_is_told_in_our_words_alone(run):
    status, _, err = run(*QUICK, "--lr", "1e30")
    assert status == 1
    assert err.startswith("gpugrad: fit: the loss is ")
    assert err.count("\n") == 1


def test_predictions_that_are_not_finite_are_refused_by_row(run, tmp_path):
    run(*line("--epochs", "1"))
    (tmp_path / "new.csv").write_text("x\n1\n1e300\n2\n-1e300\n")
    status, out, err = run("predict", "run", "new.csv", "--out", "told.csv")
    assert (status, out) == (2, "")
    assert "predict: the model gives NaN or infinity for row 2, 4; help: " in err
    assert not (tmp_path / "told.csv").exists()


@pytest.mark.parametrize("row", ["{x}e200,{x}", "{x},{x}e200"])
def test_numbers_that_cannot_be_standardised_are_refused(row, run, tmp_path):
    text = "".join(row.format(x=x) + "\n" for x in range(50))
    (tmp_path / "line.csv").write_text("x,y\n" + text)
    status, out, err = run(*line("--epochs", "1"))
    assert (status, out) == (2, "")
    assert "holds numbers whose squares overflow, up to 4.9e+201; help: correct them" in err


def test_missing_values_to_predict_from_name_the_training(run, tmp_path):
    run(*line("--epochs", "1"))
    (tmp_path / "new.csv").write_text("x,z\n1,1\n,1\n")
    assert (
        "train with missing values imputed: --missing impute" in run("predict", "run", "new.csv")[2]
    )


def test_the_validation_rmse_has_the_units_of_the_table(run, tmp_path):
    run(*line("--epochs", "40"))
    last = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    spread = np.std(100 + 3 * np.arange(100))
    assert last["val_rmse"] == pytest.approx(spread * np.sqrt(last["val_loss"]), rel=0.05)


def test_other_data_is_told_in_numbers_of_examples(run, tmp_path):
    run(*line("--epochs", "1"))
    (tmp_path / "line.csv").write_text("x,y\n" + "".join(f"{x},{x}\n" for x in range(50)))
    err = run("evaluate", "run")[2]
    assert "; then: 72 examples to train on, 8 for validation, 20 held out; now: 36 examples" in err


def test_a_missing_argument_and_a_broken_config_read_well(run, tmp_path):
    told = run("predict")[2].replace("RUN", "run")  # as the version of Typer has it
    assert told == "gpugrad: Missing argument 'run'; help: gpugrad --help\n"
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text("{")
    assert "this is not the config of a run: Expecting property name" in run("evaluate", "run")[2]
    (tmp_path / "run/config.json").write_text('{"format": 1}')
    assert "this is not the config of a run: it lacks 'settings'" in run("evaluate", "run")[2]
