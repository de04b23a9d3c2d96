"""`gpugrad profile`: what it hands to the simulator, what it prints, and what it refuses."""

from __future__ import annotations

import sys

import numpy as np
import pytest

typer = pytest.importorskip("typer")

from gpugrad import simulate  # noqa: E402
from gpugrad.cli import app, main, profile  # noqa: E402
from gpugrad.errors import DtypeError, GradError  # noqa: E402
from gpugrad.simulate.report.counts import Counts  # noqa: E402
from gpugrad.simulate.report.report import Report  # noqa: E402

MODULE = """\
import neighbour


class Jitted:
    def __init__(self):
        self.py_func = scale


def scale(x, factor, out):
    out[0] = x[0] * factor


first, second = Jitted(), Jitted()
"""


class Fault(GradError, RuntimeError):
    pass


@pytest.fixture
def launches(monkeypatch):
    """What `simulate.run` was called with."""
    calls = []

    def run(kernel, grid, block, *args, **options):
        calls.append((kernel, grid, block, args, options))
        counts = Counts(1)
        counts.executed(0, 32, 1)
        file = kernel.__code__.co_filename
        return Report("scale", grid, block, options["cc"], counts, ["mul.f32"], [(file, 10)],
                      source=(file, 9))  # fmt: skip

    monkeypatch.setattr(simulate, "run", run, raising=False)
    monkeypatch.setattr(simulate, "Fault", Fault, raising=False)
    return calls


@pytest.fixture
def run(capsys, tmp_path, monkeypatch, launches):
    """Calls the command in a folder with a module; gives its status, output and complaints."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_kernels.py").write_text(MODULE)
    (tmp_path / "neighbour.py").write_text("")
    path = list(sys.path)
    if "profile" not in {command.name for command in app.app.registered_commands}:
        monkeypatch.setattr(app.app, "registered_commands", [*app.app.registered_commands])
        app.app.command("profile")(profile.profile)

    def call(*arguments):
        status = main(["profile", *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out, said.err

    yield call
    assert sys.path == path
    for name in ("own_kernels", "neighbour", "broken", "raises"):
        sys.modules.pop(name, None)


KERNEL = "own_kernels.py:scale"


# What is run, and what is printed


@pytest.mark.parametrize("target", [KERNEL, "own_kernels:scale", "./own_kernels.py:scale"])
def test_the_kernel_is_found_and_run(target, run, launches):
    status, out, err = run(target, "--args", "float32[1000], 2.5 zeros:float32[1000]")
    assert (status, err) == (0, "")
    [(kernel, grid, block, (x, factor, zeros), options)] = launches
    assert kernel.__name__ == "scale"
    assert (grid, block) == ((4,), (256,))
    assert options == {"cc": (7, 5), "shared_bytes": 0}
    assert (x.shape, x.dtype, factor) == ((1000,), np.float32, 2.5)
    assert not zeros.any()
    assert "    10            32  |     out[0] = x[0] * factor" in out.splitlines()
    assert "scale: grid 4, block 256, compute capability 7.5" in out.splitlines()
    assert out.index("| source") < out.index("scale: grid")


def test_options(run, launches, tmp_path):
    status, out, _ = run(
        KERNEL, "--grid", "3,2", "--block", "16, 16", "--cc", "8.0",
        "--html", "page.html", "--shared-bytes", 64, "--args", "1", "--args", "2",
    )  # fmt: skip
    assert status == 0
    [(_, grid, block, args, options)] = launches
    assert (grid, block, args) == ((3, 2), (16, 16), (1, 2))
    assert options == {"cc": (8, 0), "shared_bytes": 64}
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")
    assert out.splitlines()[-1] == "page: page.html"


def test_the_seed_repeats_the_arrays(run, launches):
    for seed in (0, 0, 1):
        assert run(KERNEL, "--args", "float32[10] int32[10]", "--seed", seed)[0] == 0
    first, second, third = (args for _, _, _, args, _ in launches)
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()
    assert (first[0] != third[0]).any()


@pytest.mark.parametrize(
    ("options", "grid", "block"),
    [
        (["--args", "float32[257] int8[3]"], (2,), (256,)),
        (["--args", "float32[16,17]", "--block", "128"], (3,), (128,)),
        (["--args", "float32[256]"], (1,), (256,)),
        (["--args", "float32[0]"], (1,), (256,)),
        (["--args", "3"], (1,), (256,)),
        ([], (1,), (256,)),
        (["--args", "float32[1000]", "--grid", "7"], (7,), (256,)),
    ],
)
def test_default_grids_have_a_thread_for_each_element(options, grid, block, run, launches):
    assert run(KERNEL, *options)[0] == 0
    assert launches[0][1:3] == (grid, block)


# The arguments


def test_arrays():
    made = profile.arguments(
        "float32[1000,64],float64[10] zeros:int32[4] , ones:bool[2]\tarange:int16[2,3] "
        "int32[1000]:-5..5 float32[1000]:2..3 complex64[5] uint8[1000] bool[100] float16[2,] "
        "float64[] int8[99]:-128..128"
    )
    shapes = [array.shape for array in made]
    assert shapes == [
        (1000, 64), (10,), (4,), (2,), (2, 3), (1000,), (1000,), (5,), (1000,), (100,), (2,), (),
        (99,),
    ]  # fmt: skip
    names = [str(array.dtype) for array in made]
    assert names == [
        "float32", "float64", "int32", "bool", "int16", "int32", "float32", "complex64", "uint8",
        "bool", "float16", "float64", "int8",
    ]  # fmt: skip
    assert abs(made[0].mean()) < 0.02
    assert abs(made[0].std() - 1) < 0.02
    assert made[3].all()
    assert made[4].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert set(made[5].tolist()) == set(range(-5, 5))
    assert 2 <= made[6].min() < 2.1
    assert 2.9 < made[6].max() < 3
    assert made[7].imag.any()
    assert set(made[8].tolist()) == set(range(100))
    assert set(made[9].tolist()) == {False, True}


def test_a_range_stays_below_its_end_in_every_type():
    [array] = profile.arguments("float16[50000]:0..1")
    assert array.max() < 1


def test_scalars():
    made = profile.arguments(
        "3 -4 2.5 1e-3 inf true False float32(0.5) int8(-7) bool(true) "
        "uint64(18446744073709551615) complex64(1+2j) float64( 2 )"
    )
    expected = [
        3, -4, 2.5, 1e-3, float("inf"), True, False, np.float32(0.5), np.int8(-7), np.True_,
        np.uint64(2**64 - 1), np.complex64(1 + 2j), np.float64(2),
    ]  # fmt: skip
    assert made == expected
    assert [type(value) for value in made] == [type(value) for value in expected]


BAD_ARGUMENTS = {
    "float3[10]": "float3: there is no such dtype here",
    "object[10]": "object: there is no such dtype here",
    "float32[a]": "not an argument",
    "float32[-1]": "not an argument",
    "float32[10": "not an argument",
    "float32": "float32: not a number of type float64",
    "'x'": "not an argument",
    "1..2": "1..2: not a number",
    "twos:float32[10]": "twos: zeros, ones, arange is expected",
    "zeros:float32[10]:0..1": "either filled or drawn from a range",
    "int32[10]:5..5": "5..5: the lower end belongs first",
    "float32[10]:1..nan": "1..nan: the lower end belongs first",
    "int32[10]:0..1.5": "1.5: not a number of type int32",
    "int8[10]:0..1000": "high is out of bounds for int8",
    "bool[10]:0..1": "bool has no range to draw from",
    "int8(300)": "out of bounds for int8",
    "int32(0.5)": "0.5: not a number of type int32",
    "bool(2)": "2: true or false is expected",
    "float32[10]x": "not an argument",
    "zeros:int8[99999999999999999999]": "",
    "zeros:int8[999999999999999]": "larger than the memory here",
}


@pytest.mark.parametrize("word", BAD_ARGUMENTS)
def test_impossible_arguments_take_one_line_and_status_2(word, run, launches):
    status, out, err = run(KERNEL, "--args", f"1 {word}, 2")
    assert (status, out, launches) == (2, "", [])
    assert err.startswith(f"gpugrad: --args {word}")
    assert BAD_ARGUMENTS[word] in err
    assert "write such as float32[1000,64]" in err
    assert err.count("\n") == 1


# Other bad input

IMPOSSIBLE = {
    f"{KERNEL} --cc 75": "--cc 75: two numbers with a point are expected, such as 7.5",
    f"{KERNEL} --grid 0": "--grid 0: one to three whole numbers from 1 on are expected",
    f"{KERNEL} --grid 1,2,3,4": "--grid 1,2,3,4: one to three",
    f"{KERNEL} --block x": "--block x: one to three",
    f"{KERNEL} --block 16,16": "--block 16,16: a block of several axes needs --grid too",
    f"{KERNEL} --seed -1": "--seed -1: must be at least 0",
    f"{KERNEL} --html missing/page.html": "missing/page.html: cannot write the file: No such file",
    "own_kernels.py": "own_kernels.py: MODULE:KERNEL is expected",
    ":scale": ":scale: MODULE:KERNEL is expected",
    "gone.py:scale": "gone.py: there is no such file",
    "gone.away:scale": "gone.away: cannot be imported: ModuleNotFoundError: No module named 'gone'",
    "broken.py:scale": "broken.py: cannot be imported: SyntaxError: ",
    "raises.py:scale": "raises.py: cannot be imported: ValueError: two lines",
    "own_kernels.py:third": "own_kernels.py has no kernel third; its kernels: first, second",
    "neighbour:third": "neighbour has no kernel third; it has no @cuda.jit kernels",
    f"{KERNEL} --nonsense": "--nonsense",
    "": "MODULE:KERNEL",
}


@pytest.mark.parametrize("words", IMPOSSIBLE)
def test_bad_input_takes_one_line_and_status_2(words, run, tmp_path):
    (tmp_path / "broken.py").write_text("def scale(:\n")
    (tmp_path / "raises.py").write_text("raise ValueError('two\\nlines')\n")
    status, _, err = run(*words.split())
    assert status == 2
    assert IMPOSSIBLE[words] in err
    assert err.startswith("gpugrad: ")
    assert err.count("\n") == 1


def test_faults_end_with_status_1_and_errors_with_2(run, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(simulate, "run", fail)
    error = simulate.Fault("scale: a load\n  at line 3")
    assert run(KERNEL) == (1, "", "gpugrad: Fault: scale: a load; at line 3\n")
    error = DtypeError("no such type\n  help: another")
    assert run(KERNEL) == (2, "", "gpugrad: no such type; help: another\n")


def test_the_help_shows_the_forms_of_arguments(run):
    status, out, _ = run("--help")
    assert status == 0
    for form in ("float32[1000,64]", "int32[1000]:0..10", "zeros:float32[10]", "float32(0.5)"):
        assert form in out.replace("\n", " ")


def test_a_kernel_with_a_signature_needs_a_gpu_to_be_imported(run, tmp_path):
    (tmp_path / "eager.py").write_text(
        "class CudaSupportError(Exception): pass\nraise CudaSupportError('no driver')\n"
    )
    _, _, err = run("eager.py:kernel")
    assert "eager.py: cannot be imported: CudaSupportError: it asks for a GPU" in err
    assert "write @cuda.jit alone" in err
