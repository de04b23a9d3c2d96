"""A training that was killed, interrupted or stopped goes on with the same bits."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

import gpugrad as gg
from gpugrad import nn
from gpugrad.data import TensorDataset, load_digits
from gpugrad.errors import OptionError, StateError
from gpugrad.train import Callback, ShiftImages, fit

EPOCHS = 4


class Stop(Exception):
    """Stands for a kill: nothing is saved on the way out."""


class StopAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_batch(self, training):
        if training.step == self.step:
            raise Stop


class Interrupt(Callback):
    def __init__(self, step):
        self.step = step

    def on_batch(self, training):
        if training.step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def plain(generator):
    return nn.MLP([64, 24, 10], dropout=0.3, generator=generator)


def normalised(generator):
    """Batch statistics as buffers, and dropout from the default generator."""
    return nn.Sequential(
        nn.Linear(64, 24, generator=generator),
        nn.BatchNorm1d(24),
        nn.Tanh(),
        nn.Dropout(0.2),
        nn.Linear(24, 10, generator=generator),
    )


SET_UPS = {
    "adamw cosine": (plain, gg.optim.AdamW, {}, "cosine"),
    "sgd onecycle": (normalised, gg.optim.SGD, {"momentum": 0.9, "nesterov": True}, "onecycle"),
    "adam plateau": (plain, gg.optim.Adam, {"amsgrad": True}, "plateau"),
    "rmsprop": (plain, gg.optim.RMSprop, {"centered": True, "momentum": 0.5}, None),
    "adagrad step": (normalised, gg.optim.Adagrad, {}, "step"),
}


def train(set_up, run=None, callbacks=(), resume=False, epochs=EPOCHS, patience=3, **more):
    """One training from the beginning, as a new process would make it; its model and history."""
    make, optimizer_class, options, schedule = SET_UPS[set_up]
    gg.manual_seed(5)
    generator = gg.Generator(7)
    digits = load_digits().subset(range(300))
    model = make(generator)
    optimizer = optimizer_class(model.parameters(), lr=5e-3, **options)
    schedulers = gg.optim.lr_scheduler
    steps = EPOCHS * 8
    scheduler, every = {
        "cosine": lambda: (schedulers.CosineAnnealingLR(optimizer, steps), "batch"),
        "onecycle": lambda: (schedulers.OneCycleLR(optimizer, 0.02, steps), "batch"),
        "plateau": lambda: (schedulers.ReduceLROnPlateau(optimizer, patience=0), "epoch"),
        "step": lambda: (schedulers.StepLR(optimizer, 2), "epoch"),
        None: lambda: (None, "epoch"),
    }[schedule]()
    history = fit(
        model,
        digits,
        optimizer=optimizer,
        scheduler=scheduler,
        scheduler_every=every,
        validation=0.2,
        epochs=epochs,
        patience=patience,
        augment=ShiftImages((8, 8)),
        generator=generator,
        callbacks=callbacks,
        progress=False,
        run=run,
        resume=resume,
        checkpoint_seconds=more.pop("checkpoint_seconds", 0.0),
        **more,
    )
    return model, history


def bits(model):
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


def timeless(records):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


@pytest.fixture(scope="module")
def trainings():
    return {}


@pytest.fixture
def whole(device, trainings):
    """Trainings that nothing stopped, on the device of the test."""
    if device not in trainings:
        trainings[device] = {name: train(name) for name in SET_UPS}
    return trainings[device]


def test_the_same_seeds_give_the_same_bits(whole):
    again, history = train("adamw cosine")
    assert bits(again) == bits(whole["adamw cosine"][0])
    assert timeless(history.records) == timeless(whole["adamw cosine"][1].records)


# On a simulated GPU each set-up is killed once only, since a training takes seconds there.
KILLS = [
    pytest.param(set_up, step, marks=[pytest.mark.once] if i != k else [])
    for k, set_up in enumerate(SET_UPS)
    for i, step in enumerate([1, 7, 8, 9, 31])
]


@pytest.mark.parametrize(("set_up", "step"), KILLS)
def test_a_killed_training_goes_on_with_the_same_bits(set_up, step, whole, tmp_path):
    callbacks = [Callback()]  # as many as the first time
    with pytest.raises(Stop):
        train(set_up, tmp_path, [StopAt(step)])
    model, history = train(set_up, tmp_path, callbacks, resume=True)
    expected, full = whole[set_up]
    assert bits(model) == bits(expected)
    assert timeless(history.records) == timeless(full.records)
    assert (history.best_epoch, history.steps) == (full.best_epoch, full.steps)


def test_a_training_killed_again_and_again(whole, tmp_path):
    for number, step in enumerate((3, 8, 12, 20, 21, 32)):
        with pytest.raises(Stop):
            train("sgd onecycle", tmp_path, [StopAt(step)], resume=number > 0)
    model, _ = train("sgd onecycle", tmp_path, [Callback()], resume=True)
    assert bits(model) == bits(whole["sgd onecycle"][0])


def test_checkpoints_need_not_be_of_every_batch(whole, tmp_path):
    with pytest.raises(Stop):
        train("adamw cosine", tmp_path, [StopAt(29)], checkpoint_seconds=0.02)
    model, _ = train("adamw cosine", tmp_path, [Callback()], resume=True)
    assert bits(model) == bits(whole["adamw cosine"][0])


def test_metrics_hold_each_epoch_once(whole, tmp_path):
    with pytest.raises(Stop):
        train("rmsprop", tmp_path, [StopAt(20)])
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 3, "step": 2')  # cut off in the middle of a line
    _, history = train("rmsprop", tmp_path, [Callback()], resume=True)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history.records
    assert [record["epoch"] for record in history.records] == list(range(1, EPOCHS + 1))


def test_a_finished_training_is_read_and_left_alone(whole, tmp_path):
    train("adamw cosine", tmp_path)
    model, history = train("adamw cosine", tmp_path, resume=True)
    assert bits(model) == bits(whole["adamw cosine"][0])
    assert history.stopped == "epochs"


def test_more_epochs_equal_a_longer_training(tmp_path):
    longer, _ = train("adagrad step", epochs=3, patience=None)
    train("adagrad step", tmp_path, epochs=2, patience=None)
    model, _ = train("adagrad step", tmp_path, resume=True, epochs=3, patience=None)
    assert bits(model) == bits(longer)


def test_ctrl_c_ends_after_the_batch_saves_and_says_how_to_go_on(whole, tmp_path, capsys):
    handler = signal.getsignal(signal.SIGINT)
    _, history = train("adamw cosine", tmp_path, [Interrupt(11)], checkpoint_seconds=1000)
    assert history.stopped == "interrupted"
    assert history.steps == 11
    assert capsys.readouterr().out.splitlines() == [
        f"stopped after step 11, in epoch 2: saved in {tmp_path}",
        "go on with it: the same call with resume=True",
    ]
    assert signal.getsignal(signal.SIGINT) is handler
    model, _ = train("adamw cosine", tmp_path, [Callback()], resume=True)
    assert bits(model) == bits(whole["adamw cosine"][0])


def test_ctrl_c_without_a_folder(capsys):
    _, history = train("rmsprop", None, [Interrupt(2)])
    assert history.stopped == "interrupted"
    assert "no `run` folder was given, so it cannot be resumed" in capsys.readouterr().out


def test_a_second_ctrl_c_does_not_wait():
    class Twice(Callback):
        def on_batch(self, training):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train("rmsprop", None, [Twice()])


def test_a_folder_with_a_training_is_not_overwritten(tmp_path):
    train("rmsprop", tmp_path, epochs=1)
    with pytest.raises(OptionError, match=r"holds a training already\n  help: pass resume=True"):
        train("rmsprop", tmp_path, epochs=1)


def test_half_written_files_are_removed(tmp_path):
    left = tmp_path / ".checkpoint.safetensors.123.part"
    left.write_bytes(b"half")
    train("rmsprop", tmp_path, epochs=1)
    assert not left.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(set_up="sgd onecycle"), r"only one of|missing|does not fit|saved"),
        (dict(callbacks=[Callback()]), "has 1 callbacks, here are 2\n  help: pass fit what it"),
        (dict(set_up="rmsprop"), "only one of the checkpoint and this training has a schedule"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(change, message, tmp_path):
    train("adamw cosine", tmp_path, epochs=1)
    with pytest.raises(StateError, match=message):
        train(**{"set_up": "adamw cosine", "run": tmp_path, "resume": True, **change})


def test_another_data_set_is_refused(tmp_path):
    train("adamw cosine", tmp_path, epochs=1)
    generator = gg.Generator(7)
    model = plain(generator)
    other = TensorDataset(gg.zeros((9, 64)), gg.zeros(9, dtype="int64"))
    optimizer = gg.optim.AdamW(model.parameters())
    scheduler = gg.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
    with pytest.raises(StateError, match="the state is of another data set"):
        fit(
            model,
            other,
            optimizer=optimizer,
            scheduler=scheduler,
            generator=generator,
            run=tmp_path,
            resume=True,
            progress=False,
        )


SCRIPT = """
import hashlib, sys
import gpugrad as gg
from gpugrad.train import ShiftImages, fit

gg.manual_seed(5)
digits = gg.data.load_digits()
model = gg.nn.MLP([64, 32, 10], dropout=0.3)
optimizer = gg.optim.AdamW(model.parameters(), lr=5e-3)
scheduler = gg.optim.lr_scheduler.CosineAnnealingLR(optimizer, 60 * 45)
history = fit(
    model, digits, optimizer=optimizer, scheduler=scheduler, scheduler_every="batch",
    validation=0.2, epochs=60, patience=60, augment=ShiftImages((8, 8)), progress=False,
    run=sys.argv[1], resume=True, checkpoint_seconds=0.05,
)
digest = hashlib.sha256()
for tensor in model.state_dict().values():
    digest.update(tensor.numpy().tobytes())
print(history.best_epoch, history.steps, digest.hexdigest())
"""


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a signal of POSIX")
def test_killed_processes_end_with_the_bits_of_one_that_was_not(tmp_path):
    expected = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "whole")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    run = tmp_path / "killed"
    moments = random.Random(20261124)
    kills = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(run)], stdout=subprocess.PIPE, text=True
        )
        _wait_for_a_checkpoint(process, run / "checkpoint.safetensors")
        if kills < 5:
            time.sleep(moments.uniform(0.0, 0.2))
            process.kill()  # SIGKILL: at a checkpoint, in a batch, wherever it is
        found, _ = process.communicate(timeout=120)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        kills += 1
    assert kills >= 3
    assert found == expected


def _wait_for_a_checkpoint(process, path):
    """Until this process has written one of its own."""
    started = time.time_ns()
    while process.poll() is None:
        if path.exists() and path.stat().st_mtime_ns > started:
            return
        time.sleep(0.005)
