"""Whether the same program gives the same bits each time. It does, unless told otherwise."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

_deterministic: ContextVar[bool] = ContextVar("gpugrad_deterministic", default=True)
is_deterministic = _deterministic.get


class deterministic:
    """Whether bits must repeat, from now on in this thread, or within a `with` block.

    With False, a GPU may add floats in whatever order its threads come, where that is quicker: the
    gradient of an embedding or of an indexed tensor then differs in its last bits from run to run.

    >>> import gpugrad as gg
    >>> with gg.deterministic(False):
    ...     gg.is_deterministic()
    False
    >>> gg.is_deterministic()
    True
    """

    def __init__(self, wanted: bool = True) -> None:
        self._before = _deterministic.get()
        _deterministic.set(bool(wanted))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        _deterministic.set(self._before)
