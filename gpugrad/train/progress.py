"""Showing how a training goes: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gpugrad.train.callbacks import Callback

if TYPE_CHECKING:
    from gpugrad.train.training import Training

LINES = 20  # of a training without a terminal, at most about this many


class PlainProgress(Callback):
    """Prints a line for each epoch; of many epochs, for each of about 20 and the last."""

    def on_epoch(self, training: Training) -> None:
        every = -(-training.epochs // LINES)
        if training.epoch % every == 0 or training.epoch == training.epochs:
            print(_prefix(training), shown(training.records[-1]), sep="  ", flush=True)


class BarProgress(Callback):
    """A bar over all batches, with the newest numbers beside it."""

    def on_start(self, training: Training) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            transient=True,
        )
        batches = len(training.loader)
        self._task = self._bar.add_task(_prefix(training), total=training.epochs * batches)
        self._bar.update(self._task, numbers="")
        self._bar.start()

    def on_batch(self, training: Training) -> None:
        self._bar.update(self._task, completed=training.step)

    def on_epoch(self, training: Training) -> None:
        self._bar.update(
            self._task, description=_prefix(training), numbers=shown(training.records[-1])
        )

    def on_end(self, training: Training) -> None:
        self._bar.stop()
        if training.records:
            print(_prefix(training), shown(training.records[-1]), sep="  ", flush=True)


def progress_callbacks(wanted: bool) -> list[Callback]:
    """None, or the one that suits the place where the output goes."""
    if not wanted:
        return []
    if sys.stdout.isatty():
        try:
            import rich.progress  # noqa: F401
        except ImportError:
            return [PlainProgress()]
        return [BarProgress()]
    return [PlainProgress()]


def shown(record: Mapping[str, Any]) -> str:
    """An epoch's numbers as people read them.

    >>> shown({"epoch": 3, "step": 90, "loss": 0.51234, "val_accuracy": 0.975, "seconds": 2.0})
    'loss 0.5123  val_accuracy 0.9750'
    """
    hidden = ("epoch", "step", "seconds", "lr")
    return "  ".join(f"{name} {value:.4f}" for name, value in record.items() if name not in hidden)


def _prefix(training: Training) -> str:
    width = len(str(training.epochs))
    return f"epoch {training.epoch:{width}}/{training.epochs}"
