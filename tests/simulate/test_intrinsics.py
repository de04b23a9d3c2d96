"""Numba's intrinsics against their definitions, and the table of them against Numba."""

from __future__ import annotations

import re
from functools import cache, partial
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from gpugrad import simulate
from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from numba import cuda  # noqa: E402
from numba.cuda import bf16, cache_hints, fp16, intrinsics, libdevicefuncs, stubs  # noqa: E402

from tests.simulate.intrinsics import FUNCTIONS, NEWEST, ROWS  # noqa: E402
from tests.simulate.packs import Function, packs, run  # noqa: E402

PACKS = packs(FUNCTIONS)
COMPUTE_CAPABILITIES = [
    pytest.param((7, 5), id="7.5"),
    pytest.param((8, 0), id="8.0", marks=pytest.mark.slow),  # all of them take minutes
    pytest.param((9, 0), id="9.0", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("cc", COMPUTE_CAPABILITIES)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_intrinsic_does_what_its_definition_says(row, cc):
    row.check(partial(simulate.run, cc=cc))


@cache
def results(first: Function, cc: tuple[int, int]) -> list[list[np.ndarray]]:
    """Of all functions in the pack that begins with this one."""
    return run(PACKS[first][1], partial(simulate.run, cc=cc))


@pytest.mark.parametrize("cc", COMPUTE_CAPABILITIES)
@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
def test_function_is_as_accurate_as_stated(function: Function, cc):
    if function.name.startswith("bf16") and cc < (8, 0):
        cc = (8, 0)  # a T4 has no bfloat16
    place, pack = PACKS[function]
    function.check(results(pack[0], cc)[place])


@cuda.jit
def report(x):
    i = cuda.grid(1)
    if x[i] > 1:
        print("thread", i, "has", x[i])


def test_print_prints(capfd):
    simulate.run(report, 1, 3, np.array([0.5, 1.5, 2.5], np.float32))
    assert capfd.readouterr().out == "thread 1 has 1.500000\nthread 2 has 2.500000\n"


def _public(module: Any) -> set[str]:
    return {name for name in vars(module) if not name.startswith("_")}


def _documented() -> set[str]:
    """What a kernel can call or read, by the name that a row of the table must hold."""
    special = {name for name in _public(stubs) if isinstance(getattr(stubs, name), type)}
    special -= {"Stub", "Dim3", "Signature", "Parameter", "defaultdict"}
    special -= {"shared", "local", "const", "atomic"}  # of which the members are
    members = {f"atomic.{name}" for name in _public(stubs.atomic)}
    members |= {"shared.array", "local.array", "const.array_like"}
    own = {name for name in _public(intrinsics) if name in vars(cuda)}
    own -= {name for name in own if isinstance(getattr(cuda, name), ModuleType)}
    hints = {name for name in _public(cache_hints) if re.fullmatch("(ld|st)[a-z]{2}", name)}
    half = {f"fp16.{name}" for name in fp16.__all__ if name.startswith("h")}
    brain = {f"bf16.{name}" for name in bf16.__all__ if not re.search("registry|^bfloat16$", name)}
    library = {name.removeprefix("__nv_") for name in libdevicefuncs.functions}
    return special | members | own | hints | half | brain | library


def test_every_documented_intrinsic_has_a_row():
    newest, installed = (
        tuple(map(int, re.findall(r"\d+", v))) for v in (NEWEST, version("numba-cuda"))
    )
    if installed > newest:
        pytest.skip(f"numba-cuda {installed} is newer than the table's {newest}")
    names = " ".join(row.name for row in (*ROWS, *FUNCTIONS))
    words = set(re.findall(r"[\w.]+", names))
    assert sorted(_documented() - words) == []


def test_names_are_unique():
    names = [row.name for row in (*ROWS, *FUNCTIONS)]
    assert len(set(names)) == len(names)
