"""Each example is short, runs as it is printed, and says what it should."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.once

FOLDER = pathlib.Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(
    path.name for path in FOLDER.glob("*.py") if not path.with_suffix(".ipynb").exists()
)  # the notebooks' scripts are longer, and tests/test_notebooks.py runs them


def run(name, *arguments, cwd):
    found = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", str(FOLDER / name)]
        + [str(argument) for argument in arguments],
        capture_output=True, text=True, cwd=cwd, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_short_and_tested(name):
    assert len((FOLDER / name).read_text().splitlines()) < 60
    assert f'run("{name}"' in pathlib.Path(__file__).read_text()


def test_the_expression_of_micrograd(tmp_path):
    lines = run("from_micrograd.py", cwd=tmp_path)
    assert lines[:3] == [
        "g      24.7041",
        "dg/da  138.8338   by a nudge 138.8338",
        "dg/db  645.5773   by a nudge 645.5773",
    ]
    for line in lines[3:]:
        slope, nudged = re.fullmatch(r"a = .* dg/da +(\S+)   by a nudge +(\S+)", line).groups()
        assert float(slope) == pytest.approx(float(nudged), rel=1e-5)


def test_moons_draws_its_picture(tmp_path):
    lines = run("moons.py", "picture.png", cwd=tmp_path)
    assert float(re.fullmatch(r"held-out accuracy (\S+) %", lines[-2])[1]) > 95
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_mnist_learns_from_a_folder(tmp_path, tiny_mnist):
    lines = run("mnist.py", tiny_mnist, 200, 8, cwd=tmp_path)
    assert len(lines) == 8
    accuracy = re.fullmatch(r"epoch 8: loss \S+, test accuracy (\S+) %, \S+ s", lines[-1])[1]
    assert float(accuracy) > 90


def test_mnist_says_how_to_call_it(tmp_path):
    found = subprocess.run(
        [sys.executable, str(FOLDER / "mnist.py")], capture_output=True, text=True, check=False
    )
    assert found.returncode == 1
    assert "python examples/mnist.py FOLDER" in found.stderr


def test_the_simulated_gpu_finds_the_missing_barrier(tmp_path):
    pytest.importorskip("numba", reason="the extra `simulate` is not installed")
    lines = run("column_sums.py", cwd=tmp_path)
    source = (FOLDER / "column_sums.py").read_text().splitlines()
    mistake = next(k for k, line in enumerate(source, 1) if "found[t] += " in line)
    assert lines[0].startswith("hasty: a race on byte 128 of shared memory: nothing orders")
    assert re.search(rf"column_sums\.py:{mistake}, by thread \(0, 0, 0\)", lines[1])
    assert any(
        line.startswith("loads touch 20,000 sectors of 32 bytes where 2,500") for line in lines
    )
    assert float(re.fullmatch(r"sums right to (\S+)", lines[-1])[1]) < 1e-6


def test_without_numba_the_kernel_says_so_in_a_sentence(tmp_path):
    code = (
        "import runpy, sys\n"
        "sys.modules['numba'] = None\n"  # as if it were not installed
        f"runpy.run_path({str(FOLDER / 'swiglu.py')!r}, run_name='__main__')\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == (
        "This example needs Numba: pip install '.[simulate]' in a clone of gpugrad.\n"
    )


def test_a_kernel_of_ones_own_has_derivatives(tmp_path):
    pytest.importorskip("numba", reason="the extra `simulate` is not installed")
    lines = run("swiglu.py", "cpu", cwd=tmp_path)
    assert lines[:2] == [
        "on cpu: as the expression within 0e+00",
        "first and second derivatives agree with nudges",
    ]
    assert float(re.fullmatch(r"w (\S+), loss \S+", lines[2])[1]) == pytest.approx(2, abs=1e-4)


def test_the_kernel_itself_on_the_simulated_gpu(tmp_path, monkeypatch):
    pytest.importorskip("numba.cuda", reason="the extra `simulate` is not installed")
    monkeypatch.setenv("GPUGRAD_SIMULATE_CUDA", "1")
    lines = run("swiglu.py", "cuda", cwd=tmp_path)
    within = re.fullmatch(r"on cuda:0: as the expression within (\S+)", lines[0])[1]
    assert 0 < float(within) < 1e-5  # not the expression itself
    assert float(re.fullmatch(r"w (\S+), loss \S+", lines[2])[1]) == pytest.approx(2, abs=1e-4)
