"""check_grad: derivatives against nudges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpugrad.autodiff.transforms import grad, jvp
from gpugrad.autodiff.tree import flatten
from gpugrad.device import to_host
from gpugrad.errors import DtypeError, GradientCheckError, OptionError
from gpugrad.making import asarray
from gpugrad.random import Generator
from gpugrad.tensor import Tensor

# Relative and absolute tolerance. A central difference of step eps**(1/3) has an error of about
# eps**(2/3): 4e-11 in float64, 2e-5 in float32, times the third derivative.
TOLERANCE = {"float64": (1e-5, 1e-7), "float32": (1e-2, 1e-3)}


def check_grad(
    f: Callable[..., Any],
    *inputs: Any,
    order: int = 1,
    eps: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """Check the derivatives of f against finite differences, in reverse and in forward mode.

    Every element of every floating input is nudged, (f(x + h) - f(x - h)) / 2h, and compared with
    the gradient of a randomly weighted sum of f's outputs.

    Args:
        f: returns tensors in any nesting.
        inputs: tensors, arrays or nested containers of them; integers are passed on as they are.
        order: 2 also checks the derivatives of the gradient, 3 those of these, and so on.
        eps: the nudge h for an element of size 1 or less; larger ones take proportionally more.
        rtol, atol: how far the two may differ, |a - b| <= atol + rtol * |b|.
    Raises:
        GradientCheckError: they differ; it names the worst element.
        DtypeError: no input is float32 or float64.

    >>> import gpugrad as gg
    >>> gg.check_grad(lambda x: gg.sin(x) * x, gg.tensor([0.5, 1.0], dtype="float64"), order=2)
    """
    if order < 1:
        raise OptionError(f"check_grad: order={order} must be at least 1")
    leaves, rebuild = flatten(inputs)
    tensors: list[Any] = [x if isinstance(x, str) else asarray(x).detach() for x in leaves]
    checked = [k for k, t in enumerate(tensors) if isinstance(t, Tensor) and t.dtype.kind == "f"]
    if not checked:
        raise DtypeError("check_grad: no input is floating, so there is no gradient to check")
    dtype = str(np.result_type(*[tensors[k].dtype for k in checked]))
    if dtype not in TOLERANCE:
        raise DtypeError(f"check_grad: {dtype} is too coarse for finite differences; use float64")
    default_rtol, default_atol = TOLERANCE[dtype]
    rtol = default_rtol if rtol is None else rtol
    atol = default_atol if atol is None else atol
    step = float(np.finfo(dtype).eps) ** (1 / 3) if eps is None else eps

    def outputs(*floats: Tensor) -> list[Tensor]:
        merged = list(tensors)
        for k, t in zip(checked, floats, strict=True):
            merged[k] = t
        return [asarray(y) for y in flatten(f(*rebuild(merged)))[0]]

    primals = [tensors[k] for k in checked]
    draw = Generator(0)
    weights = [
        asarray(draw.uniform(y.shape, 0.5, 1.5, dtype=dtype), device=y.device).detach()
        for y in outputs(*primals)
    ]

    def total(*floats: Tensor) -> Tensor:
        terms = [(w * y).sum() for w, y in zip(weights, outputs(*floats), strict=True)]
        first: Tensor = terms[0]
        for term in terms[1:]:
            first = first + term
        return first

    every = tuple(range(len(primals)))
    found = [to_host(g._data) for g in grad(total, every)(*primals)]
    numeric = [_differences(total, primals, k, step) for k in every]
    for k, (a, b) in enumerate(zip(found, numeric, strict=True)):
        _compare(f"input {checked[k]}", a, b, rtol, atol)
    drawn = [draw.uniform(p.shape, -1.0, 1.0, dtype=p.dtype) for p in primals]
    tangents = [asarray(v, device=p.device) for v, p in zip(drawn, primals, strict=True)]
    moved = jvp(total, tuple(primals), tuple(tangents))[1].item()
    expected = sum(float((g * v).sum()) for g, v in zip(found, drawn, strict=True))
    size = sum(float(np.abs(g * v).sum()) for g, v in zip(found, drawn, strict=True))
    if not abs(moved - expected) <= atol + rtol * size:
        raise GradientCheckError(
            f"check_grad: forward mode gives {moved:.9g} along a random direction, reverse mode "
            f"{expected:.9g}\n  help: the rules of one of the operations disagree"
        )
    if order > 1:
        check_grad(grad(total, every), *primals, order=order - 1, eps=eps, rtol=rtol, atol=atol)


def _differences(
    total: Callable[..., Tensor], primals: list[Tensor], k: int, step: float
) -> np.ndarray[Any, Any]:
    """The central difference of `total` in each element of primal k."""
    x, device = to_host(primals[k]._data), primals[k].device
    differences = np.empty(x.shape, np.float64)
    for at in np.ndindex(x.shape):
        h = step * max(1.0, abs(float(x[at])))
        sides = []
        for sign in (1.0, -1.0):
            nudged = x.copy()
            nudged[at] += sign * h
            moved = [*primals[:k], Tensor._wrap(device.put(nudged)), *primals[k + 1 :]]
            sides.append((float(nudged[at]), total(*moved).item()))
        differences[at] = (sides[0][1] - sides[1][1]) / (sides[0][0] - sides[1][0])
    return differences


def _compare(
    which: str, found: np.ndarray[Any, Any], numeric: np.ndarray[Any, Any], rtol: float, atol: float
) -> None:
    if not found.size:
        return
    excess = np.abs(found - numeric) - (atol + rtol * np.abs(numeric))
    excess = np.where(np.isnan(excess), np.inf, excess)
    worst = np.unravel_index(int(np.argmax(excess)), found.shape)
    if excess[worst] > 0:
        place = f"[{', '.join(map(str, map(int, worst)))}]" if worst else ""
        raise GradientCheckError(
            f"check_grad: the gradient of {which} is wrong; worst at element {place}: "
            f"{float(found[worst]):.9g}, where a nudge says {float(numeric[worst]):.9g}\n"
            f"  {int((excess > 0).sum())} of {found.size} elements differ by more than "
            f"atol={atol:g} + rtol={rtol:g} * |nudge|"
        )
