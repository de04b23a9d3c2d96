"""What an operation keeps, and how its rules are called, when some of its arguments need gradients.

There is one `Plan` for each operation and set of arguments that need a gradient. It is worked out
from the rules' signatures once, so that recording an operation is a few look-ups.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.device import ARRAYS, CPU
from gpugrad.errors import GraphError
from gpugrad.graph import Node, Output, Several, Vertex, next_number
from gpugrad.namespace import Namespace
from gpugrad.tensor import Tensor
from gpugrad.version import FOREIGN, user_place

if TYPE_CHECKING:
    from gpugrad.primitive import Primitive

Rule = Callable[..., Any]
Compiled = Callable[[Any, Any, tuple[Any, ...]], Any]  # of (xp, g, values)


class Plans(dict[int, "Plan"]):
    """The plans of a primitive called with `count` arrays, made when first looked up."""

    def __init__(self, primitive: Primitive, count: int) -> None:
        super().__init__()
        self._of = primitive, count

    def __missing__(self, needs: int) -> Plan:
        plan = self[needs] = Plan(*self._of, needs)
        return plan


class Plan:
    """How `primitive` is recorded when some of its arguments need gradients.

    Args:
        count: how many arrays it was called with.
        needs: a bit for each array argument; one more if the tail is left out.
    """

    def __init__(self, primitive: Primitive, count: int, needs: int) -> None:
        self.primitive = primitive
        self.count = count
        self.tracked = tuple(k for k in range(count) if needs >> k & 1)
        rules = {k: self._rule(k) for k in self.tracked}
        tail = None if needs >> count & 1 else primitive.tail_rule
        self.names = self._named(rules, tail)
        outputs = primitive.outputs or ("y",)
        places = {primitive.argument_name(k): k for k in range(count)}
        places |= {name: count + k for k, name in enumerate(outputs)}
        self.places = [places.get(name) for name in self.names]  # None: no array
        self.partials = {
            k: self._compiled(rule, k) for k, rule in rules.items() if rule in primitive.partials
        }
        self.tail = self._compiled(tail, 0) if tail is not None else None
        self.record = self._recorder()
        self.pull = self._puller(rules, tail)

    def _rule(self, position: int) -> Rule:
        name = self.primitive.argument_name(position).partition("[")[0]
        if name not in self.primitive.rules:
            raise GraphError(
                f"{self.primitive.name}: it has no derivative with respect to '{name}'\n"
                f"  help: pass {name}.detach(), or declare @{self.primitive.name}.vjp({name!r})"
            )
        return self.primitive.rules[name]

    def _named(self, rules: dict[int, Rule], tail: Rule | None) -> list[str]:
        """Every name that the rules need a value for."""
        primitive = self.primitive
        named = [name for rule in rules.values() for name in _named_by(rule)]
        if primitive.linear:  # its tangent is itself, with the other arguments as they were
            others = {j for k in rules for j in range(self.count) if j != k}
            named += [primitive.argument_name(j) for j in sorted(others)]
            named += primitive.options
        if tail is not None:  # what only the tail needs comes last
            named += _named_by(tail)
        return [name for name in dict.fromkeys(named) if name not in ("xp", "g", "position")]

    def _compiled(self, rule: Rule, position: int) -> Compiled:
        """`rule` as a function of (xp, g, values)."""
        source = f"lambda _xp, _g, _values: {self._call_of('_rule', rule, position, '_values[{}]')}"
        compiled: Compiled = eval(source, {"_rule": rule})
        return compiled

    def _call_of(self, function: str, rule: Rule, position: int, value: str) -> str:
        """The source of a call of `rule`; `value` with a number is how a saved value is written."""
        order = {name: value.format(k) for k, name in enumerate(self.names)}
        order |= {"xp": "_xp", "g": "_g", "position": str(position - len(self.primitive.arrays))}
        return f"{function}({', '.join(order[name] for name in _named_by(rule))})"

    # Keeping

    def _recorder(self) -> Rule:
        """The function that makes a node of one call: its source, for this plan.

        It takes the arrays, the outputs, a vertex and a version for each array, the options, the
        version of the output, and the mode.
        """
        p, count = self.primitive, self.count
        arrays = [f"_array_{k}" for k in range(count)]
        ys = p.output_variables
        state = [f"_node_{k}, _version_{k}" for k in range(count)]
        lines = [f"def record({', '.join([*arrays, *ys, *state, *p.options])}, _version, _mode):"]
        lines += ["    _versions = ()"]
        variables = [*arrays, *ys]
        kept = {place for place in self.places if place is not None}
        for k in sorted({*kept, *self._variadic_kept()}):
            version = f"_version_{k}" if k < count else "_version"
            lines += [
                f"    if {version} is not None:",
                f"        if {version} is _FOREIGN: {variables[k]} = {variables[k]}.copy()",
                f"        else: _versions += (({k}, {version}, {version}.count),)",
            ]
        parents = "".join(f"({k}, _node_{k}), " for k in self.tracked)
        saved = "".join(
            f"{self._whole(name) if place is None else variables[place]}, "
            for name, place in zip(self.names, self.places, strict=True)
        )
        slots = {
            "plan": "_plan", "parents": f"({parents})", "saved": f"({saved})",
            "versions": "_versions", "shape": f"{ys[0]}.shape", "dtype": f"{ys[0]}.dtype",
            "layout": f"({''.join(f'({y}.shape, {y}.dtype), ' for y in p.outputs and ys)})",
            # Two callers up stands whoever called the operation.
            "place": "_user_place(2) if _versions or _mode & 2 else None",
            "number": "_next_number()", "hooks": "None", "keep_grad": "False", "grad": "None",
        }  # fmt: skip
        lines += ["    _node = _new(_Node)"]
        lines += [f"    _node.{slot} = {value}" for slot, value in slots.items()]
        lines += ["    return _node"]
        scope: dict[str, Any] = {
            "_plan": self, "_new": object.__new__, "_Node": Node, "_next_number": next_number,
            "_FOREIGN": FOREIGN, "_user_place": user_place, "_shape": np.shape,
        }  # fmt: skip
        exec(compile("\n".join(lines), f"<gpugrad record of {p.name}>", "exec"), scope)
        record: Rule = scope["record"]
        return record

    def _variadic_kept(self) -> range:
        """The positions of `*arrays`, if a rule names them all."""
        first = len(self.primitive.arrays)
        return range(first, self.count) if self.primitive.variadic in self.names else range(0)

    def _whole(self, name: str) -> str:
        """The source of what is no array: an option, `*arrays` as a tuple, a shape, shapes."""
        p = self.primitive
        if name in p.options:
            return name
        more = range(len(p.arrays), self.count)
        if name == p.variadic:
            return f"({''.join(f'_array_{k}, ' for k in more)})"
        argument = name.removesuffix("_shape")
        if argument == p.variadic:
            return f"({''.join(f'_shape(_array_{k}), ' for k in more)})"
        return f"_shape(_array_{p.arrays.index(argument)})"

    def _puller(self, rules: dict[int, Rule], tail: Rule | None) -> Rule:
        """The function that pulls the cotangent of a node back to its parents: its source.

        It takes the node, the namespace, the cotangents by vertex (of which it takes the node's
        out), the parents that are asked for (None: all), whether what is computed is recorded as
        part of the graph, and whether to retain what was saved. It returns each parent with its
        share.
        """
        saved = [f"_value_{k}" for k in range(len(self.names))]
        lines = [
            "def pull(_node, _xp, _grads, _needed, _differentiable, _retain):",
            "    _g = _grads.pop(_node)",
            "    _saved = _node.saved",
            "    if _saved is None or _node.versions or _type(_xp) is not _Namespace:",
            "        _saved = _node.values(_xp, _differentiable)",
            f"    {''.join(f'{value}, ' for value in saved)} = _saved" if saved else "",
            "    if not _retain: _node.saved = _saved = None",
            f"    {''.join(f'(_, _parent_{k}), ' for k in self.tracked)} = _node.parents",
        ]
        scope: dict[str, Any] = {"_Several": Several, "_Namespace": Namespace, "_type": type}
        if self.primitive.outputs:
            lines += ["    if _type(_g) is not _Several: _g = _Several({0: _g})"]
        if tail is not None:
            scope["_tail"] = tail
            chained = f"_g = _xp.chain(_g, {self._call_of('_tail', tail, 0, '_value_{}')})"
            kernel = self.primitive.tail_kernel
            if kernel is None:
                lines += [f"    {chained}"]
            else:
                scope |= {"_tail_kernel": kernel, "_cpu": CPU.xp}
                given = self._call_of("_tail_kernel", tail, 0, "_value_{}")
                lines += [
                    "    _also = NotImplemented",
                    "    if _xp is not _cpu and _type(_xp) is _Namespace:",
                    f"        _also = {given.replace('(_xp', '(_xp, _g', 1)}",
                    f"    if _also is NotImplemented: {chained}",
                    "    else: _g, _also = _also",
                ]
            later = {name for rule in rules.values() for name in _named_by(rule)}
            used_up = [k for k, name in enumerate(self.names) if name not in later]
            lines += [f"    del {saved[k]}" for k in used_up]
        lines += ["    _shares = []"]
        also = self.primitive.tail_argument
        for k, rule in rules.items():
            scope[f"_rule_{k}"] = rule
            share = self._call_of(f"_rule_{k}", rule, k, "_value_{}")
            if k in self.partials:
                share = f"_xp.chain(_g, {share})"
            if tail is not None and self.primitive.argument_name(k) == also:
                share = f"_also if _also is not NotImplemented else {share}"
            lines += [
                f"    if _needed is None or _parent_{k} in _needed:",
                f"        _share = {share}",
                f"        if _share.shape != _parent_{k}.shape:",
                f"            _share = _xp.sum_to(_share, shape=_parent_{k}.shape)",
                f"        _dtype = _parent_{k}.dtype",
                "        if _share.dtype is not _dtype and _share.dtype != _dtype:",
                "            _share = _xp.astype(_share, _dtype)",
                f"        _shares.append((_parent_{k}, _share))",
            ]
        lines += ["    return _shares"]
        exec(compile("\n".join(lines), f"<gpugrad pull of {self.primitive.name}>", "exec"), scope)
        pull: Rule = scope["pull"]
        return pull

    def wrapped(self, node: Node, connected: bool) -> tuple[Any, ...]:
        """The saved values as tensors; if `connected`, part of the graph they came from."""
        saved: tuple[Any, ...] = node.saved or ()
        vertices: dict[int, Vertex] = {}
        if connected:
            vertices.update(node.parents)
            vertices[self.count] = node
            for k in range(1, len(node.layout)):
                vertices[self.count + k] = Output(node, k)

        def wrap(value: Any, place: int) -> Any:
            vertex: Any = vertices.get(place)
            return Tensor._wrap(value, vertex) if type(value) in ARRAYS else value

        values = []
        first = len(self.primitive.arrays)
        for name, place, value in zip(self.names, self.places, saved, strict=True):
            if place is not None:
                values.append(wrap(value, place))
            elif name == self.primitive.variadic:
                values.append(tuple(wrap(array, first + k) for k, array in enumerate(value)))
            else:
                values.append(value)
        return tuple(values)

    def kept_name(self, place: int) -> str:
        """What an error calls the value kept from this place among (arguments, outputs)."""
        if place >= self.count:
            return "its output"
        return f"its argument '{self.primitive.argument_name(place)}'"

    # Forward mode

    def has_push(self, position: int) -> bool:
        """Whether the tangent of this argument needs no transposing."""
        return self.primitive.linear or position in self.partials

    def push(self, position: int, xp: Any, dx: Any, values: tuple[Any, ...]) -> Any:
        """The tangent `dx` of one argument, pushed to the output."""
        if position in self.partials:
            return xp.chain(dx, self.partials[position](xp, dx, values), either=True)
        primitive = self.primitive
        known = dict(zip(self.names, values, strict=True))
        arrays = [
            dx if k == position else known.get(primitive.argument_name(k))
            for k in range(self.count)
        ]
        options = {name: known[name] for name in primitive.options}
        if isinstance(xp, Namespace):
            return primitive.on(xp)(xp, *arrays, **options)
        return primitive(*arrays, **options)


def _named_by(rule: Rule) -> list[str]:
    return list(inspect.signature(rule).parameters)
