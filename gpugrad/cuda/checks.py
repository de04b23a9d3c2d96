"""The checks of a GPU installation: what the facts of `gpugrad.cuda.probes` mean.

Each looks at one thing and gives one `Finding`. A check whose subject is missing says so and
leaves the problem to the check before it.
"""

from __future__ import annotations

import sys

from gpugrad._address import install_command
from gpugrad.cuda import probes
from gpugrad.cuda.backend import is_simulated
from gpugrad.cuda.finding import Finding, skipped
from gpugrad.cuda.probes import Version
from gpugrad.errors import GradError

LEAST_CUDA, NEWEST_CUDA = 12, 13  # major versions for which there are extras
LEAST_CAPABILITY = (7, 5)
# The lower bounds in pyproject.toml
LEAST = {"cupy": "14.0.1", "numba-cuda": "0.22.2", "numba": "0.60"}
DRIVERS = "https://www.nvidia.com/drivers"


def driver() -> Finding:
    about, version = "NVIDIA driver", probes.driver_version()
    if version is None:
        problem = f"there is no NVIDIA driver here: {probes.LIBCUDA} cannot be loaded"
        return Finding(about, "none", problem, f'{_how_to_get_a_driver()}, or use device="cpu"')
    found = f"for CUDA {_text(version)}"
    if version[0] < LEAST_CUDA:
        problem = (
            f"the NVIDIA driver is too old: it knows CUDA {_text(version)} at most, and gpugrad "
            f"needs {LEAST_CUDA}.0"
        )
        return Finding(about, found, problem, f"install a newer driver ({DRIVERS})")
    return Finding(about, found)


def gpu() -> Finding:
    about, gpus = "GPU", probes.gpus()
    if probes.driver_version() is None:
        return skipped(about, "needs the driver")
    if gpus.found:
        return Finding(about, "; ".join(f"{gpu.name}, {gpu.gib:.1f} GiB" for gpu in gpus.found))
    visible = probes.visible_devices()
    if visible is not None and gpus.refusal in ("", "CUDA_ERROR_NO_DEVICE"):
        problem = f"CUDA_VISIBLE_DEVICES={visible!r} hides every GPU from this process"
        return Finding(about, "none visible", problem, "unset CUDA_VISIBLE_DEVICES")
    why = gpus.refusal or "it counts none"
    problem = f"the NVIDIA driver gives this process no GPU ({why})"
    return Finding(about, "none", problem, "nvidia-smi   (it says what the driver sees)")


def capability() -> Finding:
    about, gpus = "compute capability", probes.gpus().found
    if not gpus:
        return skipped(about, "needs a GPU")
    found = ", ".join(_text(gpu.compute_capability) for gpu in gpus)
    if gpus[0].compute_capability >= LEAST_CAPABILITY:
        return Finding(about, found)
    problem = (
        f"{gpus[0].name} has compute capability {_text(gpus[0].compute_capability)}, and gpugrad's "
        f"kernels need {_text(LEAST_CAPABILITY)}"
    )
    able = [i for i, gpu in enumerate(gpus) if gpu.compute_capability >= LEAST_CAPABILITY]
    return Finding(about, found, problem, f'use device="{f"cuda:{able[0]}" if able else "cpu"}"')


def cupy() -> Finding:
    about, here = "CuPy", probes.cupy_distributions()
    if not here:
        return Finding(about, "none", "CuPy is not installed", _install())
    found = ", ".join(f"{name} {probes.installed(name)}" for name in here)
    if len(here) > 1:
        problem = (
            f"CuPy is installed more than once ({', '.join(here)}), and each has overwritten files "
            "of the other"
        )
        return Finding(about, found, problem, _install_instead_of(here))
    return _old_enough(about, here[0], "cupy") or Finding(about, found)


def cupy_imports() -> Finding:
    about, here = "CuPy's import", probes.cupy_distributions()
    if not here:
        return skipped(about, "needs CuPy")
    why = probes.import_failure("cupy")
    if why:
        again = f"pip install --force-reinstall --no-deps {here[0]}"
        return Finding(about, "fails", f"CuPy cannot be imported: {why}", again)
    return Finding(about, "works")


def cupy_and_driver() -> Finding:
    about, here, toolkit = "CuPy's CUDA", probes.cupy_distributions(), probes.cupy_toolkit()
    known = probes.driver_version()
    if not here or toolkit is None:
        return skipped(about, "needs CuPy")
    found = _text(toolkit)
    if toolkit[0] < LEAST_CUDA:
        problem = f"{here[0]} is built for CUDA {found}, and gpugrad needs {LEAST_CUDA}.0"
        return Finding(about, found, problem, _install_instead_of(here))
    if known is not None and toolkit[0] > known[0]:
        problem = (
            f"{here[0]} is built for CUDA {found}, and the driver knows CUDA {_text(known)} at most"
        )
        return Finding(about, found, problem, _install_instead_of(here))
    if known is not None and toolkit > known:
        found += f", which a driver for {_text(known)} runs"
    return Finding(about, found)


def cublas() -> Finding:
    about = "cuBLAS"
    if not probes.cupy_distributions() or probes.import_failure("cupy"):
        return skipped(about, "needs CuPy")
    if probes.cublas_failure():
        part = "nvidia-cublas-cu12" if _major() == LEAST_CUDA else "nvidia-cublas"
        problem = "CuPy cannot load cuBLAS, which multiplies matrices"
        return Finding(about, "none", problem, _install(part))
    return Finding(about, "loads")


def numba_cuda() -> Finding:
    about = "numba-cuda"
    version, numba = probes.installed("numba-cuda"), probes.installed("numba")
    if version is None:
        problem = "the package numba-cuda is not installed (the numba.cuda inside numba is not it)"
        return Finding(about, "none", problem, _install(_numba_cuda()))
    old = _old_enough(about, "numba-cuda") or _old_enough(about, "numba")
    return old or Finding(about, f"{version}, numba {numba}")


def compiler() -> Finding:
    about = "NVVM"
    if probes.installed("numba-cuda") is None:
        return skipped(about, "needs numba-cuda")
    error = probes.compiler_failure()
    if error is None:
        version = probes.nvvm_version()
        return Finding(about, _text(version) if version else "loads")
    if type(error).__name__ in ("NvvmSupportError", "DynamicLibNotFoundError"):
        problem = "NVVM, with which Numba compiles kernels, is not installed"
        return Finding(about, "none", problem, _install(_numba_cuda()))
    if isinstance(error, GradError):
        problem, _, mend = str(error).partition("\n  help: ")
        return Finding(about, "fails", problem, mend)
    problem = f"Numba's compiler for CUDA does not work: {probes.one_line(error)}"
    return Finding(about, "fails", problem, f"pip install --force-reinstall '{_numba_cuda()}'")


def linker() -> Finding:
    about, version, nvvm = "nvJitLink", probes.nvjitlink_version(), probes.nvvm_version()
    if probes.installed("numba-cuda") is None:
        return skipped(about, "needs numba-cuda")
    if version is None:
        problem = "nvJitLink, which links kernels, cannot be loaded"
        return Finding(about, "none", problem, _install(_numba_cuda()))
    found, known = _text(version), probes.driver_version()
    if nvvm is not None and version < nvvm:
        part = "nvidia-nvjitlink-cu12" if version[0] == LEAST_CUDA else "nvidia-nvjitlink"
        problem = (
            f"nvJitLink {found} is older than NVVM {_text(nvvm)}, so it links none of its code"
        )
        return Finding(about, found, problem, f"pip install --upgrade {part}")
    if known is not None and version[0] > known[0]:
        problem = (
            f"nvJitLink {found} makes code for CUDA {version[0]}, and the driver knows CUDA "
            f"{_text(known)} at most"
        )
        return Finding(about, found, problem, _install(_numba_cuda()))
    return Finding(about, found)


def _old_enough(about: str, distribution: str, bound: str = "") -> Finding | None:
    """A finding if the distribution is older than gpugrad needs."""
    version, least = probes.installed(distribution), LEAST[bound or distribution]
    if version is None or probes.numbers(version) >= probes.numbers(least):
        return None
    found = f"{distribution} {version}"
    problem = f"{found} is older than {least}, the oldest that gpugrad works with"
    return Finding(about, found, problem, _install(f"{distribution}>={least}"))


def _how_to_get_a_driver() -> str:
    if sys.platform == "darwin":
        return "run it on Linux or Windows with an NVIDIA GPU"
    if probes.on_colab():
        return "choose Runtime > Change runtime type > T4 GPU"
    if probes.in_container():
        return "start the container with --gpus all if the machine has an NVIDIA GPU"
    return f"install the driver of the NVIDIA GPU if there is one ({DRIVERS})"


def _major() -> int:
    """The CUDA to install for: the installed CuPy's, as far as the driver knows it."""
    known = probes.driver_version()
    newest = min(known[0], NEWEST_CUDA) if known else NEWEST_CUDA
    here = probes.cupy_distributions()
    of_wheel = int(here[0][len("cupy-cuda") : -1]) if here not in ([], ["cupy"]) else 0
    wanted = of_wheel if len(here) == 1 and of_wheel else newest if known else LEAST_CUDA
    return max(LEAST_CUDA, min(wanted, newest))


def _install(part: str = "") -> str:
    """The command that installs what is missing.

    Args:
        part: the package that it is about, for a CuPy that is no wheel of a CUDA version and that
            an extra would install a second one beside.
    """
    if is_simulated():
        return install_command("simulate")
    if part and probes.cupy_distributions() == ["cupy"]:
        return f"pip install '{part}'"
    return install_command(f"cuda{_major()}")


def _install_instead_of(distributions: list[str]) -> str:
    # All go, since they share a folder: removing one takes files of the others with it.
    return f"pip uninstall -y {' '.join(distributions)} && {_install()}"


def _numba_cuda() -> str:
    return f"numba-cuda[cu{_major()}]"


def _text(version: Version) -> str:
    return ".".join(map(str, version))
