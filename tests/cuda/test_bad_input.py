"""What may be wrong with a device and what is given to it, each said in gpugrad's own words.

Here: mixed devices, labels and indices out of range, dtypes, a stream that is gone, CuPy without a
driver, a driver that is older than CuPy, and what is told of CUDA's own errors. Elsewhere:

- arrays of different GPUs, and host arrays given to a kernel: `tests/kernels/test_launch.py`,
  `tests/kernels/test_cupy_launch.py`, `tests/cuda/test_several_gpus.py`;
- unknown and absent devices: `tests/test_tensor.py`, `tests/test_cli_device.py`;
- a launch that fails, or code that does not load: `tests/kernels/test_cupy_launch.py`;
- a launch that no device takes, and a kernel that does not compile: `tests/kernels/test_launch.py`;
- TensorFloat-32 on a card without it: `tests/cuda/test_cupy_programs.py`;
- memory exhausted: `tests/cuda/test_memory.py`;
- what is installed (no driver, an old one, two wheels of CuPy): `tests/cuda/test_diagnosis.py`.
"""

from __future__ import annotations

import functools
import re
from types import SimpleNamespace

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.cuda import backend as backends
from gpugrad.cuda import diagnosis, failures, probes
from gpugrad.cuda.finding import Finding
from gpugrad.device import cuda_device, cuda_namespace
from gpugrad.errors import DeviceError, DtypeError, IndexRangeError, LabelError
from gpugrad.nn import functional

on_a_gpu = pytest.mark.skipif(
    not gg.cuda.is_available(), reason="needs a GPU, or the simulated one"
)
without_driver = pytest.mark.skipif(
    probes.driver_version() is not None, reason="this machine has an NVIDIA driver"
)

# Mixed devices


def here(device):
    return gg.tensor([1.0, 2.0, 3.0], device=device)


MIXED = {
    "a tensor of the CPU": (
        lambda x: x + gg.tensor([1.0, 2.0, 3.0], device="cpu"),
        r"^add\(a, b\): its arguments are on different devices\n  a: float32 \(3,\) on cuda:0\n"
        r"  b: float32 \(3,\) on cpu\n  help: move one of them: b\.to\('cuda:0'\)$",
    ),
    "a NumPy array": (
        lambda x: np.ones(3, np.float32) * x,
        r"^multiply\(a, b\): .*different devices\n  a: float32 \(3,\) on cpu\n"
        r"  b: float32 \(3,\) on cuda:0\n  help: .*gg\.asarray\(a, device='cuda:0'\)$",
    ),
    "a NumPy array of another dtype": (
        lambda x: x * np.ones(3),
        r"  b: float64 \(3,\) on cpu\n  help: .*: gg\.asarray\(b, device='cuda:0'\)$",
    ),
    "a tensor of another dtype": (
        lambda x: gg.tensor([1.0, 2.0, 3.0], gg.float64, device="cpu") * x,
        r"  a: float64 \(3,\) on cpu\n  b: float32 \(3,\) on cuda:0\n"
        r"  help: move one of them: a\.to\('cuda:0'\)$",
    ),
    "indices": (
        lambda x: x[gg.tensor([0, 1], device="cpu")],
        r"^index\(x, indices\[0\]\): .*help: move one of them: indices\[0\]\.to\('cuda:0'\)$",
    ),
    "labels": (
        lambda x: functional.cross_entropy(x.reshape(1, 3), np.array([2])),
        r"^cross_entropy\(input, target\): .*\n  input: float32 \(1, 3\) on cuda:0\n"
        r"  target: int64 \(1,\) on cpu\n  help: .*: gg\.asarray\(target, device='cuda:0'\)$",
    ),
    "a list of labels": (
        lambda x: functional.nll_loss(x.reshape(1, 3), [2]),
        r"^nll_loss\(input, target\): .*\n  target: list \(1,\) on cpu\n"
        r"  help: .*: gg\.asarray\(target, device='cuda:0'\)$",
    ),
    "labels that are a tensor": (
        lambda x: functional.cross_entropy(x.reshape(1, 3), gg.tensor([2], device="cpu")),
        r"labels: int64 \(1,\) on cpu\n  help: move one of them: labels\.to\('cuda:0'\)$",
    ),
    "a list": (
        lambda x: gg.softmax_cross_entropy(x.reshape(1, 3), [2]),
        r"labels: list \(1,\) on cpu\n  help: .*: gg\.asarray\(labels, device='cuda:0'\)$",
    ),
    "data of the CPU": (
        lambda x: functional.linear(gg.ones((1, 3), device="cpu"), x.reshape(1, 3)),
        r"x: float32 \(1, 3\) on cpu\n  weight: float32 \(1, 3\) on cuda:0\n"
        r"  help: move one of them: x\.to\('cuda:0'\)$",
    ),
    "a model": (
        lambda x: gg.nn.Linear(3, 2, device="cpu")(x),
        r"x: float32 \(3,\) on cuda:0\n  weight: float32 \(2, 3\) on cpu\n"
        r"  .*\n  help: move one of them: weight\.to\('cuda:0'\)$",
    ),
}


@on_a_gpu
@pytest.mark.parametrize("what", MIXED)
def test_mixed_devices_say_what_to_move(device, what):
    mix, message = MIXED[what]
    x = here(device)
    # NumPy's arrays go to the default device.
    with gg.default_device("cpu"), pytest.raises(DeviceError, match=f"(?s){message}"):
        mix(x)


@on_a_gpu
def test_nothing_becomes_a_host_array_by_itself(device):
    with pytest.raises(DeviceError, match=r"nothing moves by itself\n  help: t\.numpy\(\) copies"):
        np.asarray(here(device))


# Labels and indices out of range


def _label(device):
    return functional.cross_entropy(gg.zeros((2, 3), device=device), gg.tensor([0, 3]).to(device))


def _index(device):
    return here(device)[gg.tensor([0, 5]).to(device)].sum()


def _negative_index(device):
    return here(device)[gg.tensor([0, -4]).to(device)].sum()


def _take(device):
    return gg.take(here(device), gg.tensor([[3]]).to(device)).sum()


def _embedding(device):
    table = gg.zeros((4, 2), device=device)
    return functional.embedding(gg.tensor([1, 4]).to(device), table).sum()


def _along_axis(device):
    return gg.take_along_axis(here(device), gg.tensor([7]).to(device), axis=0).sum()


OUT_OF_RANGE = {
    "a label": (_label, LabelError, "a label is out of range: there are 3 classes, .* 0 to 2"),
    "an index": (_index, IndexRangeError, "an index is out of range: the axis has 3 elements"),
    "a negative index": (_negative_index, IndexRangeError, "the axis has 3 elements"),
    "take": (_take, IndexRangeError, "take: an index is out of range: the axis has 3 elements"),
    "an embedding": (_embedding, IndexRangeError, "an index is out of range: the axis has 4 el"),
    "along an axis": (_along_axis, IndexRangeError, "take_along_axis: an index is out of range"),
}
READERS = {
    "item": lambda y: y.item(),
    "numpy": lambda y: y.numpy(),
    "tolist": lambda y: y.tolist(),
    "synchronize": lambda y: gg.cuda.synchronize(),
}


@on_a_gpu
@pytest.mark.parametrize("what", OUT_OF_RANGE)
def test_what_is_out_of_range_is_found_at_the_end_of_the_block(device, what):
    compute, error, message = OUT_OF_RANGE[what]
    with pytest.raises(error, match=message), gg.detect_anomaly():
        compute(device)
    with gg.detect_anomaly():  # and not once more
        assert here(device).sum().item() == 6


@on_a_gpu
@pytest.mark.parametrize("read", READERS)
def test_what_reads_a_result_finds_it(device, read):
    with gg.detect_anomaly():
        y = _index(device)
        with pytest.raises(IndexRangeError, match="an index is out of range"):
            READERS[read](y)


@on_a_gpu
def test_the_check_does_not_wait(device, monkeypatch):
    if not gg.cuda.is_simulated():
        pytest.skip("counts what the simulated device is asked for (GPUGRAD_SIMULATE_CUDA=1)")
    from gpugrad.cuda.simulated.array import SimArray

    looks = []
    for name in ("get", "item", "tolist"):
        real = getattr(SimArray, name)
        monkeypatch.setattr(
            SimArray, name, lambda self, *a, _real=real: looks.append(1) or _real(self, *a)
        )
    x, labels = gg.zeros((2, 3), device=device), gg.tensor([0, 2]).to(device)
    with gg.detect_anomaly():
        loss = functional.cross_entropy(x, labels) + x[labels[:1]].sum()
        assert not looks
        assert loss.item() == pytest.approx(np.log(3))
        assert looks


@on_a_gpu
@pytest.mark.parametrize("what", OUT_OF_RANGE)
def test_otherwise_it_is_not_looked_for(device, what):
    OUT_OF_RANGE[what][0](device)
    gg.cuda.synchronize()


@on_a_gpu
def test_an_error_within_the_block_comes_first(device):
    def fail():
        with gg.detect_anomaly():
            _index(device)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with gg.detect_anomaly():
        assert here(device).sum().item() == 6


# Dtypes


@on_a_gpu
@pytest.mark.parametrize("dtype", ["bfloat16", "complex64", "float8_e4m3fn", "U3"])
def test_a_dtype_that_there_is_not(device, dtype):
    with pytest.raises(DtypeError, match=rf"'{dtype}' is no dtype of gpugrad\n  help: choose one"):
        gg.zeros(3, dtype=dtype, device=device)
    with pytest.raises(DtypeError, match="is no dtype of gpugrad"):
        here(device).to(dtype)


@on_a_gpu
def test_an_array_of_a_dtype_that_there_is_not(device):
    with pytest.raises(DtypeError, match=r"complex64.* is no dtype of gpugrad\n  help: choose one"):
        gg.asarray(here(device).data.astype(np.complex64))


# CUDA's own errors

cuda_errors = {
    "CUDA_ERROR_INVALID_HANDLE: invalid resource handle": "the current stream is gone, or belongs",
    "cudaErrorInvalidResourceHandle: invalid resource handle": "the current stream is gone",
    "cudaErrorContextIsDestroyed: context is destroyed": "the GPU was reset in this process",
    "cudaErrorIllegalAddress: an illegal memory access": "GPUGRAD_SIMULATE_CUDA=1, which names",
    "CUDA_ERROR_UNSUPPORTED_PTX_VERSION: unsupported": "the driver is older than the compiler",
    "cudaErrorInsufficientDriver: too old": "gpugrad doctor says which",
    "CUBLAS_STATUS_ALLOC_FAILED": r"gg\.cuda\.memory_summary\(\) says what is live",
}


class Refusal(RuntimeError):
    """An error of CUDA's, with its text."""


@pytest.fixture
def refusing(monkeypatch):
    """A function after which the device computes nothing and raises this."""
    gpu = SimpleNamespace(failures=(Refusal,), device_count=lambda: 1)
    monkeypatch.setattr(backends, "in_use", lambda: gpu)

    def refuse(error):
        def forward(xp, x, /):
            raise error

        return gg.ops.core.primitive(forward)

    return refuse


@pytest.mark.once
@pytest.mark.parametrize("text", cuda_errors)
def test_an_error_of_cuda_names_the_operation_and_what_to_do(refusing, text):
    operation = refusing(Refusal(text))
    with pytest.raises(DeviceError) as caught:
        operation(gg.zeros(3))
    lines = str(caught.value).splitlines()
    assert lines[:2] == [f"forward(x): the GPU refused: {text}", "  x: float32 (3,) on cpu"]
    assert lines[2].startswith("  help: ")
    assert re.search(cuda_errors[text], str(caught.value))


@pytest.mark.once
def test_an_error_of_cuda_that_nobody_knows_keeps_its_text(refusing):
    with pytest.raises(DeviceError, match="refused: cudaErrorNew: what next"):
        refusing(Refusal("cudaErrorNew: what next"))(gg.zeros(3))


@pytest.mark.once
def test_the_backward_walk_says_where(refusing):
    operation = gg.ops.core.primitive(lambda xp, x, /: x * 1)

    @operation.partial("x")
    def rule(x):
        raise Refusal("CUDA_ERROR_INVALID_HANDLE: invalid resource handle")

    y = operation(gg.ones(3).requires_grad_()).sum()
    with pytest.raises(DeviceError, match=r"^backward through .*: the GPU refused: CUDA_ERROR_INV"):
        y.backward()


@pytest.mark.once
def test_an_error_of_the_users_is_not_touched(refusing):
    error = RuntimeError("mine")
    with pytest.raises(RuntimeError) as caught:
        refusing(error)(gg.zeros(3))
    assert caught.value is error


# CuPy without a driver


FUNCTIONS = {
    "synchronize": lambda: gg.cuda.synchronize(),
    "memory_allocated": lambda: gg.cuda.memory_allocated(),
    "max_memory_allocated": lambda: gg.cuda.max_memory_allocated(),
    "reset_peak_memory_stats": lambda: gg.cuda.reset_peak_memory_stats(),
    "memory_summary": lambda: gg.cuda.memory_summary(),
    "empty_cache": lambda: gg.cuda.empty_cache(),
    "Stream": lambda: gg.cuda.Stream(),
    "Event": lambda: gg.cuda.Event(),
    "device": lambda: gg.device("cuda"),
    "tensor": lambda: gg.zeros(3, device="cuda"),
}


@pytest.fixture
def nothing_found(monkeypatch):
    """Nobody has asked for a GPU yet, and none is simulated."""
    monkeypatch.delenv("GPUGRAD_SIMULATE_CUDA", raising=False)
    caches = [backends.backend, backends.on_a_gpu, cuda_device, cuda_namespace]
    for kept in caches:
        kept.cache_clear()
    yield
    for kept in caches:
        kept.cache_clear()


@pytest.mark.once
@without_driver
@pytest.mark.parametrize("name", FUNCTIONS)
def test_without_a_driver_each_says_what_is_missing(nothing_found, name):
    with pytest.raises(DeviceError, match=r"there is no NVIDIA driver here: .*\n  help: "):
        FUNCTIONS[name]()
    assert not gg.cuda.is_available()
    assert gg.cuda.device_count() == 0
    assert gg.devices() == [gg.device("cpu")]
    assert gg.device("auto") == gg.device("cpu")


@pytest.mark.once
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@without_driver
@pytest.mark.parametrize(
    "name", ["synchronize", "Stream", "Event", "memory_summary", "empty_cache"]
)
def test_a_driver_that_is_lost_later(monkeypatch, name):
    """CuPy's own functions, which find no driver here: none raises an error of CuPy's."""
    pytest.importorskip("cupy")
    from gpugrad.cuda.cupy_backend import CupyBackend

    monkeypatch.setattr(backends, "backend", functools.cache(CupyBackend))
    backends.backend()
    with pytest.raises(DeviceError, match=r"^gg\.cuda\.") as caught:
        FUNCTIONS[name]()
    assert str(caught.value).startswith(
        f"gg.cuda.{name}: the GPU refused: cudaErrorInsufficientDriver: "
    )
    assert "\n  help: gpugrad doctor says which driver or package is missing" in str(caught.value)


@pytest.mark.once
@without_driver
def test_an_operation_on_cupys_array_without_a_driver(monkeypatch, cupy_without_a_gpu):
    from gpugrad.cuda.cupy_backend import FAILURES
    from tests.cuda.made_up import Stub, made_up

    monkeypatch.setattr(Stub, "failures", FAILURES)
    x = gg.Tensor._wrap(made_up((2, 3)))
    with pytest.raises(DeviceError, match=r"^exp\(x\): the GPU refused: cuda\w+: ") as caught:
        gg.exp(x)
    assert "\n  x: float32 (2, 3) on cuda:0" in str(caught.value)


# What is found is remembered


@pytest.fixture
def a_driver(monkeypatch, nothing_found):
    """A driver, and a count of how often one looked for it."""
    looked = []
    monkeypatch.setattr(probes, "driver_version", lambda: looked.append(1) or (11, 8))
    problem = Finding("NVIDIA driver", "old", "the driver is too old", "install a newer driver")
    monkeypatch.setattr(diagnosis, "first_problem", lambda: problem)
    return looked


@pytest.mark.once
@without_driver
def test_a_driver_older_than_cupy_is_said_once_looked_for(a_driver):
    pytest.importorskip("cupy")
    for _ in range(3):
        with pytest.raises(DeviceError) as caught:
            gg.device("cuda:0")
    assert str(caught.value) == (
        "device('cuda:0'): the driver is too old\n  help: install a newer driver"
    )
    assert gg.device("auto") == gg.device("cpu")
    assert a_driver == [1]


@pytest.mark.once
@without_driver
def test_a_device_that_cupy_does_not_find_though_nothing_is_wrong(a_driver, monkeypatch):
    pytest.importorskip("cupy")
    monkeypatch.setattr(diagnosis, "first_problem", lambda: None)
    with pytest.raises(DeviceError, match=r"device\('cuda'\): CuPy finds no device$"):
        gg.device("cuda")


@pytest.mark.once
def test_a_cupy_that_cannot_be_imported(a_driver, monkeypatch):
    import sys

    monkeypatch.setattr(diagnosis, "first_problem", lambda: None)
    monkeypatch.delitem(sys.modules, "gpugrad.cuda.cupy_backend", raising=False)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match=r"device\('cuda'\): CuPy finds no device \(.*cupy"):
        gg.device("cuda")


@pytest.mark.once
def test_errors_of_a_gpu_are_known_once_it_is_in_use(monkeypatch, nothing_found):
    assert failures.failures() == ()
    monkeypatch.setattr(
        backends, "backend", functools.cache(lambda: SimpleNamespace(failures=(Refusal,)))
    )
    assert failures.failures() == ()
    backends.backend()
    assert failures.failures() == (Refusal,)
