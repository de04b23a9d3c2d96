"""What `xp` is when a rule computes: the functions of one array module, in one spelling.

A forward function and a derivative rule are written once against `xp`. Given a `Namespace` they
compute on that module's arrays; given `gpugrad.ops` they record, and the result can be
differentiated again. Names that the module lacks come from `STAND_INS`; names that only gpugrad
has (`erf`, `chain`, `index`, ...) are the forward functions of its primitives.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from gpugrad.primitive import Primitive

PRIMITIVES: dict[str, Primitive] = {}


def _astype(module: Any) -> Callable[..., Any]:
    return lambda x, dtype: x.astype(dtype, copy=False)


def _cumulative_sum(module: Any) -> Callable[..., Any]:
    return lambda x, axis: module.cumsum(x, axis=axis)


def _reduction(ufunc: str) -> Callable[[Any], Callable[..., Any]]:
    """A reduction without the Python layers around it, about 1 us less for a small array."""

    def of(module: Any) -> Callable[..., Any]:
        reduce = getattr(module, ufunc).reduce

        def reduction(
            x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None, **more: Any
        ) -> Any:
            return reduce(x, axis, dtype, None, keepdims, **more)

        return reduction

    return of


StandIns = dict[str, "Callable[[Any], Callable[..., Any]]"]

STAND_INS: StandIns = {  # of NumPy
    "astype": _astype,  # NumPy 2.0 has neither this name
    "cumulative_sum": _cumulative_sum,  # nor this one
    "dot": lambda module: module.ndarray.dot,  # 0.1 us less than the function around it
    # A permutation is in range; "clip" spares the check of it.
    "rows": lambda module: lambda x, index: x.take(index, 0, None, "clip"),
    "sum": _reduction("add"),
    "max": _reduction("maximum"),
    "min": _reduction("minimum"),
}

# Of CuPy, and of the simulated device: the names of the array API standard that it lacks.
CUDA_STAND_INS: StandIns = {
    "astype": _astype,
    "bitwise_invert": lambda module: module.invert,
    "cumulative_sum": _cumulative_sum,
    "matrix_transpose": lambda module: lambda x: module.swapaxes(x, -1, -2),
    "max": lambda module: _keyword_axis(module.max),  # CuPy's own take fewer options
    "min": lambda module: _keyword_axis(module.min),
    "rows": lambda module: lambda x, index: module.take(x, index, axis=0),
}


def _keyword_axis(reduction: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction of CuPy with the order of arguments that the rules use."""
    return lambda x, axis=None, keepdims=False: reduction(x, axis=axis, keepdims=keepdims)


def _without_xp(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda xp, *args, **options: function(*args, **options)


class Namespace:
    """The functions of `module`, with gpugrad's stand-ins, then its primitives' forwards.

    Args:
        on_host: looking at a value costs nothing; on a GPU it waits for the device.
    """

    def __init__(self, module: Any, on_host: bool = True) -> None:
        self.module = module
        self.on_host = on_host
        self._stand_ins = STAND_INS if on_host else CUDA_STAND_INS

    def __getattr__(self, name: str) -> Any:
        if name in self._stand_ins:
            found: Any = self._stand_ins[name](self.module)
        elif hasattr(self.module, name):
            found = getattr(self.module, name)
        elif name in PRIMITIVES:
            found = partial(PRIMITIVES[name].on(self), self)
        else:
            raise AttributeError(f"neither {self.module.__name__} nor gpugrad has {name!r}")
        if not self.on_host and hasattr(self.module, name) and name in PRIMITIVES:
            kernel = PRIMITIVES[name].kernel
            if kernel is not None:
                found = partial(kernel.before(_without_xp(found)), self)
        setattr(self, name, found)  # the next look-up is a plain attribute
        return found


class Elsewhere:
    """The functions of a GPU among several, which work there whichever is the current one.

    Args:
        use: gives the block within which that GPU is the current one.
    """

    on_host = False

    def __init__(self, xp: Namespace, use: Callable[[], AbstractContextManager[Any]]) -> None:
        self._xp, self._use = xp, use

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._xp, name)
        if not callable(found) or isinstance(found, type):
            return found

        def there(*args: Any, **options: Any) -> Any:
            with self._use():
                return found(*args, **options)

        setattr(self, name, there)
        return there
