"""fit: what it trains, notes, keeps and refuses."""

from __future__ import annotations

import json
import math
import sys
import types

import numpy as np
import pytest

import gpugrad as gg
from gpugrad import nn
from gpugrad.data import DataLoader, TensorDataset, load_digits, load_moons
from gpugrad.errors import AnomalyError, DataError, FileError, OptionError
from gpugrad.train import Callback, ShiftImages, TensorBoard, evaluate, fit, predict
from gpugrad.train.progress import BarProgress, PlainProgress, progress_callbacks


def line(n=64):
    """y = 2 x - 1, without noise."""
    x = np.linspace(-1, 1, n, dtype=np.float32)[:, None]
    return x, 2 * x[:, 0] - 1


def few_digits():
    return load_digits().subset(range(200))


def quiet(model, data, **options):
    return fit(model, data, progress=False, **options)


def test_a_line_is_found():
    gg.manual_seed(0)
    model = nn.Linear(1, 1)
    optimizer = gg.optim.SGD(model.parameters(), lr=0.1)
    history = quiet(model, line(), optimizer=optimizer, epochs=80)
    assert model.weight.item() == pytest.approx(2, abs=1e-2)
    assert model.bias.item() == pytest.approx(-1, abs=1e-2)
    assert history.records[-1]["r2"] > 0.999
    assert history.stopped == "epochs"
    assert history.steps == 160


@pytest.mark.parametrize(
    "make",
    [
        line,
        lambda: TensorDataset(*line()),
        lambda: DataLoader(line(), batch_size=16, shuffle=True, generator=gg.Generator(3)),
        lambda: load_moons(40, generator=gg.Generator(0)),
    ],
    ids=["tuple", "TensorDataset", "DataLoader", "Dataset"],
)
def test_kinds_of_data(make):
    data = make()
    outputs = 2 if hasattr(data, "classes") else 1
    history = quiet(nn.Linear(outputs, outputs), data, epochs=1, generator=gg.Generator(0))
    assert math.isfinite(history.records[0]["loss"])


def test_records_hold_the_numbers_of_each_epoch():
    history = quiet(
        nn.MLP([64, 16, 10]), few_digits(), epochs=3, validation=0.2, metrics=["accuracy"]
    )
    assert list(history.records[0]) == [
        "epoch", "step", "loss", "val_loss", "val_accuracy", "lr", "seconds",
    ]  # fmt: skip
    assert [record["epoch"] for record in history.records] == [1, 2, 3]
    assert history.records[-1]["step"] == 3 * 5


def test_the_noted_loss_is_the_mean_over_the_examples():
    x, y = np.arange(5, dtype=np.float32)[:, None], np.zeros(5, np.float32)
    model = nn.Linear(1, 1)
    optimizer = gg.optim.SGD(model.parameters(), lr=0.0)  # nothing moves
    history = quiet(model, (x, y), optimizer=optimizer, batch_size=2, epochs=1)
    assert history.records[0]["loss"] == pytest.approx(evaluate(model, (x, y))["loss"], rel=1e-6)


def test_the_validation_share_is_of_each_class_alike_and_is_not_trained_on():
    seen = []
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    x = np.arange(100, dtype=np.float32)[:, None]

    class Watch(nn.Linear):
        def forward(self, inputs):
            if self.training:
                seen.extend(inputs[:, 0].tolist())
            return super().forward(inputs)

    quiet(Watch(1, 3), (x, labels), validation=0.2, epochs=1, generator=gg.Generator(1))
    assert np.bincount(labels[np.array(seen, int)]).tolist() == [48, 24, 8]
    assert len(set(seen)) == 80


def test_early_stopping_restores_the_best_weights():
    x, y = line()
    model = nn.Linear(1, 1)
    gg.nn.init.constant_(model.weight, 2.0)
    gg.nn.init.constant_(model.bias, -1.0)
    optimizer = gg.optim.SGD(model.parameters(), lr=0.1)

    def away(outputs, targets):  # the first step is the best, since it begins at the optimum
        return -((outputs[:, 0] - targets + 1e-3) ** 2).mean()

    def wrong(outputs, targets):
        return abs(outputs[:, 0] - targets).mean().item()

    history = quiet(
        model, (x, y), optimizer=optimizer, loss=away, metrics={"error": wrong}, epochs=50,
        validation=(x, y), patience=3, monitor="val_error",
    )  # fmt: skip
    errors = [record["val_error"] for record in history.records]
    assert history.stopped == "patience"
    assert history.best_epoch == 1
    assert len(errors) == 4
    assert evaluate(model, (x, y), metrics={"error": wrong})["error"] == errors[0]


def test_accuracy_is_better_when_larger():
    history = quiet(
        nn.MLP([64, 32, 10]), few_digits(), epochs=4, validation=0.2, patience=4,
        monitor="val_accuracy",
    )  # fmt: skip
    values = [record["val_accuracy"] for record in history.records]
    assert values[history.best_epoch - 1] == max(values)


def test_without_patience_the_last_weights_stay():
    model = nn.MLP([64, 16, 10])
    history = quiet(model, few_digits(), epochs=2, validation=0.2, generator=gg.Generator(0))
    assert history.best_epoch is None
    assert not model.training


def test_schedulers_by_batch_and_by_epoch():
    model = nn.Linear(1, 1)
    optimizer = gg.optim.SGD(model.parameters(), lr=1.0)
    halving = gg.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    history = quiet(model, line(), optimizer=optimizer, scheduler=halving, epochs=3)
    assert [record["lr"] for record in history.records] == [1.0, 0.5, 0.25]
    optimizer = gg.optim.SGD(model.parameters(), lr=1.0)
    halving = gg.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    history = quiet(
        model, line(), optimizer=optimizer, scheduler=halving, scheduler_every="batch", epochs=2
    )
    assert [record["lr"] for record in history.records] == [0.25, 0.0625]


class Log(Callback):
    def __init__(self):
        self.events = []

    def on_start(self, training):
        self.events.append("start")

    def on_batch(self, training):
        self.events.append(training.step)

    def on_epoch(self, training):
        self.events.append(f"epoch {training.epoch}")

    def on_end(self, training):
        self.events.append(training.stopped)


def test_callbacks_are_called_in_order():
    log = Log()
    quiet(nn.Linear(1, 1), line(), epochs=2, callbacks=[log])
    assert log.events == ["start", 1, 2, "epoch 1", 3, 4, "epoch 2", "epochs"]


def test_a_callback_stops_after_a_batch():
    class StopAfter(Log):
        def on_batch(self, training):
            super().on_batch(training)
            if training.step == 3:
                training.stop("three are enough")

    log = StopAfter()
    history = quiet(nn.Linear(1, 1), line(), epochs=9, callbacks=[log])
    assert history.stopped == log.events[-1] == "three are enough"
    assert history.steps == 3


def test_metrics_go_to_json_lines(tmp_path):
    def broken(outputs, targets):
        return math.nan

    history = quiet(
        nn.Linear(1, 1), line(), epochs=2, run=tmp_path / "new" / "run", metrics={"broken": broken}
    )
    lines = (tmp_path / "new" / "run" / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(text) for text in lines]
    assert [record["loss"] for record in found] == [record["loss"] for record in history.records]
    assert found[0]["broken"] is None


def test_tensorboard_gets_the_numbers(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = quiet(nn.Linear(1, 1), line(), epochs=3, callbacks=[TensorBoard(tmp_path)])
    events = EventAccumulator(str(tmp_path)).Reload()
    found = [(event.step, event.value) for event in events.Scalars("loss")]
    assert [step for step, _ in found] == [1, 2, 3]
    losses = [record["loss"] for record in history.records]
    np.testing.assert_allclose([value for _, value in found], losses, rtol=1e-6)


def test_tensorboard_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(OptionError, match=r"needs the package tensorboard\n  help: pip install"):
        TensorBoard(tmp_path)


# A loss that turns NaN


class Explode(Callback):
    """Makes the weights NaN after a step, as a diverging update does."""

    def __init__(self, step):
        self.step = step

    def on_batch(self, training):
        if training.step == self.step:
            for parameter in training.model.parameters():
                parameter.copy_(math.nan)


def test_nan_stops_at_its_step_and_keeps_the_last_good_weights():
    model = nn.Linear(1, 1)
    kept = {}

    class Keep(Callback):
        def on_epoch(self, training):
            kept.update({k: v.tolist() for k, v in training.model.state_dict().items()})

    with pytest.raises(AnomalyError) as caught:
        quiet(model, line(), epochs=9, callbacks=[Keep(), Explode(5)])
    assert str(caught.value).splitlines() == [
        "fit: the loss is nan at step 6 (epoch 3, batch 2 of 2); training stops",
        "  weights: the model has those after epoch 2, the last good ones",
        "  learning rate: 0.001",
        "  help: lower the learning rate, check the inputs for NaN, or find the operation with "
        "gg.detect_anomaly()",
    ]
    assert {k: v.tolist() for k, v in model.state_dict().items()} == kept
    assert not model.training


def test_nan_after_early_stopping_began_keeps_the_best_weights():
    model = nn.Linear(1, 1)
    with pytest.raises(AnomalyError, match=r"those after epoch 3, the best so far"):
        quiet(model, line(), epochs=9, patience=9, validation=0.25, batch_size=64,
              callbacks=[Explode(4)])  # fmt: skip
    assert np.isfinite(model.weight.tolist()).all()


def test_nan_in_the_first_epoch_keeps_the_first_weights():
    model = nn.Linear(1, 1)
    before = model.weight.item()
    x, y = line()
    with pytest.raises(AnomalyError, match=r"at step 1 \(epoch 1.*\n.*those it began with"):
        quiet(model, (x, y * np.float32(np.inf)))
    assert model.weight.item() == before


def test_a_validation_loss_that_is_nan_stops_too():
    x, y = line()
    with pytest.raises(AnomalyError, match="the validation loss is not finite after step 2"):
        quiet(nn.Linear(1, 1), (x, y), validation=(x * np.float32(np.nan), y))


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_learning_rate_that_is_too_high_ends_in_words():
    model = nn.Linear(1, 1)
    optimizer = gg.optim.SGD(model.parameters(), lr=1e6)
    with pytest.raises(AnomalyError, match=r"the loss is (inf|nan) at step(.|\n)*rate: 1e\+06"):
        quiet(model, line(), optimizer=optimizer, epochs=20)
    assert all(np.isfinite(t.numpy()).all() for t in model.state_dict().values())


# On a device


def test_model_data_and_optimizer_meet_on_the_device(device):
    x, y = line()
    model = nn.Linear(1, 1, device="cpu")
    optimizer = gg.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    data = tuple(gg.asarray(part, device="cpu") for part in (x, y))
    quiet(model, data, optimizer=optimizer, validation=0.25, epochs=30, device=device)
    assert {p.device for p in model.parameters()} == {device}
    assert model.weight.item() == pytest.approx(2, abs=1e-2)
    assert predict(model, data[0]).device == device
    assert evaluate(model, data)["loss"] < 1e-3
    assert predict(model, data[0], device="cpu").device == gg.device("cpu")
    assert model.weight.device == gg.device("cpu")


def test_a_step_on_a_gpu_waits_for_nothing(device, monkeypatch):
    """The host looks at the losses after an epoch (or many batches), and at nothing before."""
    if device.kind == "cpu":
        pytest.skip("on the CPU nothing waits")
    looks = []
    array = type(device.xp.zeros(1))
    for name in ("get", "item", "tolist"):
        real = getattr(array, name)
        monkeypatch.setattr(
            array, name, lambda self, *args, real=real: looks.append(1) or real(self, *args)
        )

    class Count(Callback):
        def on_batch(self, training):
            seen.append(len(looks))

    seen = []
    model = nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2),
                          nn.Linear(8, 10))  # fmt: skip
    quiet(model, few_digits(), augment=ShiftImages((8, 8)), epochs=2,
          callbacks=[Count()])  # fmt: skip
    assert len(seen) == 14
    assert seen[0] == seen[6] < seen[7] == seen[13]


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, r"fit\(epochs=0\): epochs must be a whole number, at least 1"),
        ({"epochs": 1.5}, r"epochs=1.5"),
        ({"patience": 0}, "patience must be a whole number, at least 1"),
        ({"scheduler_every": "step"}, "choose 'epoch' or 'batch'"),
        ({"checkpoint_seconds": -1}, "checkpoint_seconds=-1"),
        ({"resume": True}, "name the run's folder"),
        ({"validation": 1.0}, r"validation=1.0\): the share must lie between 0 and 1"),
        ({"monitor": "accuracy"}, r"not among an epoch's numbers\n  numbers: loss, r2, rmse"),
        ({"monitor": "loss2", "validation": 0.5}, "numbers: loss, val_loss, val_r2, val_rmse"),
        ({"metrics": ["f1"]}, r"unknown name 'f1'\n  help: choose from accuracy, r2, rmse"),
        ({"metrics": {"mine": 3}}, r"metrics\['mine'\]: a function of \(outputs, targets\)"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
    ],
    ids=str,
)
def test_impossible_settings(options, message):
    with pytest.raises(OptionError, match=message):
        quiet(nn.Linear(1, 1), line(), **options)


def test_a_share_that_leaves_nothing():
    with pytest.raises(
        OptionError, match=r"validation=0.5\): this share of 1 rows leaves one part"
    ):
        quiet(nn.Linear(1, 1), line(1), validation=0.5)


def test_a_data_loader_cannot_be_split():
    with pytest.raises(OptionError, match=r"a DataLoader cannot be split\n  help: pass the data"):
        quiet(nn.Linear(1, 1), DataLoader(line()), validation=0.5)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((np.zeros((0, 1)), np.zeros(0)), "the data set is empty"),
        ((np.zeros((3, 1)), np.zeros(2)), "the tensors differ in length: 3, 2"),
        ((np.zeros((3, 1)),), "expected inputs and targets, two tensors, not 1"),
        ("digits", "a str is not a data set"),
    ],
)
def test_data_that_cannot_be_used(data, message):
    with pytest.raises(DataError, match=message):
        quiet(nn.Linear(1, 1), data)


def test_a_run_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot make the folder: "):
        quiet(nn.Linear(1, 1), line(), run=tmp_path / "file" / "run")


# Progress


def test_plain_lines_are_few(capsys):
    fit(nn.Linear(1, 1), line(), epochs=50, batch_size=64)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 17
    assert lines[0].startswith("epoch  3/50  loss ")
    assert lines[-1].startswith("epoch 50/50  loss ")


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress_callbacks(True)[0], BarProgress)
    fit(nn.Linear(1, 1), line(), epochs=2)
    assert "epoch 2/2  loss" in capsys.readouterr().out


def test_without_rich_there_are_plain_lines(monkeypatch):
    monkeypatch.setattr(sys, "stdout", types.SimpleNamespace(isatty=lambda: True))
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    assert isinstance(progress_callbacks(True)[0], PlainProgress)
    assert progress_callbacks(False) == []


# predict and evaluate


def test_predict_goes_in_batches_and_leaves_the_modes_alone():
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
    model[1].eval()
    x = gg.Generator(0).normal((10, 3))
    whole, parts = predict(model, x), predict(model, x, batch_size=3)
    np.testing.assert_allclose(whole.numpy(), parts.numpy(), rtol=1e-6)
    assert not whole.requires_grad
    assert model.training
    assert not model[1].training


def test_evaluate_uses_evaluation_mode():
    model = nn.Sequential(nn.Linear(64, 10), nn.Dropout(0.9))
    digits = load_digits()
    assert evaluate(model, digits) == evaluate(model, digits)


def test_evaluate_takes_functions():
    def largest(outputs, targets):
        return outputs.max()

    x, y = line()
    loss = nn.functional.l1_loss
    found = evaluate(nn.Linear(1, 1), (x, y[:, None]), loss=loss, metrics={"top": largest})
    assert list(found) == ["loss", "top"]
