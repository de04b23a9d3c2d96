"""The cases that `gpugrad.testing` runs a kernel on, drawn from a seed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpugrad.errors import OptionError

Array = np.ndarray[Any, Any]
SIZES = (1, 2, 3, 31, 32, 33, 64, 100, 127, 128, 129, 255, 256, 257, 500, 1023, 1024, 1025)
SIZES_OF_SEVERAL_AXES = (1, 2, 3, 7, 8, 9, 31, 32, 33, 64, 65, 100)
BLOCKS = (32, 1, 64, 100, 128, 256)


@dataclass(frozen=True)
class Check:
    """What `cuda_kernel` was given."""

    kernel: Any
    like: Callable[..., Any]
    out: Sequence[str] | str = ()
    shapes: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    draw: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    dtypes: Any = "float32"
    sizes: Sequence[int] = ()
    blocks: Sequence[int | tuple[int, ...]] = BLOCKS
    launch: Any = "cover"
    cases: int = 10
    seed: int = 0
    cc: Any = (7, 5)
    shared_bytes: int = 0
    rtol: float | None = None
    atol: float | None = None
    exact: bool = False
    forbid: Sequence[str] = ()

    @property
    def parameters(self) -> list[str]:
        return list(inspect.signature(getattr(self.kernel, "py_func", self.kernel)).parameters)

    @property
    def inputs(self) -> list[str]:
        """What `like` takes."""
        if isinstance(self.like, np.ufunc):
            return self.parameters[: self.like.nin]
        taken = list(inspect.signature(self.like).parameters)
        if unknown := [name for name in taken if name not in self.parameters]:
            raise OptionError(
                f"cuda_kernel: like takes {unknown[0]}, which is no parameter of the kernel "
                f"({', '.join(self.parameters)})"
            )
        return taken

    @property
    def outputs(self) -> list[str]:
        """What `like` returns, in order."""
        inputs = self.inputs
        named = [self.out] if isinstance(self.out, str) else list(self.out)
        found = named or [p for p in self.parameters if p not in inputs and p not in self.values]
        if not found or any(name not in self.parameters for name in found):
            raise OptionError(
                f"cuda_kernel: out={self.out!r} names no parameter that the kernel writes "
                f"({', '.join(self.parameters)})"
            )
        return found

    def shape(self, name: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(sizes[axis] for axis in self.shapes.get(name, "n").split())


@dataclass(frozen=True)
class Case:
    """One launch: its sizes, dtypes and launch shape. `str(case)` says all of it."""

    check: Check
    sizes: Mapping[str, int]
    dtypes: str | Mapping[str, str]
    grid: Any
    block: Any
    cc: tuple[int, int]
    seed: int

    def __str__(self) -> str:
        sizes = " ".join(f"{name}={size}" for name, size in self.sizes.items())
        dtypes = self.dtypes
        if isinstance(dtypes, Mapping):
            dtypes = " ".join(f"{name}:{dtype}" for name, dtype in dtypes.items())
        grid, block = (str(size).replace(" ", "") for size in (self.grid, self.block))
        return f"{sizes} {dtypes} grid={grid} block={block} cc={self.cc[0]}.{self.cc[1]}".strip()


def cases(check: Check) -> Iterator[Case]:
    """Draw a check's cases."""
    rng = np.random.Generator(np.random.PCG64(check.seed))
    arrays = [name for name in check.parameters if name not in check.values]
    axes = list(dict.fromkeys(a for name in arrays for a in check.shapes.get(name, "n").split()))
    pool = check.sizes or (SIZES if len(axes) < 2 else SIZES_OF_SEVERAL_AXES)
    dtypes = check.dtypes if isinstance(check.dtypes, (list, tuple)) else [check.dtypes]
    capabilities = check.cc if isinstance(check.cc, list) else [check.cc]
    # Each size comes up before one comes up again, for each axis in an order of its own.
    orders = {axis: rng.permutation(len(pool)) for axis in axes}
    for number in range(check.cases):
        sizes = {axis: int(pool[order[number % len(pool)]]) for axis, order in orders.items()}
        grid, block = _launch(check, sizes, number, rng)
        dtype = dtypes[number % len(dtypes)]
        cc = capabilities[number % len(capabilities)]
        yield Case(check, sizes, dtype, grid, block, cc, int(rng.integers(2**31)))


def _launch(check: Check, sizes: Mapping[str, int], number: int, rng: Any) -> tuple[Any, Any]:
    if callable(check.launch):
        grid, block = check.launch(sizes)
        return grid, block
    if check.launch not in ("cover", "stride"):
        raise OptionError(f'cuda_kernel: launch={check.launch!r} is not "cover" or "stride"')
    block = check.blocks[number % len(check.blocks)]
    shape = check.shape(check.outputs[0], sizes)
    work = shape if isinstance(block, tuple) else (int(np.prod(shape)),)
    threads = block if isinstance(block, tuple) else (block,)
    if len(threads) != len(work):
        raise OptionError(f"cuda_kernel: blocks={block} and {check.outputs[0]} of {work}")
    least = [max(1, -(-w // t)) for w, t in zip(work, threads, strict=True)]
    if number % 3 == 1:  # more blocks than work
        least = [count + int(rng.integers(1, 4)) for count in least]
    elif number % 3 == 2 and check.launch == "stride":
        least = [int(rng.integers(1, max(2, count))) for count in least]
    return (tuple(least) if isinstance(block, tuple) else least[0]), block


def arguments(case: Case) -> dict[str, Any]:
    """Draw a case's arguments: the kernel's parameters by name."""
    check = case.check
    rng = np.random.Generator(np.random.PCG64(case.seed))
    args: dict[str, Any] = {}
    for name in check.parameters:
        if name in check.values:
            value = check.values[name]
            args[name] = value(case.sizes) if callable(value) else value
        elif name in check.draw:
            args[name] = np.asarray(check.draw[name](rng, case.sizes))
        else:
            dtypes = case.dtypes
            dtype = dtypes.get(name, "float32") if isinstance(dtypes, Mapping) else dtypes
            args[name] = _random(rng, check.shape(name, case.sizes), np.dtype(dtype))
    return args


def _random(rng: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "f":
        return np.asarray(rng.standard_normal(shape)).astype(dtype)
    if dtype.kind == "c":
        real, imaginary = rng.standard_normal((2, *shape))
        return np.asarray(real + 1j * imaginary).astype(dtype)
    low, high = (-100, 100) if dtype.kind == "i" else (0, 2 if dtype.kind == "b" else 200)
    return np.asarray(rng.integers(low, high, shape)).astype(dtype)
