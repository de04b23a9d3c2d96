"""fit: train a model on a data set, so that it can be interrupted, killed and resumed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpugrad.device import Device
from gpugrad.errors import AnomalyError, FileError, OptionError
from gpugrad.nn import Module
from gpugrad.optim import AdamW, Optimizer
from gpugrad.optim.lr_scheduler import LRScheduler
from gpugrad.random import Generator, default_generator
from gpugrad.saving import load, save
from gpugrad.train.batches import batches
from gpugrad.train.callbacks import Callback, JsonLines
from gpugrad.train.evaluation import settled
from gpugrad.train.interrupt import Interrupt
from gpugrad.train.metrics import Loss, as_metrics, default_loss
from gpugrad.train.progress import progress_callbacks
from gpugrad.train.training import Augmentation, Training

CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.jsonl"
EVERY = ("epoch", "batch")
LEAST_SECONDS = 1.0  # between the checkpoints of short epochs


@dataclass(frozen=True)
class History:
    """What `fit` returns.

    Attributes:
        records: a dict of numbers for each epoch.
        stopped: "epochs" (all were done), "patience", "interrupted" (Ctrl-C), or what a callback
            gave as its reason.
        best_epoch: the epoch whose weights the model has, where early stopping was asked for.
        steps: how many updates were made.
    """

    records: list[dict[str, float]]
    stopped: str
    best_epoch: int | None
    steps: int


def fit(
    model: Module,
    data: Any,
    *,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    scheduler: LRScheduler | None = None,
    scheduler_every: str = "epoch",
    metrics: Any = None,
    validation: Any = None,
    epochs: int = 10,
    batch_size: int = 32,
    patience: int | None = None,
    monitor: str | None = None,
    augment: Augmentation | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    run: str | Path | None = None,
    resume: bool = False,
    checkpoint_seconds: float = 30.0,
    generator: Generator | None = None,
    device: Device | str | None = None,
    resume_hint: str = "the same call with resume=True",
) -> History:
    """Train `model` on `data`; it is left in evaluation mode.

    With `run`, a folder, the state of the training is written to it again and again, each time as a
    whole. After a kill at any moment, the same call with `resume=True` goes on from there, and ends
    with the same bits as if nothing had happened. Ctrl-C ends the training after the batch, and
    saves. `metrics.jsonl` in that folder holds the numbers of each epoch.

    Args:
        data: a Dataset, TensorDataset, DataLoader, or a tuple (inputs, targets).
        loss: a function of (outputs, targets); None takes cross-entropy for class numbers and the
            mean squared error for floats.
        optimizer: over `model.parameters()`; None takes AdamW with lr=1e-3.
        scheduler: moved on after each epoch or batch, as `scheduler_every` says;
            ReduceLROnPlateau is given the monitored number.
        metrics: as for `evaluate`.
        validation: the share of `data` to hold back (of each class alike), or a data set.
        patience: stop when the monitored number has not improved for so many epochs, and leave the
            model with its best weights; None trains for all epochs and leaves the last weights.
        monitor: the number to watch; None takes `val_loss`, or `loss` without validation. Accuracy
            and R2 are better when larger, everything else when smaller.
        augment: a function of (inputs, generator) that gives each training batch anew.
        callbacks: see `Callback`.
        progress: show a bar on a terminal, plain lines elsewhere.
        checkpoint_seconds: the longest time between checkpoints; each epoch makes one too, but
            not within a second of the one before.
        generator: draws the order of the batches and the augmentation, and by its seed the
            validation share; the default one if None.
        device: where to train: the model moves there, and stays; None: where the model is. The
            data is copied there once; batches of a DataLoader stay where they are.
        resume_hint: how to go on, as it is printed after Ctrl-C.
    Raises:
        AnomalyError: the loss is NaN or infinite; says at which step. The model has the last good
            weights (the best ones with `patience`).
        OptionError: an impossible setting.
        DataError: an empty data set, or one that is not inputs and targets.
        FileError: `run` cannot be written.
        StateError: the checkpoint is of another model, optimizer, schedule or data set.

    >>> import gpugrad as gg
    >>> _ = gg.manual_seed(0)
    >>> model = gg.nn.MLP([64, 32, 10])
    >>> optimizer = gg.optim.AdamW(model.parameters(), lr=0.01)
    >>> digits = gg.data.load_digits()
    >>> history = fit(
    ...     model, digits, optimizer=optimizer, validation=0.2, epochs=5, progress=False
    ... )
    >>> len(history.records), history.records[-1]["val_accuracy"] > 0.9
    (5, True)
    """
    _check(epochs, patience, scheduler_every, checkpoint_seconds, resume, run)
    draws = default_generator() if generator is None else generator
    loader, held_back = batches(data, validation, batch_size, draws, settled(model, device))
    targets = loader.dataset.tensors[1]
    functions = as_metrics(metrics, targets)
    _check_monitor(monitor, functions, held_back is not None)
    files = [] if run is None else [JsonLines(Path(run) / METRICS)]
    training = Training(
        model,
        loader,
        AdamW(model.parameters(), lr=1e-3) if optimizer is None else optimizer,
        loss=loss or default_loss,
        metrics=functions,
        validation=held_back,
        scheduler=scheduler,
        scheduler_every=scheduler_every,
        epochs=epochs,
        patience=patience,
        monitor=monitor,
        augment=augment,
        callbacks=[*files, *callbacks, *progress_callbacks(progress)],
    )
    checkpoint = None if run is None else _open_run(Path(run), training, resume)
    _run(training, checkpoint, checkpoint_seconds)
    if training.stopped == "interrupted":
        print(f"stopped after step {training.step}, in epoch {training.epoch + 1}: ", end="")
        if run is None:
            print("no `run` folder was given, so it cannot be resumed", flush=True)
        else:
            print(f"saved in {run}\ngo on with it: {resume_hint}", flush=True)
    return History(training.records, training.stopped, training.best_epoch, training.step)


def _run(training: Training, checkpoint: Path | None, seconds: float) -> None:
    """All that is left of a training, with its checkpoints and callbacks."""
    saver = _Saver(training, checkpoint, seconds)
    if checkpoint is not None and not checkpoint.exists():
        saver.save()
    training.model.train()
    for callback in training.callbacks:
        callback.on_start(training)
    # A method that nobody overrides costs nothing in each step.
    after_batch = [c for c in training.callbacks if type(c).on_batch is not Callback.on_batch]
    try:
        with Interrupt() as interrupt:
            while not _finished(training):
                for x, y in training.loader:
                    training.train_on(x, y)
                    for callback in after_batch:
                        callback.on_batch(training)
                    if interrupt.asked:
                        training.stop("interrupted")
                    if training.stopped:
                        break
                    saver.after_batch()
                else:
                    training.end_epoch()
                    for callback in training.callbacks:
                        callback.on_epoch(training)
                    saver.after_epoch()
            training.read_losses()
            saver.save()
    except AnomalyError:
        training.stop("diverged")
        training.model.load_state_dict(training.kept)
        raise
    finally:
        training.model.eval()
        for callback in training.callbacks:
            callback.on_end(training)
    if training.patience is not None and training.best_epoch:
        training.model.load_state_dict(training.kept)


def _finished(training: Training) -> bool:
    if training.epoch >= training.epochs:
        training.stop("epochs")
    elif training.out_of_patience():
        training.stop("patience")
    return bool(training.stopped)


class _Saver:
    """Writes checkpoints, often enough and not too often."""

    def __init__(self, training: Training, path: Path | None, seconds: float) -> None:
        self.training, self.path, self.seconds = training, path, seconds
        self.saved = time.monotonic()

    def save(self) -> None:
        if self.path is not None:
            save(self.training.state_dict(), self.path)
            self.saved = time.monotonic()

    def after_batch(self) -> None:
        if self.path is not None and time.monotonic() - self.saved >= self.seconds:
            self.save()

    def after_epoch(self) -> None:
        least = min(LEAST_SECONDS, self.seconds)
        if self.path is not None and time.monotonic() - self.saved >= least:
            self.save()


def _open_run(folder: Path, training: Training, resume: bool) -> Path:
    """The checkpoint's path in a folder that exists; read into `training` to resume."""
    checkpoint = folder / CHECKPOINT
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: cannot make the folder: {error.strerror or error}") from None
    for part in folder.glob(".*.part"):  # what a killed process left half written
        part.unlink(missing_ok=True)
    if checkpoint.exists():
        if not resume:
            raise OptionError(
                f"fit(run={str(folder)!r}): the folder holds a training already\n"
                "  help: pass resume=True to go on with it, or name another folder"
            )
        training.load_state_dict(load(checkpoint))
    return checkpoint


def _check(epochs: Any, patience: Any, every: Any, seconds: Any, resume: bool, run: Any) -> None:
    for name, value in (("epochs", epochs), ("patience", patience)):
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1
        if not whole and not (name == "patience" and value is None):
            raise OptionError(f"fit({name}={value!r}): {name} must be a whole number, at least 1")
    if every not in EVERY:
        raise OptionError(f"fit(scheduler_every={every!r}): choose 'epoch' or 'batch'")
    if not seconds >= 0:
        raise OptionError(f"fit(checkpoint_seconds={seconds!r}): must be a number >= 0")
    if resume and run is None:
        raise OptionError("fit(resume=True): name the run's folder: run=...")


def _check_monitor(monitor: str | None, metrics: dict[str, Any], validated: bool) -> None:
    names = ["loss", *(f"val_{name}" for name in ("loss", *metrics))]
    if not validated:
        names = ["loss", *metrics]
    if monitor is not None and monitor not in names:
        raise OptionError(
            f"fit(monitor={monitor!r}): this is not among an epoch's numbers\n"
            f"  numbers: {', '.join(names)}"
        )
