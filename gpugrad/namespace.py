"""What `xp` is when a rule computes: the functions of one array module, in one spelling.

A forward function and a derivative rule are written once against `xp`. Given a `Namespace` they
compute on that module's arrays; given `gpugrad.ops` they record, and the result can be
differentiated again. Names that the module lacks come from `STAND_INS`; names that only gpugrad
has (`erf`, `chain`, `index`, ...) are the forward functions of its primitives.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from gpugrad.stand_ins import CUDA_STAND_INS, STAND_INS

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from gpugrad.primitive import Primitive

PRIMITIVES: dict[str, Primitive] = {}


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
