"""The command `gpugrad profile`: run a kernel on the simulated GPU and print what it did."""

from __future__ import annotations

import importlib
import importlib.util
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from gpugrad.cli import one_line
from gpugrad.errors import GradError, OptionError

THREADS = 256  # of a block, by default

DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
    "float32", "float64", "complex64", "complex128",
)  # fmt: skip
ARRAY = re.compile(r"(?:(\w+):)?(\w+)\[([\d,\s]*)\](?::(.+)\.\.(.+))?")
SCALAR = re.compile(r"(\w+)\((.+)\)")
FILLS: dict[str, Callable[[int], np.ndarray[Any, Any]]] = {
    "zeros": np.zeros,
    "ones": np.ones,
    "arange": np.arange,
}

ARGUMENTS = """the kernel's arguments, with commas or spaces between, in quotes:
float32[1000,64] is an array (floats normally distributed, integers from 0 to 99);
float32[1000]:-1..1 draws from -1 to below 1, and int32[1000]:0..10 from 0 to 9;
zeros:float32[10], ones:float32[10] and arange:int32[10] are filled so;
3, 2.5 and true are Python's numbers, float32(0.5) is one of NumPy's"""


def profile(
    kernel: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:KERNEL",
            help="a module, or the path of a .py file, and the name of a kernel in it",
        ),
    ],
    args: Annotated[list[str] | None, typer.Option(help=ARGUMENTS)] = None,
    grid: Annotated[
        str | None,
        typer.Option(help="blocks, as N or N,N or N,N,N; default: enough for the largest array"),
    ] = None,
    block: Annotated[
        str | None,
        typer.Option(help=f"threads of a block, as N or N,N or N,N,N; default {THREADS}"),
    ] = None,
    cc: Annotated[str, typer.Option(help="the compute capability of the card")] = "7.5",
    shared_bytes: Annotated[int, typer.Option(help="dynamic shared memory of a block")] = 0,
    html: Annotated[Path | None, typer.Option(help="write a page for the browser too")] = None,
    seed: Annotated[int, typer.Option(help="of the arrays that are drawn")] = 0,
) -> None:
    """Run a Numba CUDA kernel without a GPU, and print its source with what each line did."""
    capability = re.fullmatch(r"(\d+)\.(\d)", cc)
    if capability is None:
        raise OptionError(f"--cc {cc}: two numbers with a point are expected, such as 7.5")
    if seed < 0:
        raise OptionError(f"--seed {seed}: must be at least 0")
    values = arguments(" ".join(args or []), seed)
    blocks, threads = _shape(grid, block, values)
    function = find_kernel(kernel)

    from gpugrad import simulate

    try:
        report = simulate.run(
            function,
            blocks,
            threads,
            *values,
            cc=(int(capability[1]), int(capability[2])),
            shared_bytes=shared_bytes,
        )
    except simulate.Fault as fault:
        typer.echo(f"gpugrad: {type(fault).__name__}: {one_line(fault)}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{report.lines()}\n\n{report}")
    if html is not None:
        report.write_html(html)
        typer.echo(f"page: {html}")


def find_kernel(target: str) -> Any:
    """The object that `module:name` or `path/to/file.py:name` names.

    Raises:
        OptionError: there is no such module, file or name, or importing it fails.
    """
    module_name, _, name = target.rpartition(":")
    if not module_name or not name:
        raise OptionError(
            f"{target}: MODULE:KERNEL is expected, such as package.module:kernel or file.py:kernel"
        )
    path = Path(module_name)
    if path.suffix == ".py" and not path.is_file():
        raise OptionError(f"{path}: there is no such file")
    # As `python file.py` and `python -m module` do, so that the module finds its neighbours.
    folder = str(path.resolve().parent) if path.suffix == ".py" else str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        module = (
            _import_file(path) if path.suffix == ".py" else importlib.import_module(module_name)
        )
    except GradError:
        raise
    except Exception as error:
        kind, reason = type(error).__name__, " ".join(str(error).split()) or "no reason given"
        if kind == "CudaSupportError":
            reason = (
                "it asks for a GPU while it is imported\n  help: @cuda.jit with a signature "
                "compiles at once, for the GPU that is there: write @cuda.jit alone; and "
                "leave cuda.to_device and launches to functions"
            )
        raise OptionError(f"{module_name}: cannot be imported: {kind}: {reason}") from None
    finally:
        sys.path.remove(folder)
    if not hasattr(module, name):
        kernels = [
            each
            for each, value in vars(module).items()
            if hasattr(value, "py_func") and not each.startswith("__")
        ]
        others = f"its kernels: {', '.join(kernels)}" if kernels else "it has no @cuda.jit kernels"
        raise OptionError(f"{module_name} has no kernel {name}\n  {others}")
    return getattr(module, name)


def _import_file(path: Path) -> Any:
    specification = importlib.util.spec_from_file_location(path.stem, path.resolve())
    assert specification is not None  # the name ends in .py
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # Numba looks for a kernel's module by its name; one that is loaded already stays as it is.
    sys.modules.setdefault(path.stem, module)
    specification.loader.exec_module(module)
    return module


def arguments(text: str, seed: int = 0) -> list[Any]:
    """The kernel's arguments that `--args` names.

    Raises:
        OptionError: a word that is none of those forms, or an impossible array.

    >>> arguments("arange:int32[2,2] float32(0.5), 3")
    [array([[0, 1],
           [2, 3]], dtype=int32), np.float32(0.5), 3]
    """
    generator = np.random.default_rng(seed)
    # Commas and spaces part the words, save those in brackets.
    words = re.findall(r"(?:\[[^\]]*\]?|\([^)]*\)?|[^\s,\[(])+", text)
    return [_argument(word, generator) for word in words]


def _argument(word: str, generator: np.random.Generator) -> Any:
    try:
        if match := ARRAY.fullmatch(word):
            return _array(generator, *match.groups())
        if match := SCALAR.fullmatch(word):
            return _scalar(_dtype(match[1]), match[2])
        if word.lower() in ("true", "false"):
            return word.lower() == "true"
        if not re.fullmatch(r"[-+.\w]+", word):
            raise OptionError("not an argument")
        return (
            int(word)
            if re.fullmatch(r"[-+]?\d+", word)
            else _scalar(np.dtype(float), word, python=True)
        )
    except MemoryError:
        reason = "larger than the memory here"
    except (ValueError, OverflowError) as error:
        reason = f"{error}"
    raise OptionError(
        f"--args {word}: {reason}\n  help: write such as float32[1000,64], int32[100]:0..10, "
        "zeros:float32[10], 3, 2.5 or float32(0.5)"
    )


def _array(
    generator: np.random.Generator,
    fill: str | None,
    dtype_name: str,
    sizes: str,
    low: str | None,
    high: str | None,
) -> np.ndarray[Any, Any]:
    dtype = _dtype(dtype_name)
    shape = tuple(int(size) for size in sizes.split(",") if size.strip())
    if fill is not None and fill not in FILLS:
        raise OptionError(f"{fill}: {', '.join(FILLS)} is expected")
    if fill is not None and low is not None:
        raise OptionError("either filled or drawn from a range")
    if fill is not None:
        return FILLS[fill](math.prod(shape)).astype(dtype).reshape(shape)
    if low is not None and high is not None:
        return _drawn(generator, dtype, shape, low, high)
    if dtype.kind in "iu":
        return generator.integers(0, 100, shape, dtype)
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(dtype)
    drawn = generator.standard_normal(shape)
    if dtype.kind == "c":
        return (drawn + 1j * generator.standard_normal(shape)).astype(dtype)
    return drawn.astype(dtype)


def _drawn(
    generator: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...], *ends: str
) -> np.ndarray[Any, Any]:
    """Numbers from the first end to below the last."""
    if dtype.kind not in "iuf":
        raise OptionError(f"{dtype} has no range to draw from")
    first, last = (_scalar(dtype, end, python=True) for end in ends)
    if not first < last:
        raise OptionError(f"{'..'.join(ends)}: the lower end belongs first")
    if dtype.kind != "f":
        whole: np.ndarray[Any, Any] = generator.integers(first, last, shape, dtype)
        return whole
    drawn: np.ndarray[Any, Any] = generator.uniform(first, last, shape).astype(dtype)
    below = np.nextafter(dtype.type(last), dtype.type(first))  # rounding may reach the end
    np.minimum(drawn, below, out=drawn)
    return drawn


def _dtype(name: str) -> np.dtype[Any]:
    if name not in DTYPES:
        raise OptionError(f"{name}: there is no such dtype here")
    return np.dtype(name)


def _scalar(dtype: np.dtype[Any], text: str, python: bool = False) -> Any:
    """A number of that dtype, or with `python` of the type that Python has for it."""
    text = text.strip()
    if dtype.kind == "b":
        if text.lower() not in ("true", "false"):
            raise OptionError(f"{text}: true or false is expected")
        return np.bool_(text.lower() == "true")
    try:
        value = {"f": float, "c": complex}.get(dtype.kind, int)(text)
    except ValueError:
        raise OptionError(f"{text}: not a number of type {dtype}") from None
    return value if python else dtype.type(value)


def _shape(
    grid: str | None, block: str | None, values: list[Any]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Grid and block, the grid by default with a thread for each element of the largest array."""
    threads = _sizes("--block", block) if block is not None else (THREADS,)
    if grid is not None:
        return _sizes("--grid", grid), threads
    if len(threads) > 1:
        raise OptionError(f"--block {block}: a block of several axes needs --grid too")
    largest = max((value.size for value in values if isinstance(value, np.ndarray)), default=1)
    return (max(1, math.ceil(largest / threads[0])),), threads


def _sizes(option: str, text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\s*[1-9]\d*\s*(,\s*[1-9]\d*\s*){0,2}", text):
        raise OptionError(
            f"{option} {text}: one to three whole numbers from 1 on are expected, such as 256 or "
            "16,16"
        )
    return tuple(int(word) for word in text.split(","))
