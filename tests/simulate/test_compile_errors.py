"""Kernels that do not compile, and compilers that are missing: what the user is told."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from gpugrad.simulate.faults import CompileError
from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from numba import cuda, types  # noqa: E402

from gpugrad.simulate.frontend.frontend import compiled  # noqa: E402

VECTOR = (types.float32[::1],)


# Numba names the line of some of these; of the others it is found in the compiler.


def undefined(x):
    x[0] = nothing_of_that_name(x[0])  # noqa: F821  # undefined


def attribute(x):
    x.colour = 3  # attribute


def numpy_function(x):
    x[0] = np.exp(x[0])  # numpy function


def too_many_indices(x):
    x[0] = x[0, 1, 2]  # too many indices


def returns(x):
    return x[0]


@cuda.jit(device=True)
def bad_helper(a):
    return a.colour  # bad helper


def calls_bad_helper(x):
    x[0] = bad_helper(x[0])


def missing_argument(x):
    x[0] = cuda.shfl_sync(1)  # missing argument


@pytest.mark.parametrize(
    ("function", "place", "reason"),
    [
        (undefined, None, "NameError: name 'nothing_of_that_name' is not defined"),
        (attribute, "attribute", "Cannot resolve setattr"),
        (numpy_function, "numpy function", r"NumPy's exp .*\n  help: try math.exp"),
        (too_many_indices, "too many indices", "cannot index .* with 3 indices"),
        (returns, None, "a kernel returns nothing\n  help: write its result"),
        (calls_bad_helper, "bad helper", "Unknown attribute 'colour' of type float32"),
        (missing_argument, "missing argument", "missing 2 required positional arguments"),
    ],
)
def test_a_kernel_that_does_not_compile(function, place, reason, line_of):
    with pytest.raises(CompileError, match=f"Numba: (.*\n)*.*{reason}") as caught:
        compiled(function, VECTOR, (7, 5))
    message = str(caught.value)
    assert message.startswith(f"{function.__name__} does not compile\n  at {__file__}:")
    assert message.endswith("arguments: x: array(float32, 1d, C)")
    assert len(message.splitlines()) < 12
    if place is not None:
        assert f"at {line_of(place)}\n" in message


def in_fresh_python(code, *flags, **environment):
    result = subprocess.run(
        [sys.executable, *flags, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_missing_compiler_is_named_with_what_to_install():
    said = in_fresh_python(
        "import importlib.metadata as m\n"
        "def version(name, real=m.version):\n"
        "    if name == 'numba-cuda': raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n"
        "import gpugrad._address\n"
        "gpugrad._address.install_command = lambda extra: f'install {extra}'\n"
        "from gpugrad.simulate.launch import run\n"
        "try: run(lambda x: None, 1, 1, 1)\n"
        "except Exception as e: print(type(e).__name__, e)\n"
        "import sys; assert 'numba' not in sys.modules"
    )
    assert said.startswith("CompileError gpugrad.simulate compiles kernels with the package numba")
    assert "help: install simulate" in said


def test_missing_libraries_are_named_with_what_to_install(monkeypatch):
    from gpugrad import _address

    class DynamicLibNotFoundError(RuntimeError):
        pass

    def compile_all(*args, **options):
        raise DynamicLibNotFoundError("libnvvm.so")

    monkeypatch.setattr(cuda, "compile_all", compile_all)
    monkeypatch.setattr(_address, "install_command", lambda extra: f"install {extra}")
    with pytest.raises(
        CompileError, match=r"NVIDIA's libraries NVVM, .*\n  help: install simulate"
    ):
        compiled(lambda x: None, VECTOR, (7, 5))


def test_numbas_own_simulator_has_to_be_off():
    said = in_fresh_python(
        "from gpugrad.simulate.launch import run\n"
        "try: run(lambda x: None, 1, 1, 1)\n"
        "except Exception as e: print(type(e).__name__, e)\n",
        NUMBA_ENABLE_CUDASIM="1",
    )
    assert said.startswith("CompileError NUMBA_ENABLE_CUDASIM is set")
    assert "help: unset" in said


def test_a_numpy_that_numba_cuda_does_not_know(monkeypatch):
    from gpugrad.simulate.frontend import toolchain

    def import_module(name):
        raise AttributeError("module 'numpy' has no attribute 'row_stack'")

    monkeypatch.setattr(toolchain, "_ready", [])
    monkeypatch.setattr(toolchain.importlib, "import_module", import_module)
    with pytest.raises(CompileError, match=r"does not work beside NumPy .*row_stack'\n  help: pip"):
        toolchain.numba_cuda()
