"""What `gpugrad doctor` says of every way in which the software of a GPU can be broken."""

from __future__ import annotations

import ctypes
import importlib.metadata
import re
import subprocess
import sys

import pytest

from gpugrad._address import install_command, repository
from gpugrad.cuda import checks, diagnosis, probes
from gpugrad.cuda.probes import GPU, GPUs
from gpugrad.errors import GradError
from gpugrad.simulate import CompileError

pytestmark = pytest.mark.once

T4 = GPU("Tesla T4", (7, 5), 15 << 30)
COLAB = {"cupy-cuda12x": "14.0.1", "numba-cuda": "0.22.2", "numba": "0.61.2"}
CUDA12, CUDA13 = install_command("cuda12"), install_command("cuda13")


class Machine:
    """A machine on which all is well; a test breaks one thing."""

    def __init__(self, monkeypatch):
        self._patch = monkeypatch
        self.packages = dict(COLAB)
        monkeypatch.delenv("GPUGRAD_SIMULATE_CUDA", raising=False)
        monkeypatch.setattr(probes, "installed", self.packages.get)
        monkeypatch.setattr(sys, "platform", "linux")
        self.has(
            driver_version=(12, 4),
            gpus=GPUs((T4,)),
            visible_devices=None,
            on_colab=False,
            in_container=False,
            cupy_toolkit=(12, 9),
            cublas_failure="",
            compiler_failure=None,
            nvjitlink_version=(12, 8),
            nvvm_version=(12, 8),
        )
        monkeypatch.setattr(probes, "import_failure", lambda module: "")

    def has(self, **answers):
        for probe, answer in answers.items():
            self._patch.setattr(probes, probe, lambda answer=answer: answer)

    def problems(self):
        return [(each.problem, each.mend) for each in diagnosis.installation() if each.problem]

    def verdicts(self):
        return {each.about: each.verdict for each in diagnosis.installation()}


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def instead_of(*distributions, then=CUDA12):
    return f"pip uninstall -y {' '.join(distributions)} && {then}"


# All is well


def test_colab_has_no_problem(machine):
    assert diagnosis.first_problem() is None
    assert {each.about: each.found for each in diagnosis.installation()} == {
        "NVIDIA driver": "for CUDA 12.4",
        "GPU": "Tesla T4, 15.0 GiB",
        "compute capability": "7.5",
        "CuPy": "cupy-cuda12x 14.0.1",
        "CuPy's import": "works",
        "CuPy's CUDA": "12.9, which a driver for 12.4 runs",
        "cuBLAS": "loads",
        "numba-cuda": "0.22.2, numba 0.61.2",
        "NVVM": "12.8",
        "nvJitLink": "12.8",
    }
    assert set(machine.verdicts().values()) == {"ok"}


def test_a_driver_newer_than_everything_is_well(machine):
    machine.has(driver_version=(14, 1))
    assert machine.problems() == []


# The driver and the card


@pytest.mark.parametrize(
    ("place", "mend"),
    [
        ({}, "install the driver of the NVIDIA GPU if there is one "
             "(https://www.nvidia.com/drivers), or use device=\"cpu\""),
        ({"on_colab": True},
         "choose Runtime > Change runtime type > T4 GPU, or use device=\"cpu\""),
        ({"in_container": True},
         "start the container with --gpus all if the machine has an NVIDIA GPU, or use "
         "device=\"cpu\""),
    ],
)  # fmt: skip
def test_no_driver(machine, place, mend):
    machine.has(driver_version=None, gpus=GPUs(), **place)
    problem = "there is no NVIDIA driver here: libcuda.so.1 cannot be loaded"
    assert machine.problems() == [(problem, mend)]
    assert str(diagnosis.first_problem()) == f"{problem}\n  help: {mend}"


def test_a_driver_from_before_cuda_12(machine):
    machine.has(driver_version=(11, 4))
    assert machine.problems()[0] == (
        "the NVIDIA driver is too old: it knows CUDA 11.4 at most, and gpugrad needs 12.0",
        "install a newer driver (https://www.nvidia.com/drivers)",
    )


@pytest.mark.parametrize("visible", ["", "-1", "3"])
def test_no_device_is_visible(machine, visible):
    machine.has(gpus=GPUs(refusal="CUDA_ERROR_NO_DEVICE"), visible_devices=visible)
    assert machine.problems() == [
        (f"CUDA_VISIBLE_DEVICES={visible!r} hides every GPU from this process",
         "unset CUDA_VISIBLE_DEVICES")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("refusal", "visible", "why"),
    [
        ("CUDA_ERROR_NO_DEVICE", None, "CUDA_ERROR_NO_DEVICE"),
        ("", None, "it counts none"),
        ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "0", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"),
    ],
)
def test_the_driver_gives_no_device(machine, refusal, visible, why):
    machine.has(gpus=GPUs(refusal=refusal), visible_devices=visible)
    assert machine.problems() == [
        (f"the NVIDIA driver gives this process no GPU ({why})",
         "nvidia-smi   (it says what the driver sees)")
    ]  # fmt: skip


@pytest.mark.parametrize(("others", "use"), [((), "cpu"), ((T4,), "cuda:1")])
def test_a_card_that_is_too_old(machine, others, use):
    machine.has(gpus=GPUs((GPU("Tesla P100", (6, 0), 16 << 30), *others)))
    assert machine.problems() == [
        ("Tesla P100 has compute capability 6.0, and gpugrad's kernels need 7.5",
         f'use device="{use}"')
    ]  # fmt: skip


@pytest.mark.parametrize("where", ["Colab", "macOS"])
def test_no_package_is_offered_where_none_would_help(machine, monkeypatch, where):
    monkeypatch.setattr(sys, "platform", "darwin" if where == "macOS" else "linux")
    machine.packages.clear()
    machine.has(driver_version=None, gpus=GPUs(), on_colab=where == "Colab")
    assert [mend for _, mend in machine.problems()] == [
        'run it on Linux or Windows with an NVIDIA GPU, or use device="cpu"'
        if where == "macOS"
        else 'choose Runtime > Change runtime type > T4 GPU, or use device="cpu"'
    ]


# CuPy


@pytest.mark.parametrize(
    ("driver", "command"), [((12, 4), CUDA12), ((13, 0), CUDA13), ((14, 0), CUDA13), (None, CUDA12)]
)
def test_no_cupy_asks_for_the_one_that_the_driver_knows(machine, driver, command):
    machine.has(driver_version=driver)
    del machine.packages["cupy-cuda12x"]
    assert machine.problems()[-1] == ("CuPy is not installed", command)
    assert machine.verdicts()["CuPy's import"] == machine.verdicts()["cuBLAS"] == "-"


def test_two_wheels_of_cupy(machine):
    machine.packages["cupy-cuda13x"] = "14.2.0"
    assert machine.problems() == [
        ("CuPy is installed more than once (cupy-cuda12x, cupy-cuda13x), and each has overwritten "
         "files of the other", instead_of("cupy-cuda12x", "cupy-cuda13x"))
    ]  # fmt: skip


def test_an_old_cupy(machine):
    machine.packages["cupy-cuda12x"] = "13.6.0"
    assert machine.problems() == [
        ("cupy-cuda12x 13.6.0 is older than 14.0.1, the oldest that gpugrad works with", CUDA12)
    ]


def test_cupy_that_cannot_be_imported(machine, monkeypatch):
    why = {"cupy": "numpy.dtype size changed"}
    monkeypatch.setattr(probes, "import_failure", lambda module: why.get(module, ""))
    machine.has(cupy_toolkit=None)
    assert machine.problems() == [
        ("CuPy cannot be imported: numpy.dtype size changed",
         "pip install --force-reinstall --no-deps cupy-cuda12x")
    ]  # fmt: skip


def test_a_driver_older_than_the_toolkit_of_cupy(machine):
    machine.packages["cupy-cuda13x"] = machine.packages.pop("cupy-cuda12x")
    machine.has(cupy_toolkit=(13, 0))
    assert machine.problems() == [
        ("cupy-cuda13x is built for CUDA 13.0, and the driver knows CUDA 12.4 at most",
         instead_of("cupy-cuda13x"))
    ]  # fmt: skip


def test_cupy_for_cuda_11(machine):
    machine.packages["cupy-cuda11x"] = machine.packages.pop("cupy-cuda12x")
    machine.has(cupy_toolkit=(11, 8))
    assert machine.problems() == [
        ("cupy-cuda11x is built for CUDA 11.8, and gpugrad needs 12.0", instead_of("cupy-cuda11x"))
    ]


def test_cupy_without_cublas(machine):
    machine.has(cublas_failure="No such file: libcublasLt.so.12")
    assert machine.problems() == [
        ("CuPy cannot load cuBLAS, which multiplies matrices", CUDA12),
    ]


# Numba's compiler and NVIDIA's libraries


def test_numba_without_numba_cuda(machine):
    del machine.packages["numba-cuda"]
    assert machine.problems() == [
        ("the package numba-cuda is not installed (the numba.cuda inside numba is not it)", CUDA12)
    ]
    assert machine.verdicts()["NVVM"] == machine.verdicts()["nvJitLink"] == "-"


@pytest.mark.parametrize(
    ("package", "old", "least"), [("numba-cuda", "0.4.0", "0.22.2"), ("numba", "0.59.1", "0.60")]
)
def test_an_old_numba(machine, package, old, least):
    machine.packages[package] = old
    assert machine.problems() == [
        (f"{package} {old} is older than {least}, the oldest that gpugrad works with", CUDA12)
    ]


def test_no_nvvm(machine):
    DynamicLibNotFoundError = type("DynamicLibNotFoundError", (RuntimeError,), {})
    machine.has(compiler_failure=DynamicLibNotFoundError("libnvvm"))
    assert machine.problems() == [
        ("NVVM, with which Numba compiles kernels, is not installed", CUDA12)
    ]


def test_numba_cuda_that_does_not_know_this_numpy(machine):
    machine.has(compiler_failure=CompileError("does not work beside NumPy\n  help: pip do"))
    assert machine.problems() == [("does not work beside NumPy", "pip do")]


def test_a_broken_numba_cuda(machine):
    machine.has(compiler_failure=TypeError("no such\nthing"))
    assert machine.problems() == [
        ("Numba's compiler for CUDA does not work: no such",
         "pip install --force-reinstall 'numba-cuda[cu12]'")
    ]  # fmt: skip


def test_no_nvjitlink(machine):
    machine.has(nvjitlink_version=None)
    assert machine.problems() == [("nvJitLink, which links kernels, cannot be loaded", CUDA12)]


@pytest.mark.parametrize(
    ("linker", "nvvm", "package"),
    [((12, 6), (12, 8), "nvidia-nvjitlink-cu12"), ((13, 0), (13, 5), "nvidia-nvjitlink")],
)
def test_nvjitlink_older_than_nvvm(machine, linker, nvvm, package):
    machine.has(driver_version=(13, 0), nvjitlink_version=linker, nvvm_version=nvvm)
    link, compiler = (".".join(map(str, version)) for version in (linker, nvvm))
    assert machine.problems() == [
        (f"nvJitLink {link} is older than NVVM {compiler}, so it links none of its code",
         f"pip install --upgrade {package}")
    ]  # fmt: skip


def test_nvjitlink_newer_than_nvvm_or_beside_a_toolkit_in_a_folder_is_well(machine):
    machine.has(nvjitlink_version=(12, 9))
    assert machine.problems() == []
    machine.has(nvvm_version=None)
    assert machine.problems() == []


def test_nvjitlink_for_a_cuda_that_the_driver_does_not_know(machine):
    machine.has(nvjitlink_version=(13, 0), nvvm_version=(13, 0))
    assert machine.problems() == [
        ("nvJitLink 13.0 makes code for CUDA 13, and the driver knows CUDA 12.4 at most", CUDA12)
    ]


# Several at once, and what to install


def test_a_machine_with_nothing_says_the_driver_first(machine):
    machine.packages.clear()
    machine.has(driver_version=None, gpus=GPUs(), cupy_toolkit=None, nvjitlink_version=None)
    assert [problem.split(" ", 3)[:3] for problem, _ in machine.problems()] == [
        ["there", "is", "no"], ["CuPy", "is", "not"], ["the", "package", "numba-cuda"],
    ]  # fmt: skip
    assert "NVIDIA driver" in str(diagnosis.first_problem())
    assert [name for name, verdict in machine.verdicts().items() if verdict == "-"] == [
        "GPU", "compute capability", "CuPy's import", "CuPy's CUDA", "cuBLAS", "NVVM", "nvJitLink",
    ]  # fmt: skip


def test_a_cupy_that_is_no_wheel_gets_no_second_one(machine):
    machine.packages["cupy"] = machine.packages.pop("cupy-cuda12x")
    del machine.packages["numba-cuda"]
    machine.has(cublas_failure="not found")
    assert [mend for _, mend in machine.problems()] == [
        "pip install 'nvidia-cublas-cu12'", "pip install 'numba-cuda[cu12]'",
    ]  # fmt: skip


def test_a_cupy_that_fits_decides_what_to_install(machine):
    machine.has(driver_version=(13, 0))
    del machine.packages["numba-cuda"]
    assert [mend for _, mend in machine.problems()] == [CUDA12]


def test_a_check_that_fails_is_a_problem_and_raises_nothing(machine, monkeypatch):
    def explode():
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(probes, "driver_version", explode)
    assert str(diagnosis.first_problem()) == (
        "the check driver fails: division by zero\n"
        f"  help: report it with what gpugrad doctor prints: {repository()}/issues"
    )


def test_lower_bounds_are_those_of_the_metadata():
    requirements = importlib.metadata.requires("gpugrad") or []
    for extra, wheel in (("cuda12", "cupy-cuda12x"), ("cuda13", "cupy-cuda13x")):
        lines = [line for line in requirements if f'extra == "{extra}"' in line]
        if not lines:
            pytest.skip(f"the installed gpugrad has no extra {extra} yet: install it again")
        bounds = dict(re.findall(r"^([\w-]+)(?:\[\w+\])?>=([\d.]+)", "\n".join(lines), re.M))
        assert {name: bounds[name] for name in ("numba", "numba-cuda")} == {
            name: checks.LEAST[name] for name in ("numba", "numba-cuda")
        }
        assert bounds[wheel] == checks.LEAST["cupy"]


# Asking the driver


class Library:
    """The driver's library with two cards."""

    def __init__(self, init=0):
        self.init = init

    def cuInit(self, flags):
        return self.init

    def cuDriverGetVersion(self, out):
        out._obj.value = 12040
        return 0

    def cuDeviceGetCount(self, out):
        out._obj.value = 2
        return 0

    def cuDeviceGetName(self, out, length, index):
        out.value = [b"Tesla T4", b"NVIDIA A100"][index]
        return 0

    def cuDeviceTotalMem_v2(self, out, index):
        out._obj.value = (15 << 30) + index
        return 0

    def cuDeviceGetAttribute(self, out, which, index):
        out._obj.value = {75: (7, 8), 76: (5, 0)}[which][index]
        return 0

    def cuGetErrorName(self, number, out):
        out._obj.value = {100: b"CUDA_ERROR_NO_DEVICE"}.get(number)
        return 0 if out._obj.value else 1


def test_the_driver_is_asked_through_its_library(monkeypatch):
    monkeypatch.setattr(probes, "libcuda", Library)
    assert probes.driver_version() == (12, 4)
    assert probes.gpus() == GPUs((T4, GPU("NVIDIA A100", (8, 0), (15 << 30) + 1)))


@pytest.mark.parametrize(
    ("number", "name"), [(100, "CUDA_ERROR_NO_DEVICE"), (12345, "CUDA error 12345")]
)
def test_a_driver_that_refuses_says_why(monkeypatch, number, name):
    monkeypatch.setattr(probes, "libcuda", lambda: Library(init=number))
    assert probes.gpus() == GPUs(refusal=name)


def test_a_library_that_is_not_there(monkeypatch):
    monkeypatch.setattr(probes, "LIBCUDA", "libno-such-driver.so.1")
    assert probes.libcuda() is None
    assert probes.driver_version() is None
    assert probes.gpus() == GPUs()


# For real


def has_driver():
    try:
        ctypes.CDLL(probes.LIBCUDA)
    except OSError:
        return False
    return True


without_driver = pytest.mark.skipif(has_driver(), reason="this machine has an NVIDIA driver")


@without_driver
def test_the_first_problem_is_quick_and_imports_no_package():
    code = (
        "import sys\n"
        "from time import process_time\n"
        "from gpugrad.cuda.diagnosis import first_problem\n"
        "start = process_time()\n"
        "problem = first_problem()\n"
        "print(process_time() - start < 0.05, problem.problem)\n"
        "print([name for name in ('cupy', 'numba') if name in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        f"True there is no NVIDIA driver here: {probes.LIBCUDA} cannot be loaded", "[]",
    ]  # fmt: skip


@without_driver
def test_cupy_without_a_driver(monkeypatch):
    pytest.importorskip("cupy", reason="CuPy is not installed")
    monkeypatch.delenv("GPUGRAD_SIMULATE_CUDA", raising=False)
    found = {each.about: each for each in diagnosis.installation()}
    assert found["NVIDIA driver"].verdict == "problem"
    assert found["GPU"].verdict == "-"
    assert re.fullmatch(r"cupy(-cuda1[23]x)? 1[4-9]\.\d+\.\d+", found["CuPy"].found)
    assert (found["CuPy"].verdict, found["CuPy's import"].found) == ("ok", "works")
    assert re.fullmatch(r"1[2-9]\.\d+", found["CuPy's CUDA"].found)


def test_what_is_installed_here_is_what_the_probes_say():
    try:
        version = importlib.metadata.version("numba-cuda")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("numba-cuda is not installed")
    assert probes.installed("numba-cuda") == version
    assert probes.installed("no-such-package") is None
    assert probes.compiler_failure() is None
    linker, nvvm = probes.nvjitlink_version(), probes.nvvm_version()
    assert linker is not None
    assert nvvm is None or linker >= nvvm >= (12, 0)


# Simulated


def test_a_simulated_device_needs_the_compiler_only(machine, monkeypatch):
    monkeypatch.setenv("GPUGRAD_SIMULATE_CUDA", "1")
    machine.has(driver_version=None, gpus=GPUs())
    del machine.packages["cupy-cuda12x"]
    assert {each.about: each.found for each in diagnosis.installation()} == {
        "device": "simulated on the CPU, since GPUGRAD_SIMULATE_CUDA is set",
        "numba-cuda": "0.22.2, numba 0.61.2",
        "NVVM": "12.8",
    }
    del machine.packages["numba-cuda"]
    assert [mend for _, mend in machine.problems()] == [install_command("simulate")]


# Computing


class Host:
    """A backend whose device is NumPy, and that gives back something else where told to."""

    simulated = True

    def __init__(self, wrong=None, error=None):
        import numpy

        self.module, self.wrong, self.error, self.calls = numpy, wrong, error, 0

    def put(self, host):
        return host

    def get(self, array):
        self.calls += 1
        if self.calls == self.wrong:
            array = array.copy()
            array.flat[:3] += 1
        if self.calls == self.error:
            raise GradError("a launch failed\n  help: look again")
        return array


def _tried(monkeypatch, **how):
    from gpugrad.cuda import trial

    host = Host(**how)
    monkeypatch.setattr(trial, "backend", lambda: host)
    # Without numba-cuda there is no kernel to import, and what is tested here is the comparison.
    kernel = ("kernel", lambda gpu: trial._expected_kernel(), trial._expected_kernel)
    monkeypatch.setattr(trial, "_TRIALS", (trial._TRIALS[0], kernel, trial._TRIALS[2]))
    return list(trial.trials())


def test_computation_is_compared_with_numpy(monkeypatch):
    assert [(each.about, each.found) for each in _tried(monkeypatch)] == [
        ("array expression", "as NumPy's"), ("kernel", "as NumPy's"),
        ("matrix product", "as NumPy's"),
    ]  # fmt: skip


def test_a_wrong_result_is_a_problem_and_ends_the_trial(monkeypatch):
    expression, kernel, product = _tried(monkeypatch, wrong=2)
    assert (expression.verdict, product.verdict) == ("ok", "-")
    assert kernel.problem == "the kernel gives another result than NumPy in 3 of 1000 places"
    assert product.found == "needs the kernel"


def test_an_error_is_a_problem_with_its_own_help(monkeypatch):
    product = _tried(monkeypatch, error=3)[2]
    assert (product.problem, product.mend) == (
        "the matrix product fails: a launch failed", "look again",
    )  # fmt: skip


def test_nothing_is_computed_while_the_installation_has_problems(machine):
    machine.has(nvjitlink_version=None)
    assert [each.found for each in diagnosis.diagnose()][-1] == (
        "not tried: the installation has problems"
    )
