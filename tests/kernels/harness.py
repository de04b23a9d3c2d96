"""One table row for each kernel: how to launch it, what it must compute, what it may move.

A file `rows_*.py` of this folder holds `ROWS`, a list of `Row`. `test_kernels.py` runs each row
over all its sizes and launch shapes on the simulated card, and `test_machine_code.py` links it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numba import cuda

from gpugrad import simulate

Array = np.ndarray[Any, Any]
Size = tuple[int, ...]
Launch = tuple[Any, Any]  # blocks, threads

# Relative to the expected value, and absolute. In float32 one rounding is 6e-8.
TOLERANCES = {
    "exact": (0.0, 0.0),
    "elementwise": (1e-6, 1e-6),  # a handful of operations, one of them exp or tanh
    "sum": (1e-5, 1e-5),  # many terms of about 1
    "far mean": (1e-4, 1e-4),  # what cancels is 100 times what is left
}
WARP, SECTOR = 32, 32
SPARE = 2  # sectors touched to the fewest: rows of odd length begin in the midst of one
FEW = 64  # sectors that are no matter


@dataclass(frozen=True)
class Unwritten:
    """An argument that the kernel writes, in memory that nothing has written before."""

    shape: int | tuple[int, ...]
    dtype: Any = np.float32


@dataclass(frozen=True)
class Row:
    """A kernel and all that is tested of it.

    Args:
        name: of the row; the kernel's, and what sets this row apart if the kernel has several.
        kernel: what `@cuda.jit` made.
        arguments: from a generator and a size to the arguments by parameter name, in order: NumPy
            arrays and scalars, and `Unwritten` for outputs.
        expected: takes the arguments by name, floats as float64 and outputs as `Unwritten`, and
            returns what the written ones must hold. What it does not return must be as it was.
        sizes: what `arguments` is called with.
        launches: blocks and threads of a block for each run.
        traffic: from the arguments, as prepared, to the bytes that all threads together load and
            store in global memory, as the kernel's docstring claims; None where it depends on the
            values. If it takes `launch`, that gets the blocks and threads.
        tolerance: a key of TOLERANCES.
        why: why the tolerance is not "elementwise".
        shared: dynamic shared memory of a block, in bytes.
    """

    name: str
    kernel: Any
    arguments: Callable[[np.random.Generator, Size], Mapping[str, Any]]
    expected: Callable[..., Mapping[str, Any]]
    sizes: Sequence[Size]
    launches: Sequence[Launch]
    traffic: Callable[..., tuple[int, int]] | None
    tolerance: str = "elementwise"
    why: str = ""
    shared: int = 0

    def __str__(self) -> str:
        return self.name

    def drawn(self, size: Size, seed: int = 0) -> dict[str, Any]:
        """The arguments for a size; whoever wants to see that a kernel repeats gives no seed."""
        return dict(self.arguments(np.random.default_rng([seed, *size]), size))

    def example(self) -> list[Any]:
        """Arguments whose types are those of the kernel's parameters."""
        drawn = self.drawn(self.sizes[0]).values()
        return [_memory(value) if isinstance(value, Unwritten) else value for value in drawn]


def rows() -> list[Row]:
    """Every row of every table in this folder."""
    return [
        row for table in sorted(Path(__file__).parent.glob("rows_*.py")) for row in _rows(table)
    ]


def _rows(table: Path) -> list[Row]:
    found: list[Row] = import_module(f"tests.kernels.{table.stem}").ROWS
    return found


def cases() -> Iterator[tuple[Row, Size]]:
    """Each row with each of its sizes."""
    return ((row, size) for row in rows() for size in row.sizes)


def check(row: Row, size: Size, launch: Launch, cc: tuple[int, int] = (7, 5)) -> Any:
    """Run the row once, compare what it wrote, and look at what it did. Returns: the report.

    Raises:
        AssertionError: saying what is wrong.
        simulate.Fault: the kernel did what is wrong on every card.
    """
    given = row.drawn(size)
    values = {k: _memory(v) if isinstance(v, Unwritten) else v for k, v in given.items()}
    inputs = {k: _widened(v) for k, v in given.items()}
    before = {k: v.copy() for k, v in values.items() if isinstance(v, np.ndarray)}
    with np.errstate(all="ignore"):  # infinities and NaN are among the values
        expected = row.expected(**inputs)
    passed = [cuda.Out(v) if isinstance(given[k], Unwritten) else v for k, v in values.items()]
    report = simulate.run(row.kernel, *launch, *passed, shared_bytes=row.shared, cc=cc)
    for name, value in before.items():
        if name in expected:
            compare(name, values[name], np.asarray(expected[name]), row.tolerance)
        else:
            same = values[name].tobytes() == value.tobytes()
            assert same or isinstance(given[name], Unwritten), f"{name} was changed"
            assert not isinstance(given[name], Unwritten), f"{name}: nothing is expected of it"
    assert not report.findings, "\n".join(map(str, report.findings))
    if row.traffic is not None:
        moved = report.loaded_bytes, report.stored_bytes
        takes_launch = "launch" in inspect.signature(row.traffic).parameters
        claimed = row.traffic(**values, **({"launch": launch} if takes_launch else {}))
        assert moved == claimed, f"loaded and stored {moved} bytes, not {claimed} as claimed"
    for verb in ("load", "store"):
        touched, fewest = (getattr(report, f"{kind}{verb}_sectors") for kind in ("", "ideal_"))
        assert touched <= SPARE * fewest + FEW, f"{verb}s touch {touched} sectors, not {fewest}"
    return report


def compare(name: str, found: Array, expected: Array, tolerance: str) -> None:
    """Assert that values are equal within a tolerance of the table; NaN equals NaN."""
    assert found.shape == expected.shape, f"{name} is {found.shape}, not {expected.shape}"
    relative, absolute = TOLERANCES[tolerance] if found.dtype.kind == "f" else (0.0, 0.0)
    expected = expected if relative else expected.astype(found.dtype)
    same = np.isclose(found, expected, relative, absolute, equal_nan=True)
    if not same.all():
        place = tuple(map(int, np.argwhere(~same)[0]))
        wrong = f"{int((~same).sum())} of {found.size} elements are wrong"
        raise AssertionError(
            f"{name}{list(place)} is {found[place]}, not {expected[place]}: {wrong}"
        )


def _memory(output: Unwritten) -> Array:
    return np.zeros(output.shape, output.dtype)


def _widened(value: Any) -> Any:
    """A value as the expression gets it: in float64, so that it errs less than the kernel."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float64) if value.dtype.kind == "f" else value.copy()
    return float(value) if isinstance(value, np.floating) else value
