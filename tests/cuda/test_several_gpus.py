"""With several GPUs, work is done on the one that has the arrays, whichever is the current one.

Two simulated devices stand for them: an array belongs to the one that was current when it was made,
and whatever computes with one of the other device is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.autodiff.backward import _one
from gpugrad.cuda.backend import backend
from gpugrad.cuda.simulated import array as arrays
from gpugrad.cuda.simulated import module
from gpugrad.cuda.simulated.memory import Pool
from gpugrad.device import cuda_device
from gpugrad.errors import DeviceError

pytestmark = pytest.mark.skipif(
    not gg.cuda.is_simulated(), reason="takes two simulated GPUs: GPUGRAD_SIMULATE_CUDA=1"
)


class Pair:
    """Two devices in place of one: which is current, and where each allocation is."""

    def __init__(self) -> None:
        self.current = 0
        self.homes: dict[int, int] = {}
        self.computed: list[int] = []

    @contextmanager
    def use(self, index: int) -> Iterator[None]:
        before, self.current = self.current, index
        try:
            yield
        finally:
            self.current = before

    def index_of(self, array: Any) -> int:
        return self.homes.get(array.allocation.ptr, 0)

    def called(self, real: Any, function: Any, args: Any, options: Any, self_: Any = None) -> Any:
        """What an array operation of the simulated device runs through."""
        for array in (*args, self_):
            if type(array) is arrays.SimArray and function.__name__ != "copy":  # to the current one
                assert self.index_of(array) == self.current, (function, self.current)
                self.computed.append(self.current)
        return real(function, args, options, self_)


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    pair = Pair()
    gpu = type(backend())
    monkeypatch.setattr(gpu, "device_count", lambda self: 2)
    monkeypatch.setattr(gpu, "device_index", lambda self: pair.current)
    monkeypatch.setattr(gpu, "use", lambda self, index: pair.use(index))
    monkeypatch.setattr(gpu, "index_of", lambda self, array: pair.index_of(array))
    allocate = Pool.allocate
    real = arrays.called

    def placed(pool: Pool, nbytes: int) -> Any:
        allocation = allocate(pool, nbytes)
        pair.homes[allocation.ptr] = pair.current
        return allocation

    def called(function: Any, args: Any, options: Any, self: Any = None) -> Any:
        return pair.called(real, function, args, options, self)

    monkeypatch.setattr(Pool, "allocate", placed)
    monkeypatch.setattr(arrays, "called", called)
    monkeypatch.setattr(module, "called", called)
    for kept in (cuda_device, _one):
        kept.cache_clear()
    yield pair
    for kept in (cuda_device, _one):
        kept.cache_clear()


X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


def test_each_device_has_a_name_and_its_arrays(pair):
    assert [str(device) for device in gg.devices()] == ["cpu", "cuda:0", "cuda:1"]
    t = gg.tensor(X, device="cuda:1")
    assert str(t.device) == "cuda:1"
    assert str((t * 2).device) == "cuda:1"
    assert pair.current == 0


def test_an_operation_computes_where_its_arrays_are(pair):
    t = gg.tensor(X, device="cuda:1")
    pair.computed.clear()
    y = gg.sum(gg.sin(t) * t)
    assert set(pair.computed) == {1}
    np.testing.assert_allclose(y.item(), np.sum(np.sin(X) * X), rtol=1e-12)


def test_a_gradient_is_computed_where_its_arrays_are(pair):
    t = gg.tensor(X, device="cuda:1", requires_grad=True)
    (gg.sum(gg.sin(t) * t) + gg.sum(t)).backward()
    gg.sum(t * t).backward()
    assert str(t.grad.device) == "cuda:1"
    np.testing.assert_allclose(t.grad.numpy(), np.cos(X) * X + np.sin(X) + 1 + 2 * X, rtol=1e-12)
    assert pair.current == 0


def test_forward_mode_computes_where_its_arrays_are(pair):
    t = gg.tensor(X, device="cuda:1")
    _, tangent = gg.jvp(lambda x: gg.sin(x) * x, (t,), (gg.tensor(X, device="cuda:1"),))
    assert str(tangent.device) == "cuda:1"
    np.testing.assert_allclose(tangent.numpy(), (np.cos(X) * X + np.sin(X)) * X, rtol=1e-12)


def test_a_graph_crosses_from_device_to_device(pair):
    t = gg.tensor(X, device="cuda:0", requires_grad=True)
    gg.sum(gg.exp((t * 2).to("cuda:1"))).backward()
    assert str(t.grad.device) == "cuda:0"
    np.testing.assert_allclose(t.grad.numpy(), 2 * np.exp(2 * X), rtol=1e-12)


def test_an_optimizer_steps_where_its_parameters_are(pair):
    w = gg.tensor(X, device="cuda:1", requires_grad=True)
    optimizer = gg.optim.SGD([w], lr=0.5, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        gg.sum(w * w).backward()
        optimizer.step()
    assert str(w.device) == "cuda:1"
    first = X - 0.5 * 2 * X
    np.testing.assert_allclose(
        w.detach().numpy(), first - 0.5 * (0.9 * 2 * X + 2 * first), rtol=1e-12
    )


def test_tensors_of_two_devices_do_not_mix(pair):
    a, b = gg.tensor(X, device="cuda:0"), gg.tensor(X, device="cuda:1")
    with pytest.raises(DeviceError, match=r"different devices[^$]*cuda:1\n.*b\.to\('cuda:0'\)"):
        gg.add(a, b)
