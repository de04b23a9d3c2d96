"""`launch` on the simulated device: what kernels get, what is refused, and in which words."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

import gpugrad as gg  # noqa: E402
from gpugrad.errors import DeviceError, DtypeError  # noqa: E402
from gpugrad.kernels import launch as launching  # noqa: E402
from gpugrad.kernels.launch import launch, suits  # noqa: E402
from gpugrad.simulate import CompileError, LaunchError, MemoryFault  # noqa: E402
from tests.kernels import launched  # noqa: E402
from tests.kernels.launched import (  # noqa: E402
    axpy,
    numbers,
    reversed_by_block,
    root,
    transpose,
    unknown,
)

pytestmark = pytest.mark.once
f32, i32 = np.float32, np.int32


def ramp(card, n, dtype=f32):
    return card.put(np.arange(n, dtype=dtype))


def test_a_kernel_gets_arrays_and_numbers_each_time(card):
    x, y, out = ramp(card, 300), card.put(np.ones(300, f32)), card.put(np.zeros(300, f32))
    for a in (2.5, -1.0):
        launch(axpy, 2, 64, x, y, out, f32(a), i32(300))
        np.testing.assert_array_equal(out.get(), f32(a) * np.arange(300, dtype=f32) + 1)
    other = ramp(card, 300)
    launch(axpy, 2, 64, other, y, other, f32(0), i32(300))  # the same plan, other arrays
    np.testing.assert_array_equal(other.get(), np.ones(300))


def test_shapes_and_strides_go_with_an_array(card):
    for shape in ((3, 5), (5, 3), (1, 1)):
        x = np.random.default_rng(0).random(shape, f32)
        out = card.put(np.zeros(shape[::-1], f32))
        launch(transpose, (2, 1), (4,), card.put(x), out)
        np.testing.assert_array_equal(out.get(), x.T)


@pytest.mark.parametrize(
    ("small", "big"),
    [(np.int8(-3), np.uint64(2**63)), (np.uint16(65535), np.int64(-(2**40)))],
)
def test_numbers_keep_their_types(card, small, big):
    out = card.put(np.zeros(2))
    launch(numbers, 1, 1, np.bool_(True), small, big, out)
    assert out.get().tolist() == [float(small), float(big)]


def test_nothing_is_launched_for_zero_blocks(card):
    x = ramp(card, 0)
    with card.launches() as reports:
        launch(root, 0, 64, x)
        launch(root, (3, 0), 64, x)
    assert reports == []
    with pytest.raises(DeviceError, match="argument x is a NumPy array"):
        launch(root, 0, 64, np.ones(3, f32))


def test_dynamic_shared_memory(card):
    x = ramp(card, 8)
    launch(reversed_by_block, 2, 4, x, shared=16)
    assert x.get().tolist() == [3, 2, 1, 0, 7, 6, 5, 4]
    with pytest.raises(MemoryFault):
        launch(reversed_by_block, 2, 4, x, shared=8)


def test_what_suits_a_kernel(card):
    x = card.put(np.ones((4, 4), f32))
    assert suits(x, None, ramp(card, 3, np.int64), ramp(card, 2, np.bool_))
    assert not suits(x, x.T)
    assert not suits(ramp(card, 3, np.float64))
    assert not suits(ramp(card, 3, np.float16))
    assert not suits(x, 2.0)


def test_too_many_elements_for_32_bits_do_not_suit():
    class Large:
        _c_contiguous, dtype, size = True, np.dtype(f32), 2**30

    assert not suits(Large())
    Large.size -= 1
    assert suits(Large())


REFUSED = {
    "a NumPy array": (
        lambda x: np.ones(3, f32),
        DeviceError,
        r"axpy\(x, y, out, a, n\): argument x is a NumPy array, float32 \(3,\), in the host's "
        r"memory\n  help: .*device=\"cuda\"",
    ),
    "the array of a tensor on the CPU": (
        lambda x: gg.tensor([1.0, 2.0], device="cpu").data,
        DeviceError,
        r"argument x is a NumPy array, float32 \(2,\)",
    ),
    "a tensor": (
        lambda x: gg.tensor(1.0, device="cpu"),
        DtypeError,
        r"argument x is a gpugrad\.tensor\.Tensor, which is no array of the device\n.*\.data",
    ),
    "a list": (lambda x: [1.0], DtypeError, r"argument x is a builtins\.list"),
    "complex": (
        lambda x: x.astype(np.complex64),
        DtypeError,
        r"argument x is an array of complex64, which kernels do not take\n  help: they take",
    ),
    "strided": (
        lambda x: x[::2],
        LaunchError,
        r"argument x is strided: float32 \(5,\) with strides of \(8,\) bytes\n  help: .*contiguous",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_arrays_that_kernels_do_not_take(card, what):
    make, error, message = REFUSED[what]
    x = ramp(card, 10)
    with pytest.raises(error, match=message):
        launch(axpy, 1, 32, make(x), x, x, f32(1), i32(10))
    launch(axpy, 1, 32, x, x, x, f32(1), i32(10))
    assert x.get()[3] == 6  # the launch after it is whole


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (2.0, r"the Python float 2.0, which does not say its type\n  help: np.float32\(2.0\)"),
        (2, r"the Python int 2, which does not say its type\n  help: np.int32\(2\)"),
        (True, r"the Python bool True, which does not say its type\n  help: np.bool_\(True\)"),
        (np.float16(2), r"a scalar of float16, which cannot be passed\n  help: convert it"),
    ],
)
def test_numbers_must_say_their_type(card, value, said):
    x = ramp(card, 10)
    with pytest.raises(DtypeError, match=f"argument a is {said}"):
        launch(axpy, 1, 32, x, x, x, value, i32(10))


def test_arrays_of_different_devices(card, monkeypatch):
    x, far = ramp(card, 10), ramp(card, 10)
    here = type(x).data

    def data(array):
        pointer = here.fget(array)
        pointer.device_id = int(array is far)
        return pointer

    monkeypatch.setattr(type(x), "data", property(data))
    launch(root, 1, 10, x)
    launch(axpy, 1, 32, x, x, x, f32(1), i32(10))  # a plan of these shapes is there
    with pytest.raises(DeviceError, match=r"different devices\n  x is on cuda:0\n  y is on cuda:1"):
        launch(axpy, 1, 32, x, far, x, f32(1), i32(10))
    with pytest.raises(DeviceError, match=r"x is on cuda:1, and the current device is cuda:0\n"):
        launch(root, 1, 10, far)


def test_the_number_of_arguments(card):
    with pytest.raises(LaunchError, match=r"root\(x\) takes 1 arguments, and 2 were given"):
        launch(root, 1, 1, ramp(card, 1), f32(1))


@pytest.mark.parametrize(
    ("blocks", "threads", "shared", "said"),
    [
        (1, 2048, 0, r"block \(2048, 1, 1\) is over the limits of a block"),
        (1, (32, 8, 8), 0, r"block \(32, 8, 8\) has 2048 threads, over 1024"),
        (1, 0, 0, "threads=0 is not one to three numbers above 0"),
        (-1, 1, 0, "blocks=-1 is not one to three numbers above 0"),
        ((1, 65536), 1, 0, "grid .* is over the limits of a grid"),
        (1, 1, 65537, "a block needs 65,537 bytes of shared memory .* a block of the T4"),
    ],
)
def test_what_no_device_launches(card, blocks, threads, shared, said):
    with pytest.raises(LaunchError, match=said):
        launch(root, blocks, threads, ramp(card, 1), shared=shared)


def test_a_kernel_that_does_not_compile_names_the_line(card):
    with pytest.raises(CompileError) as caught:
        launch(unknown, 1, 1, ramp(card, 1))
    source = Path(launched.__file__).read_text(encoding="utf-8").splitlines()
    line = next(n for n, text in enumerate(source, 1) if text.endswith("# NumPy's exp"))
    assert f"launched.py:{line}\n    x[i] = np.exp(x[i])  # NumPy's exp\n" in str(caught.value)
    assert "help: try math.exp" in str(caught.value)
    assert len(str(caught.value).splitlines()) < 8


def test_threads_do_not_share_a_buffer(card, monkeypatch):
    """Two threads fill in their arguments at once; each must launch with its own."""
    both = threading.Barrier(2)
    simulated = launching.backend()
    real, found = simulated.run, []

    class Meeting(type(simulated)):
        @staticmethod
        def run(kernel, grid, block, parameters, shared):
            both.wait(20)  # both have filled in what they were given
            with lock:
                real(kernel, grid, block, parameters, shared)

    lock, meeting = threading.Lock(), Meeting()
    monkeypatch.setattr(launching, "backend", lambda: meeting)

    def work(a):
        x, out = ramp(card, 4), card.put(np.zeros(4, f32))
        launch(axpy, 1, 4, x, x, out, f32(a), i32(4))
        found.append((a, out.get().tolist()))

    workers = [threading.Thread(target=work, args=(a,)) for a in (1.0, 2.0)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(found) == [(1.0, [0, 2, 4, 6]), (2.0, [0, 3, 6, 9])]


def test_plans_do_not_grow_without_end(card, monkeypatch):
    monkeypatch.setattr(launching, "PLANS", 8)
    for n in range(1, 30):
        launch(root, 1, n, ramp(card, n))
    assert len(launching._own.plans) <= 8
