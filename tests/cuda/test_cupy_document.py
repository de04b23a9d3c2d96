"""The programs in docs/cupy.md run on the simulated GPU, and print what stands below them."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

pytestmark = pytest.mark.once

ROOT = pathlib.Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "cupy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|text)\n(.*?)```", DOCUMENT, re.DOTALL)
PROGRAMS = [text for kind, text in BLOCKS if kind == "python"]
PRINTED = [text for kind, text in BLOCKS if kind == "text"]
IMPORTS = 2  # lines of a program of the first section

# `import cupy` finds what stands for CuPy.
STAND_IN = 'import sys, gpugrad\nsys.modules["cupy"] = gpugrad.device("cuda").xp.module\n'


def printed_by(program: str) -> str:
    environment = {**os.environ, "GPUGRAD_SIMULATE_CUDA": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_three_programs_differ_in_what_they_import():
    bodies = {program.split("\n", IMPORTS)[IMPORTS] for program in PROGRAMS[:3]}
    assert len(bodies) == 1


def test_with_autograd():
    if importlib.util.find_spec("autograd") is None:
        pytest.skip("needs autograd")
    assert printed_by(PROGRAMS[0]) == PRINTED[0]


@pytest.mark.parametrize("program", PROGRAMS[1:3], ids=["cpu", "cuda"])
def test_with_gpugrad(program):
    assert printed_by(STAND_IN + program) == PRINTED[0]


def test_the_programs_after_it():
    assert printed_by(STAND_IN + "\n".join(PROGRAMS[3:])) == "".join(PRINTED[1:])
