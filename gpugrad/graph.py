"""The recorded graph: what an operation leaves behind for the chain rule.

A `Node` stands for one recorded operation: its parents (the arguments that need a gradient) and
the values that their derivative rules name, nothing else. A `Leaf` stands for a tensor that asks
for a gradient. Neither refers to a tensor, so a graph has no reference cycle and is freed, arrays
and all, as soon as nobody holds its end.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from gpugrad.dtypes import Dtype
from gpugrad.errors import GraphError, VersionError
from gpugrad.namespace import Namespace
from gpugrad.version import Place, Version, describe_place

if TYPE_CHECKING:
    from gpugrad.plan import Plan
    from gpugrad.tensor import Tensor

next_number = count(1).__next__


class Vertex:
    """What leaves, operations and outputs have in common.

    `number` grows along every edge, so that descending numbers put users before what they use.
    """

    __slots__ = ("dtype", "grad", "hooks", "keep_grad", "number", "parents", "shape")
    is_leaf = False
    name = "leaf"
    plan: Any  # of all but leaves: a Plan, or what pulls a cotangent back likewise

    def __init__(
        self, parents: tuple[tuple[int, Vertex], ...], shape: tuple[int, ...], dtype: Dtype
    ) -> None:
        self.parents = parents  # (position among the arguments, vertex)
        self.shape = shape
        self.dtype = dtype
        self.number = next_number()
        self.hooks: dict[Any, Callable[[Tensor], Tensor | None]] | None = None
        self.keep_grad = False
        self.grad: Tensor | None = None


class Leaf(Vertex):
    """Where a graph begins: a tensor that requires a gradient, with the gradient it has so far.

    `argument` tells an argument of a function under `gg.grad` and its kin from a user's tensor;
    once that call is over it is `spent`: nobody can ask for its gradient any more.
    """

    __slots__ = ("argument", "spent")
    is_leaf = True

    def __init__(self, shape: tuple[int, ...], dtype: Dtype, argument: bool = False) -> None:
        super().__init__((), shape, dtype)
        self.argument = argument
        self.spent = False


class Node(Vertex):
    """One recorded operation. `saved` is None once a backward pass has freed it.

    `Plan.record` makes it, and sets its slots itself: it runs for every recorded operation.
    """

    __slots__ = ("layout", "place", "plan", "saved", "versions")

    plan: Plan
    saved: tuple[Any, ...] | None
    versions: tuple[tuple[int, Version, int], ...]  # position of what is kept, its version, count
    place: Place | None  # the user's line, where an error may want it
    layout: tuple[tuple[tuple[int, ...], Dtype], ...]  # of several outputs

    @property
    def name(self) -> str:  # type: ignore[override]
        """The operation's name."""
        return str(self.plan.primitive.name)

    def values(self, xp: Any, differentiable: bool) -> tuple[Any, ...]:
        """What the rules named: arrays for a rule that computes, tensors for one that is recorded,
        which are part of the graph if it is to be differentiated through them.

        Raises:
            GraphError: an earlier backward pass freed them.
            VersionError: one of them was overwritten since.
        """
        if self.saved is None:
            raise GraphError(
                f"backward: the values that {self.name} kept were freed by an earlier backward pass"
                "\n  help: the first one needs backward(retain_graph=True)"
            )
        for position, version, number in self.versions:
            if version.count != number:
                self._complain(position, version)
        if type(xp) is Namespace:
            return self.saved
        return self.plan.wrapped(self, connected=differentiable)

    def _complain(self, position: int, version: Version) -> None:
        what = self.plan.kept_name(position)
        raise VersionError(
            f"backward: {self.name}, recorded at {describe_place(self.place)}, needs {what} as it "
            f"was then, but {version.writer} at {describe_place(version.place)} overwrote it since"
            "\n  help: call backward() before the write, or compute the loss again after it"
        )


class Output(Vertex):
    """One output of an operation that has several."""

    __slots__ = ("index",)

    def __init__(self, node: Node, index: int) -> None:
        super().__init__(((0, node),), *node.layout[index])
        self.index = index

    @property
    def name(self) -> str:  # type: ignore[override]
        """The operation's name."""
        return self.parents[0][1].name


class Selection:
    """How the cotangent of an `Output` is pulled: it is a part of that of the operation."""

    @staticmethod
    def pull(
        output: Output, xp: Any, grads: dict[Vertex, Any], *_: Any
    ) -> list[tuple[Vertex, Any]]:
        """What `Plan.pull` does for a node."""
        return [(output.parents[0][1], Several({output.index: grads.pop(output)}))]


Output.plan = Selection


class Several:
    """The cotangents (or tangents) of an operation's outputs, by index; what is absent is zero.

    Added to an array or tensor, it takes that for the part of the first output.
    """

    __slots__ = ("parts",)
    __array_ufunc__ = None  # so that array + Several asks Several

    def __init__(self, parts: dict[int, Any]) -> None:
        self.parts = parts

    def __add__(self, other: Any) -> Several:
        both = dict(self.parts)
        for index, g in (other.parts if isinstance(other, Several) else {0: other}).items():
            both[index] = both[index] + g if index in both else g
        return Several(both)

    __radd__ = __add__

    def get(self, index: int) -> Any:
        """The part of one output, or None where it is zero."""
        return self.parts.get(index)
