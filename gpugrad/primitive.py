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
from typing import Any, overload

import numpy as np

from gpugrad.device import CPU
from gpugrad.errors import DtypeError, GradError, IndexRangeError, OptionError, ShapeError
from gpugrad.graph import Node, Output
from gpugrad.mode import RECORD, WATCH, mode
from gpugrad.namespace import PRIMITIVES
from gpugrad.plan import Plan, Rule
from gpugrad.promotion import SCALARS, unify
from gpugrad.tensor import Tensor, describe
from gpugrad.version import Version, user_place

ndarray = np.ndarray
OPERANDS = (Tensor, bool, int, float, np.ndarray, np.generic)


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
        self.option_names = frozenset(self.options)
        self.arity = -1 if self.variadic else len(self.arrays)
        self.rules: dict[str, Rule] = {}
        self.partials: set[Rule] = set()
        self.tail_rule: Rule | None = None
        self.explanation: Callable[..., str | GradError | None] | None = None
        self._plans: dict[Any, Plan] = {}
        hidden = [p for p in parameters[1:] if p.kind is not p.VAR_KEYWORD]
        self.__signature__ = inspect.Signature(hidden)

    def __repr__(self) -> str:
        return f"<primitive {self.name}{self.__signature__}>"

    # Declaring rules

    def vjp(self, *arguments: str) -> Callable[[Rule], Rule]:
        """Declare the cotangent of these arguments: `rule(xp, g, ...)`."""
        return self._declare(arguments)

    def partial(self, *arguments: str) -> Callable[[Rule], Rule]:
        """Declare dy/dx of an elementwise operation for these arguments: `rule(...)`."""

        declare = self._declare(arguments)

        def declare_partial(rule: Rule) -> Rule:
            self.partials.add(rule)
            return declare(rule)

        return declare_partial

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

    def _declare(self, arguments: tuple[str, ...]) -> Callable[[Rule], Rule]:
        for argument in arguments:
            if argument not in self.arrays and argument != self.variadic:
                raise OptionError(f"primitive {self.name}: it has no array argument {argument!r}")

        def declare(rule: Rule) -> Rule:
            self._check_names(rule, f"the rule for {', '.join(arguments)}")
            self.rules.update(dict.fromkeys(arguments, rule))
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
        if options or len(args) != self.arity:
            args, options = self._bind(args, options)
        else:
            options = self.defaults
        arrays: list[Any] = []
        needs = 0  # a bit for each argument that requires a gradient
        bit = 1
        dtype = None
        plain = True  # tensors of one dtype
        volatile = False  # memory that somebody may write
        for a in args:
            if isinstance(a, Tensor):
                data = a._data
                arrays.append(data)
                if a._node is not None:
                    needs |= bit
                if a._version is not None:
                    volatile = True
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
            unified = unify(self, args)
            if unified is not None:
                return self(*unified, **options)
        try:
            y = self.forward(CPU.xp, *arrays, **options)
        except (ValueError, IndexError, TypeError, OverflowError) as error:
            raise self._explained(args, options, error) from None
        recording = mode()
        if self.outputs:
            ys = [np.asarray(part) for part in y]
            if not needs or not recording & RECORD:
                return tuple([Tensor._wrap(part) for part in ys])
            node = self._record(args, arrays + ys, options, needs, recording, volatile, ys[0])
            node.layout = tuple([(part.shape, part.dtype) for part in ys])
            return tuple(
                [
                    Tensor._wrap(part, Output(node, k, part.shape, part.dtype))
                    for k, part in enumerate(ys)
                ]
            )
        if type(y) is not ndarray:
            y = np.asarray(y)
        version = None
        if volatile and (y.base is not None or any([y is a for a in arrays])):
            version = _shared_version(args, y)
        if not needs or not recording & RECORD or y.dtype.kind != "f":
            return Tensor._wrap(y, None, version)
        arrays.append(y)
        node = self._record(args, arrays, options, needs, recording, volatile, y)
        return Tensor._wrap(y, node, version)

    def _record(
        self,
        args: Sequence[Any],
        arrays: list[Any],
        options: dict[str, Any],
        needs: int,
        recording: int,
        volatile: bool,
        y: np.ndarray[Any, Any],
    ) -> Node:
        """The node of one call; `arrays` are those of the arguments and of the outputs."""
        key = needs if self.variadic is None else (len(args), needs)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = Plan(self, len(args), needs)
        node = Node(plan, tuple([(k, args[k]._node) for k in plan.tracked]), y.shape, y.dtype)
        plan.save(node, args, arrays, options, volatile)
        if recording & WATCH:
            node.place = user_place()
        return node

    def _bind(
        self, args: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arrays and options, however they were given, each to where they belong."""
        count = len(self.arrays)
        if self.variadic is None and len(args) > count:
            extra = args[count:]
            if len(extra) > len(self.options):
                raise OptionError(
                    f"{self.name}{self.__signature__} was given {len(args)} arguments"
                )
            options = {**dict(zip(self.options, extra, strict=False)), **options}
            args = args[:count]
        if not options.keys() <= self.option_names:
            args, options = self._by_name(args, options)
        if len(args) < count:
            if len(args) < self.required:
                missing = ", ".join(self.arrays[len(args) : self.required])
                raise OptionError(f"{self.name}{self.__signature__} was not given {missing}")
            args = (*args, *[None] * (count - len(args)))
        return args, {**self.defaults, **options} if options else self.defaults

    def _by_name(
        self, args: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arrays that were given by name, put in their places."""
        placed = dict(zip(self.arrays, args, strict=False))
        rest = {}
        for name, value in options.items():
            if name in self.option_names:
                rest[name] = value
            elif name in self.arrays and name not in placed:
                placed[name] = value
            else:
                raise OptionError(
                    f"{self.name}: there is no option {name!r} left to give\n"
                    f"  help: it is {self.name}{self.__signature__}"
                )
        return tuple(placed.get(name) for name in self.arrays), rest

    def _explained(
        self, args: Sequence[Any], options: dict[str, Any], error: Exception
    ) -> GradError:
        """What was wrong with the operands; asked after the forward raised `error`."""
        if isinstance(error, GradError):
            return error
        lacking = [name for name in self.options if name not in options]
        if lacking:
            return OptionError(f"{self.name}{self.__signature__} was not given {lacking}")
        why = self.explanation(*args, **options) if self.explanation is not None else None
        if isinstance(why, GradError):
            return why
        message, _, hint = (why or str(error).strip()).partition("\n")
        names = [self.argument_name(k) for k in range(len(args))]
        lines = [f"{self.name}({', '.join(names)}): {message}"]
        lines += [f"  {n}: {describe(a)}" for n, a in zip(names, args, strict=True)]
        lines += [f"  {n}={v!r}" for n, v in options.items() if v is not self.defaults.get(n)]
        kind: type[GradError] = ShapeError
        if isinstance(error, (TypeError, OverflowError)):
            kind = DtypeError
        elif isinstance(error, IndexError) and not isinstance(error, ValueError):
            kind = IndexRangeError
        return kind("\n".join(lines + ([hint] if hint else [])))


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
