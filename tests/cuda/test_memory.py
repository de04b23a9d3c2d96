"""Memory of a GPU: what is live in it, and what is said when it is exhausted."""

from __future__ import annotations

import contextlib
import gc
from types import SimpleNamespace

import numpy as np
import pytest

import gpugrad as gg
from gpugrad import nn
from gpugrad.cuda import failures, live
from gpugrad.cuda.failures import told
from gpugrad.data import DataLoader
from gpugrad.errors import OutOfDeviceMemory

MIB = 1 << 20
on_a_gpu = pytest.mark.skipif(
    not gg.cuda.is_available(), reason="needs a GPU, or the simulated one"
)


@pytest.fixture
def room(monkeypatch):
    """A function that leaves so many bytes to new arrays."""
    gc.disable()  # what is let go of must be freed without it
    if gg.cuda.is_simulated():
        from gpugrad.cuda.simulated.memory import POOL

        def leave(nbytes):
            gc.collect()
            monkeypatch.setattr(POOL, "total", POOL.used + nbytes)

        yield leave
    else:
        pool = pytest.importorskip("cupy").get_default_memory_pool()
        before = pool.get_limit()

        def leave(nbytes):
            gc.collect()
            pool.free_all_blocks()
            pool.set_limit(size=pool.total_bytes() + nbytes)

        yield leave
        pool.set_limit(size=before)
    gc.enable()


@pytest.fixture
def model(device):
    return nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 8)).to(device)


def ones(rows, device):
    return gg.tensor(np.ones((rows, 64), np.float32), device=device)


def whats(rows):
    return {row.what: (row.count, row.dtype, row.shape) for row in rows}


def used():
    return gg.cuda.memory_allocated()


# What is live


@on_a_gpu
def test_memory_by_layer_and_shape(device, model):
    gc.collect()
    before = whats(live.live(0))
    optimizer = gg.optim.Adam(model.parameters())
    x = gg.tensor(np.ones((32, 64), np.float32), device=device)
    loss = model(x).sum()
    found = whats(live.live(0))
    assert found["parameter 0.weight of Sequential"] == (1, "float32", (256, 64))
    assert found["parameter 2.bias of Sequential"] == (1, "float32", (8,))
    size = 256 * 64 + 256 + 8 * 256 + 8
    assert found["exp_avg of Adam"] == found["exp_avg_sq of Adam"] == (1, "float32", (size,))
    kept = [row for row in live.live(0) if row.what.startswith("kept by linear")]
    assert sorted(row.shape for row in kept) == [(32, 64), (32, 256)]
    assert found["kept by gelu for its backward pass"][1:] == ("float32", (32, 256))
    loss.backward()
    found = whats(live.live(0))
    assert found["gradient of 0.weight"] == (1, "float32", (256, 64))
    assert not any(what.startswith("kept by") for what in found)
    optimizer.step()
    del loss, optimizer, x
    model.zero_grad()
    gc.collect()
    # The parameters stay in the optimizer's flat memory, and are named as before.
    constants = {"an array that no tensor holds"}
    assert set(whats(live.live(0))) - constants == set(before) - constants


@on_a_gpu
def test_every_byte_is_in_one_row(device, model):
    optimizer = gg.optim.SGD(model.parameters(), momentum=0.9)
    x = ones(32, device)
    views = [x[:5], x.T, x.reshape(-1)]
    loss = model(x).mean()
    loss.backward(retain_graph=True)
    optimizer.step()
    gc.collect()
    rows = live.live(0)
    if gg.cuda.is_simulated():  # a pool rounds up
        assert sum(row.nbytes for row in rows) == used()
    assert 0 <= used() - sum(row.nbytes for row in rows) <= 1024 * len(rows)
    assert views


@on_a_gpu
def test_the_summary_is_a_table(device, model):
    loader = DataLoader((np.zeros((1 << 14, 16), np.float32),), 5, device=device)
    lines = gg.cuda.memory_summary().splitlines()
    said = "cuda:0, simulated: " if gg.cuda.is_simulated() else "cuda:0: "
    assert lines[0].startswith(said)
    assert " free of " in lines[0]
    assert "    1.0 MiB  data of a DataLoader: float32 (16384, 16)" in lines
    assert "   64.0 KiB  parameter 0.weight of Sequential: float32 (256, 64)" in lines
    assert loader


@on_a_gpu
def test_a_long_table_is_cut(device):
    many = [gg.zeros((k + 1, 3), device=device) for k in range(40)]
    lines = gg.cuda.memory_summary().splitlines()
    assert len(lines) <= 2 + live.ROWS + 1
    assert any(line.endswith(" other arrays") for line in lines)
    assert many


@pytest.mark.once
def test_views_of_cupys_arrays_count_once(monkeypatch):
    cupy = pytest.importorskip("cupy")
    monkeypatch.setattr(
        live,
        "backend",
        lambda: SimpleNamespace(array=cupy.ndarray, index_of=lambda a: int(a.data.device_id)),
    )

    def array(address, shape, device=5):
        memory = cupy.cuda.UnownedMemory(address, 4096, None, device_id=device)
        return cupy.ndarray(shape, "f", memptr=cupy.cuda.MemoryPointer(memory, 0))

    whole, elsewhere = array(0x7000, (32, 32)), array(0x7000, (32, 32), device=6)
    arrays = [whole, whole[1:], whole.T, array(0x9000, (32, 32)), elsewhere]
    assert [(row.count, row.shape, row.nbytes) for row in live.live(5)] == [(2, (32, 32), 8192)]
    assert [(row.count, row.nbytes) for row in live.live(6)] == [(1, 4096)]
    assert arrays


# Exhausted


@on_a_gpu
def test_an_operation_says_what_is_live_and_what_would_fit(device, model, room):
    x = ones(2048, device)  # 512 KiB
    room(3 * MIB)  # the first layer gives 2 MiB, and gelu another 2
    before = used()
    with pytest.raises(OutOfDeviceMemory) as caught:
        model(x)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("gelu(x): out of memory on cuda:0: 2.0 MiB more do not fit")
    assert lines[1] == "  x: float32 (2048, 256) on cuda:0"
    assert lines[2].startswith("  cuda:0")
    assert "1.0 MiB free" in lines[2]
    assert any(
        line.endswith("parameter 0.weight of Sequential: float32 (256, 64)") for line in lines
    )
    # (1 + 2.5) MiB for the 2.5 + 2 MiB that 2,048 rows take; x is of the batch, too.
    assert lines[-1] == (
        f"  help: most of it has a first axis of 2048: up to here, {2048 * 35 // 45} at most would "
        "fit; make batches smaller"
    )
    assert isinstance(caught.value, MemoryError)
    del caught
    assert used() == before
    assert model(x[:256]).shape == (256, 8)  # and it goes on


@on_a_gpu
def test_what_it_says_would_fit_leads_to_what_does(device, model, room):
    room(4 * MIB)
    rows, told_once = 4096, 0
    for _ in range(12):  # an operation may need more than it was asking for when it failed
        try:
            model(ones(rows, device))
            break
        except OutOfDeviceMemory as error:
            fits = int(str(error).rpartition("up to here, ")[2].split()[0])
            assert fits < rows
            rows, told_once = fits, told_once + 1
    assert told_once
    model(ones(rows, device))
    assert rows > 250


LARGE = (1024, 1024)  # 4 MiB


def backward(device, room):
    x = gg.zeros((512, 512), device=device).requires_grad_()
    loss = gg.tanh(gg.exp(x)).sum()
    room(MIB // 2)
    return loss.backward


def adding(device, room):
    x = gg.zeros(LARGE, device=device).requires_grad_()
    (x * 3).sum().backward()
    loss = (x * 3).sum()
    room(6 * MIB)  # for the gradient, but not for the sum with the one before
    return lambda: loss.backward() or x


def gradients(device, room):
    x = gg.zeros(LARGE, device=device).requires_grad_()
    (x * 3).sum().backward()
    gc.collect()
    room(2 * MIB)
    return x


def clip_norm(device, room):
    x = gradients(device, room)
    return lambda: gg.optim.clip_grad_norm_([x], 1.0)


def clip_value(device, room):
    x = gradients(device, room)
    return lambda: gg.optim.clip_grad_value_([x], 1.0)


def tangent(device, room):
    x = gg.zeros((512, 512), device=device)
    room(2 * MIB + 4096)  # enough for the expression
    return lambda: gg.jvp(lambda x: gg.tanh(gg.exp(x)), (x,), (x,))


def optimizer(device, room):
    x = gg.zeros(LARGE, device=device).requires_grad_()
    room(6 * MIB)
    return lambda: gg.optim.Adam([x])


def at_once(run):
    """Nothing has to be there before."""

    def prepare(device, room):
        room(2 * MIB)
        return lambda: run(device)

    return prepare


def host():
    return np.zeros(LARGE, np.float32)


PUT = "^cuda:0: out of memory: 4.0 MiB more do not fit"
MOVED = r"^to_device\(x\): out of memory on cuda:0: 4.0 MiB more do not fit"
DOORS = {
    "zeros": (at_once(lambda device: gg.zeros(LARGE, device=device)), PUT),
    "tensor": (at_once(lambda device: gg.tensor(host(), device=device)), PUT),
    "to": (at_once(lambda device: gg.zeros(LARGE, device="cpu").to(device)), PUT),
    "module": (at_once(lambda device: nn.Linear(*LARGE).to(device)), PUT),
    "loader": (at_once(lambda device: DataLoader((host(),), device=device)), PUT),
    "prefetcher": (
        at_once(lambda d: next(iter(DataLoader((host(),), 1024, device=d, keep_on="host")))),
        PUT,
    ),
    "backward": (backward, r"^backward through \w+: out of memory on cuda:0: 1.0 MiB more do not"),
    "adding to .grad": (adding, r"^backward, adding to \.grad: out of memory on cuda:0: 4.0 MiB"),
    "clip_grad_norm_": (clip_norm, r"^clip_grad_norm_: out of memory on cuda:0: 4.0 MiB more"),
    "clip_grad_value_": (clip_value, r"^clip_grad_value_: out of memory on cuda:0: 4.0 MiB more"),
    "tangent": (tangent, r"out of memory on cuda:0: 1.0 MiB more do not fit"),
    "optimizer": (optimizer, r"^Adam\(params\): out of memory on cuda:0: 4.0 MiB more do not fit"),
}


@on_a_gpu
@pytest.mark.parametrize("door", DOORS)
def test_whatever_needs_memory_says_so_and_goes_on(device, room, door):
    prepare, said = DOORS[door]
    run = prepare(device, room)
    before = used()
    with pytest.raises(OutOfDeviceMemory, match=said) as caught:
        run()
    assert " free of " in str(caught.value)
    assert "\n  help: " in str(caught.value)
    del caught
    assert used() <= before  # backward frees what it has walked
    assert gg.zeros(1000, device=device).sum().item() == 0


@on_a_gpu
def test_an_optimizers_step(device, room):
    class Wasteful(gg.optim.Optimizer):
        @staticmethod
        def update(xp, parameter, grad, state, options):
            parameter -= xp.zeros((1024, 1024), dtype=parameter.dtype)[0, 0] * grad

    w = gg.zeros(10, device=device).requires_grad_()
    optimizer = Wasteful([w], {"lr": 0.1})
    w.sum().backward()
    room(2 * MIB)
    with pytest.raises(
        OutOfDeviceMemory, match=r"^Wasteful\.step: out of memory on cuda:0: 4\.0 MiB"
    ):
        optimizer.step()


@on_a_gpu
def test_the_error_holds_no_array(device, room):
    """A loop that looks for the largest batch keeps the errors, not what they were about."""
    room(2 * MIB)
    before = used()

    def attempt():
        x = gg.zeros((256, 1024), device=device).requires_grad_()
        gg.exp(gg.exp(x))

    kept = []
    try:
        attempt()
    except OutOfDeviceMemory as error:
        kept.append(error.with_traceback(None))
    assert used() == before
    assert kept


@on_a_gpu
def test_a_traceback_holds_what_it_shows_and_no_longer(device, room):
    room(2 * MIB)
    before = used()

    def attempt():
        x = gg.zeros((256, 1024), device=device).requires_grad_()
        gg.exp(gg.exp(x))

    with contextlib.suppress(OutOfDeviceMemory):
        attempt()
    assert used() == before


def test_the_hosts_memory_has_numpys_error():
    with pytest.raises(MemoryError) as caught:
        gg.zeros((1 << 24, 1 << 24), device="cpu")
    assert not isinstance(caught.value, OutOfDeviceMemory)


@pytest.mark.once
def test_what_cupys_pool_says_is_understood(monkeypatch):
    memory = pytest.importorskip("cupy").cuda.memory
    gpu = SimpleNamespace(
        array=SimpleNamespace,
        simulated=False,
        device_index=lambda: 3,
        free_bytes=lambda: 5 << 20,
        used_bytes=lambda: 1 << 30,
        properties=lambda index: SimpleNamespace(total_bytes=16 << 30),
    )
    monkeypatch.setattr(live, "backend", lambda: gpu)
    monkeypatch.setattr(live, "live", lambda index: [])
    error = told("matmul(a, b)", memory.OutOfMemoryError(7 << 20, 1 << 30))
    assert type(error) is OutOfDeviceMemory
    assert str(error).splitlines() == [
        "matmul(a, b): out of memory on cuda:3: 7.0 MiB more do not fit",
        "  cuda:3: 1.0 GiB live in 0 arrays, 5.0 MiB free of 16.0 GiB",
        "      1.0 GiB  memory that no array of Python's holds",
        "  help: 5.0 MiB at most would fit; let go of what is not needed any more",
    ]


@pytest.mark.once
def test_nothing_is_translated_before_a_gpu_is_used(monkeypatch):
    from gpugrad.cuda import backend

    monkeypatch.setattr(backend, "in_use", lambda: None)
    assert failures.failures() == ()


@pytest.mark.once
@pytest.mark.parametrize(("limit", "free"), [(0, 1000 + 300), (5000, 1000), (100_000, 1300)])
def test_what_cupy_has_free(monkeypatch, limit, free):
    pytest.importorskip("cupy")
    from gpugrad.cuda import cupy_backend

    pool = SimpleNamespace(free_bytes=lambda: 300, used_bytes=lambda: 4000, get_limit=lambda: limit)
    fake = SimpleNamespace(
        get_default_memory_pool=lambda: pool,
        cuda=SimpleNamespace(Device=lambda: SimpleNamespace(mem_info=(1000, 9000))),
    )
    monkeypatch.setattr(cupy_backend, "cupy", fake)
    assert cupy_backend.CupyBackend.free_bytes(SimpleNamespace()) == free
