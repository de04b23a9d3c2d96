"""The device answers every hardware question: which array module computes, and where memory is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpugrad.errors import DeviceError
from gpugrad.namespace import Namespace


@dataclass(frozen=True)
class Device:
    """A place that holds arrays and computes on them; compare devices with ==.

    >>> import gpugrad as gg
    >>> gg.device("cpu")
    device('cpu')
    """

    kind: str
    xp: Namespace = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.kind

    def __repr__(self) -> str:
        return f"device({self.kind!r})"

    def __deepcopy__(self, memo: Any) -> Device:
        return self

    def __reduce__(self) -> Any:
        return as_device, (self.kind,)


CPU = Device("cpu", Namespace(np))
_default: ContextVar[Device] = ContextVar("gpugrad_default_device", default=CPU)


def as_device(spec: Device | str | None = None) -> Device:
    """The device that `spec` names; the default one for None.

    Args:
        spec: "cpu", "auto" (the best device here), a Device, or None.
    Raises:
        DeviceError: no such device here.
    """
    if spec is None:
        return _default.get()
    if isinstance(spec, Device):
        return spec
    if spec in ("cpu", "auto"):
        return CPU
    if isinstance(spec, str) and spec.partition(":")[0] == "cuda":
        raise DeviceError(
            f"device({spec!r}): this version of gpugrad computes on the CPU only\n"
            '  help: use device="cpu", or device="auto" for the best device here'
        )
    raise DeviceError(f"device({spec!r}): unknown device\n  help: use 'cpu' or 'auto'")


def devices() -> list[Device]:
    """Every device here.

    >>> import gpugrad as gg
    >>> gg.devices()
    [device('cpu')]
    """
    return [CPU]


@contextmanager
def default_device(spec: Device | str) -> Iterator[Device]:
    """Within the block, tensors that name no device are made on this one.

    >>> import gpugrad as gg
    >>> with gg.default_device("cpu"):
    ...     gg.tensor(1.0).device
    device('cpu')
    """
    token = _default.set(as_device(spec))
    try:
        yield _default.get()
    finally:
        _default.reset(token)
