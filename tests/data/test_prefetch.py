"""Batches that are copied ahead: the same as on the CPU, in every order that streams may take."""

from __future__ import annotations

import gc
from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.data import DataLoader
from gpugrad.data.prefetch import Prefetcher
from gpugrad.errors import OptionError
from gpugrad.random import Generator
from tests.data.queues import Gpu, Stream

N = 23
SCHEDULES = [(seed, patience) for patience in (0, 1, 3, 8) for seed in range(10)]


def data():
    labels = np.arange(N)
    return np.stack([labels, 10 * labels], axis=1).astype(np.float32), labels


def epochs(count=2, **options):
    loader = DataLoader(data(), 5, generator=Generator(3), **options)
    batches = [[(x.numpy(), y.numpy()) for x, y in loader] for _ in range(count)]
    return list(chain.from_iterable(batches)), loader.state_dict()


# What the loader gives


@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"shuffle": True, "drop_last": True}])
def test_the_batches_are_those_of_the_cpu(device, options):
    expected, state = epochs(**options, device="cpu")
    found, state_here = epochs(**options, device=device, keep_on="host")
    assert len(found) == len(expected)
    for batch, other in zip(found, expected, strict=True):
        for array, wanted in zip(batch, other, strict=True):
            assert (array.dtype, array.shape) == (wanted.dtype, wanted.shape)
            np.testing.assert_array_equal(array, wanted)
    assert state_here == state


def test_a_batch_is_where_it_was_asked_for_and_the_data_is_not(device):
    loader = DataLoader(data(), 5, device=device, keep_on="host")
    if device.kind == "cuda":
        gc.collect()
        before = gg.cuda.memory_allocated()
    x, y = next(iter(loader))
    assert x.device == y.device == device
    assert all(type(array) is np.ndarray for array in loader._arrays)
    if device.kind == "cuda":
        assert before < gg.cuda.memory_allocated() <= before + x.data.nbytes + y.data.nbytes


def test_a_loader_goes_on_in_the_middle_of_an_epoch(device):
    def new():
        return DataLoader(
            data(), 5, shuffle=True, generator=Generator(1), device=device, keep_on="host"
        )

    whole = [y.tolist() for _, y in new()]
    loader = new()
    begun = iter(loader)
    first = [next(begun)[1].tolist() for _ in range(2)]
    state = loader.state_dict()  # one more was copied by now, and counts as not given
    assert state["batches_given"] == 2
    other = new()
    other.load_state_dict(state)
    assert first + [y.tolist() for _, y in other] == whole


def test_a_batch_is_the_consumers_own(device):
    x = np.zeros((4, 2), np.float32)
    batches = list(DataLoader((x,), 2, device=device, keep_on="host"))
    x[...] = 5
    for (batch,) in batches:
        np.testing.assert_array_equal(batch.numpy(), np.zeros((2, 2)))


@pytest.mark.once
@pytest.mark.parametrize("keep_on", ["gpu", None, True])
def test_where_the_data_may_stay(keep_on):
    with pytest.raises(OptionError, match="is neither 'device' nor 'host'"):
        DataLoader(data(), keep_on=keep_on)


# In any order that streams may take


def consume(gpu, prefetcher, count, take=None):
    """What a consumer's kernels read of the batches, the arrays let go of at once."""
    host = np.arange(4 * count, dtype=np.float32).reshape(-1, 2)
    seen = []
    which = [slice(2 * k, 2 * k + 2) for k in range(count)]
    batches = prefetcher.batches([host], which)
    for k, (array,) in enumerate(batches):
        memory = array.memory
        gpu.consumer.give(lambda memory=memory: seen.append(memory.copy()))
        del array
        if k + 1 == take:
            break
    batches.close()
    return seen, host.reshape(count, 2, 2)[:take]


def written_and_read(gpu):
    """What the consumer's kernels find in memory that they wrote -1 to a while ago."""
    arrays, found = [gpu.empty((2, 2), np.dtype(np.float32)) for _ in range(3)], []
    for array in arrays:
        gpu.consumer.give(lambda memory=array.memory: memory.fill(-1))
    for _ in range(10):
        gpu.consumer.give(lambda: None)
    for array in arrays:
        gpu.consumer.give(lambda memory=array.memory: found.append(memory.copy()))
    return found


def finish(gpu):
    for stream in gpu.streams:
        stream.synchronize()


@pytest.mark.once
@pytest.mark.parametrize(("seed", "patience"), SCHEDULES)
def test_kernels_read_their_batch_whatever_runs_first(seed, patience):
    gpu = Gpu(seed, patience)
    prefetcher = Prefetcher(gpu.device, 2)
    for _ in range(2):
        seen, expected = consume(gpu, prefetcher, 9)
        finish(gpu)
        np.testing.assert_array_equal(seen, expected)
    assert gpu.most <= 3  # the one in use, the one that is ready, the one on its way


@pytest.mark.once
@pytest.mark.parametrize(("seed", "patience"), SCHEDULES)
def test_a_batch_that_nobody_took_overwrites_nothing(seed, patience):
    gpu = Gpu(seed, patience)
    prefetcher = Prefetcher(gpu.device, 2)
    seen, expected = consume(gpu, prefetcher, 9, take=3)
    found = written_and_read(gpu)
    finish(gpu)
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(found, np.full((3, 2, 2), -1))


@pytest.mark.once
@pytest.mark.parametrize(("seed", "patience"), SCHEDULES)
def test_two_epochs_at_once_take_turns(seed, patience):
    gpu = Gpu(seed, patience)
    prefetcher = Prefetcher(gpu.device, 2)
    hosts = [np.arange(12.0).reshape(6, 2), -np.arange(12.0).reshape(6, 2)]
    which = [slice(0, 2), slice(2, 4), slice(4, 6)]
    seen = []
    for both in zip(*[prefetcher.batches([host], which) for host in hosts], strict=True):
        for (array,) in both:
            gpu.consumer.give(lambda memory=array.memory: seen.append(memory.copy()))
    finish(gpu)
    np.testing.assert_array_equal(seen[::2], hosts[0].reshape(3, 2, 2))
    np.testing.assert_array_equal(seen[1::2], hosts[1].reshape(3, 2, 2))


@pytest.mark.once
def test_the_host_waits_for_a_buffer_only():
    gpu = Gpu(patience=0)  # nothing runs unless the host waits
    batches = Prefetcher(gpu.device, 2).batches([np.zeros((8, 2))], [slice(0, 2)] * 4)
    next(batches)
    assert gpu.waited == 0
    next(batches)  # gathers the third batch into the buffer of the first
    assert 0 < gpu.waited <= 4


@pytest.mark.once
def test_buffers_are_not_given_back_while_a_copy_reads_them():
    gpu = Gpu(patience=0)
    prefetcher = Prefetcher(gpu.device, 2)
    consume(gpu, prefetcher, 4)
    copies = gpu.streams[1]
    gpu.streams[1:] = [copies]
    assert copies.done < len(copies.queue)
    del prefetcher
    assert copies.done == len(copies.queue)


@pytest.mark.once
@pytest.mark.parametrize(("seed", "patience"), SCHEDULES)
def test_the_consumers_stream_may_change(seed, patience):
    gpu = Gpu(seed, patience)
    first, second = gpu.consumer, Stream(gpu)
    prefetcher = Prefetcher(gpu.device, 2)
    batches = prefetcher.batches([np.ones((6, 2), np.float32)], [slice(0, 2)] * 3)
    next(batches)
    gpu.consumer, seen = second, []
    (array,) = next(batches)  # its memory comes from the first stream's pool
    if seed % 2:
        second.give(lambda: seen.append(array.memory.copy()))
    else:
        del array  # so that the first stream may go on with its memory
    gpu.consumer = first
    batches.close()
    written = written_and_read(gpu)
    finish(gpu)
    assert len(seen) == seed % 2
    for values in seen:
        np.testing.assert_array_equal(values, np.ones((2, 2)))
    np.testing.assert_array_equal(written, np.full((3, 2, 2), -1))


# What CuPy is asked


@pytest.mark.once
def test_cupy_copies_from_the_buffer_on_the_stream():
    pytest.importorskip("cupy")
    from gpugrad.cuda.cupy_backend import CupyBackend

    asked = []
    array = SimpleNamespace(
        data=SimpleNamespace(copy_from_host_async=lambda *given: asked.append(given))
    )
    host, stream = np.zeros((3, 2), np.float32), object()
    CupyBackend().copy(host, array, stream)
    assert asked == [(host.ctypes.data, 24, stream)]


@pytest.mark.once
def test_pinned_memory_is_cupys(monkeypatch):
    cupyx = pytest.importorskip("cupyx")
    from gpugrad.cuda.cupy_backend import CupyBackend

    monkeypatch.setattr(cupyx, "empty_pinned", lambda shape, dtype: (shape, dtype))
    assert CupyBackend().pinned((5, 2), np.int64) == ((5, 2), np.int64)
