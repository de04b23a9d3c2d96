"""What an operation keeps, and how its rules are called, when some of its arguments need gradients.

There is one `Plan` for each operation and set of arguments that need a gradient. It is worked out
from the rules' signatures once, so that recording an operation is a few look-ups.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.errors import GraphError
from gpugrad.graph import Node, Output, Vertex
from gpugrad.namespace import Namespace
from gpugrad.tensor import Tensor
from gpugrad.version import FOREIGN

if TYPE_CHECKING:
    from gpugrad.primitive import Primitive

Rule = Callable[..., Any]
Compiled = Callable[[Any, Any, tuple[Any, ...]], Any]  # of (xp, g, values)


class Plan:
    """How `primitive`, called with `count` arrays, is recorded when those in `needs` need gradients.

    Args:
        needs: a bit for each array argument.
    """

    def __init__(self, primitive: Primitive, count: int, needs: int) -> None:
        self.primitive = primitive
        self.count = count
        self.tracked = tuple(k for k in range(count) if needs >> k & 1)
        rules = {k: self._rule(k) for k in self.tracked}
        self.names = self._named(rules)
        outputs = primitive.outputs or ("y",)
        places = {primitive.argument_name(k): k for k in range(count)}
        places |= {name: count + k for k, name in enumerate(outputs)}
        # Arrays come first, by their place among (arguments, outputs); then all that is no array.
        self.names.sort(key=lambda name: name not in places)
        self.kept = tuple(places[name] for name in self.names if name in places)
        self.others = tuple(name for name in self.names if name not in places)
        kept = {k for k in self.kept if k < count}
        if primitive.variadic in self.names:
            kept |= set(range(len(primitive.arrays), count))
        self.guarded = tuple(sorted(kept))  # the arguments kept
        self.partials = {
            k: self._compiled(rule, k) for k, rule in rules.items() if rule in primitive.partials
        }
        self.pulls = {
            k: _chained(self.partials[k]) if k in self.partials else self._compiled(rule, k)
            for k, rule in rules.items()
        }
        tail = primitive.tail_rule
        self.tail = None if tail is None else self._compiled(tail, 0)

    def _rule(self, position: int) -> Rule:
        name = self.primitive.argument_name(position).partition("[")[0]
        if name not in self.primitive.rules:
            raise GraphError(
                f"{self.primitive.name}: it has no derivative with respect to '{name}'\n"
                f"  help: pass {name}.detach(), or declare @{self.primitive.name}.vjp({name!r})"
            )
        return self.primitive.rules[name]

    def _named(self, rules: dict[int, Rule]) -> list[str]:
        """Every name that the rules need a value for."""
        primitive = self.primitive
        named = [name for rule in rules.values() for name in inspect.signature(rule).parameters]
        if primitive.tail_rule is not None:
            named += inspect.signature(primitive.tail_rule).parameters
        if primitive.linear:  # its tangent is itself, with the other arguments as they were
            others = {j for k in rules for j in range(self.count) if j != k}
            named += [primitive.argument_name(j) for j in sorted(others)]
            named += primitive.options
        return [name for name in dict.fromkeys(named) if name not in ("xp", "g", "position")]

    def _compiled(self, rule: Rule, position: int) -> Compiled:
        """`rule` as a function of (xp, g, values)."""
        names = list(inspect.signature(rule).parameters)
        if "position" in names:
            names.remove("position")
            rule = functools.partial(rule, position=position - len(self.primitive.arrays))
        order = {"xp": 0, "g": 1, **{name: k + 2 for k, name in enumerate(self.names)}}
        picks = [order[name] for name in names]

        if not picks:
            return lambda xp, g, values: rule()
        if len(picks) == 1:
            only = picks[0]
            return lambda xp, g, values: rule((xp, g, *values)[only])
        pick = itemgetter(*picks)
        return lambda xp, g, values: rule(*pick((xp, g, *values)))

    # Keeping

    def save(
        self,
        node: Node,
        args: Sequence[Any],
        arrays: list[Any],
        options: dict[str, Any],
        volatile: bool,
    ) -> None:
        """Keep in `node` what the rules name.

        Args:
            arrays: the arguments' arrays and the outputs'; changed.
            volatile: some argument's memory may be written by somebody.
        """
        if volatile:
            self._guard(node, args, arrays)
        if self.others:
            extra = [options[n] if n in options else self._whole(n, arrays) for n in self.others]
            node.saved = (*[arrays[k] for k in self.kept], *extra)
        else:
            node.saved = tuple([arrays[k] for k in self.kept])

    def _guard(self, node: Node, args: Sequence[Any], arrays: list[Any]) -> None:
        """Copy foreign memory that is kept, and note the versions of ours."""
        versions = []
        for k in self.guarded:
            if isinstance(args[k], Tensor):
                version = args[k]._version
                if version is FOREIGN:
                    arrays[k] = arrays[k].copy()
                elif version is not None:
                    versions.append((k, version, version.count))
        node.versions = versions

    def _whole(self, name: str, arrays: list[Any]) -> Any:
        """All of `*arrays` as a tuple, or a shape, or the shapes of `*arrays`."""
        primitive = self.primitive
        first = len(primitive.arrays)
        if name == primitive.variadic:
            return tuple(arrays[first : self.count])
        argument = name.removesuffix("_shape")
        if argument == primitive.variadic:
            return tuple(np.shape(a) for a in arrays[first : self.count])
        return np.shape(arrays[primitive.arrays.index(argument)])

    def wrapped(self, node: Node, connected: bool) -> tuple[Any, ...]:
        """The saved values as tensors; if `connected`, part of the graph they came from."""
        saved: tuple[Any, ...] = node.saved or ()
        vertices: dict[int, Vertex] = {}
        if connected:
            vertices.update(node.parents)
            for k, (shape, dtype) in enumerate(node.layout):
                vertices[self.count + k] = Output(node, k, shape, dtype)
            if not node.layout:
                vertices[self.count] = node

        def wrap(value: Any, place: int) -> Any:
            vertex: Any = vertices.get(place)
            return Tensor._wrap(value, vertex) if type(value) is np.ndarray else value

        values = [wrap(value, place) for place, value in zip(self.kept, saved, strict=False)]
        first = len(self.primitive.arrays)
        for name, value in zip(self.others, saved[len(values) :], strict=True):
            if name == self.primitive.variadic:
                value = tuple(wrap(array, first + k) for k, array in enumerate(value))
            values.append(value)
        return tuple(values)

    # Forward mode

    def has_push(self, position: int) -> bool:
        """Whether the tangent of this argument needs no transposing."""
        return self.primitive.linear or position in self.partials

    def push(self, position: int, xp: Any, dx: Any, values: tuple[Any, ...]) -> Any:
        """The tangent `dx` of one argument, pushed to the output."""
        if position in self.partials:
            return xp.chain(dx, self.partials[position](xp, dx, values))
        primitive = self.primitive
        known = dict(zip(self.names, values, strict=True))
        arrays = [
            dx if k == position else known.get(primitive.argument_name(k))
            for k in range(self.count)
        ]
        options = {name: known[name] for name in primitive.options}
        if isinstance(xp, Namespace):
            return primitive.forward(xp, *arrays, **options)
        return primitive(*arrays, **options)


def _chained(partial: Compiled) -> Compiled:
    """The pull of an elementwise operation from its partial."""

    def pull(xp: Any, g: Any, values: tuple[Any, ...]) -> Any:
        return xp.chain(g, partial(xp, g, values))

    return pull
