"""Many functions of numbers compiled into few kernels, since each compilation takes time.

A row of a table is one function with its values and its definition; rows with the same types
share a kernel of eight, which runs once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda

SIZE = 8


@cuda.jit(device=True)
def same(x):
    return x


@cuda.jit(device=True)
def first_of_two(x, y):
    return x


@cuda.jit(device=True)
def first_of_three(x, y, z):
    return x


@cuda.jit(device=True)
def twice(x):
    return x, x


@cuda.jit(device=True)
def both(x, y):
    return x, y


@dataclass(frozen=True, eq=False)
class Function:
    """A function that kernels can call.

    Args:
        arguments: an array of values for each argument.
        results: the dtype of each result.
        reference: the function of Python's numbers; what it returns is rounded to `results`.
        ulps: how far off a result may be, in units of its last place; 0 means the same bits.
        absolute: how far off in any case, for functions accurate only so far.
        enter, leave: from what lies in an array to what the function takes, and back.
    """

    name: str
    function: Any
    arguments: Sequence[np.ndarray]
    results: Sequence[Any]
    reference: Callable[..., Any]
    ulps: float = 0
    absolute: float = 0.0
    enter: Any = same
    leave: Any = same
    decode: Callable[[np.ndarray], np.ndarray] = np.asarray  # of arguments
    read: Callable[[np.ndarray], np.ndarray] = np.asarray  # of results
    place: float | None = None  # the last place relative to the value, where NumPy knows it not

    def __str__(self) -> str:
        return self.name

    @property
    def group(self) -> tuple[Any, ...]:
        """What the functions of one kernel have in common."""
        dtypes = (
            tuple(np.dtype(a.dtype) for a in self.arguments),
            tuple(map(np.dtype, self.results)),
        )
        return (*dtypes, self.enter, self.leave)

    def expected(self) -> list[tuple[Any, ...]]:
        """A tuple of results for each tuple of arguments."""
        values = zip(*(self.decode(a).tolist() for a in self.arguments), strict=True)
        found = (self.reference(*value) for value in values)
        return [value if isinstance(value, tuple) else (value,) for value in found]

    def check(self, results: Sequence[np.ndarray]) -> None:
        """Raise AssertionError if the results are not what they should be."""
        for got, dtype, want in zip(
            results, self.results, zip(*self.expected(), strict=True), strict=True
        ):
            if np.issubdtype(dtype, np.floating) or self.place:
                self._check_floats(
                    self.read(got).astype(np.float64), np.array(want, np.float64), dtype
                )
            else:
                np.testing.assert_array_equal(got, np.array(want).astype(dtype), str(self))

    def _check_floats(self, got: np.ndarray, want: np.ndarray, dtype: Any) -> None:
        if self.ulps == 0 and self.absolute == 0:
            want = want if self.place else want.astype(dtype).astype(np.float64)
            np.testing.assert_array_equal(got, want, str(self))
            numbers = ~np.isnan(want)
            np.testing.assert_array_equal(
                np.signbit(got[numbers]), np.signbit(want[numbers]), str(self)
            )
            return
        with np.errstate(invalid="ignore", over="ignore"):
            place = self.place * abs(want) if self.place else np.spacing(abs(want).astype(dtype))
            error = abs(got - want)
            right = (error <= self.ulps * place.astype(np.float64) + self.absolute) | (got == want)
        right |= np.isnan(got) & np.isnan(want)
        assert right.all(), f"{self}: {got[~right][:4]} should be {want[~right][:4]}"


def packs(functions: Iterable[Function]) -> Mapping[Function, tuple[int, list[Function]]]:
    """For each function its place in a pack, and the pack."""
    groups: dict[Any, list[Function]] = {}
    for function in functions:
        groups.setdefault(function.group, []).append(function)
    found = {}
    for group in groups.values():
        for start in range(0, len(group), SIZE):
            pack = group[start : start + SIZE]
            found.update({function: (k, pack) for k, function in enumerate(pack)})
    return found


def run(pack: Sequence[Function], launch: Callable[..., object]) -> list[list[np.ndarray]]:
    """The results of each function of a pack.

    Args:
        launch: runs a kernel, given its grid, block and arguments.
    """
    n = max(len(function.arguments[0]) for function in pack)
    arity, outputs = len(pack[0].arguments), len(pack[0].results)
    make, nothing = _SHAPES[arity, outputs]
    inputs = [np.zeros((SIZE, n), column.dtype) for column in pack[0].arguments]
    for k, function in enumerate(pack):
        for matrix, column in zip(inputs, function.arguments, strict=True):
            matrix[k] = np.resize(column, n)
    results = [np.zeros((SIZE, n), dtype) for dtype in pack[0].results]
    if pack[0].enter is not same or np.bool_ in pack[0].results:
        nothing = pack[0].function  # not every 16-bit number can be cast to every other
    functions = [function.function for function in pack] + [nothing] * (SIZE - len(pack))
    kernel = make(pack[0].enter, pack[0].leave, *functions)
    launch(kernel, 1, n, *inputs, *results)
    return [
        [result[k, : len(function.arguments[0])] for result in results]
        for k, function in enumerate(pack)
    ]


def _unary(enter, leave, f0, f1, f2, f3, f4, f5, f6, f7):
    @cuda.jit
    def unary(x, out):
        i = cuda.threadIdx.x
        out[0, i] = leave(f0(enter(x[0, i])))
        out[1, i] = leave(f1(enter(x[1, i])))
        out[2, i] = leave(f2(enter(x[2, i])))
        out[3, i] = leave(f3(enter(x[3, i])))
        out[4, i] = leave(f4(enter(x[4, i])))
        out[5, i] = leave(f5(enter(x[5, i])))
        out[6, i] = leave(f6(enter(x[6, i])))
        out[7, i] = leave(f7(enter(x[7, i])))

    return unary


def _binary(enter, leave, f0, f1, f2, f3, f4, f5, f6, f7):
    @cuda.jit
    def binary(x, y, out):
        i = cuda.threadIdx.x
        out[0, i] = leave(f0(enter(x[0, i]), enter(y[0, i])))
        out[1, i] = leave(f1(enter(x[1, i]), enter(y[1, i])))
        out[2, i] = leave(f2(enter(x[2, i]), enter(y[2, i])))
        out[3, i] = leave(f3(enter(x[3, i]), enter(y[3, i])))
        out[4, i] = leave(f4(enter(x[4, i]), enter(y[4, i])))
        out[5, i] = leave(f5(enter(x[5, i]), enter(y[5, i])))
        out[6, i] = leave(f6(enter(x[6, i]), enter(y[6, i])))
        out[7, i] = leave(f7(enter(x[7, i]), enter(y[7, i])))

    return binary


def _ternary(enter, leave, f0, f1, f2, f3, f4, f5, f6, f7):
    @cuda.jit
    def ternary(x, y, z, out):
        i = cuda.threadIdx.x
        out[0, i] = leave(f0(enter(x[0, i]), enter(y[0, i]), enter(z[0, i])))
        out[1, i] = leave(f1(enter(x[1, i]), enter(y[1, i]), enter(z[1, i])))
        out[2, i] = leave(f2(enter(x[2, i]), enter(y[2, i]), enter(z[2, i])))
        out[3, i] = leave(f3(enter(x[3, i]), enter(y[3, i]), enter(z[3, i])))
        out[4, i] = leave(f4(enter(x[4, i]), enter(y[4, i]), enter(z[4, i])))
        out[5, i] = leave(f5(enter(x[5, i]), enter(y[5, i]), enter(z[5, i])))
        out[6, i] = leave(f6(enter(x[6, i]), enter(y[6, i]), enter(z[6, i])))
        out[7, i] = leave(f7(enter(x[7, i]), enter(y[7, i]), enter(z[7, i])))

    return ternary


def _unary_pair(enter, leave, f0, f1, f2, f3, f4, f5, f6, f7):
    @cuda.jit
    def unary_pair(x, first, second):
        i = cuda.threadIdx.x
        first[0, i], second[0, i] = f0(x[0, i])
        first[1, i], second[1, i] = f1(x[1, i])
        first[2, i], second[2, i] = f2(x[2, i])
        first[3, i], second[3, i] = f3(x[3, i])
        first[4, i], second[4, i] = f4(x[4, i])
        first[5, i], second[5, i] = f5(x[5, i])
        first[6, i], second[6, i] = f6(x[6, i])
        first[7, i], second[7, i] = f7(x[7, i])

    return unary_pair


def _binary_pair(enter, leave, f0, f1, f2, f3, f4, f5, f6, f7):
    @cuda.jit
    def binary_pair(x, y, first, second):
        i = cuda.threadIdx.x
        first[0, i], second[0, i] = f0(x[0, i], y[0, i])
        first[1, i], second[1, i] = f1(x[1, i], y[1, i])
        first[2, i], second[2, i] = f2(x[2, i], y[2, i])
        first[3, i], second[3, i] = f3(x[3, i], y[3, i])
        first[4, i], second[4, i] = f4(x[4, i], y[4, i])
        first[5, i], second[5, i] = f5(x[5, i], y[5, i])
        first[6, i], second[6, i] = f6(x[6, i], y[6, i])
        first[7, i], second[7, i] = f7(x[7, i], y[7, i])

    return binary_pair


# by numbers of arguments and results: the kernel, and what fills its free places
_SHAPES = {
    (1, 1): (_unary, same),
    (2, 1): (_binary, first_of_two),
    (3, 1): (_ternary, first_of_three),
    (1, 2): (_unary_pair, twice),
    (2, 2): (_binary_pair, both),
}
