"""Metrics and default losses."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import ShapeError
from gpugrad.train import accuracy, r2, rmse
from gpugrad.train.metrics import default_loss


def test_accuracy_counts_rows():
    outputs = gg.tensor([[1.0, 2.0, 0.0], [3.0, 1.0, 0.0], [0.0, 0.0, 1.0], [5.0, 0.0, 0.0]])
    assert accuracy(outputs, gg.tensor([1, 0, 2, 1])) == 0.75


def test_r2_and_rmse_against_their_formulas():
    truth = np.array([3.0, -0.5, 2.0, 7.0])
    guess = np.array([2.5, 0.0, 2.0, 8.0])
    assert r2(gg.asarray(guess), gg.asarray(truth)) == pytest.approx(1 - 1.5 / 29.1875)
    assert rmse(gg.asarray(guess), gg.asarray(truth)) == pytest.approx(math.sqrt(1.5 / 4))
    assert r2(gg.asarray(guess[:, None]), gg.asarray(truth)) == pytest.approx(1 - 1.5 / 29.1875)
    assert math.isnan(r2(gg.ones(3), gg.ones(3)))


@pytest.mark.parametrize("metric", [r2, rmse])
def test_shapes_that_would_broadcast_are_refused(metric):
    with pytest.raises(ShapeError, match=r"differ in shape\n  outputs: float32 \(3, 2\)"):
        metric(gg.ones((3, 2)), gg.ones(3))


def test_accuracy_refuses_other_shapes():
    with pytest.raises(ShapeError, match=r"\(rows, classes\) and \(rows,\) are expected"):
        accuracy(gg.ones(3), gg.tensor([0, 1, 2]))
    with pytest.raises(ShapeError, match=r"targets: int64 \(2,\)"):
        accuracy(gg.ones((3, 2)), gg.tensor([0, 1]))


def test_the_default_loss_goes_by_the_targets():
    logits = gg.tensor([[2.0, 1.0], [0.0, 3.0]])
    classes = gg.tensor([0, 1])
    expected = gg.nn.functional.cross_entropy(logits, classes).item()
    assert default_loss(logits, classes).item() == expected
    assert default_loss(gg.tensor([[1.0], [2.0]]), gg.tensor([1.0, 4.0])).item() == 2.0
