"""A pytest plugin: run your CUDA kernel against your NumPy expression, with no GPU.

In conftest.py: `pytest_plugins = ["gpugrad.testing"]`. In a test:

    @pytest.mark.cuda_kernel(add, like=lambda x, y: x + y)      # add(x, y, out) is the kernel
    def test_add(simulated):
        simulated.check()

The test runs once for each drawn case, of sizes such as 1, 31, 32 and 1025 and of launches with
more blocks than there is work, and looks for faults and races. `cuda_kernel` takes:

    kernel      what @cuda.jit made, or its Python function
    like        of the kernel's inputs, by name (a ufunc: the first ones), it returns the outputs
    out         names of what the kernel writes: by default, the parameters that `like` has not
    shapes      {"x": "rows cols", "bias": "cols"}: names of sizes; by default all arrays are "n"
    values      {"scale": np.float32(2), "n": lambda sizes: sizes["n"]}: what is no array
    draw        {"labels": lambda rng, sizes: rng.integers(0, 10, sizes["n"])}: arrays of your own
    dtypes      of the arrays: one, {"x": "float32", "i": "int64"}, or a list of these to draw from
    sizes       to draw from; add 0 for empty arrays
    blocks      threads of a block, to draw from: numbers, or tuples for kernels in 2-D and 3-D
    launch      "cover": at least a thread for each element of the first output (axis by axis if
                blocks are tuples); "stride": fewer too; or a function of the sizes: (grid, block)
    cases, seed how many cases, and what they are drawn from
    cc          a compute capability or a list of them
    shared_bytes    dynamic shared memory
    rtol, atol  in place of those of the dtype; exact=True compares bits, on inputs as they are
    forbid      kinds of findings that fail the test, such as "float64"

Floating-point inputs reach `like` as float64, so that the expression errs less than the kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpugrad.errors import GradError, OptionError
from gpugrad.simulate.cases import Case, Check, arguments, cases

Array = np.ndarray[Any, Any]
TOLERANCES = {"float16": 1e-2, "float32": 1e-5, "float64": 1e-12}
WIDER = {"float16": "float64", "float32": "float64", "complex64": "complex128"}


class Simulated:
    """The fixture `simulated`: one case of the test's kernel.

    Attributes:
        case: sizes, dtypes, grid, block and cc.
        args: the kernel's arguments by name; after `run`, the outputs are in them.
        report: of the launch, after `run`.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.args = arguments(case)
        self.report: Any = None

    def run(self) -> Any:
        """Run the kernel; a fault fails the test. Returns: the report."""
        from gpugrad.simulate.frontend.toolchain import numba_cuda
        from gpugrad.simulate.launch import run

        case, check = self.case, self.case.check
        cuda = numba_cuda()
        drawn = {*check.inputs, *check.draw, *check.values}
        # An output that nothing drew is memory that nothing has written.
        args = [value if name in drawn else cuda.Out(value) for name, value in self.args.items()]
        try:
            self.report = run(
                check.kernel,
                case.grid,
                case.block,
                *args,
                cc=case.cc,
                shared_bytes=check.shared_bytes,
            )
            failure = ""
        except GradError as error:
            failure = f"{type(error).__name__}: {error}"
        if failure:  # outside the handler, so that pytest shows no chain of exceptions
            self._fail(failure)
        for finding in self.report.findings:
            if finding.kind in check.forbid:
                self._fail(str(finding))
        return self.report

    def check(self) -> Any:
        """Run the kernel and compare what it wrote with the expression. Returns: the report."""
        check = self.case.check
        before = {name: np.copy(value) for name, value in self._arrays()}
        expected = check.like(*(self._as_input(self.args[name]) for name in check.inputs))
        report = self.run()
        several = isinstance(expected, (tuple, list))
        for name, value in zip(check.outputs, expected if several else [expected], strict=True):
            self._compare(name, self.args[name], np.asarray(value))
        for name, value in self._arrays():
            if name not in check.outputs and value.tobytes() != before[name].tobytes():
                self._fail(f"{name} was changed, and is not among out={check.outputs}")
        return report

    def _arrays(self) -> list[tuple[str, Array]]:
        return [(name, value) for name, value in self.args.items() if isinstance(value, np.ndarray)]

    def _as_input(self, value: Any) -> Any:
        if self.case.check.exact or not hasattr(value, "dtype"):
            return np.copy(value) if isinstance(value, np.ndarray) else value
        return value.astype(WIDER.get(str(value.dtype), value.dtype))

    def _compare(self, name: str, found: Array, expected: Array) -> None:
        if expected.shape != found.shape:
            self._fail(f"like returns {expected.shape} for {name}, which is {found.shape}")
        check, kind = self.case.check, found.dtype
        if check.exact or kind.kind not in "fc":
            same = found == expected.astype(kind)
            if kind.kind in "fc":
                same |= np.isnan(found) & np.isnan(expected)
        else:
            tolerance = TOLERANCES[np.empty(0, kind).real.dtype.name]
            rtol = tolerance if check.rtol is None else check.rtol
            atol = tolerance if check.atol is None else check.atol
            same = np.isclose(found, expected, rtol, atol, equal_nan=True)
        if not same.all():
            index = tuple(int(axis[0]) for axis in np.nonzero(~np.atleast_1d(same)))
            got, wanted = np.atleast_1d(found)[index], np.atleast_1d(expected)[index]
            place = f"{name}[{', '.join(map(str, index))}]" if found.ndim else name
            wrong = f"{int((~same).sum())} of {found.size} elements are wrong"
            self._fail(f"{place} is {got}, not {wanted}; {wrong}")

    def _fail(self, what: str) -> None:
        kernel = getattr(self.case.check.kernel, "py_func", self.case.check.kernel).__name__
        pytest.fail(f"{kernel} with {self.case}: {what}", pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "cuda_kernel(kernel, like, ...): the fixture `simulated` runs the kernel on drawn cases "
        "(see gpugrad.testing)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the test one case at a time."""
    if "simulated" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("cuda_kernel")
        if marker is None:
            raise pytest.UsageError(
                f"{metafunc.function.__name__} uses the fixture simulated and needs "
                "@pytest.mark.cuda_kernel(kernel, like=...)"
            )
        try:
            drawn = list(cases(Check(*marker.args, **marker.kwargs)))
        except (OptionError, TypeError) as error:
            raise pytest.UsageError(f"{metafunc.function.__name__}: {error}") from None
        metafunc.parametrize("simulated", drawn, ids=map(str, drawn), indirect=True)


@pytest.fixture
def simulated(request: pytest.FixtureRequest) -> Simulated:
    """One case of the kernel that the test's marker `cuda_kernel` names."""
    from gpugrad.simulate.faults import CompileError
    from gpugrad.simulate.frontend.toolchain import numba_cuda

    try:
        numba_cuda()
    except CompileError as error:
        pytest.skip(str(error))
    return Simulated(request.param)
