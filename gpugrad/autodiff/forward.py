"""Forward mode: tangents pushed along a recorded graph, from its leaves to its end."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from gpugrad import ops
from gpugrad.autodiff.backward import users_first, walk
from gpugrad.cuda.failures import failures, told
from gpugrad.device import CPU, as_array, beside, cuda_namespace, device_of
from gpugrad.graph import Leaf, Node, Output, Several, Vertex
from gpugrad.mode import enable_grad, no_grad
from gpugrad.tensor import Tensor


def push(
    tangents: dict[Vertex, Any], ends: Collection[Vertex], *, differentiable: bool
) -> dict[Vertex, Any]:
    """The tangents of everything under `ends`, given those of leaves.

    Args:
        tangents: arrays, or tensors if `differentiable`; extended in place.
    """
    with enable_grad() if differentiable else no_grad(), np.errstate(all="ignore"):
        several: dict[Vertex, Several] = {}  # the tangents of operations with several outputs
        for vertex in reversed(users_first(ends)):
            if isinstance(vertex, Output):
                node = vertex.parents[0][1]
                tangent = several[node].get(vertex.index) if node in several else None
            elif vertex in tangents or not any(p in tangents for _, p in vertex.parents):
                continue
            else:
                try:
                    with beside(next(tangents[p] for _, p in vertex.parents if p in tangents)):
                        tangent = _pushed(vertex, tangents, differentiable)
                except failures() as error:
                    raise told(f"the tangent of {vertex.name}", error) from None
                if isinstance(tangent, Several):
                    several[vertex] = tangent
                    tangent = tangent.get(0)
            if tangent is not None:
                tangents[vertex] = tangent
    return tangents


def _pushed(node: Vertex, tangents: dict[Vertex, Any], differentiable: bool) -> Any:
    """The tangent of a node from those of its parents."""
    assert isinstance(node, Node)
    plan = node.plan
    moving = [(k, parent) for k, parent in node.parents if parent in tangents]
    if plan.primitive.outputs or not all(plan.has_push(k) for k, _ in moving):
        return _transposed(node, tangents, differentiable)
    xp: Any = ops if differentiable else _namespace(tangents[moving[0][1]])
    values = node.values(xp, differentiable)
    total: Any = None
    for k, parent in moving:
        share = plan.push(k, xp, tangents[parent], values)
        total = share if total is None else total + share
    if plan.tail is not None:
        total = xp.chain(total, plan.tail(xp, total, values), either=True)
    if total.shape != node.shape:
        total = xp.broadcast_to(total, node.shape)
    return total if total.dtype == node.dtype else xp.astype(total, node.dtype)


def _transposed(node: Node, tangents: dict[Vertex, Any], differentiable: bool) -> Any:
    """The tangent of any operation, from its cotangent rules alone.

    A rule is linear in the cotangent g, so its own transpose maps tangents of the arguments to
    that of the output: record the rule on some g (any will do), and pull the tangents back to g.
    """
    outputs = _cotangents(node)
    leaves = {k: Leaf(shape, dtype) for k, (shape, dtype) in outputs.items()}
    moving = {parent for _, parent in node.parents if parent in tangents}
    xp = _namespace(tangents[next(iter(moving))])
    dummies = {
        k: Tensor._wrap(xp.broadcast_to(xp.zeros((), dtype=leaf.dtype), leaf.shape), leaf)
        for k, leaf in leaves.items()
    }
    roots: dict[Vertex, Any] = {}
    with enable_grad():
        g = Several(dict(dummies)) if node.plan.primitive.outputs else dummies[0]
        for parent, share in node.plan.pull(node, ops, {node: g}, moving, differentiable, True):
            if isinstance(share, Tensor) and share._node is not None:
                tangent = tangents[parent]
                held = roots.get(share._node)
                roots[share._node] = tangent if held is None else held + tangent
    arrived = walk(
        roots,
        set(leaves.values()),
        retain_graph=False,
        differentiable=differentiable,
    )
    parts = {k: arrived[leaf] for k, leaf in leaves.items() if leaf in arrived}
    return Several(parts) if node.plan.primitive.outputs else parts.get(0)


def _namespace(tangent: Any) -> Any:
    array = tangent._data if isinstance(tangent, Tensor) else as_array(tangent)
    return CPU.xp if device_of(array) == CPU else cuda_namespace()  # within `beside`


def _cotangents(node: Node) -> dict[int, tuple[Any, Any]]:
    """Shape and dtype of each output of a node."""
    return dict(enumerate(node.layout)) if node.layout else {0: (node.shape, node.dtype)}
