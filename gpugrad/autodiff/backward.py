"""The backward pass: the chain rule, walked from an expression's value to its leaves."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from contextlib import ExitStack, nullcontext
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Any

import numpy as np

from gpugrad import ops
from gpugrad.cuda import device_count
from gpugrad.cuda.backend import backend
from gpugrad.cuda.failures import failures, told
from gpugrad.device import ARRAYS, CPU, Device, as_array, beside, cuda_namespace, device_of
from gpugrad.dtypes import Dtype
from gpugrad.errors import AnomalyError, DtypeError, GraphError, ShapeError
from gpugrad.graph import Leaf, Node, Several, Vertex
from gpugrad.later import raise_pending
from gpugrad.making import asarray
from gpugrad.mode import WATCH, enable_grad, mode, no_grad
from gpugrad.primitive import method
from gpugrad.tensor import Tensor, describe
from gpugrad.version import describe_place


def users_first(roots: Iterable[Vertex]) -> list[Vertex]:
    """Every vertex under `roots` but the leaves, each before the vertices that it uses.

    A vertex is numbered after everything it uses, so descending numbers are such an order; a
    vertex then has all the cotangents of its users before it passes its own on.
    """
    waiting = [root for root in roots if not root.is_leaf]
    seen = set(waiting)
    while waiting:
        for _, parent in waiting.pop().parents:
            if not parent.is_leaf and parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return sorted(seen, key=attrgetter("number"), reverse=True)


def leaves_under(roots: Iterable[Vertex]) -> set[Leaf]:
    """The leaves that `roots` were computed from."""
    found = {root for root in roots if isinstance(root, Leaf)}
    for vertex in users_first(roots):
        found.update(parent for _, parent in vertex.parents if isinstance(parent, Leaf))
    return found


def leading_to(targets: Iterable[Vertex], order: list[Vertex]) -> set[Vertex]:
    """The targets, and the vertices of `order` (users first) on a way to one."""
    needed = set(targets)
    for vertex in reversed(order):
        if any(parent in needed for _, parent in vertex.parents):
            needed.add(vertex)
    return needed


def walk(
    grads: dict[Vertex, Any],
    targets: Collection[Vertex] | None = None,
    *,
    retain_graph: bool,
    differentiable: bool,
) -> dict[Vertex, Any]:
    """Carry cotangents from users to what they use; return those of leaves and of targets.

    Of the vertices that have a cotangent, the one with the highest number goes first: whatever
    uses it is numbered higher, so by then it has received all that it will receive.

    Args:
        grads: the cotangents at the roots: arrays, or tensors if `differentiable`; used up.
        targets: go only towards these vertices (None: to every leaf).
        retain_graph: keep what the nodes saved for another pass.
        differentiable: record the pass itself, so that its result can be differentiated.
    """
    xp: Any = ops if differentiable else CPU.xp
    kind: type | None = np.ndarray  # of the arrays that xp is for
    # The GPU of the cotangent at hand, where there are several; None on a machine without one.
    current = ExitStack() if len(ARRAYS) > 1 and not differentiable else None
    watching = mode() & WATCH
    ours: set[Vertex] = set()  # whose cotangent is a sum made here, which may be added to in place
    arrived: dict[Vertex, Any] = {}
    needed = None if targets is None else leading_to(targets, users_first(grads))
    waiting = [(-vertex.number, vertex) for vertex in grads if not vertex.is_leaf]
    heapify(waiting)
    try:
        while waiting:
            vertex = heappop(waiting)[1]
            if vertex.hooks or vertex.keep_grad:
                grads[vertex] = _show(vertex, grads[vertex], differentiable)
            if targets is not None and vertex in targets:
                arrived[vertex] = grads[vertex]
            if current is not None and type(grads[vertex]) is not kind:
                xp, kind = _namespace(grads[vertex], current)
            # The pull takes the cotangent out of `grads`, so that it is freed where it is used up.
            shares = vertex.plan.pull(vertex, xp, grads, needed, differentiable, retain_graph)
            if watching:
                for _, share in shares:
                    _check_nan(vertex, share)
            for parent, share in shares:
                if parent not in grads:
                    grads[parent] = share
                    if not parent.is_leaf:
                        heappush(waiting, (-parent.number, parent))
                elif parent in ours and type(share) is not Several:
                    grads[parent] += share
                else:
                    grads[parent] = grads[parent] + share
                    if not differentiable:
                        ours.add(parent)
            # So that `grads` alone holds them, and a pull can free what it took.
            shares = share = None
    except failures() as error:
        raise told(f"backward through {vertex.name}", error, rows=vertex.shape[:1]) from None
    finally:
        if current is not None:
            current.close()
    for leaf in grads:  # nothing else is left
        if leaf.hooks:
            grads[leaf] = _show(leaf, grads[leaf], differentiable)
    return grads | arrived if arrived else grads


def _namespace(g: Any, current: ExitStack) -> tuple[Any, type | None]:
    """The functions for a cotangent, and its type: a graph may cross from device to device.

    With several GPUs each cotangent is asked for its own (the type is None), which becomes current.
    """
    array = next(iter(g.parts.values())) if type(g) is Several else g
    device = device_of(array)
    if device == CPU:
        return device.xp, type(g)
    current.close()
    current.enter_context(beside(array))
    return cuda_namespace(), type(g) if device_count() < 2 else None


def _show(vertex: Vertex, g: Any, differentiable: bool) -> Any:
    """Pass `g` through the vertex's hooks, and leave it in `.grad` where that was asked for."""
    shown = g if isinstance(g, Tensor) else Tensor._wrap(as_array(g))
    for hook in list((vertex.hooks or {}).values()):
        with enable_grad() if differentiable else no_grad():
            replaced = hook(shown)
        if replaced is not None:
            shown = asarray(replaced)
            if shown.shape != vertex.shape or shown.dtype != vertex.dtype:
                raise ShapeError(
                    f"hook: the gradient it returned is {describe(shown)}, but the gradient here "
                    f"is {vertex.dtype} {vertex.shape}"
                )
    if vertex.keep_grad and not vertex.is_leaf:
        vertex.grad = shown if vertex.grad is None else vertex.grad + shown
    return shown if differentiable else shown._data


def _check_nan(vertex: Vertex, share: Any) -> None:
    if isinstance(share, Several):
        for part in share.parts.values():
            _check_nan(vertex, part)
        return
    array = as_array(share._data if isinstance(share, Tensor) else share)
    if device_of(array).xp.isnan(array).any().item():
        raise_pending()  # a wrong label or index may be the cause
        place = describe_place(vertex.place) if isinstance(vertex, Node) else "an unknown place"
        raise AnomalyError(
            f"backward: the gradient of {vertex.name}, recorded at {place}, is NaN\n"
            "  help: look at that operation's arguments: is one outside its domain?"
        )


def cotangent_for(out: Tensor, gradient: Any, caller: str) -> Tensor:
    """`gradient` checked against `out`; one for a scalar if None."""
    if gradient is None:
        array = out._data
        if array.size != 1:
            raise GraphError(
                f"{caller}: only a scalar has a gradient of its own, this is {describe(out)}\n"
                f"  help: reduce it first (for example .sum() or .mean()), or pass the gradient of "
                f"the same shape"
            )
        return Tensor._wrap(_one(array.shape, array.dtype, out.device))
    given = asarray(gradient)
    if given.shape != out.shape:
        raise ShapeError(
            f"{caller}: the gradient given for an output has the wrong shape\n"
            f"  output: {describe(out)}\n  gradient: {describe(given)}"
        )
    if given.dtype.kind != "f":
        raise DtypeError(f"{caller}: the gradient given is {given.dtype}; it must be floating")
    if given._version is not None:  # somebody may write there while the pass, or .grad, has it
        with beside(given._data):
            given = Tensor._wrap(given._data.copy(), given._node)
    return given.astype(out.dtype)  # type: ignore[no-any-return]


@functools.cache
def _one(shape: tuple[int, ...], dtype: Dtype, device: Device) -> Any:
    """The cotangent 1 of a tensor with one element; nobody writes to it."""
    one = device.xp.ones(shape, dtype=dtype)
    if device != CPU:
        with device.use():  # a later pass may use it on another stream, which waits for nothing
            backend().current_stream().synchronize()
    return one


@method("backward")
def backward(
    self: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradient of this tensor to `.grad` of every leaf it was computed from.

    Args:
        gradient: the cotangent of this tensor, of its shape; 1 for a scalar if None.
        retain_graph: keep the graph for another pass (by default only with `create_graph`).
        create_graph: record the pass, so that the gradients can be differentiated themselves.
    Raises:
        GraphError: nothing was recorded; not a scalar and no gradient given; the graph was freed.
        VersionError: a value that the pass needs was overwritten in place.

    >>> import gpugrad as gg
    >>> x = gg.tensor(3.0, requires_grad=True)
    >>> (x**2).backward()
    >>> x.grad
    tensor(6.)
    """
    root = self._node
    if root is None:
        raise GraphError(
            "backward: this tensor depends on nothing that requires a gradient\n"
            "  help: make an input with requires_grad=True, and compute outside gg.no_grad()"
        )
    g = cotangent_for(self, gradient, "backward")
    retain = create_graph if retain_graph is None else retain_graph
    if create_graph:
        with enable_grad(), np.errstate(all="ignore"):
            _accumulate(root, g, retain, True)
    else:
        _accumulate_quietly(root, g._data, retain, False)


def _accumulate(root: Vertex, g: Any, retain_graph: bool, differentiable: bool) -> None:
    """Walk from `root`, and add what arrives at the leaves to their `.grad`."""
    arrived = walk({root: g}, retain_graph=retain_graph, differentiable=differentiable)
    for leaf, share in arrived.items():
        held = leaf.grad
        if differentiable:
            leaf.grad = share if held is None else held + share
        else:
            if held is not None:
                if type(share) is np.ndarray:
                    share = held._data + share
                else:
                    with device_of(share).use("backward, adding to .grad"):
                        share = held._data + share
            leaf.grad = Tensor._wrap(share if type(share) is np.ndarray else as_array(share))


# As a decorator, NumPy's errstate costs half of what it does in a with statement.
_accumulate_quietly = np.errstate(all="ignore")(_accumulate)


def gradients(
    outputs: list[Tensor],
    cotangents: list[Tensor],
    targets: list[Tensor],
    *,
    retain_graph: bool,
    differentiable: bool,
) -> list[Tensor]:
    """The cotangents of `targets`, zeros where an output does not reach one."""
    vertices: list[Any] = [target._node for target in targets]
    grads: dict[Vertex, Any] = {}
    for out, g in zip(outputs, cotangents, strict=True):
        if out._node is not None:
            share: Any = g if differentiable else g._data
            held = grads.get(out._node)
            grads[out._node] = share if held is None else held + share
    with enable_grad() if differentiable else nullcontext(), np.errstate(all="ignore"):
        arrived = walk(
            grads, set(vertices), retain_graph=retain_graph, differentiable=differentiable
        )
    return [
        _finished(target, arrived.get(vertex))
        for target, vertex in zip(targets, vertices, strict=True)
    ]


def _finished(target: Tensor, g: Any) -> Tensor:
    if g is None:
        return Tensor._wrap(target.device.xp.zeros(target.shape, dtype=target.dtype))
    return g if isinstance(g, Tensor) else Tensor._wrap(as_array(g))
