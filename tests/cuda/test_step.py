"""A training step on the device: the CPU's numbers, few launches, no wait, nothing left behind."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.nn import functional

SIMULATED = gg.cuda.is_simulated()
STEPS, RATE = 4, 0.05

simulated = pytest.mark.skipif(
    not SIMULATED, reason="looks into the simulated device (GPUGRAD_SIMULATE_CUDA=1)"
)


class Training:
    """An MLP on random batches, everything drawn from seed 0."""

    def __init__(self, device, optimizer="Adam", dropout=0.0, norm=False):
        draw = gg.Generator(0)
        layers = [gg.nn.MLP([12, 16, 5], dropout=dropout, generator=draw)]
        if norm:
            layers.insert(0, gg.nn.LayerNorm(12))
        self.model = gg.nn.Sequential(*layers).to(device)
        self.optimizer = getattr(gg.optim, optimizer)(self.model.parameters(), lr=RATE)
        self.x = gg.randn(33, 12, generator=draw, device=device)
        self.y = gg.asarray(draw.integers(33, 5), device=device)

    def step(self):
        loss = functional.cross_entropy(self.model(self.x), self.y)
        self.optimizer.zero_grad()
        loss.backward()
        gg.optim.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss

    def parameters(self):
        return [p.detach().numpy() for p in self.model.parameters()]


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
@pytest.mark.parametrize(("dropout", "norm"), [(0.0, False), (0.5, True)])
def test_the_device_trains_to_the_numbers_of_the_cpu(device, optimizer, dropout, norm):
    here, there = (Training(place, optimizer, dropout, norm) for place in ("cpu", device))
    for _ in range(STEPS):
        assert here.step().item() == pytest.approx(there.step().item(), rel=2e-5)
    for p, q in zip(here.parameters(), there.parameters(), strict=True):
        # An adaptive step divides a gradient by its own size: where that is little more than
        # rounding error, a thousandth of the learning rate is.
        np.testing.assert_allclose(q, p, rtol=2e-4, atol=1e-3 * RATE)


def test_bits_repeat(device):
    runs = []
    for _ in range(2):
        training = Training(device, dropout=0.25)
        for _ in range(STEPS):
            training.step()
        runs.append(training.parameters())
    for p, q in zip(*runs, strict=True):
        assert p.tobytes() == q.tobytes()


@simulated
def test_a_step_waits_for_nothing_and_moves_nothing(device, monkeypatch):
    from gpugrad.cuda.simulated.array import SimArray
    from gpugrad.cuda.simulated.backend import SimulatedBackend

    training = Training(device, dropout=0.25, norm=True)
    training.step()

    def waits(*args):
        raise AssertionError("the step waits for the device, or copies to it")

    for name in ("get", "item", "tolist", "set"):
        monkeypatch.setattr(SimArray, name, waits)
    monkeypatch.setattr(SimulatedBackend, "put", waits)
    training.step()


@simulated
def test_the_launches_of_a_step(device):
    from gpugrad.cuda.simulated.launch import launches

    training = Training(device)
    training.step()
    with launches() as reports:
        training.step()
    assert [report.kernel for report in reports] == [
        "bias_relu", "bias_identity",  # forward, beside two products
        "_divisors", "_rows", "_total",  # the loss and its gradient
        "_sum_columns", "bias_drelu",  # backward, beside three products
        "_square_sums", "_coefficient", "_scale",  # clipping
        "_adam",
    ]  # fmt: skip
    assert not [finding for report in reports for finding in report.findings]


@simulated
def test_a_second_step_compiles_nothing(device, monkeypatch):
    from gpugrad.cuda.simulated import launch

    training = Training(device)
    training.step()

    def compiles(*args):
        raise AssertionError("the second step compiles")

    monkeypatch.setattr(launch, "compiled", compiles)
    training.step()


def test_a_step_leaves_no_memory_behind(device):
    if device.kind == "cpu":
        pytest.skip("gg.cuda counts the memory of devices")
    training = Training(device)
    for _ in range(10):  # the last few tables of gradients' addresses are kept
        training.step()
    gc.collect()
    before = gg.cuda.memory_allocated()
    for _ in range(5):
        training.step()
    gc.collect()
    assert gg.cuda.memory_allocated() == before
