"""100 float64 steps from equal weights and batches end where PyTorch's do."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest

from tests.reference import trajectories
from tests.reference.library import gpugrad, pytorch
from tests.reference.trajectories import RUNS, SCHEDULED, Run

BY_NAME = {run.name: run for run in RUNS}


@pytest.fixture(scope="module")
def recorded():
    with np.load(trajectories.FILE, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def values(recorded):
    return {k.removeprefix("start/"): v for k, v in recorded.items() if k.startswith("start/")}


@pytest.fixture(scope="module")
def made(values):
    """Each run in gpugrad, made once on each device."""
    return cache(lambda name, device: trajectories.train(gpugrad(), BY_NAME[name], values))


@pytest.fixture
def trained(made, device):
    return lambda name: made(name, device)


def assert_same_state(actual: np.ndarray, expected: np.ndarray) -> None:
    """Within 1e-9 of the largest element of each tensor, at every checkpoint."""
    assert actual.shape == expected.shape
    for step, mine, theirs in zip(trajectories.CHECKPOINTS, actual, expected, strict=True):
        begin = 0
        for name, shape in trajectories.names_and_shapes():
            end = begin + int(np.prod(shape))
            error = np.abs(mine[begin:end] - theirs[begin:end]).max()
            assert error <= 1e-9 * np.abs(theirs[begin:end]).max(), f"{name} after step {step}"
            begin = end


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_run_ends_where_pytorch_recorded(run: Run, trained, recorded):
    result = trained(run.name)
    assert_same_state(result["state"], recorded[f"{run}/state"])
    np.testing.assert_allclose(result["loss"], recorded[f"{run}/loss"], rtol=1e-9)


@pytest.mark.parametrize("run", SCHEDULED, ids=str)
def test_schedule_sets_what_pytorch_recorded(run: Run, trained, recorded):
    result = trained(run.name)
    np.testing.assert_allclose(result["lr"], recorded[f"{run}/lr"], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(result["momentum"], recorded[f"{run}/momentum"], rtol=1e-12)


def test_batches_and_weights_are_the_recorded_ones(values):
    assert set(values) == set(trajectories.start())


def test_every_scheduler_of_gpugrad_has_a_run():
    from gpugrad.optim import lr_scheduler

    kinds = {name.split()[0] for name in trajectories.SCHEDULES}
    assert kinds == set(lr_scheduler.__all__) - {"LRScheduler"}


@pytest.mark.reference
@pytest.mark.parametrize("run", RUNS, ids=str)
def test_run_ends_where_pytorch_does_now(run: Run, trained, values):
    pytest.importorskip("torch", reason="the extra `reference` is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = trajectories.train(pytorch(), run, values)
    actual = trained(run.name)
    assert_same_state(actual["state"], expected["state"])
    np.testing.assert_allclose(actual["lr"], expected["lr"], rtol=1e-9, atol=1e-14)


@pytest.mark.reference
def test_every_scheduler_of_pytorch_is_here():
    pytest.importorskip("torch", reason="the extra `reference` is not installed")
    from torch.optim import lr_scheduler as theirs

    from gpugrad.optim import lr_scheduler as ours

    assert set(theirs.__all__) <= set(ours.__all__)
