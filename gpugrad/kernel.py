"""`gg.kernel`: a Numba kernel of the user's as a differentiable operation.

    def swiglu(xp, x, gate, /):
        return x * gate * xp.sigmoid(gate)

    @gg.kernel(like=swiglu)
    def swiglu(x, gate, out):
        i = int32(cuda.grid(1))
        ...

The expression says what the kernel computes. It runs on the CPU, and wherever the kernel cannot;
and it is what is differentiated, so the operation has derivatives of any order, both ways.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpugrad import ops
from gpugrad.autodiff.transforms import vjp
from gpugrad.errors import OptionError, ShapeError
from gpugrad.plan import Rule
from gpugrad.primitive import Primitive, primitive
from gpugrad.tensor import Tensor

THREADS = 256
MAX_BLOCKS = 4096  # more than any card runs at a time; kernels stride over the rest

Shape = tuple[int, ...]


def kernel(
    *functions: Any,
    like: Rule | None = None,
    out: Callable[..., Shape] | None = None,
    launch: Callable[..., tuple[Any, Any]] | None = None,
    separate: Sequence[str] = (),
) -> Callable[[Any], Primitive]:
    """Make an operation of a kernel and the expression that it computes.

    The kernel's parameters are `like`'s arrays and options by name, and one more, the float32 array
    of which it writes every element; the others it leaves as they are. It runs on "cuda" for
    C-contiguous arrays of float32 (integers and bool beside them); for all else the expression
    runs, on any device.

    Args:
        like: a forward function, `like(xp, arrays, /, options)`, as `gg.primitive` takes.
        out: the shape of the result, from the shapes of the arrays and the options. Without it the
            kernel is elementwise: it is given all arrays broadcast to one shape, and flattened.
        launch: (blocks, threads) from the shapes of the arrays and the options. Without it there is
            a thread for each element of the result, 256 to a block and at most 4096 blocks, so the
            kernel has to stride.
        separate: array arguments that keep a dtype of their own; see `gg.primitive`.
    Returns: a decorator of the kernel, which may be a function or what `@cuda.jit` made of one; the
        operation has the name of `like`.
    Raises:
        OptionError: the parameters of the two do not match, or `like` is no function.
    """
    if functions or not inspect.isfunction(like):
        raise OptionError(
            f"gg.kernel: like={like!r:.60} is no function\n"
            "  help: write @gg.kernel(like=expression) above the kernel, where the expression is "
            "def expression(xp, x, /): ..."
        )

    def decorate(function: Any) -> Primitive:
        launched = _Launched(function, out, launch)
        op: Primitive = primitive(cuda=launched, separate=separate)(like)
        launched.declared(op)
        for argument in op.arrays:
            if argument not in separate:
                op.vjp(argument)(_rule(op, argument))
        return op

    return decorate


class _Launched:
    """The forward of the operation on a GPU."""

    def __init__(self, function: Any, out: Any, launch: Any) -> None:
        self.function, self.out, self.blocks_and_threads = function, out, launch
        self.written = ""
        self._jitted: Any = None

    def declared(self, op: Primitive) -> None:
        """Find out which parameter is written: the one that `like` has not."""
        self.op = op
        names = list(inspect.signature(getattr(self.function, "py_func", self.function)).parameters)
        read = [*op.arrays, *op.options]
        more = [name for name in names if name not in read]
        lacking = [name for name in read if name not in names]
        if op.variadic or len(more) != 1 or lacking:
            raise OptionError(
                f"kernel {op.name}: its parameters are ({', '.join(names)}), those of the "
                f"expression {op.__signature__}\n"
                "  help: the kernel takes the expression's arrays and options, by the same names, "
                "and one array to write"
            )
        self.names, (self.written,) = names, more

    @property
    def kernel(self) -> Any:
        """What `@cuda.jit` makes of the function, made when it is first launched."""
        if self._jitted is None:
            function = self.function
            if inspect.isfunction(function):
                from numba import cuda

                function = cuda.jit(function)
            self._jitted = function
        return self._jitted

    def __call__(self, xp: Any, *arrays: Any, **options: Any) -> Any:
        from gpugrad.kernels.launch import launch, suits

        if any(a is None for a in arrays) or not suits(*arrays):
            return NotImplemented
        if not any(a.dtype == np.float32 for a in arrays):
            return NotImplemented
        shapes = [a.shape for a in arrays]
        if self.out is None:
            shape = np.broadcast_shapes(*shapes)
            arrays = tuple(_flat(xp, a, shape) for a in arrays)
        else:
            shape = tuple(self.out(*shapes, **options))
        y = xp.empty(shape, dtype=np.float32)
        given = dict(zip(self.op.arrays, arrays, strict=True))
        given |= {name: _scalar(self.op.name, name, value) for name, value in options.items()}
        given[self.written] = y.reshape(-1) if self.out is None else y
        if self.blocks_and_threads is None:
            blocks, threads = min(-(-math.prod(shape) // THREADS), MAX_BLOCKS), THREADS
        else:
            blocks, threads = self.blocks_and_threads(*shapes, **options)
        if y.size:
            launch(self.kernel, blocks, threads, *[given[name] for name in self.names])
        return y


def _flat(xp: Any, array: Any, shape: Shape) -> Any:
    """An array's elements side by side, repeated where the others are longer."""
    if array.shape != shape:
        array = xp.broadcast_to(array, shape).copy()
    return array.reshape(-1)


def _scalar(operation: str, name: str, value: Any) -> np.generic:
    """An option as a kernel takes it: with a type."""
    if isinstance(value, np.generic):
        return value
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, float):
        return np.float32(value)
    if isinstance(value, int):
        return np.int32(value) if -(2**31) <= value < 2**31 else np.int64(value)
    raise OptionError(
        f"{operation}: the option {name}={value!r} cannot be given to a kernel\n"
        "  help: options of a kernel are numbers and bools"
    )


def _tensor(value: Any) -> Any:
    """An array as a constant; what is a tensor already, or a number, as it is."""
    return Tensor._wrap(value) if hasattr(value, "strides") else value


def _rule(op: Primitive, argument: str) -> Rule:
    """The cotangent of one argument: that of the expression, recorded here and now."""
    place = op.arrays.index(argument)
    count = len(op.arrays)

    def rule(xp: Any, g: Any, *values: Any) -> Any:
        options = dict(zip(op.options, values[count:], strict=True))
        arrays = [_tensor(value) for value in values[:count]]

        def of_one(x: Any) -> Any:
            return op.forward(ops, *arrays[:place], x, *arrays[place + 1 :], **options)

        y, pull = vjp(of_one, arrays[place])
        if y.shape != g.shape:
            raise ShapeError(
                f"kernel {op.name}: its result has shape {g.shape}, the expression's {y.shape}\n"
                "  help: `out` must give the shape of what `like` computes"
            )
        (share,) = pull(_tensor(g))
        return share if isinstance(g, Tensor) else share._data

    kind = inspect.Parameter.POSITIONAL_ONLY
    names = ["xp", "g", *op.arrays, *op.options]
    parameters = [inspect.Parameter(name, kind) for name in names]
    rule.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    rule.__name__ = f"{op.name}_d{argument}"
    return rule
