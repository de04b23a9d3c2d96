"""What `gpugrad train` and `gpugrad evaluate` do: a whole run, from its data to its pictures."""

from __future__ import annotations

import platform
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gpugrad.device import Device
from gpugrad.errors import AnomalyError, OptionError, StateError
from gpugrad.making import asarray
from gpugrad.nn import Module
from gpugrad.random import Generator
from gpugrad.saving import save
from gpugrad.train.augment import ShiftImages
from gpugrad.train.build import (
    Parts,
    as_tensors,
    build_model,
    build_optimizer,
    build_schedule,
    load_parts,
)
from gpugrad.train.callbacks import Callback, TensorBoard
from gpugrad.train.chosen_device import in_words, why_cpu
from gpugrad.train.evaluation import predict
from gpugrad.train.folder import (
    CONFIG,
    FORMAT,
    MODEL,
    RESULT,
    new_folder,
    read_config,
    write_json,
)
from gpugrad.train.loop import History, fit
from gpugrad.train.metrics import r2, rmse
from gpugrad.train.pictures import (
    confusion_matrix,
    learning_curves,
    misread_images,
    predicted_against_true,
    require_matplotlib,
)
from gpugrad.train.settings import NEEDS_EPOCHS, Settings
from gpugrad.train.threads import suited_threads
from gpugrad.train.told import command, result_line
from gpugrad.train.trained import load, settings_of


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        folder: where it is.
        history: of the training.
        result: the held-out figures: `accuracy`, `right` and `of`; or `r2`, `rmse` and `of`. Empty
            if the training was interrupted.
    """

    folder: Path
    history: History
    result: dict[str, float]

    @property
    def line(self) -> str:
        """The result as the last line of `gpugrad train`."""
        return result_line(self.result)


def start(
    settings: Settings,
    out: str | Path | None = None,
    *,
    progress: bool = True,
    tensorboard: bool = False,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Train as the settings say, and leave everything in a new folder.

    Args:
        out: the folder; None takes `runs/<data>-<time>`.
        say: is given what there is to tell, line by line.
    Raises:
        OptionError, DeviceError, FileError, DataError: before the training begins.
        AnomalyError: the loss turned NaN; the folder holds the model with its last good weights.
    """
    require_matplotlib()
    parts = load_parts(settings)
    folder = new_folder(out, settings.data)
    config = {
        "format": FORMAT,
        "settings": settings.to_dict(),
        "command": command(settings),
        "data": {**parts.sizes(), "sha256": parts.fingerprint()},
        "preparation": parts.train.preparation.to_dict(),
        "tensorboard": tensorboard,
        "device": in_words(settings.device),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }
    write_json(folder / CONFIG, config)
    return _run(settings, parts, folder, False, progress, tensorboard, say)


def resume(
    run: str | Path,
    epochs: int | None = None,
    device: Device | str | None = None,
    *,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Go on with a run that was stopped; the result is that of one that never was.

    Args:
        epochs: more epochs than the run was begun with, where no schedule depends on their number.
        device: where to compute from now on, which may change the last digits; None: as before.
    Raises:
        DeviceError: the device is absent; a run from a GPU goes on elsewhere with device="cpu".
        OptionError: fewer epochs, or a schedule that depends on them.
        StateError: the data is not what it was.
    """
    require_matplotlib()
    config = read_config(run)
    settings = settings_of(config, device)
    if epochs is not None:
        settings = _more_epochs(settings, epochs)
    parts = _same_parts(run, settings, config)
    if device is not None:
        config |= {"device": in_words(settings.device)}
    if epochs is not None or device is not None:
        config |= {"settings": settings.to_dict(), "command": command(settings)}
        write_json(Path(run) / CONFIG, config)
    tensorboard = bool(config.get("tensorboard"))
    return _run(settings, parts, Path(run), True, progress, tensorboard, say)


def evaluate_run(run: str | Path, device: Device | str | None = None) -> dict[str, float]:
    """The held-out figures of a run, computed anew from its saved model and its data.

    Args:
        device: where to compute; None: as the run's settings say.
    Raises:
        DeviceError: the device is absent.
        FileError: there is no run, or no model.
        StateError: the data is not what it was.
    """
    trained = load(run, device)
    parts = _same_parts(run, trained.settings, read_config(run))
    return _judge(trained.model, parts, trained.settings)[0]


def _run(
    settings: Settings,
    parts: Parts,
    folder: Path,
    resumed: bool,
    progress: bool,
    tensorboard: bool,
    say: Callable[[str], None],
) -> Outcome:
    generator = Generator(settings.seed)
    model = build_model(settings, parts.train.inputs, parts.train.outputs, generator)
    _introduce(settings, parts, model, say)
    optimizer = build_optimizer(settings, model.parameters())
    batches = -(-len(parts.train) // settings.batch_size)
    scheduler, every = build_schedule(settings, optimizer, batches)
    shape = parts.train.image_shape
    callbacks: Sequence[Callback] = [TensorBoard(folder / "tensorboard")] if tensorboard else []
    layers = [parts.train.inputs, *settings.hidden, parts.train.outputs]
    try:
        with suited_threads(settings.batch_size, layers):
            history = fit(
                model,
                as_tensors(parts.train, settings.dtype),
                optimizer=optimizer,
                scheduler=scheduler,
                scheduler_every=every,
                validation=as_tensors(parts.validation, settings.dtype),
                epochs=settings.epochs,
                batch_size=settings.batch_size,
                patience=settings.patience or None,
                augment=ShiftImages(shape) if settings.augment and shape else None,
                metrics=_metrics(parts),
                callbacks=callbacks,
                progress=progress,
                run=folder,
                resume=resumed,
                generator=generator,
                device=settings.device,
                resume_hint=f"gpugrad train --resume {shlex.quote(str(folder))}",
            )
    except AnomalyError:
        save(model.state_dict(), folder / MODEL)
        raise
    if history.stopped == "interrupted":
        return Outcome(folder, history, {})
    save(model.state_dict(), folder / MODEL)
    result, truth, outputs = _judge(model, parts, settings)
    write_json(folder / RESULT, {**result, "device": in_words(settings.device)})
    _draw(parts, folder, history, truth, outputs)
    if history.stopped == "patience":
        say(f"stopped early: the best validation loss was that of epoch {history.best_epoch}")
    say(f"saved in {folder}")
    return Outcome(folder, history, result)


def _introduce(settings: Settings, parts: Parts, model: Module, say: Callable[[str], None]) -> None:
    say(f"{settings.data}: {_in_words(parts.sizes())}")
    layers = "-".join(map(str, [parts.train.inputs, *settings.hidden, parts.train.outputs]))
    count = sum(parameter.size for parameter in model.parameters())
    say(f"model: {layers}, {count} parameters, {settings.dtype} on {in_words(settings.device)}")
    if reason := why_cpu(settings.device):
        say(f"device auto takes the CPU: {reason}; more from gpugrad doctor")


def _metrics(parts: Parts) -> dict[str, Any] | None:
    """Of classes those that fit chooses; of numbers R2, and the RMSE in the units of the table."""
    if parts.train.classes:
        return None
    restore = parts.train.preparation.restore_targets
    unit = float(restore(1.0) - restore(0.0))
    return {"r2": r2, "rmse": lambda outputs, targets: unit * rmse(outputs, targets)}


def _in_words(sizes: dict[str, Any]) -> str:
    return (
        f"{sizes['train']} examples to train on, {sizes['validation']} for validation, "
        f"{sizes['held_out']} held out"
    )


def _judge(model: Module, parts: Parts, settings: Settings) -> tuple[dict[str, float], Any, Any]:
    """The held-out figures, the raw targets, and what was predicted for them."""
    held_out = parts.held_out
    inputs, _ = as_tensors(held_out, settings.dtype)
    outputs = predict(model, inputs, device=settings.device).cpu().numpy()
    truth, count = held_out.targets, len(held_out)
    if held_out.classes:
        predicted = outputs.argmax(axis=1)
        right = int((predicted == truth).sum())
        return {"accuracy": right / count, "right": right, "of": count}, truth, predicted
    values = held_out.preparation.restore_targets(outputs[:, 0])
    pair = asarray(values), asarray(np.asarray(truth, np.float64))
    return {"r2": r2(*pair), "rmse": rmse(*pair), "of": count}, truth, values


def _draw(parts: Parts, folder: Path, history: History, truth: Any, predicted: Any) -> None:
    learning_curves(history.records, folder / "curves.png")
    held_out = parts.held_out
    if not held_out.classes:
        predicted_against_true(truth, predicted, folder / "predictions.png")
        return
    confusion_matrix(truth, predicted, held_out.classes, folder / "confusion.png")
    if held_out.image_shape:
        images, shape = held_out.features.numpy(), held_out.image_shape
        misread_images(images, truth, predicted, held_out.classes, shape, folder / "misread.png")


def _more_epochs(settings: Settings, epochs: int) -> Settings:
    longer = replace(settings, epochs=epochs)
    if epochs < settings.epochs:
        raise OptionError(
            f"epochs={epochs}: the run was begun with {settings.epochs}, and can only be given more"
        )
    if settings.schedule in NEEDS_EPOCHS and epochs != settings.epochs:
        raise OptionError(
            f"epochs={epochs}: the schedule {settings.schedule!r} of this run depends on its "
            f"{settings.epochs} epochs\n  help: start a new run"
        )
    return longer


def _same_parts(run: str | Path, settings: Settings, config: dict[str, Any]) -> Parts:
    parts = load_parts(settings)
    if parts.fingerprint() != config["data"]["sha256"]:
        raise StateError(
            f"{run}: the data is not what the run was begun with\n"
            f"  then: {_in_words(config['data'])}\n  now: {_in_words(parts.sizes())}\n"
            "  help: put the old files back, or start a new run"
        )
    return parts
