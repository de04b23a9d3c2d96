"""CuPy's functions on tensors: `cp.sin(t)` records what `gg.sin(t)` does, or raises.

CuPy offers fewer ways to step in than NumPy, and these are all there are:

- its ufuncs and simple reductions ask their arguments for the two hooks below, before they compute;
- `array + t` asks NumPy's ufunc, so `Tensor.__array_ufunc__` answers, if CuPy cannot see the
  tensor's memory: `__cuda_array_interface__` is absent while a gradient is required;
- many functions call the method of their name, `cp.sum(t)` `t.sum(axis, dtype, out, keepdims)`:
  tensors' methods take NumPy's arguments too;
- the others are compiled for `cupy.ndarray` alone and raise TypeError. Within a transform such as
  `gg.grad` that error says what to write instead.

So no gradient is dropped without a word. The simulated device goes by the same rules.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from types import TracebackType
from typing import Any

from gpugrad import ops
from gpugrad.errors import GradError, NumpyFunctionError
from gpugrad.numpy_protocol import gpugrad_options, refusal, spelling_of, unknown
from gpugrad.tensor import PLAIN, TYPES, Tensor

CUPY = ("cupy.", "cupyx.", "gpugrad.cuda.simulated.module")  # whose functions are CuPy's
PREFIX = "cupy_"  # of the names of CuPy's own ufuncs and reductions: cp.sin.name is "cupy_sin"
# The parameters of the methods of NumPy's and CuPy's arrays, and how many of the first ones
# tensors' methods take in the same places.
METHODS: dict[str, tuple[int, str]] = {
    **dict.fromkeys(["sum", "prod", "mean", "argmax", "argmin"], (1, "axis dtype out keepdims")),
    **dict.fromkeys(["max", "min", "all", "any"], (1, "axis out keepdims")),
    **dict.fromkeys(["var", "std"], (1, "axis dtype out ddof keepdims")),
    "astype": (1, "dtype order casting subok copy"), "clip": (2, "min max out"),
    "dot": (1, "b out"), "ravel": (0, "order"), "reshape": (99, "order"),
    "round": (1, "decimals out"), "take": (2, "indices axis out mode"),
}  # fmt: skip

# What to write for functions that make arrays of what they are given.
CONVERSIONS = {
    "array": "t itself, gg.stack([...]) of several",
    **dict.fromkeys(["asarray", "asanyarray", "ascontiguousarray", "asfortranarray"], "t itself"),
}


def elementwise(self: Tensor, kernel: Any, *args: Any, **options: Any) -> Any:
    """What `cp.add(t, 1)` calls, with CuPy's ufunc or a kernel of the user's."""
    name = kernel.name.removeprefix(PREFIX)
    if not hasattr(kernel, "reduce"):  # no ufunc
        raise refusal(
            f"CuPy's kernel {kernel.name!r}",
            "is not recorded: its derivative is unknown",
            "it with gg.* operations, or declare one with @gg.primitive",
        )
    called = f"cp.{name}"
    function = spelling_of(name)
    if function is None:
        raise unknown(called)
    inputs, outputs = args[: kernel.nin], args[kernel.nin :]
    if outputs:
        options = {**options, "out": outputs}
    return function(*inputs, **gpugrad_options(called, options))


def reduction(self: Tensor, kernel: Any, axis: Any, dtype: Any, out: Any, keepdims: bool) -> Any:
    """What `cp.count_nonzero(t)` calls, and other reductions that CuPy does not do by methods."""
    name = kernel.name.removeprefix(PREFIX)
    called = "cp.linalg.norm" if name.startswith("_norm") else f"cp.{name}"
    function = spelling_of(name)
    if function is None or not kernel.name.startswith(PREFIX):
        raise unknown(called)
    options = gpugrad_options(called, {"dtype": dtype, "out": out})
    return function(self, axis=axis, keepdims=keepdims, **options)


def _as_arrays_have_it(name: str) -> Callable[..., Any]:
    """The method `name`, which takes the arguments of that of NumPy's and CuPy's arrays too."""
    most, names = METHODS[name]
    parameters = names.split()
    ours = getattr(Tensor, name) if hasattr(Tensor, name) else getattr(ops, name)
    known = set(inspect.signature(getattr(ops, name)).parameters)

    @functools.wraps(ours)
    def method(self: Tensor, *args: Any, **options: Any) -> Any:
        if len(args) > most or not known.issuperset(options):
            if len(args) > most:
                options.update(zip(parameters, args, strict=False))
                args = ()
            if name == "astype":
                options.pop("copy", None)  # a tensor is never changed: it may be the same one
            options = gpugrad_options(f"t.{name}", options)
        return ours(self, *args, **options)

    return method


def explained(error: Exception) -> NumpyFunctionError | None:
    """What to say of an error that came out of CuPy for a tensor's sake; None of another."""
    said = str(error)
    name = _function(error.__traceback__)
    if isinstance(error, GradError):
        return unrecorded(name) if name is not None and said.startswith(PLAIN) else None
    kinds = {
        kind for found in re.findall(r"got (\w+)\)|<class '([\w.]+)'>", said) for kind in found
    }
    if kinds.isdisjoint(
        name for kind in TYPES for name in (kind.__name__, f"{kind.__module__}.{kind.__name__}")
    ):
        return None
    if name is not None:
        return unrecorded(name)
    return (
        refusal("a method of cupy.ndarray called", "is not recorded") if "cupy." in said else None
    )


def unrecorded(name: str) -> NumpyFunctionError:
    """The refusal of a function of CuPy's that takes its own arrays alone."""
    called, why = f"cp.{name}", "is not recorded: it takes CuPy's arrays alone"
    if name in CONVERSIONS:
        return refusal(called, why, CONVERSIONS[name])
    spelling = spelling_of(name)
    if spelling is None:
        return unknown(called)
    return refusal(called, why, f"gg.{spelling.__name__}(...)")


def _function(trace: TracebackType | None) -> str | None:
    """The name of CuPy's function that the innermost code outside CuPy called."""
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_globals.get("__name__", "").startswith(CUPY):
            called = frame.f_code.co_name
            if called == "__call__":  # of what is no function, such as cp.matmul
                called = frame.f_locals["self"].__name__
            return str(called).rpartition(".")[2]  # compiled code says its module too
        trace = trace.tb_next
    return None


for _name in METHODS:
    setattr(Tensor, _name, _as_arrays_have_it(_name))
Tensor.__cupy_override_elementwise_kernel__ = elementwise  # type: ignore[attr-defined]
Tensor.__cupy_override_reduction_kernel__ = reduction  # type: ignore[attr-defined]
