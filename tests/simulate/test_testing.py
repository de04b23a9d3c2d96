"""The pytest plugin: what a user's tests of a kernel say, run by pytest itself."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

import gpugrad
from gpugrad.errors import OptionError
from gpugrad.simulate.cases import SIZES, Case, Check, arguments, cases
from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

pytest_plugins = ["pytester"]

KERNELS = """
import numpy as np
import pytest
from numba import cuda, float32, int32

@cuda.jit
def add(x, y, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] + y[i]

@cuda.jit
def unguarded(x, out):
    i = cuda.grid(1)
    out[i] = x[i] + x[i]

@cuda.jit
def nearly(x, out):  # right but for element 40
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] if i != 40 else x[i] + float32(1)

@cuda.jit
def bias_relu(x, bias, out):
    i, j = cuda.grid(2)
    if i < x.shape[0] and j < x.shape[1]:
        out[i, j] = max(x[i, j] + bias[j], float32(0))

@cuda.jit
def scale(x, factor, n):
    i = cuda.grid(1)
    while i < n:
        x[i] = x[i] * factor
        i += cuda.gridsize(1)

@cuda.jit
def histogram(labels, counts):
    i = cuda.grid(1)
    if i < labels.size:
        cuda.atomic.add(counts, labels[i], 1)

@cuda.jit
def racing(x, out):
    i = cuda.grid(1)
    if i < x.size:
        out[0] += x[i]

@cuda.jit
def spoils(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i]
        x[i] = float32(0)

@cuda.jit
def skips(x, out):  # leaves negative elements as they were
    i = cuda.grid(1)
    if i < out.size and x[i] > float32(0):
        out[i] = x[i]

@cuda.jit
def literal(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] * 0.1
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a test module's text, after the kernels, with the plugin, in a process of its own.

    In this process, pytester would import Numba a second time.
    """
    root = str(Path(gpugrad.__file__).parents[1])
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([root, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    )

    def run(text):
        pytester.makeconftest('pytest_plugins = ["gpugrad.testing"]')
        pytester.makepyfile(KERNELS + text)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "--strict-markers")

    return run


def test_right_kernels_pass(run):
    result = run("""
@pytest.mark.cuda_kernel(add, like=np.add, dtypes=["float32", "float64", "int32", "float16"])
def test_add(simulated):
    report = simulated.check()
    assert report.kernel == "add"

@pytest.mark.cuda_kernel(
    bias_relu, like=lambda x, bias: np.maximum(x + bias, 0),
    shapes={"x": "rows cols", "bias": "cols", "out": "rows cols"},
    blocks=[(8, 4), (1, 32)], cases=6,
)
def test_bias_relu(simulated):
    simulated.check()

@pytest.mark.cuda_kernel(
    scale, like=lambda x, factor: x * factor, out="x", launch="stride", cc=[(7, 5), (9, 0)],
    values={"factor": np.float32(3), "n": lambda sizes: np.int32(sizes["n"])}, sizes=[0, 1, 70],
)
def test_scale(simulated):
    simulated.check()

@pytest.mark.cuda_kernel(
    histogram, like=lambda labels: np.bincount(labels, minlength=10), cases=3,
    draw={"labels": lambda rng, sizes: rng.integers(0, 10, sizes["n"]),
          "counts": lambda rng, sizes: np.zeros(10, np.int64)},
    launch=lambda sizes: (-(-sizes["n"] // 64), 64),
)
def test_histogram(simulated):
    simulated.check()
""")
    result.assert_outcomes(passed=10 + 6 + 10 + 3)


FAILURES = {
    "unguarded, like=lambda x: x + x, sizes=[33], cases=1": (
        "unguarded with n=33 float32 grid=2 block=32 cc=7.5: MemoryFault: unguarded: a load of 4*"
    ),
    "nearly, like=lambda x: x, sizes=[64], cases=1": (
        "nearly with n=64 float32 grid=2 block=32 cc=7.5: out[[]40] is *, not *; "
        "1 of 64 elements are wrong"
    ),
    "racing, like=lambda x: x.sum(), cases=1, sizes=[64], "
    "draw={'out': lambda rng, sizes: np.zeros(1, 'f')}": (
        "racing with n=64 float32 grid=2 block=32 cc=7.5: RaceError: *"
    ),
    "spoils, like=lambda x: x, cases=1, sizes=[33]": (
        "spoils with n=33 *: x was changed, and is not among out=[[]'out']"
    ),
    "skips, like=lambda x: np.maximum(x, 0), cases=1, sizes=[33]": "skips with n=33 *] is nan*",
    "literal, like=lambda x: x * 0.1, cases=1, forbid=['float64']": "literal with n=*float64: *",
    "add, like=lambda x, y: (x + y)[:, None], cases=1": "add with *: like returns (*, 1) for*",
    "add, like=lambda x, y: y, cases=1, draw={'x': lambda rng, sizes: ['a']}": (
        "add with * LaunchError: argument x of add holds strings*"
    ),
}


def test_a_failure_says_in_its_first_line_which_case(run):
    result = run(
        "".join(
            f"@pytest.mark.cuda_kernel({marker})\n"
            f"def test_{n}(simulated):\n    simulated.check()\n\n"
            for n, marker in enumerate(FAILURES)
        )
    )
    result.assert_outcomes(failed=len(FAILURES))
    result.stdout.fnmatch_lines(list(FAILURES.values()))
    assert "Traceback" not in result.stdout.str()
    assert "During handling" not in result.stdout.str()


def test_the_launch_alone_and_the_arguments_can_be_used(run):
    result = run("""
@pytest.mark.cuda_kernel(add, like=np.add, cases=1, sizes=[50])
def test_add(simulated):
    report = simulated.run()
    assert report.stored_bytes == 200
    assert (simulated.args["out"] == simulated.args["x"] + simulated.args["y"]).all()
    assert simulated.case.sizes == {"n": 50}
""")
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("", "*test_kernel uses the fixture simulated and needs @pytest.mark.cuda_kernel*"),
        (
            "(add, like=lambda z: z)",
            "*like takes z, which is no parameter of the kernel (x, y, out)*",
        ),
        ("(add, like=np.add, out='z')", "*out='z' names no parameter that the kernel writes*"),
        ("(add, like=np.add, size=3)", "*unexpected keyword argument 'size'*"),
        ("(add, like=np.add, launch='both')", "*launch='both' is not*"),
        ("(add, like=np.add, blocks=[(8, 8)])", "*blocks=(8, 8) *out *"),
    ],
)
def test_wrong_markers_are_explained(pytester, marker, message):
    mark = f"@pytest.mark.cuda_kernel{marker}" if marker else ""
    pytester.makepyfile(
        f"import numpy as np, pytest\ndef add(x, y, out): pass\n{mark}\n"
        "def test_kernel(simulated): pass\n"
    )
    result = pytester.runpytest_inprocess("-p", "gpugrad.testing", "-p", "no:cacheprovider")
    assert result.ret != 0
    assert fnmatch(result.stdout.str() + result.stderr.str(), f"*{message}")


def kernel(x, y, out):
    pass


def test_cases_repeat_and_cover_the_sizes():
    check = Check(kernel, like=np.add, cases=len(SIZES))
    drawn = list(cases(check))
    assert list(map(str, drawn)) == list(map(str, cases(check)))
    assert sorted(case.sizes["n"] for case in drawn) == sorted(SIZES)
    again = list(cases(Check(kernel, like=np.add, cases=len(SIZES), seed=1)))
    assert list(map(str, drawn)) != list(map(str, again))
    for name, array in arguments(drawn[0]).items():
        assert np.array_equal(array, arguments(drawn[0])[name])


@pytest.mark.parametrize("launch", ["cover", "stride"])
def test_launches_have_more_blocks_than_work_and_fewer_if_asked(launch):
    drawn = list(cases(Check(kernel, like=np.add, cases=60, launch=launch)))
    spare = [case.grid - max(1, -(-case.sizes["n"] // case.block)) for case in drawn]
    assert max(spare) > 0
    assert 0 in spare
    assert (min(spare) < 0) is (launch == "stride")
    assert min(case.grid for case in drawn) >= 1


def test_a_case_says_everything():
    check = Check(kernel, like=np.add)
    case = Case(check, {"rows": 3, "cols": 1}, {"x": "int8"}, (1, 2), (16, 8), (8, 0), 0)
    assert str(case) == "rows=3 cols=1 x:int8 grid=(1,2) block=(16,8) cc=8.0"


def test_a_parameter_that_like_does_not_return_is_an_option_error():
    with pytest.raises(OptionError, match="like takes"):
        list(cases(Check(kernel, like=lambda z: z)))
