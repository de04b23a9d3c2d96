"""How an operation is declared, evaluated and recorded.

    @primitive
    def tanh(xp, x, /):
        return xp.tanh(x)

    @tanh.partial("x")
    def dtanh_dx(y):
        return 1 - y * y

Before the `/` stand arrays (or one `*arrays`), after it static options. A rule's signature says
what it needs, and the tape keeps exactly that: `xp`, `g` (the cotangent of the output), `y` (the
output, or the outputs' own names), any array or option, `x_shape` for an array `x`, and `position`
(which of `*arrays` the rule is asked about).

- `op.partial("x")` gives dy/dx of an elementwise operation: both directions follow from it.
- `op.vjp("x")` gives the cotangent of `x` for the cotangent `g`; forward mode transposes it.
- `linear=True` says that the operation is linear in each argument: its tangent is itself.
- `op.tail` gives the partial of an elementwise last step, applied before every rule sees `g`.

Broadcasting and promotion are undone for every rule alike: a cotangent is summed to its argument's
shape and cast to its dtype.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, overload

import numpy as np

from gpugrad.device import CPU
from gpugrad.dtypes import default_float
from gpugrad.errors import (
    DtypeError,
    GradError,
    GraphError,
    IndexRangeError,
    OptionError,
    ShapeError,
)
from gpugrad.graph import Node, Output, Vertex
from gpugrad.mode import RECORD, WATCH, mode
from gpugrad.namespace import PRIMITIVES
from gpugrad.tensor import Tensor, asarray, describe
from gpugrad.version import FOREIGN, Version, user_place

ndarray = np.ndarray
SCALARS = frozenset([bool, int, float])
OPERANDS = (Tensor, bool, int, float, np.ndarray, np.generic)
Rule = Callable[..., Any]


class Primitive:
    """An operation with its derivative rules; call it on tensors, arrays and numbers."""

    def __init__(
        self,
        forward: Rule,
        *,
        linear: bool = False,
        floating: bool = False,
        outputs: Sequence[str] = (),
        separate: Sequence[str] = (),
    ) -> None:
        functools.update_wrapper(self, forward)
        self.forward = forward
        self.name = forward.__name__.lstrip("_")
        self.linear = linear
        self.floating = floating
        self.outputs = tuple(outputs)
        parameters = list(inspect.signature(forward).parameters.values())
        self.arrays = [p.name for p in parameters[1:] if p.kind is p.POSITIONAL_ONLY]
        variadic = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
        self.variadic = variadic[0] if variadic else None
        if not parameters or parameters[0].kind is not inspect.Parameter.POSITIONAL_ONLY:
            raise OptionError(
                f"primitive {self.name}: the arrays must stand before a '/'\n"
                f"  help: def {self.name}(xp, x, /, option=None): ..."
            )
        taken = {"xp", "g", "position", *(self.outputs or ("y",))}.intersection(
            [*self.arrays, *variadic]
        )
        if taken:
            raise OptionError(
                f"primitive {self.name}: an array cannot be called {', '.join(sorted(taken))}; "
                "in rules that name has a meaning of its own"
            )
        static = [
            p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
        self.options = [p.name for p in static]
        self.defaults = {p.name: p.default for p in static if p.default is not p.empty}
        self.required = sum(p.default is p.empty for p in parameters[1 : len(self.arrays) + 1])
        self.separate = sum(1 << self.arrays.index(name) for name in separate if name in self.arrays)
        if self.variadic in separate:
            self.separate |= -1 << len(self.arrays)
        self.rules: dict[str, Rule] = {}
        self.tail_rule: Rule | None = None
        self.explanation: Callable[..., str | GradError | None] | None = None
        self._plans: dict[tuple[int, int], Plan] = {}
        hidden = [p for p in parameters[1:] if p.kind is not p.VAR_KEYWORD]
        self.__signature__ = inspect.Signature(hidden)

    def __repr__(self) -> str:
        return f"<primitive {self.name}{self.__signature__}>"

    # Declaring rules

    def vjp(self, *arguments: str) -> Callable[[Rule], Rule]:
        """Declare the cotangent of these arguments: `rule(xp, g, ...)`."""
        return self._declare(arguments, lambda rule: rule)

    def partial(self, *arguments: str) -> Callable[[Rule], Rule]:
        """Declare dy/dx of an elementwise operation for these arguments: `rule(...)`."""

        def as_partial(rule: Rule) -> Rule:
            rule.is_partial = True  # type: ignore[attr-defined]
            return rule

        return self._declare(arguments, as_partial)

    def tail(self, rule: Rule) -> Rule:
        """Declare the partial of an elementwise last step, in terms of the output `y`."""
        self._check_names(rule, "its tail")
        self.tail_rule = rule
        return rule

    def explain(
        self, explanation: Callable[..., str | GradError | None]
    ) -> Callable[..., str | GradError | None]:
        """Declare what to say when the forward failed: `explanation(arrays..., options...)`.

        It runs after the failure only, and returns a message (a ShapeError is made of it), an
        error, or None if it does not know.
        """
        self.explanation = explanation
        return explanation

    def _declare(
        self, arguments: tuple[str, ...], prepare: Callable[[Rule], Rule]
    ) -> Callable[[Rule], Rule]:
        for argument in arguments:
            if argument not in self.arrays and argument != self.variadic:
                raise OptionError(f"primitive {self.name}: it has no array argument {argument!r}")

        def declare(rule: Rule) -> Rule:
            self._check_names(rule, f"the rule for {', '.join(arguments)}")
            self.rules.update(dict.fromkeys(arguments, prepare(rule)))
            self._plans.clear()
            return rule

        return declare

    def _check_names(self, rule: Rule, which: str) -> None:
        arrays = [*self.arrays, *([self.variadic] if self.variadic else [])]
        known = {"xp", "g", "position", *arrays, *self.options, *(self.outputs or ("y",))}
        known |= {f"{name}_shape" for name in arrays}
        for name in inspect.signature(rule).parameters:
            if name not in known:
                raise OptionError(
                    f"primitive {self.name}: {which} names {name!r}, which is neither an argument "
                    f"nor an output\n  help: a rule may name {', '.join(sorted(known))}"
                )

    def argument_name(self, position: int) -> str:
        """The name of the array argument at `position`."""
        if position < len(self.arrays):
            return self.arrays[position]
        return f"{self.variadic}[{position - len(self.arrays)}]"

    # Evaluating and recording

    def __call__(self, *args: Any, **options: Any) -> Any:
        if options or (self.variadic is None and len(args) > len(self.arrays)):
            args, options = self._bind(args, options)
        else:
            options = self.defaults
        if len(args) < len(self.arrays):
            args = self._padded(args)
        arrays: list[Any] = []
        needs = 0  # a bit for each argument that requires a gradient
        bit = 1
        dtype = None
        plain = True
        for a in args:
            if isinstance(a, Tensor):
                data = a._data
                arrays.append(data)
                if a._node is not None:
                    needs |= bit
                if not bit & self.separate:
                    if dtype is None:
                        dtype = data.dtype
                    elif dtype is not data.dtype:
                        plain = False
            elif a is None:
                arrays.append(a)
            elif type(a) in SCALARS and not bit & self.separate:
                arrays.append(a)
                if type(a) is float and dtype is not None and dtype.kind != "f":
                    plain = False
            else:
                plain = False
            bit <<= 1
        if not plain or dtype is None or (self.floating and dtype.kind != "f"):
            unified = self._unify(args)
            if unified is not None:
                return self(*unified, **options)
        xp = CPU.xp
        try:
            y = self.forward(xp, *arrays, **options)
        except (ValueError, IndexError, TypeError, OverflowError) as error:
            self._fail(args, options, error)
        recording = mode()
        if self.outputs:
            return self._several(args, arrays, options, needs, recording, y)
        if type(y) is not ndarray:
            y = np.asarray(y)
        version = None if y.base is None and y is not arrays[0] else _shared_version(args, y)
        if not needs or not recording & RECORD or y.dtype.kind != "f":
            return Tensor._wrap(y, None, version)
        node = self._record(args, arrays, options, needs, recording, [y], y.shape, y.dtype)
        return Tensor._wrap(y, node, version)

    def _several(
        self,
        args: Sequence[Any],
        arrays: list[Any],
        options: dict[str, Any],
        needs: int,
        recording: int,
        ys: Sequence[Any],
    ) -> tuple[Tensor, ...]:
        outputs = [np.asarray(y) for y in ys]
        if not needs or not recording & RECORD:
            return tuple(Tensor._wrap(y) for y in outputs)
        first = outputs[0]
        node = self._record(
            args, arrays, options, needs, recording, outputs, first.shape, first.dtype
        )
        node.layout = tuple((y.shape, y.dtype) for y in outputs)
        return tuple(
            Tensor._wrap(y, Output(node, k, y.shape, y.dtype)) for k, y in enumerate(outputs)
        )

    def _record(
        self,
        args: Sequence[Any],
        arrays: list[Any],
        options: dict[str, Any],
        needs: int,
        recording: int,
        outputs: list[Any],
        shape: tuple[int, ...],
        dtype: Any,
    ) -> Node:
        key = len(arrays), needs
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = Plan(self, *key)
        node = Node(plan, tuple([(i, args[i]._node) for i in plan.tracked]), shape, dtype)
        plan.save(node, args, arrays, outputs, options)
        if recording & WATCH:
            node.place = user_place()
        return node

    def _bind(
        self, args: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Options given by position, and arrays given by name, to where they belong."""
        count = len(self.arrays)
        if self.variadic is None and len(args) > count:
            extra = args[count:]
            if len(extra) > len(self.options):
                raise OptionError(
                    f"{self.name}{self.__signature__} was given {len(args)} arguments"
                )
            options = {**dict(zip(self.options, extra, strict=False)), **options}
            args = args[:count]
        given = [name for name in self.arrays if name in options]
        if given:
            placed = {**dict(zip(self.arrays, args, strict=False)), **options}
            last = max(self.arrays.index(name) for name in given)
            args = tuple(placed.get(name) for name in self.arrays[: max(last + 1, len(args))])
            options = {name: value for name, value in options.items() if name not in given}
        for name in options:
            if name not in self.options:
                raise OptionError(
                    f"{self.name}: there is no option {name!r}\n"
                    f"  help: it is {self.name}{self.__signature__}"
                )
        return args, {**self.defaults, **options}

    def _padded(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """None for each optional array that was not given."""
        if len(args) < self.required:
            missing = ", ".join(self.arrays[len(args) : self.required])
            raise OptionError(f"{self.name}{self.__signature__} was not given {missing}")
        return args + (None,) * (len(self.arrays) - len(args))

    def _unify(self, args: Sequence[Any]) -> list[Any] | None:
        """The arguments as tensors of one dtype (scalars stay), or None if they are already.

        A Python number never widens a tensor; an integer tensor beside a floating one takes its
        dtype; integers beside a Python float, or given to a floating operation, take the default.
        """
        unified: list[Any] = []
        for position, a in enumerate(args):
            apart = self.separate >> position & 1
            if a is None or isinstance(a, Tensor) or (type(a) in SCALARS and not apart):
                unified.append(a)
            else:
                try:
                    unified.append(asarray(a))
                except GradError as error:
                    raise type(error)(
                        f"{self.name}: its argument '{self.argument_name(position)}' cannot be a "
                        f"tensor: {error}"
                    ) from None
        joined = [k for k in range(len(unified)) if not self.separate >> k & 1]
        tensors = [unified[k] for k in joined if isinstance(unified[k], Tensor)]
        if not tensors:
            unified = [Tensor(a) if k in joined and a is not None else a
                       for k, a in enumerate(unified)]  # fmt: skip
            tensors = [unified[k] for k in joined if unified[k] is not None]
            if not tensors:
                raise OptionError(f"{self.name}{self.__signature__} was given no array")
        dtypes = {t._data.dtype for t in tensors}
        floats = [d for d in dtypes if d.kind == "f"]
        if floats:
            wanted = functools.reduce(np.promote_types, floats)
        elif self.floating or any(type(unified[k]) is float for k in joined):
            wanted = default_float()
        else:
            wanted = functools.reduce(np.promote_types, dtypes)
            if wanted.kind == "f":
                raise DtypeError(
                    f"{self.name}: no integer dtype holds both {' and '.join(map(str, dtypes))}\n"
                    "  help: convert one of them with astype"
                )
        for k in joined:
            if isinstance(unified[k], Tensor) and unified[k]._data.dtype != wanted:
                unified[k] = PRIMITIVES["astype"](unified[k], wanted)
        changed = any(new is not old for new, old in zip(unified, args, strict=True))
        return unified if changed else None

    def _fail(self, args: Sequence[Any], options: dict[str, Any], error: Exception) -> NoReturn:
        """Say what was wrong with the operands; called when the forward raised `error`."""
        if isinstance(error, GradError):
            raise error
        text: str | GradError | None = None
        if any(name not in options for name in self.options):
            lacking = ", ".join(name for name in self.options if name not in options)
            text = OptionError(f"{self.name}{self.__signature__} was not given {lacking}")
        elif self.explanation is not None:
            text = self.explanation(*args, **options)
        if isinstance(text, GradError):
            raise text from None
        kind: type[GradError] = ShapeError
        if isinstance(error, TypeError):
            kind = DtypeError
        elif isinstance(error, IndexError) and not isinstance(error, ValueError):
            kind = IndexRangeError
        elif isinstance(error, OverflowError):
            kind = DtypeError
        message, _, hint = (text or str(error).strip()).partition("\n")
        names = [self.argument_name(k) for k in range(len(args))]
        lines = [f"{self.name}({', '.join(names)}): {message}"]
        lines += [f"  {n}: {describe(a)}" for n, a in zip(names, args, strict=True)]
        lines += [f"  {n}={v!r}" for n, v in options.items() if v is not self.defaults.get(n)]
        raise kind("\n".join(lines + ([hint] if hint else []))) from None


class Plan:
    """What an operation keeps and computes when a given set of its arguments needs gradients."""

    def __init__(self, primitive: Primitive, count: int, needs: int) -> None:
        self.primitive = primitive
        self.count = count
        self.tracked = tuple(k for k in range(count) if needs >> k & 1)
        rules: dict[int, Rule] = {}
        for k in self.tracked:
            name = primitive.arrays[k] if k < len(primitive.arrays) else primitive.variadic
            if name not in primitive.rules:
                raise GraphError(
                    f"{primitive.name}: there is no derivative with respect to '{name}'\n"
                    f"  help: pass {name}.detach(), or declare @{primitive.name}.vjp({name!r})"
                )
            rules[k] = primitive.rules[str(name)]
        named = [n for rule in rules.values() for n in inspect.signature(rule).parameters]
        if primitive.tail_rule is not None:
            named += inspect.signature(primitive.tail_rule).parameters
        if primitive.linear:  # its tangent is itself, on the other arguments
            named += [primitive.argument_name(j) for k in rules for j in range(count) if j != k]
            named += primitive.options
        self.names = [n for n in dict.fromkeys(named) if n not in ("xp", "g", "position")]
        outputs = primitive.outputs or ("y",)
        places = {name: k for k, name in enumerate(primitive.arrays)}
        places |= {f"{primitive.variadic}[{k - len(places)}]": k for k in range(len(places), count)}
        places |= {name: count + k for k, name in enumerate(outputs)}
        # The arrays come first, by place among (arguments, outputs); then all that is no array.
        self.names.sort(key=lambda name: name not in places)
        self.kept = tuple(places[name] for name in self.names if name in places)
        self.others = tuple(name for name in self.names if name not in places)
        self.pulls = {k: self._compiled(rule, k) for k, rule in rules.items()}
        self.partials = {
            k: self._compiled(rule, k, as_pull=False)
            for k, rule in rules.items()
            if getattr(rule, "is_partial", False)
        }
        tail = primitive.tail_rule
        self.tail = None if tail is None else self._compiled(tail, 0)

    def _compiled(self, rule: Rule, position: int, as_pull: bool = True) -> Rule:
        """`rule` as a function of (xp, g, values)."""
        names = list(inspect.signature(rule).parameters)
        if "position" in names:
            names.remove("position")
            rule = functools.partial(rule, position=position - len(self.primitive.arrays))
        order = {"xp": 0, "g": 1, **{name: k + 2 for k, name in enumerate(self.names)}}
        picks = [order[name] for name in names]

        def compiled(xp: Any, g: Any, values: tuple[Any, ...]) -> Any:
            everything = (xp, g, *values)
            return rule(*[everything[k] for k in picks])

        if not (as_pull and getattr(rule, "is_partial", False)):
            return compiled
        return lambda xp, g, values: xp.chain(g, compiled(xp, g, values))

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
        if xp is CPU.xp:
            return primitive.forward(xp, *arrays, **options)
        return primitive(*arrays, **options)

    def save(
        self,
        node: Node,
        args: Sequence[Any],
        arrays: list[Any],
        outputs: list[Any],
        options: dict[str, Any],
    ) -> None:
        """Keep in `node` what the rules name, with the versions of memory that may be written."""
        count = self.count
        saved = []
        for k in self.kept:
            if k >= count:
                saved.append(outputs[k - count])
            else:
                array = arrays[k]
                version = args[k]._version if isinstance(args[k], Tensor) else None
                if version is not None:
                    if version is FOREIGN:
                        array = array.copy()
                    else:
                        node.versions += ((k, version, version.count),)
                saved.append(array)
        for name in self.others:
            if name in options:
                saved.append(options[name])
            else:
                saved.append(self._whole(name, node, args, arrays))
        node.saved = tuple(saved)

    def _whole(self, name: str, node: Node, args: Sequence[Any], arrays: list[Any]) -> Any:
        """A shape, or all of `*arrays` (or their shapes) as a tuple."""
        primitive = self.primitive
        first = len(primitive.arrays)
        if name == primitive.variadic:
            kept = []
            for k in range(first, self.count):
                version = args[k]._version if isinstance(args[k], Tensor) else None
                if version is not None and version is not FOREIGN:
                    node.versions += ((k, version, version.count),)
                kept.append(arrays[k].copy() if version is FOREIGN else arrays[k])
            return tuple(kept)
        argument = name.removesuffix("_shape")
        if argument == primitive.variadic:
            return tuple(np.shape(a) for a in arrays[first:])
        return np.shape(arrays[primitive.arrays.index(argument)])

    def wrapped(self, node: Node, connected: bool) -> tuple[Any, ...]:
        """The saved values as tensors; if `connected`, part of the graph they came from."""
        vertices: dict[int, Vertex] = dict(node.parents) if connected else {}
        for k, name in enumerate(self.primitive.outputs):
            if connected and name in self.names:
                at = self.names.index(name)
                array = node.saved[at]  # type: ignore[index]
                vertices[self.count + k] = Output(node, k, array.shape, array.dtype)
        if connected and not self.primitive.outputs:
            vertices[self.count] = node
        saved: tuple[Any, ...] = node.saved  # type: ignore[assignment]

        def wrap(value: Any, vertex: Vertex | None) -> Any:
            return Tensor._wrap(value, vertex) if type(value) is ndarray else value  # type: ignore[arg-type]

        values = [wrap(v, vertices.get(k)) for k, v in zip(self.kept, saved, strict=False)]
        first = len(self.primitive.arrays)
        for name, value in zip(self.others, saved[len(values) :], strict=True):
            if name == self.primitive.variadic:
                values.append(tuple(wrap(v, vertices.get(first + k)) for k, v in enumerate(value)))
            else:
                values.append(value)
        return tuple(values)


def _shared_version(args: Sequence[Any], y: np.ndarray[Any, Any]) -> Version | None:
    """The version of the argument whose memory `y` may be a view of."""
    for a in args:
        if (
            isinstance(a, Tensor)
            and a._version is not None
            and np.may_share_memory(a._data, y)
        ):
            return a._version
    return None


@overload
def primitive(forward: Rule, /) -> Primitive: ...
@overload
def primitive(
    *,
    linear: bool = False,
    floating: bool = False,
    outputs: Sequence[str] = (),
    separate: Sequence[str] = (),
    methods: Sequence[str] = (),
) -> Callable[[Rule], Primitive]: ...
def primitive(
    forward: Rule | None = None,
    /,
    *,
    linear: bool = False,
    floating: bool = False,
    outputs: Sequence[str] = (),
    separate: Sequence[str] = (),
    methods: Sequence[str] = (),
) -> Any:
    """Declare a differentiable operation by its forward function `forward(xp, arrays, /, options)`.

    Args:
        linear: it is linear in each array argument that has a rule.
        floating: integers are converted to the default float first.
        outputs: the names of its outputs, if it returns a tuple of several.
        separate: array arguments (indices, labels, masks) that keep a dtype of their own.
        methods: names under which tensors have it, operators included.
    Raises:
        OptionError: the signature has no arrays before a `/`, or the name is the library's.

    >>> import gpugrad as gg
    >>> @gg.primitive
    ... def cube(xp, x, /):
    ...     return x * x * x
    >>> @cube.partial("x")
    ... def dcube_dx(x):
    ...     return 3 * x * x
    >>> gg.grad(gg.grad(lambda x: cube(x)))(2.0)
    tensor(12.)
    """
    if forward is None:
        return lambda f: _register(
            Primitive(f, linear=linear, floating=floating, outputs=outputs, separate=separate),
            methods,
        )
    return _register(Primitive(forward), methods)


def _register(op: Primitive, methods: Sequence[str]) -> Primitive:
    before = PRIMITIVES.get(op.name)
    if before is not None and before.forward.__module__ != op.forward.__module__:
        raise OptionError(
            f"primitive {op.name}: {before.forward.__module__} already declares that name"
        )
    PRIMITIVES[op.name] = op
    for name in methods:
        method(name)(op)
    return op


REFLECTED = {f"__r{name}__": f"__{name}__" for name in
             ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor",
              "lshift", "rshift")}  # fmt: skip
BINARY = {*REFLECTED.values(), *(f"__{name}__" for name in ("lt", "le", "gt", "ge", "eq", "ne"))}


def method(name: str) -> Callable[[Rule], Rule]:
    """Give tensors `function` as the method or operator `name`."""

    def attach(function: Rule) -> Rule:
        if name in REFLECTED:

            def attached(self: Tensor, other: Any) -> Any:
                return function(other, self) if isinstance(other, OPERANDS) else NotImplemented
        elif name in BINARY:

            def attached(self: Tensor, other: Any) -> Any:
                return function(self, other) if isinstance(other, OPERANDS) else NotImplemented
        else:

            def attached(self: Tensor, *args: Any, **options: Any) -> Any:  # type: ignore[misc]
                return function(self, *args, **options)

        attached.__name__ = name
        attached.__doc__ = function.__doc__
        setattr(Tensor, name, attached)
        return function

    return attach
