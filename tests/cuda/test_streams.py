"""`gg.cuda`: streams, events, waiting, and the figures of memory."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import DeviceError

pytestmark = pytest.mark.skipif(
    not gg.cuda.is_available(), reason="needs a GPU, or the simulated one"
)
simulated = pytest.mark.skipif(not gg.cuda.is_simulated(), reason="about the simulated streams")


def test_what_is_computed_on_a_stream_is_there_after_its_event(device):
    stream, event = gg.cuda.Stream(non_blocking=True), gg.cuda.Event()
    x = gg.ones(1000, device=device)
    gg.cuda.synchronize()
    with stream:
        y = (x * 3).sum()
        event.record()
    event.synchronize()
    assert y.item() == 3000
    after = gg.cuda.Stream(non_blocking=True)
    with after:
        after.wait_event(event)
        z = y + 1
        stream.synchronize()
        assert z.item() == 3001


def test_streams_may_stand_within_each_other(device):
    from gpugrad.cuda.backend import backend

    outer, inner = gg.cuda.Stream(), gg.cuda.Stream()
    before = backend().current_stream()
    with outer:
        with inner:
            assert backend().current_stream() == inner
        assert backend().current_stream() == outer
    assert backend().current_stream() == before


@pytest.mark.parametrize("which", [None, 0, "cuda", "cuda:0", gg.device])
def test_a_device_may_be_named(device, which):
    which = gg.device("cuda") if which is gg.device else which
    gg.cuda.synchronize(which)
    assert gg.cuda.memory_allocated(which) >= 0
    assert gg.cuda.memory_summary(which).startswith("cuda:0")


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("cpu", r"gg\.cuda\.synchronize: cpu is no CUDA device\n  help: use 'cuda' or 'cuda:1'"),
        (99, r"device\('cuda:99'\): there (is 1 GPU|are \d+ GPUs) here, numbered from 0\n  help: "),
        ("gpu", r"device\('gpu'\): unknown device\n  help: "),
    ],
)
def test_a_device_that_there_is_not(device, which, message):
    with pytest.raises(DeviceError, match=message):
        gg.cuda.synchronize(which)


def test_the_peak_counts_from_the_last_reset(device):
    gc.collect()
    before = gg.cuda.memory_allocated()
    gg.cuda.reset_peak_memory_stats()
    x = gg.zeros((256, 1024), device=device)  # 1 MiB
    y = x + 1
    assert gg.cuda.memory_allocated() == before + (2 << 20)
    del x, y
    assert gg.cuda.memory_allocated() == before
    assert gg.cuda.max_memory_allocated() == before + (2 << 20)
    gg.cuda.empty_cache()
    gg.cuda.reset_peak_memory_stats()
    assert gg.cuda.max_memory_allocated() == before


@simulated
def test_a_copy_on_a_stream_is_as_late_as_it_may_be(device):
    from gpugrad.cuda.backend import backend

    gpu = backend()
    host, array = np.arange(4.0), gpu.module.zeros(4)
    stream, waiting = gpu.Stream(), gpu.Stream()
    gpu.copy(host, array, stream)
    first = stream.record()
    gpu.copy(host + 1, array, stream)
    assert array.get().tolist() == [0, 0, 0, 0]
    waiting.wait_event(first)
    assert array.get().tolist() == [0, 1, 2, 3]
    gg.cuda.synchronize()
    assert array.get().tolist() == [1, 2, 3, 4]


@simulated
def test_a_copy_reads_the_buffer_as_it_is_by_then(device):
    from gpugrad.cuda.backend import backend

    gpu = backend()
    host, array, stream = np.zeros(4), gpu.module.ones(4), gpu.Stream()
    gpu.copy(host, array, stream)
    host[...] = 7  # too early: nothing has waited for the copy
    stream.synchronize()
    assert array.get().tolist() == [7, 7, 7, 7]
