"""The command line: each option, the last line, one line and status 2 for what is impossible."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import metadata

import numpy as np
import pytest

import gpugrad as gg
from gpugrad._address import install_command
from gpugrad.cli import main
from gpugrad.train import Callback, experiment
from gpugrad.train.loop import CHECKPOINT

pytestmark = pytest.mark.once

QUICK = ["train", "--data", "moons", "--epochs", "3"]
LAST_LINE = r"held-out accuracy \d+\.\d\d % \(\d+ of \d+\)"
OPTIONS = [
    "--data", "--file", "--target", "--root", "--hidden", "--activation", "--dropout",
    "--optimizer", "--lr", "--schedule", "--weight-decay", "--batch-size", "--epochs", "--patience",
    "--device", "--dtype", "--seed", "--out", "--resume", "--augment", "--missing", "--categorical",
    "--drop",
]  # fmt: skip
FILES = {"config.json", "model.safetensors", "checkpoint.safetensors", "metrics.jsonl",
         "result.json", "curves.png", "confusion.png"}  # fmt: skip


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Calls the command in an empty folder; gives its status, lines and complaints."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err

    return call


@pytest.fixture
def table(tmp_path):
    """A table with numbers, categories, gaps and a class to find."""
    rng = np.random.default_rng(0)
    rows = [["size", "colour", "id", "kind"]]
    for number in range(200):
        size, colour = rng.normal(), rng.choice(["red", "green", "blue"])
        kind = "big" if size + (colour == "red") > 0.5 else "small"
        rows.append([f"{size:.3f}" if number % 20 else "", colour, f"n{number}", kind])
    path = tmp_path / "table.csv"
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    return path


@pytest.fixture
def line(tmp_path):
    path = tmp_path / "line.csv"
    rows = "".join(f"{x},{100 + 3 * x + (x * 7919 % 13) / 10}\n" for x in range(150))
    path.write_text("x,y\n" + rows)
    return path


def weights(folder):
    return {k: t.data.tobytes() for k, t in gg.load(folder / "model.safetensors").items()}


# Training


def test_the_last_line_and_the_files(run, tmp_path):
    status, lines, err = run(*QUICK, "--out", "run")
    assert (status, err) == (0, "")
    assert re.fullmatch(LAST_LINE, lines[-1])
    assert "saved in run" in lines
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES
    for name in ("curves.png", "confusion.png"):
        assert (tmp_path / "run" / name).read_bytes().startswith(b"\x89PNG")
    records = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(record)["epoch"] for record in records] == [1, 2, 3]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert f"({result['right']} of {result['of']})" in lines[-1]


def test_digits_leave_the_misread_images(run, tmp_path):
    status, lines, _ = run("train", "--epochs", 1, "--hidden", "16", "--out", "run", "--seed", 3)
    assert status == 0
    assert lines[0] == "digits: 1293 examples to train on, 144 for validation, 360 held out"
    assert lines[1] == "model: 64-16-10, 1210 parameters, float32 on cpu"
    assert (tmp_path / "run" / "misread.png").read_bytes().startswith(b"\x89PNG")
    assert lines[-1].endswith("of 360)")


def test_the_default_folder_has_the_name_of_the_data_and_the_time(run, tmp_path):
    assert run(*QUICK)[0] == 0
    assert run(*QUICK)[0] == 0
    names = [path.name for path in (tmp_path / "runs").iterdir()]
    assert len(names) == 2
    assert all(re.fullmatch(r"moons-\d{8}-\d{6}(-2)?", name) for name in names)


def test_the_config_repeats_the_run(run, tmp_path):
    options = ["--hidden", "7,5", "--lr", "0.02", "--seed", "4", "--dropout", "0.1"]
    run(*QUICK, *options, "--out", "first")
    words = json.loads((tmp_path / "first" / "config.json").read_text())["command"].split()
    assert words[0] == "gpugrad"
    assert run(*words[1:], "--out", "second")[0] == 0
    assert weights(tmp_path / "first") == weights(tmp_path / "second")


@pytest.mark.parametrize("schedule", ["constant", "cosine", "onecycle", "plateau"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_every_optimizer_with_every_schedule(optimizer, schedule, run):
    status, lines, err = run(*QUICK, "--optimizer", optimizer, "--schedule", schedule)
    assert (status, err) == (0, "")
    assert re.fullmatch(LAST_LINE, lines[-1])


@pytest.mark.parametrize(
    "options",
    [
        ["--hidden", "none"],
        ["--activation", "tanh", "--dropout", "0.2"],
        ["--dtype", "float64", "--device", "cpu", "--weight-decay", "0"],
        ["--batch-size", "1000", "--patience", "1"],
    ],
    ids=" ".join,
)
def test_options(options, run):
    status, lines, err = run(*QUICK, *options)
    assert (status, err) == (0, "")
    assert re.fullmatch(LAST_LINE, lines[-1])


def test_early_stopping_says_so(run):
    _, lines, _ = run("train", "--data", "moons", "--epochs", 200, "--patience", 2, "--lr", "0.1")
    assert any(re.match(r"stopped early: the best validation loss was that of", x) for x in lines)


def test_tensorboard_on_request(run, tmp_path):
    pytest.importorskip("tensorboard")
    run(*QUICK, "--tensorboard", "--out", "run")
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))


def test_a_table_of_classes(run, table):
    status, lines, err = run(
        "train", "--data", "csv", "--file", table, "--target", "kind", "--drop", "id",
        "--missing", "impute", "--epochs", 30, "--out", "run",
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert float(lines[-1].split()[2]) > 80


def test_a_table_of_numbers_gives_r2_and_rmse(run, line, tmp_path):
    status, lines, _ = run(
        "train", "--data", "csv", "--file", line, "--target", "y", "--epochs", 60, "--out", "run",
        "--lr", "0.01",
    )  # fmt: skip
    assert status == 0
    found = re.fullmatch(r"held-out R² (\d\.\d{4}), RMSE ([\d.]+) \(30 rows\)", lines[-1])
    assert float(found[1]) > 0.98
    assert (tmp_path / "run" / "predictions.png").exists()
    assert run("evaluate", "run")[1] == [lines[-1]]


def test_mnist_from_a_folder(run, tmp_path, tiny_mnist):
    status, lines, err = run(
        "train", "--data", "mnist", "--root", tiny_mnist, "--epochs", 2, "--hidden", "8",
        "--out", "run",
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert lines[0] == "mnist: 270 examples to train on, 30 for validation, 50 held out"
    assert lines[-1].endswith("of 50)")


@pytest.mark.slow
def test_the_defaults_read_digits_well(run):
    status, lines, _ = run("train")
    assert status == 0
    assert float(lines[-1].split()[2]) >= 97.0


@pytest.mark.slow
def test_the_defaults_read_mnist_well(run):
    root = os.environ.get("GPUGRAD_MNIST")
    if not root:
        pytest.skip("set GPUGRAD_MNIST to the folder with MNIST's four IDX files to run this")
    status, lines, _ = run("train", "--data", "mnist", "--root", root, "--epochs", 4)
    assert status == 0
    assert lines[-1].endswith("of 10000)")
    assert float(lines[-1].split()[2]) >= 98.0  # with 4 epochs; the default is 15


# Going on


class Killed(BaseException):
    """Stands for a kill: nothing is saved on the way out."""


@pytest.fixture
def dying(monkeypatch):
    """Makes the next training die at a step, having saved after every batch."""
    real = experiment.fit

    def arrange(step, kill):
        class Die(Callback):
            def on_batch(self, training):
                if training.step == step:
                    kill()

        def fit(*args, **options):
            monkeypatch.setattr(experiment, "fit", resumed)
            options["callbacks"] = [*options["callbacks"], Die()]
            return real(*args, **options, checkpoint_seconds=0.0)

        def resumed(*args, **options):
            options["callbacks"] = [*options["callbacks"], Callback()]
            return real(*args, **options)

        monkeypatch.setattr(experiment, "fit", fit)

    return arrange


def killed():
    raise Killed


def test_resume_gives_the_same_bits(run, tmp_path, dying):
    options = [*QUICK, "--dropout", "0.2", "--schedule", "cosine", "--patience", "2"]
    expected = run(*options, "--out", "whole")[1][-1]
    dying(17, killed)
    with pytest.raises(Killed):
        run(*options, "--out", "killed")
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    status, lines, _ = run("train", "--resume", "killed")
    assert (status, lines[-1]) == (0, expected)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


def test_resume_before_the_first_checkpoint(run, tmp_path):
    expected = run(*QUICK, "--out", "run")[1][-1]
    for path in (tmp_path / "run").iterdir():
        if path.name != "config.json":
            path.unlink()
    assert run("train", "--resume", "run")[1][-1] == expected


def test_ctrl_c_saves_and_says_how_to_go_on(run, tmp_path, dying):
    expected = run(*QUICK, "--out", "whole")[1][-1]
    dying(5, lambda: os.kill(os.getpid(), signal.SIGINT))
    status, lines, _ = run(*QUICK, "--out", "stopped")
    assert status == 130
    assert lines[-2].startswith("stopped after step 5, in epoch 1")
    assert lines[-1] == "go on with it: gpugrad train --resume stopped"
    status, _, err = run("evaluate", "stopped")
    assert status == 2
    assert "the run has no model yet: it was stopped before its end; help: go on" in err
    assert run(*lines[-1].split("gpugrad ")[1].split())[1][-1] == expected
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")


def test_resume_of_a_finished_run_says_the_same_again(run):
    expected = run(*QUICK, "--out", "run")[1][-1]
    status, lines, _ = run("train", "--resume", "run")
    assert (status, lines[-1]) == (0, expected)


def test_more_epochs_where_no_schedule_depends_on_them(run, tmp_path):
    options = ["train", "--data", "moons", "--schedule", "constant"]
    run(*options, "--epochs", 5, "--out", "longer")
    run(*options, "--epochs", 3, "--out", "run")
    assert run("train", "--resume", "run", "--epochs", 5)[0] == 0
    assert weights(tmp_path / "run") == weights(tmp_path / "longer")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["settings"]["epochs"] == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lr", "1"], "--resume takes every setting from the run, so --lr cannot stand beside"),
        (["--no-augment", "--out", "x"], "so --augment, --out cannot stand beside it"),
        (["--epochs", "2"], "--epochs 2: the run was begun with 3, and can only be given more"),
        (["--epochs", "9"], "--epochs 9: the schedule 'onecycle' of this run depends on its 3 epo"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_stand_beside_resume(options, message, run):
    run(*QUICK, "--out", "run")
    status, _, err = run("train", "--resume", "run", *options)
    assert status == 2
    assert message in err


def test_resume_refuses_other_data(run, table):
    run("train", "--data", "csv", "--file", table, "--target", "kind", "--drop", "id",
        "--missing", "impute", "--epochs", 1, "--out", "run")  # fmt: skip
    table.write_text(table.read_text().replace("red", "green"))
    status, _, err = run("train", "--resume", "run")
    assert status == 2
    assert "run: the data is not what the run was begun with" in err


# Evaluate, predict, devices


def test_evaluate_says_the_last_line_again(run):
    expected = run(*QUICK, "--out", "run")[1][-1]
    assert run("evaluate", "run") == (0, [expected], "")


def test_predict_adds_to_a_table(run, table, tmp_path):
    run("train", "--data", "csv", "--file", table, "--target", "kind", "--drop", "id",
        "--missing", "impute", "--epochs", 30, "--out", "run")  # fmt: skip
    new = tmp_path / "new.csv"
    new.write_text("note,colour,size\nfirst,red,2.5\nsecond,blue,-2.5\nthird,green,\n")
    status, lines, err = run("predict", "run", new)
    assert (status, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    assert list(rows[0]) == [
        "note", "colour", "size", "prediction", "probability of big", "probability of small",
    ]  # fmt: skip
    assert [row["note"] for row in rows] == ["first", "second", "third"]
    assert [row["prediction"] for row in rows[:2]] == ["big", "small"]
    for row in rows:
        assert float(row["probability of big"]) + float(row["probability of small"]) == (
            pytest.approx(1, abs=1e-5)
        )
    assert run("predict", "run", new, "--out", "out.csv") == (0, [], "")
    assert (tmp_path / "out.csv").read_text().splitlines() == lines
    again = run("predict", "run", "out.csv")[1]
    assert again == lines  # old predictions are replaced


def test_predict_gives_values_in_the_units_of_the_table(run, line, tmp_path):
    run("train", "--data", "csv", "--file", line, "--target", "y", "--epochs", 60, "--out", "run",
        "--lr", "0.01")  # fmt: skip
    (tmp_path / "new.csv").write_text("x\n50\n100\n")
    _, lines, _ = run("predict", "run", "new.csv")
    rows = list(csv.DictReader(lines))
    assert float(rows[0]["prediction"]) == pytest.approx(250, rel=0.1)
    assert float(rows[1]["prediction"]) == pytest.approx(400, rel=0.1)


def test_predict_reads_pixels_with_and_without_a_header(run, tmp_path):
    run("train", "--epochs", 4, "--out", "run")
    digits = gg.data.load_digits()
    names = ",".join(digits.feature_names)
    rows = [",".join(str(int(v)) for v in row) for row in digits.rows[:3]]
    (tmp_path / "bare.csv").write_text("\n".join(rows) + "\n")
    named = [f"name,{names}", *(f"d{i},{row}" for i, row in enumerate(rows))]
    (tmp_path / "named.csv").write_text("\n".join(named) + "\n")
    bare = list(csv.DictReader(run("predict", "run", "bare.csv")[1]))
    with_names = list(csv.DictReader(run("predict", "run", "named.csv")[1]))
    assert len(bare) == len(with_names) == 3
    assert list(with_names[0])[:2] == ["name", "prediction"]
    assert [{"name": f"d{i}", **row} for i, row in enumerate(bare)] == with_names


def test_devices_and_version(run):
    status, lines, err = run("devices")
    assert (status, err) == (0, "")
    assert lines[0].split() == ["device", "name", "capability", "free", "memory", "driver", "CUDA"]
    assert [line.split()[0] for line in lines[1:]] == list(map(str, gg.devices()))
    assert run("--version") == (0, [f"gpugrad {metadata.version('gpugrad')}"], "")


def test_help_lists_commands_and_options(run):
    status, lines, _ = run()
    assert status == 0
    for word in ("train", "evaluate", "predict", "devices", "doctor", "--version"):
        assert any(word in text for text in lines)
    text = "\n".join(run("train", "--help")[1])
    for option in OPTIONS:
        assert option in text


# What is impossible


IMPOSSIBLE = {
    "--epochs 0": "--epochs 0: must be a whole number, at least 1",
    "--epochs many": "--epochs",
    "--lr 0": "--lr 0.0: must be a number above 0",
    "--lr nan": "--lr nan: must be a number above 0",
    "--dropout 1": "--dropout 1.0: must be a number at least 0 and below 1",
    "--weight-decay -1": "--weight-decay -1.0: must be a number at least 0",
    "--batch-size 0": "--batch-size 0: must be",
    "--patience -1": "--patience -1: must be",
    "--seed -1": "--seed -1: must be",
    "--hidden 8,x": "--hidden 8,x: whole numbers with commas are expected",
    "--hidden 8,0": "--hidden 0: must be a whole number, at least 1",
    "--activation step": "--activation step: choose one of relu",
    "--optimizer newton": "--optimizer newton: choose one of sgd",
    "--schedule no": "--schedule no: choose one of constant",
    "--dtype int8": "--dtype int8: choose one of float32, float64",
    "--data cats": "--data cats: choose one of digits, moons, mnist, csv",
    "--device abacus": "--device abacus: unknown device; help: use 'cpu', 'cuda', 'cuda:1' or",
    "--data csv": "--data csv needs --file ..., the table",
    "--data csv --file t.csv": "--data csv needs --target ..., the column to predict",
    "--data csv --file gone.csv --target y": "gone.csv: there is no such file",
    "--data mnist --root gone": "gone: the folder does not hold MNIST's train files",
    "--target y": "--target ... belongs to --data csv, not to --data digits",
    "--root x": "--root ... belongs to --data mnist, not to --data digits",
    "--data moons --augment": "--augment moves images, and --data moons has none",
    "--resume gone": "gone: there is no run here: config.json is missing",
    "--nonsense": "--nonsense",
    "extra": "extra",
}


@pytest.mark.parametrize("options", IMPOSSIBLE)
def test_impossible_options_take_one_line_and_status_2(options, run, tmp_path):
    status, lines, err = run("train", *options.split())
    assert (status, lines) == (2, [])
    assert IMPOSSIBLE[options] in err
    assert err.count("\n") == 1
    assert err.startswith("gpugrad: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "gone"], "gone: there is no run here"),
        (["evaluate"], "gpugrad --help"),
        (["predict", "gone", "t.csv"], "gone: there is no run here"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_other_commands_complain_in_one_line_too(arguments, message, run):
    status, _, err = run(*arguments)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


def test_out_must_be_new_and_writable(run, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").write_text("")
    for out, message in {
        "file/run": "cannot make the folder: Not a directory",
        "file": "cannot make the folder: File exists",
        "full": "full: the folder is not empty; found: thing",
    }.items():
        status, _, err = run(*QUICK, "--out", out)
        assert status == 2
        assert message in err
        assert err.count("\n") == 1
    run(*QUICK, "--out", "run")
    assert "go on with it by --resume run" in run(*QUICK, "--out", "run")[2]


@pytest.mark.skipif(
    sys.platform == "win32" or getattr(os, "geteuid", lambda: 0)() == 0,
    reason="root may write everywhere",
)
def test_out_in_a_folder_that_cannot_be_written(run, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    status, _, err = run(*QUICK, "--out", "locked/run")
    assert status == 2
    assert "locked/run: cannot make the folder: Permission denied" in err
    status, _, err = run(*QUICK, "--out", "locked")
    assert status == 2
    assert "locked: the folder cannot be written" in err


BAD_TABLES = {
    "text": ("x,y\n1,a\n2,b\nthree,a\n4,b\n", "column 'x' holds text where numbers belong"),
    "ragged": ("x,y\n1,a\n2,b,c\n", "line 3 has 3 cells where 2 are expected"),
    "one class": ("x,y\n1,a\n2,a\n", "holds one class only"),
    "no column": ("x,z\n1,a\n2,b\n", "there is no column 'y'"),
    "gaps": ("x,y\n1,a\n,b\n3,a\n4,b\n", "train with missing values imputed: --missing impute"),
    "empty": ("", "the file is empty"),
    "header": ("x,y\n", "the table has a header but no rows"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_tables(name, run, tmp_path):
    text, message = BAD_TABLES[name]
    (tmp_path / "t.csv").write_text(text)
    status, lines, err = run("train", "--data", "csv", "--file", "t.csv", "--target", "y")
    assert (status, lines) == (2, [])
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_ends_with_status_1_and_keeps_a_model(run, line, tmp_path):
    status, _, err = run(
        "train", "--data", "csv", "--file", line, "--target", "y", "--optimizer", "sgd",
        "--lr", "1e9", "--hidden", "none", "--out", "run",
    )  # fmt: skip
    assert status == 1
    assert re.match(
        r"gpugrad: fit: the (validation )?loss is .* at step \d+|gpugrad: fit: the va", err
    )
    assert "training stops; weights: the model has those" in err
    assert err.count("\n") == 1
    assert all(
        np.isfinite(t.data).all() for t in gg.load(tmp_path / "run/model.safetensors").values()
    )


def test_a_run_that_was_tampered_with(run, tmp_path):
    run(*QUICK, "--out", "run")
    model = tmp_path / "run" / "model.safetensors"
    content = model.read_bytes()
    model.write_bytes(content[:-10])
    assert "model.safetensors: the file is truncated" in run("evaluate", "run")[2]
    model.unlink()
    assert "the run has no model yet" in run("evaluate", "run")[2]
    (tmp_path / "run" / "config.json").write_text("{")
    assert "config.json: this is not the config of a run" in run("evaluate", "run")[2]


def test_a_truncated_checkpoint_is_named(run, tmp_path):
    run(*QUICK, "--out", "run")
    checkpoint = tmp_path / "run" / CHECKPOINT
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    status, _, err = run("train", "--resume", "run")
    assert status == 2
    assert "checkpoint.safetensors: the file is truncated" in err


def test_without_matplotlib_nothing_begins(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    status, _, err = run(*QUICK)
    assert status == 2
    assert f"pictures need the package matplotlib; help: {install_command('train')}" in err
    assert list(tmp_path.iterdir()) == []


def test_without_typer_the_install_command_is_named(run, monkeypatch):
    monkeypatch.delitem(sys.modules, "gpugrad.cli.app", raising=False)
    monkeypatch.delattr(sys.modules["gpugrad.cli"], "app", raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)
    status, _, err = run("devices")
    assert status == 2
    assert f"the command line needs the package typer; help: {install_command('train')}" in err


# As a process


def test_the_installed_command(tmp_path):
    entry = [
        each for each in metadata.entry_points(group="console_scripts") if each.name == "gpugrad"
    ]
    assert [each.value for each in entry] == ["gpugrad.cli:main"]
    code = "import sys; from gpugrad.cli import main; sys.exit(main())"
    found = subprocess.run(
        [sys.executable, "-c", code, "train", "--lr", "-1"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr == "gpugrad: --lr -1.0: must be a number above 0\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a signal of POSIX")
def test_a_killed_command_goes_on(run, tmp_path):
    options = [
        "train",
        "--data",
        "moons",
        "--epochs",
        "200",
        "--dropout",
        "0.1",
        "--hidden",
        "96,96",
    ]
    expected = run(*options, "--out", "whole")[1][-1]
    code = "import sys; from gpugrad.cli import main; sys.exit(main())"
    process = subprocess.Popen([sys.executable, "-c", code, *options, "--out", "killed"],
                               cwd=tmp_path, stdout=subprocess.DEVNULL)  # fmt: skip
    metrics = tmp_path / "killed" / "metrics.jsonl"
    while process.poll() is None:
        if metrics.exists() and metrics.read_text().count("\n") >= 5:
            process.kill()
            break
        time.sleep(0.01)
    assert process.wait(60) == -signal.SIGKILL
    assert run("train", "--resume", "killed")[1][-1] == expected
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
