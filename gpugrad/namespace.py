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


STAND_INS: dict[str, Callable[[Any], Callable[..., Any]]] = {  # of the array module
    "astype": _astype,  # NumPy 2.0 has neither this name
    "cumulative_sum": _cumulative_sum,  # nor this one
    "dot": lambda module: module.ndarray.dot,  # 0.1 us less than the function around it
    "sum": _reduction("add"),
    "max": _reduction("maximum"),
    "min": _reduction("minimum"),
}


class Namespace:
    """The functions of `module`, then gpugrad's stand-ins, then its primitives' forwards."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __getattr__(self, name: str) -> Any:
        if name in STAND_INS:
            found: Any = STAND_INS[name](self.module)
        elif hasattr(self.module, name):
            found = getattr(self.module, name)
        elif name in PRIMITIVES:
            found = partial(PRIMITIVES[name].forward, self)
        else:
            raise AttributeError(f"neither {self.module.__name__} nor gpugrad has {name!r}")
        setattr(self, name, found)  # the next look-up is a plain attribute
        return found
