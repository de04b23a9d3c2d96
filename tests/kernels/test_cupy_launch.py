"""Launching on CuPy, up to the driver: real `cupy.ndarray` on made-up memory, a made-up driver.

What stands in for CuPy's `Function` reads the parameters as the driver does, from their addresses.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()
cupy = pytest.importorskip("cupy", reason="CuPy is not installed")

from gpugrad.cuda import cupy_launch  # noqa: E402
from gpugrad.errors import DeviceError, DtypeError  # noqa: E402
from gpugrad.kernels import launch as launching  # noqa: E402
from gpugrad.kernels.launch import launch  # noqa: E402
from gpugrad.simulate import LaunchError  # noqa: E402
from tests.kernels.launched import axpy, reversed_by_block  # noqa: E402

pytestmark = pytest.mark.once
f32, i32 = np.float32, np.int32


def array(address, shape, dtype="f", device=0):
    memory = cupy.cuda.UnownedMemory(address, 1 << 20, None, device_id=device)
    return cupy.ndarray(shape, dtype, memptr=cupy.cuda.MemoryPointer(memory, 0))


class Pointer:
    """CuPy's `CPointer`, whose address can be asked for."""

    def __init__(self, address):
        self.address = address


class Function:
    """Takes note of a launch; `refuse` is what the driver answers."""

    ptr = 17

    def __init__(self, driver):
        self.driver = driver

    def __call__(self, grid, block, args, shared):
        if self.driver.refuse is not None:
            raise self.driver.refuse
        words = [ctypes.c_uint64.from_address(a.address).value for a in args]
        self.driver.calls.append((grid, block, words, shared))


@pytest.fixture
def driver(monkeypatch, tmp_path):
    monkeypatch.setenv("GPUGRAD_CACHE", str(tmp_path))
    driver = SimpleNamespace(calls=[], refuse=None, loaded=[], attributes=[])

    class Module:
        def load(self, code):
            if driver.refuse is not None:
                raise driver.refuse
            self.code = code

        def get_function(self, name):
            assert self.code.startswith(b"\x7fELF")
            assert name.encode() + b"\0" in self.code
            driver.loaded.append(name)
            return Function(driver)

    fake = SimpleNamespace(
        runtime=SimpleNamespace(getDevice=lambda: 0, deviceGetAttribute=lambda a, d: 65536),
        Device=lambda index: SimpleNamespace(compute_capability="75"),
        driver=SimpleNamespace(funcSetAttribute=lambda *a: driver.attributes.append(a)),
    )
    monkeypatch.setattr(cupy_launch, "cupy", SimpleNamespace(cuda=fake))
    monkeypatch.setattr(cupy_launch, "Module", Module)
    monkeypatch.setattr(cupy_launch, "CPointer", Pointer)
    backend = SimpleNamespace(
        array=cupy.ndarray, device_index=lambda: 0, load=cupy_launch.load, run=cupy_launch.run
    )
    backend = type("Backend", (), {**vars(backend), "__hash__": object.__hash__})
    monkeypatch.setattr(launching, "backend", lambda: backend)
    return driver


def error(text):
    """An error as the driver's: making one the usual way asks the driver for its text."""
    return cupy.cuda.driver.CUDADriverError.__new__(cupy.cuda.driver.CUDADriverError, text)


def test_the_driver_finds_each_parameter_where_numba_expects_it(driver):
    x, y, out = array(0x7000, (300,)), array(0x8000, (300,)), array(0x9000, (300,))
    launch(axpy, 2, 64, x, y, out, f32(1.5), i32(-3))
    launch(axpy, 2, 64, y, x, out, f32(-1.5), i32(300))

    def words(first, second, a, n):
        one, two, three = ([0, 0, 300, 4, p, 300, 4] for p in (first, second, 0x9000))
        return [*one, *two, *three, int(f32(a).view(np.uint32)), n & 0xFFFFFFFF]

    assert driver.calls == [
        ((2, 1, 1), (64, 1, 1), words(0x7000, 0x8000, 1.5, -3), 0),
        ((2, 1, 1), (64, 1, 1), words(0x8000, 0x7000, -1.5, 300), 0),
    ]
    assert len(driver.loaded) == 1


def test_cupy_reads_the_parameters(driver, monkeypatch):
    """CuPy's own `Function` takes them all, and fails only where it asks for a device."""
    monkeypatch.undo()
    words = (ctypes.c_int64 * 3)(1, 2, 3)
    parameters = cupy_launch.CupyKernel.parameters(None, words)
    function = cupy.cuda.function.Function.__new__(cupy.cuda.function.Function)
    stream = SimpleNamespace(ptr=0)
    if cupy.cuda.is_available():
        pytest.skip("there is a device, so that it would launch at address 0")
    with pytest.raises(RuntimeError):
        function((1, 1, 1), (1, 1, 1), parameters, 0, stream)
    with pytest.raises(TypeError):
        function((1, 1, 1), (1, 1, 1), (*parameters, object()), 0, stream)


def test_arrays_that_cupy_has_and_kernels_do_not_take(driver):
    x = array(0x7000, (10,))
    with pytest.raises(LaunchError, match=r"argument x is strided: float32 \(5,\)"):
        launch(axpy, 1, 32, x[::2], x, x, f32(1), i32(5))
    with pytest.raises(DeviceError, match="argument y is a NumPy array"):
        launch(axpy, 1, 32, x, np.ones(10, f32), x, f32(1), i32(5))
    with pytest.raises(DeviceError, match="y is on cuda:1"):
        launch(axpy, 1, 32, x, array(0x8000, (10,), device=1), x, f32(1), i32(5))
    with pytest.raises(DtypeError, match="an array of complex64"):
        launch(axpy, 1, 32, x, array(0x8000, (10,), "F"), x, f32(1), i32(5))
    assert driver.calls == []


def test_more_shared_memory_is_asked_for(driver):
    x = array(0x7000, (64,))
    launch(reversed_by_block, 1, 64, x, shared=48 << 10)
    assert driver.attributes == []
    launch(reversed_by_block, 1, 64, x, shared=50_000)
    launch(reversed_by_block, 1, 64, x, shared=50_000)
    assert driver.attributes == [(17, 8, 50_000)]
    with pytest.raises(LaunchError, match="a block of the cuda:0 can have 65,536"):
        launch(reversed_by_block, 1, 64, x, shared=70_000)


@pytest.mark.parametrize(
    ("text", "help_text"),
    [
        ("CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: too many resources", "fewer threads a block"),
        ("CUDA_ERROR_INVALID_HANDLE: invalid resource handle", "the current stream is gone"),
        ("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access", "GPUGRAD_SIMULATE_CUDA=1"),
    ],
)
def test_a_failed_launch_says_what_was_launched(driver, text, help_text):
    x = array(0x7000, (64,))
    launch(reversed_by_block, 3, (8, 8), x, shared=256)
    driver.refuse = error(text)
    with pytest.raises(LaunchError) as caught:
        launch(reversed_by_block, 3, (8, 8), x, shared=256)
    said = str(caught.value)
    assert said.startswith(
        "reversed_by_block was not launched on cuda:0, with grid (3, 1, 1), block (8, 8, 1) "
        f"(64 threads) and 256 bytes of dynamic shared memory: {text}\n  help: "
    )
    assert help_text in said
    assert caught.value.__cause__ is driver.refuse


def test_code_that_the_driver_does_not_load(driver):
    driver.refuse = error("CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image is available")
    with pytest.raises(LaunchError, match="cannot be loaded: CUDA_ERROR_NO_BINARY_FOR_GPU"):
        launch(axpy, 1, 1, *[array(0x7000, (1,))] * 3, f32(1), i32(1))
