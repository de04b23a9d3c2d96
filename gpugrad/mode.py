"""Whether operations are recorded, whether every recorded value is watched, and whether a transform
such as `gg.grad` runs the program.

All are per thread and context (contextvars).
"""

from __future__ import annotations

from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from typing import Any

RECORD, WATCH, TRANSFORM = 1, 2, 4
_mode: ContextVar[int] = ContextVar("gpugrad_mode", default=RECORD)
mode = _mode.get


class _Mode(ContextDecorator):
    """A context manager, and decorator, that switches bits of the mode on or off."""

    on = 0
    off = 0

    def __init__(self) -> None:
        self._tokens: list[Token[int]] = []

    def __enter__(self) -> None:
        self._tokens.append(_mode.set(_mode.get() & ~self.off | self.on))

    def __exit__(self, *error: Any) -> None:
        _mode.reset(self._tokens.pop())

    def _recreate_cm(self) -> _Mode:
        return type(self)()


class no_grad(_Mode):
    """Record nothing within the block (or the decorated function).

    >>> import gpugrad as gg
    >>> x = gg.tensor(1.0, requires_grad=True)
    >>> with gg.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    off = RECORD


class enable_grad(_Mode):
    """Record within the block, even inside `no_grad`."""

    on = RECORD


class detect_anomaly(_Mode):
    """Within the block, find where a NaN comes from, at the price of speed.

    Every recorded operation remembers the line of your program that called it; a backward pass that
    meets a NaN stops with the operation and that line. On a GPU, labels and indices are checked
    too, which is otherwise left out because it waits for the device.

    Raises:
        AnomalyError: in `backward`, from within the block.
        LabelError, IndexRangeError: where a result is read, or at the end of the block.

    >>> import gpugrad as gg
    >>> x = gg.tensor(-1.0, dtype="float64", requires_grad=True)
    >>> with gg.detect_anomaly():
    ...     gg.where(x < 0, x, 0).backward()
    >>> x.grad
    tensor(1., dtype=float64)
    """

    on = WATCH

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        from gpugrad.later import forget_pending, raise_pending

        if error[0] is None:
            raise_pending()
        else:
            forget_pending()


class transforming(_Mode):
    """Record within the block, which is a function under `gg.grad` or its kin."""

    on = RECORD | TRANSFORM


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require a gradient are recorded here.

    >>> import gpugrad as gg
    >>> gg.is_grad_enabled()
    True
    """
    return bool(_mode.get() & RECORD)
