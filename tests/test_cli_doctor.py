"""`gpugrad doctor`, and what `gpugrad train` says of a device that is not there."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from gpugrad._address import install_command
from gpugrad.cli import main
from gpugrad.cuda import checks, diagnosis, probes
from gpugrad.cuda.backend import backend, is_simulated, on_a_gpu
from gpugrad.cuda.finding import Finding, skipped

pytestmark = pytest.mark.once

NO_DRIVER = f"there is no NVIDIA driver here: {probes.LIBCUDA} cannot be loaded"


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Calls the command in an empty folder; gives its status, lines and complaints."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        status = main(list(arguments))
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err

    return call


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine without a GPU, also while the device of the tests is simulated."""
    try:
        ctypes.CDLL(probes.LIBCUDA)
    except OSError:
        pass
    else:
        pytest.skip("this machine has an NVIDIA driver")
    monkeypatch.delenv("GPUGRAD_SIMULATE_CUDA", raising=False)
    monkeypatch.setattr(checks, "_how_to_get_a_driver", lambda: "get a driver")
    for kept in (backend, on_a_gpu):
        kept.cache_clear()
    yield
    for kept in (backend, on_a_gpu):
        kept.cache_clear()


@pytest.fixture
def found(monkeypatch):
    """Makes the command print these findings."""
    monkeypatch.delenv("GPUGRAD_SIMULATE_CUDA", raising=False)

    def put(*findings):
        monkeypatch.setattr(diagnosis, "diagnose", lambda: iter(findings))

    return put


def test_all_is_well(run, found):
    found(Finding("NVIDIA driver", "for CUDA 12.4"), Finding("matrix product", "as NumPy's"))
    status, lines, err = run("doctor")
    assert (status, err) == (0, "")
    assert lines[0].startswith("gpugrad 0.")
    assert lines[1:] == [
        "",
        "ok       NVIDIA driver       for CUDA 12.4",
        "ok       matrix product      as NumPy's",
        "",
        "Device cuda works here.",
    ]


def test_each_problem_is_told_with_what_mends_it_and_each_command_once(run, found):
    found(
        Finding("GPU", "none visible", "CUDA_VISIBLE_DEVICES='' hides every GPU", "unset it"),
        Finding("CuPy", "none", "CuPy is not installed", "pip install all"),
        skipped("cuBLAS", "needs CuPy"),
        Finding("numba-cuda", "none", "numba-cuda is not installed", "pip install all"),
    )
    status, lines, err = run("doctor")
    assert (status, err) == (1, "")
    assert lines[2:] == [
        "problem  GPU                 none visible",
        "problem  CuPy                none",
        "-        cuBLAS              needs CuPy",
        "problem  numba-cuda          none",
        "",
        "CUDA_VISIBLE_DEVICES='' hides every GPU",
        "    unset it",
        "",
        "CuPy is not installed",
        "numba-cuda is not installed",
        "    pip install all",
        "",
        "Device cuda does not work here; device cpu does, and device auto takes it.",
    ]


def test_without_a_gpu(run, no_gpu):
    status, lines, err = run("doctor")
    assert (status, err) == (1, "")
    assert lines[2:4] == ["problem  NVIDIA driver       none",
                          "-        GPU                 needs the driver"]  # fmt: skip
    assert lines[lines.index(NO_DRIVER) + 1] == '    get a driver, or use device="cpu"'
    assert lines[-1].startswith("Device cuda does not work here")


def test_the_help_says_what_the_exit_status_means(run):
    text = " ".join(" ".join(run("doctor", "--help")[1]).split())
    assert "exit status is 0 if device cuda works" in text
    assert "and 1 if it does not" in text


@pytest.mark.skipif(probes.installed("numba-cuda") is None, reason="numba-cuda is not installed")
def test_a_simulated_device_is_called_so_and_computes():
    code = "import sys; from gpugrad.cli import main; sys.exit(main(['doctor']))"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GPUGRAD_SIMULATE_CUDA": "1"},
    )
    lines = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert lines[2] == (
        "ok       device              simulated on the CPU, since GPUGRAD_SIMULATE_CUDA is set"
    )
    assert [line.split("  ")[-1] for line in lines[-5:-2]] == ["as NumPy's"] * 3
    assert lines[-1] == "Device cuda works here, simulated."


# Training on a device that is not there


def test_training_on_an_absent_gpu_takes_one_line_and_status_2(run, no_gpu, tmp_path):
    assert run("train", "--device", "cuda") == (
        2, [], f"gpugrad: --device cuda: {NO_DRIVER}; help: get a driver, or use --device cpu\n",
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_auto_takes_the_cpu_and_says_so(run, no_gpu):
    status, lines, _ = run("train", "--data", "moons", "--epochs", "1", "--device", "auto")
    assert status == 0
    assert lines[1].endswith(", float32 on cpu")
    assert lines[2] == f"device auto takes the CPU: {NO_DRIVER}; more from gpugrad doctor"
    assert not [line for line in run("train", "--data", "moons", "--epochs", "1", "--device",
                                     "cpu")[1] if "gpugrad doctor" in line]  # fmt: skip


# A simulated device that cannot be, or of which the environment says nothing clear


def without_numba(code):
    """The lines that Python prints where device "cuda" is to be simulated and there is no Numba."""
    absent = (
        "import sys\n"
        "sys.modules['numba'] = None\n"
        "from gpugrad.cuda import probes\n"
        "has = probes.installed\n"
        "probes.installed = lambda name: None if name.startswith('numba') else has(name)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", absent + code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GPUGRAD_SIMULATE_CUDA": "1"},
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


NO_NUMBA = "the package numba-cuda is not installed (the numba.cuda inside numba is not it)"


def test_a_simulated_device_without_numba_names_the_extra():
    lines = without_numba(
        "import gpugrad as gg\n"
        "try:\n"
        "    gg.nn.MLP([2, 3]).to('cuda')\n"
        "except gg.errors.DeviceError as error:\n"
        "    print(error)\n"
        "print(gg.cuda.is_available(), gg.device('auto'), gg.devices())\n"
    )
    assert lines == [
        f"device('cuda'): {NO_NUMBA}",
        f"  help: {install_command('simulate')}",
        "False cpu [device('cpu')]",
    ]


def test_auto_says_why_nothing_is_simulated(tmp_path):
    lines = without_numba(
        "from gpugrad.cli import main\n"
        f"main(['train', '--data', 'moons', '--epochs', '1', '--out', {str(tmp_path / 'run')!r}])\n"
    )
    assert lines[2] == f"device auto takes the CPU: {NO_NUMBA}; more from gpugrad doctor"


@pytest.mark.parametrize(
    ("said", "means"),
    [("1", True), ("true", True), ("Yes", True), ("ON", True), ("0", False), ("False", False),
     ("no", False), ("off", False), ("", False), (None, False)],
)  # fmt: skip
def test_words_that_switch_simulation_on_or_off(said, means, monkeypatch):
    monkeypatch.delenv("GPUGRAD_SIMULATE_CUDA", raising=False)
    if said is not None:
        monkeypatch.setenv("GPUGRAD_SIMULATE_CUDA", said)
    assert is_simulated() is means


@pytest.mark.parametrize("arguments", ["doctor", "devices", "train", "train --device cuda"])
def test_any_other_word_is_an_error(arguments, tmp_path):
    code = "import sys; from gpugrad.cli import main; sys.exit(main(sys.argv[1:]))"
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments.split()],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "GPUGRAD_SIMULATE_CUDA": "2"},
    )
    assert ended.returncode == 2
    assert ended.stderr == (
        "gpugrad: the environment variable GPUGRAD_SIMULATE_CUDA is '2', which is neither yes nor "
        "no; help: 1, true, yes or on simulates a GPU; 0, false, no, off or nothing does not\n"
    )
