"""Training: everything that changes while a model is fitted, and how it is saved and read again.

What a checkpoint holds is all of it: weights, optimizer, schedule, the loader's place in its epoch,
random generators, best weights, and the sums of the epoch under way. Hence a training that is
read from a checkpoint goes on with the same bits as one that was never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpugrad.data.loader import DataLoader
from gpugrad.errors import AnomalyError, OptionError, StateError
from gpugrad.making import tensor
from gpugrad.mode import enable_grad
from gpugrad.nn import Module
from gpugrad.optim import Optimizer
from gpugrad.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from gpugrad.random import Generator, default_generator
from gpugrad.tensor import Tensor
from gpugrad.train.callbacks import Callback
from gpugrad.train.evaluation import evaluate
from gpugrad.train.metrics import LARGER_IS_BETTER, Loss, Metric

# Batches between looks at the losses of a GPU, each of which waits for it: often enough that a
# training that diverged ends soon, and seldom enough that the host runs ahead.
LOOK = 64

Augmentation = Callable[[Tensor, Generator], Tensor]


class Training:
    """One training under way.

    Attributes:
        model, optimizer, scheduler, loader: what takes part.
        epochs: how many there shall be.
        epoch, step: how many epochs and updates are finished.
        records: for each finished epoch a dict of numbers: `epoch`, `step`, `loss` (the mean over
            the epoch's training batches), `val_loss` and `val_...` for each metric, or the metrics
            on the training data where there is no validation; `lr`, `seconds`.
        best_epoch: the epoch with the best monitored value, where early stopping was asked for.
        stopped: why the training ended; empty while it goes on.
    """

    def __init__(
        self,
        model: Module,
        loader: DataLoader,
        optimizer: Optimizer,
        *,
        loss: Loss,
        metrics: Mapping[str, Metric],
        validation: Any,
        scheduler: LRScheduler | None,
        scheduler_every: str,
        epochs: int,
        patience: int | None,
        monitor: str | None,
        augment: Augmentation | None,
        callbacks: Sequence[Callback],
    ) -> None:
        self.model, self.loader, self.optimizer = model, loader, optimizer
        self.loss_function, self.metrics, self.validation = loss, metrics, validation
        self.scheduler, self.scheduler_every = scheduler, scheduler_every
        self.epochs, self.patience = epochs, patience
        self.monitor = monitor or ("loss" if validation is None else "val_loss")
        self._larger = self.monitor.removeprefix("val_") in LARGER_IS_BETTER
        self.augment, self.callbacks = augment, list(callbacks)
        self.epoch = self.step = 0
        self.records: list[dict[str, float]] = []
        self.stopped = ""
        self.best_epoch: int | None = None
        self.best = -math.inf if self._larger else math.inf
        self.kept = weights(model)
        self._loss = math.nan
        self._unread: list[tuple[Tensor, int, int]] = []  # loss, examples and step of each batch
        self._loss_sum, self._examples = 0.0, 0
        self._seconds, self._began = 0.0, time.perf_counter()

    @property
    def loss(self) -> float:
        """Of the last batch; on a GPU, asking waits for it.

        Raises:
            AnomalyError: as `read_losses`.
        """
        self.read_losses()
        return self._loss

    def stop(self, reason: str) -> None:
        """End the training after this batch or epoch."""
        self.stopped = self.stopped or reason

    # Steps and epochs

    def train_on(self, x: Tensor, y: Tensor) -> None:
        """One update.

        Raises:
            AnomalyError: as `read_losses`.
        """
        if self.augment is not None:
            x = self.augment(x, self.loader.generator)
        self.optimizer.zero_grad()
        with enable_grad():
            loss = self.loss_function(self.model(x), y)
            self._unread.append((loss.detach(), len(y), self.step + 1))
            if loss.device.xp.on_host or len(self._unread) == LOOK:
                self.read_losses()
            loss.backward()
        self.optimizer.step()
        if self.scheduler is not None and self.scheduler_every == "batch":
            self.scheduler.step()
        self.step += 1

    def read_losses(self) -> None:
        """Look at the losses that were not looked at yet, for which a GPU must have computed them.

        Raises:
            AnomalyError: one is NaN or infinite.
        """
        unread, self._unread = self._unread, []
        for loss, examples, step in unread:
            self._loss = loss.item()
            if not math.isfinite(self._loss):
                raise self._diverged(f"the loss is {self._loss} at step {step}", step)
            self._loss_sum += self._loss * examples
            self._examples += examples

    def end_epoch(self) -> None:
        """Validate, note the numbers, keep the best weights, move the schedule on.

        Raises:
            AnomalyError: a loss, or the validation loss, is NaN or infinite.
            OptionError: the monitored number is not among those of an epoch.
        """
        self.read_losses()
        record: dict[str, float] = {"epoch": self.epoch + 1, "step": self.step}
        record["loss"] = self._loss_sum / max(self._examples, 1)
        record |= self._validated()
        record["lr"] = self.optimizer.param_groups[0]["lr"]
        record["seconds"] = round(self.seconds, 3)
        if not math.isfinite(record.get("val_loss", 0.0)):
            what = f"the validation loss is not finite after step {self.step}"
            raise self._diverged(what, self.step + 1)
        if self.monitor not in record:
            raise OptionError(
                f"fit: monitor={self.monitor!r} is not among an epoch's numbers\n"
                f"  numbers: {', '.join(record)}"
            )
        self.epoch += 1
        self._loss_sum, self._examples = 0.0, 0
        self.records.append(record)
        value = record[self.monitor]
        if self.patience is None:
            self.kept = weights(self.model)
        elif value > self.best if self._larger else value < self.best:
            self.best, self.best_epoch, self.kept = value, self.epoch, weights(self.model)
        if self.scheduler is not None and self.scheduler_every == "epoch":
            if isinstance(self.scheduler, ReduceLROnPlateau):
                self.scheduler.step(value)
            else:
                self.scheduler.step()

    def out_of_patience(self) -> bool:
        """Whether the monitored number has not improved for `patience` epochs."""
        return self.patience is not None and self.epoch - (self.best_epoch or 0) >= self.patience

    def _validated(self) -> dict[str, float]:
        if self.validation is not None:
            found = evaluate(
                self.model, self.validation, loss=self.loss_function, metrics=self.metrics
            )
            return {f"val_{name}": value for name, value in found.items()}
        if not self.metrics:
            return {}
        found = evaluate(self.model, self.loader, loss=self.loss_function, metrics=self.metrics)
        return {name: value for name, value in found.items() if name != "loss"}

    def _diverged(self, what: str, step: int) -> AnomalyError:
        batches = len(self.loader)
        batch = step - self.epoch * batches
        if self.patience is not None and self.best_epoch:
            weights_of = f"those after epoch {self.best_epoch}, the best so far"
        elif self.epoch:
            weights_of = f"those after epoch {self.epoch}, the last good ones"
        else:
            weights_of = "those it began with"
        return AnomalyError(
            f"fit: {what} (epoch {self.epoch + 1}, batch "
            f"{min(batch, batches)} of {batches}); training stops\n"
            f"  weights: the model has {weights_of}\n"
            f"  learning rate: {self.optimizer.param_groups[0]['lr']:g}\n"
            "  help: lower the learning rate, check the inputs for NaN, or find the operation with "
            "gg.detect_anomaly()"
        )

    # Saved and read again

    @property
    def seconds(self) -> float:
        """Time spent so far, that of earlier sittings included."""
        return self._seconds + time.perf_counter() - self._began

    def generators(self) -> list[Generator]:
        """Whatever draws: the default generator, the loader's, and those that modules hold."""
        found = [default_generator(), self.loader.generator]
        for module in self.model.modules():
            found += [value for value in vars(module).values() if isinstance(value, Generator)]
        return list({id(generator): generator for generator in found}.values())

    def state_dict(self) -> dict[str, Any]:
        """Everything from which the training goes on."""
        self.read_losses()
        return {
            "epoch": self.epoch,
            "step": self.step,
            "records": self.records,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "loss_sum": self._loss_sum,
            "examples": self._examples,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "kept": self.kept,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "loader": self.loader.state_dict(),
            "generators": [generator.state_dict() for generator in self.generators()],
            "callbacks": [callback.state_dict() for callback in self.callbacks],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            StateError: it is of another model, optimizer, schedule or data set.
        """
        expected = set(self.state_dict())
        if set(state) != expected:
            raise StateError(
                "fit(resume=True): the checkpoint does not fit\n"
                f"  missing: {sorted(expected - set(state))}\n"
                f"  extra: {sorted(set(state) - expected)}"
            )
        generators = self.generators()
        for name, ours in (("generators", len(generators)), ("callbacks", len(self.callbacks))):
            if len(state[name]) != ours:
                raise StateError(
                    f"fit(resume=True): the checkpoint has {len(state[name])} {name}, here are "
                    f"{ours}\n  help: pass fit what it was given the first time"
                )
        if (state["scheduler"] is None) != (self.scheduler is None):
            raise StateError(
                "fit(resume=True): only one of the checkpoint and this training has a schedule\n"
                "  help: pass fit what it was given the first time"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.loader.load_state_dict(state["loader"])
        for generator, saved in zip(generators, state["generators"], strict=True):
            generator.load_state_dict(saved)
        for callback, saved in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(saved)
        self.epoch, self.step = state["epoch"], state["step"]
        self.records, self.kept = list(state["records"]), dict(state["kept"])
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self._loss_sum, self._examples = state["loss_sum"], state["examples"]
        self._seconds, self._began = state["seconds"], time.perf_counter()


def weights(model: Module) -> dict[str, Tensor]:
    """A copy of the model's state."""
    return {name: tensor(value) for name, value in model.state_dict().items()}
