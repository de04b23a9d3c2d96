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
- `op.tail` gives the partial of an elementwise last step, applied before a rule sees `g`; with
  `op.tail(option="...")` that step is there unless the option is None.
- With several `outputs`, `g` has a cotangent for each: `g.get(0)`, None where it is zero.

Broadcasting and promotion are undone for every rule alike: a cotangent is summed to its argument's
shape and cast to its dtype.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import FunctionType, MethodType
from typing import Any, overload

import numpy as np

from gpugrad.call import compiled_call
from gpugrad.cuda.failures import failures, told
from gpugrad.device import ARRAYS, common_device, cuda_namespace
from gpugrad.errors import DtypeError, GradError, IndexRangeError, OptionError, ShapeError
from gpugrad.fast_path import Kernel, on_gpu_by
from gpugrad.namespace import PRIMITIVES
from gpugrad.plan import Plans, Rule
from gpugrad.tensor import Tensor, describe

OPERANDS = (Tensor, bool, int, float, np.ndarray, np.generic)


def _is_operand(x: Any) -> bool:
    return isinstance(x, OPERANDS) or type(x) in ARRAYS


class Primitive:
    """An operation with its derivative rules; call it on tensors, arrays and numbers."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Primitive:
        # A class for each, so that each has a __call__ written for its signature.
        return object.__new__(type(cls.__name__, (cls,), {}))

    def __init__(
        self,
        forward: Rule,
        *,
        linear: bool = False,
        floating: bool = False,
        outputs: Sequence[str] = (),
        separate: Sequence[str] = (),
        cuda: str | Rule | None = None,
    ) -> None:
        functools.update_wrapper(self, forward)
        self.name = forward.__name__.lstrip("_")
        self.forward = forward
        named = f"{cuda}.{self.name}" if isinstance(cuda, str) else cuda
        self.kernel = None if named is None else Kernel(named)
        self.linear = linear
        self.floating = floating
        self.outputs = tuple(outputs)
        self.output_variables = [f"_y_{k}" for k in range(len(outputs))] or ["_y"]
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
        static = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        self.options = [p.name for p in static]
        self.defaults = {p.name: p.default for p in static if p.default is not p.empty}
        self.required = sum(p.default is p.empty for p in parameters[1 : len(self.arrays) + 1])
        self.separate = sum(
            1 << self.arrays.index(name) for name in separate if name in self.arrays
        )
        if self.variadic in separate:
            self.separate |= -1 << len(self.arrays)
        self.rules: dict[str, Rule] = {}
        self.partials: set[Rule] = set()
        self.tail_rule: Rule | None = None
        self.tail_kernel: Kernel | None = None
        self.tail_argument: str | None = None
        self.explanation: Callable[..., str | GradError | None] | None = None
        self.tail_option: str | None = None
        self._plans: dict[int, Plans] = {}
        self._calls: dict[int, Rule] = {}
        bare = [p.replace(annotation=p.empty) for p in parameters[1:]]
        self.__signature__ = inspect.Signature(bare)

    def __repr__(self) -> str:
        return f"<primitive {self.name}{self.__signature__}>"

    # Declaring rules

    def vjp(self, *arguments: str, cuda: str | Rule | None = None) -> Callable[[Rule], Rule]:
        """Declare the cotangent of these arguments: `rule(xp, g, ...)`.

        Args:
            cuda: a kernel for a GPU with the rule's signature, or its full name.
        """
        declare = self._declare(arguments)
        if cuda is None:
            return declare
        return lambda rule: declare(on_gpu_by(cuda, rule))

    def partial(self, *arguments: str) -> Callable[[Rule], Rule]:
        """Declare dy/dx of an elementwise operation for these arguments: `rule(...)`."""

        declare = self._declare(arguments)

        def declare_partial(rule: Rule) -> Rule:
            self.partials.add(rule)
            return declare(rule)

        return declare_partial

    def tail(
        self,
        rule: Rule | None = None,
        /,
        *,
        option: str | None = None,
        cuda: str | Rule | None = None,
        also: str | None = None,
    ) -> Callable[..., Any]:
        """Declare the partial of an elementwise last step, there unless `option` is None.

        Args:
            cuda: a kernel for a GPU: of (xp, g, and what the rule names beside xp) it makes the
                cotangent before that step, and that of the argument `also`, in one pass.
        """
        if rule is None:
            return functools.partial(self.tail, option=option, cuda=cuda, also=also)
        self._check_names(rule, "its tail")
        self.tail_kernel = None if cuda is None else Kernel(cuda)
        self.tail_argument = also
        self.tail_rule, self.tail_option = rule, option
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
            for plans in self._plans.values():
                plans.clear()
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
        """Evaluate, and record if an argument requires a gradient."""
        if self.variadic is None:
            type(self).__call__ = compiled_call(self, len(self.arrays))  # type: ignore[method-assign]
            return self(*args, **options)
        call = self._calls.get(len(args))
        if call is None:
            call = self._calls[len(args)] = compiled_call(self, len(args))
        return call(self, *args, **options)

    @functools.cached_property
    def first(self) -> Rule:
        """The same call, but it returns the first of several outputs and spares the others."""
        return MethodType(compiled_call(self, len(self.arrays), first_output=True), self)

    @functools.cached_property
    def on_cuda(self) -> Rule:
        """The forward on a GPU: its kernel for the arrays that suit one, else the expression."""
        # Where CuPy has a function of that name, the namespace has the kernel in its place.
        if self.kernel is None or hasattr(cuda_namespace().module, self.name):
            return self.forward
        return self.kernel.before(self.forward)

    def on(self, xp: Any) -> Rule:
        """The forward for the arrays of a namespace."""
        return self.forward if xp.on_host else self.on_cuda

    def plans(self, count: int) -> Plans:
        """The plans for calls with `count` arrays."""
        if count not in self._plans:
            self._plans[count] = Plans(self, count)
        return self._plans[count]

    def explained(
        self, args: Sequence[Any], options: dict[str, Any], error: Exception
    ) -> GradError:
        """What was wrong with the operands; asked after the forward raised `error`."""
        if isinstance(error, GradError):
            return error
        names = [self.argument_name(k) for k in range(len(args))]
        called = f"{self.name}({', '.join(names)})"
        operands = [f"  {n}: {describe(a)}" for n, a in zip(names, args, strict=True)]
        if isinstance(error, failures()):
            rows = {a.shape[0] for a in args if getattr(a, "shape", ())}
            return told(called, error, operands, rows)
        common_device(
            self.name, {self.argument_name(k): a for k, a in enumerate(args) if a is not None}
        )
        lacking = [name for name in self.options if name not in options]
        if lacking:
            return OptionError(f"{self.name}{self.__signature__} was not given {lacking}")
        why = self.explanation(*args, **options) if self.explanation is not None else None
        if isinstance(why, GradError):
            return why
        message, _, hint = (why or str(error).strip()).partition("\n")
        lines = [f"{called}: {message}", *operands]
        lines += [f"  {n}={v!r}" for n, v in options.items() if v is not self.defaults.get(n)]
        kind: type[GradError] = ShapeError
        if isinstance(error, (TypeError, OverflowError)):
            kind = DtypeError
        elif isinstance(error, IndexError) and not isinstance(error, ValueError):
            kind = IndexRangeError
        return kind("\n".join(lines + ([hint] if hint else [])))


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
    cuda: str | Rule | None = None,
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
    cuda: str | Rule | None = None,
) -> Any:
    """Declare a differentiable operation by its forward function `forward(xp, arrays, /, options)`.

    Args:
        linear: it is linear in each array argument that has a rule.
        floating: integers are converted to the default float first.
        outputs: the names of its outputs, if it returns a tuple of several.
        separate: array arguments (indices, labels, masks) that keep a dtype of their own.
        methods: names under which tensors have it, operators included.
        cuda: a kernel of the same meaning for a GPU: a function with the forward's signature, or
            the module that has one of the primitive's name, loaded when it is first needed. What
            it cannot take it answers with NotImplemented; the forward then runs on CuPy's arrays.
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
            Primitive(
                f,
                linear=linear,
                floating=floating,
                outputs=outputs,
                separate=separate,
                cuda=cuda,
            ),
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


ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
LOGIC = ("and", "or", "xor")
COMPARISON = ("lt", "le", "gt", "ge", "eq", "ne")
REFLECTED = {f"__r{name}__": f"__{name}__" for name in ARITHMETIC + LOGIC}
BINARY = {*REFLECTED.values(), *(f"__{name}__" for name in COMPARISON)}


def method(name: str) -> Callable[[Rule], Rule]:
    """Give tensors `function` as the method or operator `name`."""

    def attach(function: Rule) -> Rule:
        if name in REFLECTED:

            def attached(self: Tensor, other: Any) -> Any:
                return function(other, self) if _is_operand(other) else NotImplemented
        elif name in BINARY:

            def attached(self: Tensor, other: Any) -> Any:
                return function(self, other) if _is_operand(other) else NotImplemented
        elif isinstance(function, FunctionType):
            setattr(Tensor, name, function)
            return function
        else:

            def attached(self: Tensor, *args: Any, **options: Any) -> Any:  # type: ignore[misc]
                return function(self, *args, **options)

        attached.__name__ = name
        attached.__doc__ = function.__doc__
        setattr(Tensor, name, attached)
        return function

    return attach
