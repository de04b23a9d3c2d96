"""Callbacks: what `fit` calls as it goes, and those that write metrics to files."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpugrad.errors import FileError, OptionError
from gpugrad.saving import write_whole

if TYPE_CHECKING:
    from gpugrad.train.training import Training


class Callback:
    """Base class of what `fit(callbacks=[...])` takes: override what you need.

    Each method is given the `Training` under way: its `model`, `optimizer`, `epoch` and `step`
    (both count what is finished), `loss` of the last batch, `records` (a dict of numbers for each
    epoch) and `stop(reason)`, which ends the training after this batch or epoch.

    >>> import gpugrad as gg
    >>> class StopWhenGood(gg.train.Callback):
    ...     def on_epoch(self, training):
    ...         if training.records[-1]["loss"] < 1.0:
    ...             training.stop("good enough")
    >>> digits = gg.data.load_digits()
    >>> history = gg.train.fit(
    ...     gg.nn.MLP([64, 32, 10]), digits, epochs=20, callbacks=[StopWhenGood()], progress=False
    ... )
    >>> history.stopped
    'good enough'
    """

    def on_start(self, training: Training) -> None:
        """Before the first batch; after a resumed training has been read."""

    def on_batch(self, training: Training) -> None:
        """After the update of each batch."""

    def on_epoch(self, training: Training) -> None:
        """After each epoch and its validation."""

    def on_end(self, training: Training) -> None:
        """When the training ends, for whatever reason, `training.stopped`."""

    def state_dict(self) -> dict[str, Any]:
        """What must survive a kill; kept in the checkpoint."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""


class JsonLines(Callback):
    """Writes each epoch's numbers as one line of JSON; NaN and infinity become null.

    A resumed training rewrites the file first, so that it holds each epoch once.

    Raises:
        FileError: the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def on_start(self, training: Training) -> None:
        write_whole(self.path, "".join(map(_line, training.records)))

    def on_epoch(self, training: Training) -> None:
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(_line(training.records[-1]))
        except OSError as error:
            raise FileError(
                f"{self.path}: cannot write the file: {error.strerror or error}"
            ) from None


class TensorBoard(Callback):
    """Writes each epoch's numbers for TensorBoard, `tensorboard --logdir FOLDER`.

    A resumed training hides what a killed one wrote after its last checkpoint.

    Raises:
        OptionError: TensorBoard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            import tensorboard  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: F401
        except ImportError:
            from gpugrad._address import install_command

            raise OptionError(
                "writing for TensorBoard needs the package tensorboard\n"
                f"  help: {install_command('tensorboard')}"
            ) from None
        self.folder = Path(folder)

    def on_start(self, training: Training) -> None:
        from tensorboard.compat.proto.event_pb2 import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
            Event,
            SessionLog,
        )
        from tensorboard.summary.writer.event_file_writer import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
            EventFileWriter,
        )

        self._event = Event
        self._writer = EventFileWriter(str(self.folder))
        if training.epoch:
            begin = SessionLog(status=SessionLog.START)
            self._writer.add_event(
                Event(wall_time=time.time(), step=training.epoch + 1, session_log=begin)
            )

    def on_epoch(self, training: Training) -> None:
        event = self._event(wall_time=time.time(), step=training.epoch)
        for name, value in training.records[-1].items():
            if name not in ("epoch", "step", "seconds"):
                event.summary.value.add(tag=name, simple_value=value)
        self._writer.add_event(event)
        self._writer.flush()

    def on_end(self, training: Training) -> None:
        self._writer.close()


def _line(record: Mapping[str, float]) -> str:
    values = {name: value if math.isfinite(value) else None for name, value in record.items()}
    return json.dumps(values) + "\n"
