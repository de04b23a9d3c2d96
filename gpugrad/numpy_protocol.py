"""NumPy's functions on tensors: `np.sin(t)` records what `gg.sin(t)` does, or raises.

NumPy asks a tensor through `__array_ufunc__` and `__array_function__` before it computes. What
gpugrad does not record is refused with what to write instead, so no gradient is dropped silently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpugrad import ops
from gpugrad.errors import MemberError, NumpyFunctionError
from gpugrad.tensor import Tensor

# NumPy functions whose name gpugrad has under another one still: np.X -> gg.Y.
RENAMED = {
    "amax": "max", "amin": "min", "cumsum": "cumulative_sum", "concatenate": "concat",
    "float_power": "pow", "rint": "round", "fabs": "abs",
}  # fmt: skip
# What to write for others, in tensors t, a and b; a test computes each beside NumPy's function.
SPELLINGS = {
    "append": "gg.concat([a.ravel(), b.ravel()])", "average": "gg.sum(b * a) / gg.sum(b)",
    "copy": "t itself, which is never changed", "diag": 'gg.einsum("ii->i", t)',
    "diagonal": 'gg.einsum("ii->i", t)', "diff": "t[1:] - t[:-1]", "hstack": "gg.concat([a, b])",
    "heaviside": "gg.where(t > 0, 1.0, 0.0)", "inner": "gg.sum(a * b)",
    "linalg.norm": "gg.sqrt(gg.sum(t * t))", "nansum": "gg.sum(gg.where(gg.isnan(t), 0.0, t))",
    "nonzero": "a mask such as t > 0", "sort": "t[np.argsort(t.data)]",
    "argsort": "np.argsort(t.data)", "tensordot": 'gg.einsum("ij,jk->ik", a, b)',
    "trace": 'gg.einsum("ii->", t)', "trapezoid": "gg.sum(t[1:] + t[:-1]) / 2",
    "vdot": "gg.sum(a * b)", "vstack": "gg.stack([a, b])",
}  # fmt: skip
# The same for attributes that arrays or PyTorch's tensors have.
MEMBERS = {
    **{name: SPELLINGS[name] for name in ("argsort", "copy", "diagonal", "nonzero", "sort")},
    "fill": "gg.full_like(t, value)", "flags": "gg.zeros_like(t), where cp.zeros_like(t) stood",
    "norm": SPELLINGS["linalg.norm"],
    "permute": "t.permute_dims(axes)", "trace": SPELLINGS["trace"],
    "unsqueeze": "gg.expand_dims(t, axis)", "view": "t.reshape(shape)",
    "zero_": "t.grad = None to forget a gradient",
}  # fmt: skip
# Arguments of NumPy's functions that ask for nothing when they have these values.
IDLE: dict[str, tuple[Any, ...]] = {
    "out": (None,), "where": (True, np._NoValue), "casting": ("same_kind",),
    "order": ("K", "C"), "dtype": (None,), "subok": (True, False), "initial": (np._NoValue,),
    "keepdims": (np._NoValue,), "copy": (None, True), "optimize": (True, False), "mode": ("raise",),
}  # fmt: skip
REDUCED = {
    "ddof": "correction",
    "a_min": "min",
    "a_max": "max",
    "newshape": "shape",
    "reps": "repetitions",
}


# Functions that ask about a tensor's shape and not for its elements.
ABOUT = frozenset([np.shape, np.ndim, np.size])


def spelling_of(name: str) -> Callable[..., Any] | None:
    """gpugrad's function for NumPy's function of this name."""
    wanted = RENAMED.get(name, name)
    return getattr(ops, wanted) if wanted in ops.__all__ else None


def refusal(called: str, why: str, spelling: str = "it with gg.* operations") -> NumpyFunctionError:
    array = "t.detach().numpy()" if called.startswith(("np.", "t.")) else "t.detach().data"
    return NumpyFunctionError(
        f"{called} on a tensor {why}\n  help: write {spelling}, or call it on {array} as a constant"
    )


def unknown(called: str) -> NumpyFunctionError:
    why = "is not recorded: gpugrad has no such operation"
    name = called.partition(".")[2]
    return refusal(called, why, *([SPELLINGS[name]] if name in SPELLINGS else []))


def gpugrad_options(called: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """NumPy's keyword arguments as gpugrad's; those that ask for nothing are left out."""
    options = {}
    for name, value in kwargs.items():
        idle = IDLE.get(name, ())
        if any(value is v or (type(value) is type(v) and value == v) for v in idle):
            continue
        if name == "out":
            spelling = "a = a + t, or p -= 0.1 * p.grad within gg.no_grad()"
            raise refusal(f"{called}(..., out=...)", "writes to no array", spelling)
        if name in ("where", "casting", "order", "initial", "subok", "optimize", "mode"):
            raise refusal(f"{called}(..., {name}=...)", f"has no {name}= in gpugrad")
        options[REDUCED.get(name, name)] = value
    return options


def array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """What `np.add(t, 1)` calls."""
    name = ufunc.__name__
    called = f"np.{name}"
    function = spelling_of(name)
    if method != "__call__":
        reduced = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min"}.get(name)
        hint = f"; gpugrad's spelling is gg.{reduced}" if method == "reduce" and reduced else ""
        raise refusal(f"{called}.{method}", f"is not recorded{hint}")
    if function is None:
        raise unknown(called)
    return function(*inputs, **gpugrad_options(called, kwargs))


def array_function(
    self: Tensor, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """What `np.sum(t)` calls."""
    if function in ABOUT:
        return function(np.broadcast_to(False, args[0].shape), *args[1:], **kwargs)
    module = (getattr(function, "__module__", None) or "numpy").replace("numpy", "np", 1)
    called = f"{module}.{function.__name__}"
    ours = spelling_of(function.__name__) if module == "np" else None
    if ours is None:
        raise unknown(called)
    return ours(*args, **gpugrad_options(called, kwargs))


def _why_not_handed_out(t: Tensor) -> str:
    if t.requires_grad:
        return (
            "this tensor requires a gradient, which another library would drop\n"
            "  help: hand out t.detach()"
        )
    return f"this tensor is on {t.device}, which has none"


def no_member(self: Tensor, name: str) -> Any:
    """What `t.cumsum` calls: a tensor has no such attribute."""
    if name == "__cuda_array_interface__":
        raise MemberError(f"{name}: {_why_not_handed_out(self)}")
    wanted = RENAMED.get(name, name)
    spelling = f"gg.{wanted}(t, ...)" if wanted in ops.__all__ else MEMBERS.get(name)
    help_ = f"\n  help: write {spelling}" if spelling else ""
    raise MemberError(f"{type(self).__name__!r} object has no attribute {name!r}{help_}")


Tensor.__getattr__ = no_member  # type: ignore[method-assign]
Tensor.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
Tensor.__array_function__ = array_function  # type: ignore[attr-defined]
