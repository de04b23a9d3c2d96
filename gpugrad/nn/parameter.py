"""Parameter: a tensor that a module learns, and the one way in which its memory is overwritten."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpugrad.device import as_device, to_host
from gpugrad.tensor import ArrayLike, Tensor
from gpugrad.version import FOREIGN, Version


class Parameter(Tensor):
    """A leaf tensor that a `Module` finds among its attributes, and an optimizer updates.

    Args:
        data: what `gg.tensor` takes; the elements are copied.
        requires_grad: False freezes it.
    Raises:
        DtypeError: integers, unless `requires_grad` is False.

    >>> Parameter([1.0, 2.0])
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    __slots__ = ()

    def __new__(cls, data: ArrayLike, requires_grad: bool = True) -> Parameter:
        return cls._made(Tensor(data)._data, requires_grad)

    @classmethod
    def _made(cls, array: Any, requires_grad: bool = True) -> Parameter:
        """A parameter around `array` itself, which nobody else may hold."""
        self = cls._wrap(array, None, Version())
        if requires_grad:
            self.requires_grad_()
        return self  # type: ignore[return-value]

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __reduce__(self) -> Any:
        array, device = to_host(self._data).copy(), str(self.device)
        return _rebuild, (type(self), array, self.requires_grad, self.grad, device)


def _rebuild(
    cls: type[Parameter],
    array: np.ndarray[Any, Any],
    requires_grad: bool,
    grad: Tensor | None,
    device: str,
) -> Parameter:
    self = cls._made(as_device(device).put(array), requires_grad)
    self.grad = grad
    return self


def overwrite(tensor: Tensor, values: Any, writer: str) -> None:
    """Write `values` into the memory of a leaf, so that views of it (flat buffers) stay linked.

    Memory that has no version may be shared with tensors that count as constants; it is replaced.
    """
    if isinstance(values, np.ndarray):
        values = tensor.device.put(values)
    if tensor._version is None or tensor._version is FOREIGN:
        with tensor.device.use(writer):
            fresh = tensor.device.xp.empty_like(tensor._data, order="C")
            fresh[...] = values
        tensor._data = fresh
        tensor._version = None
    else:
        with tensor.device.use(writer):
            tensor._data[...] = values
        tensor._written(writer)
