"""Labels out of range where nobody looks: an error on the CPU, NaN on a GPU, which never waits."""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
import gpugrad.nn.functional as F
from gpugrad.errors import LabelError

CLASSES = 3
LABELS = {"too large": CLASSES, "negative": -1}
ROWS = np.random.default_rng(0).standard_normal((4, CLASSES))


def _nll(x, labels, **options):
    return F.nll_loss(gg.log_softmax(x, axis=1), labels, **options)


LOSSES = {
    "cross_entropy": F.cross_entropy,
    "weighted": lambda x, t, **o: F.cross_entropy(x, t, weight=gg.ones(3, dtype=x.dtype), **o),
    "smoothed": lambda x, t, **o: F.cross_entropy(x, t, label_smoothing=0.1, **o),
    "nll_loss": _nll,
    "multi_margin_loss": F.multi_margin_loss,
}
DTYPES = [gg.float64, gg.float32, gg.float16]


def fails_on_the_cpu(device, compute):
    """Whether this is the CPU, where the error comes at once."""
    if device.xp.on_host:
        with pytest.raises(LabelError):
            compute()
    return device.xp.on_host


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("wrong", LABELS)
@pytest.mark.parametrize("name", LOSSES)
def test_the_row_of_a_wrong_label_is_nan(name, wrong, dtype, device):
    loss = LOSSES[name]
    x = gg.tensor(ROWS, dtype, requires_grad=True)
    labels = gg.tensor([0, LABELS[wrong], 2, 1])
    if fails_on_the_cpu(device, lambda: loss(x, labels)):
        return
    losses = loss(x, labels, reduction="none")
    assert np.isnan(losses.detach().numpy()).tolist() == [False, True, False, False]
    losses.sum().backward()
    nan = np.isnan(x.grad.numpy())
    assert nan[1].any()
    assert not nan[[0, 2, 3]].any()
    assert np.isnan(loss(x, labels).item())
    assert np.isfinite(loss(x, gg.tensor([0, 1, 2, 1])).item())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_an_ignored_label_is_not_a_wrong_one(name, dtype):
    x = gg.tensor(ROWS, dtype, requires_grad=True)
    for ignored in (-100, 7):
        labels = gg.tensor([0, ignored, 2, 1])
        losses = LOSSES[name](x, labels, ignore_index=ignored, reduction="none")
        assert losses.detach().numpy()[1] == 0
        x.grad = None
        losses.sum().backward()
        assert not x.grad.numpy()[1].any()
        assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("dtype", [gg.float64, gg.float32], ids=str)
def test_so_is_its_second_derivative(dtype, device):
    x, v = gg.tensor(ROWS, dtype), gg.ones((4, CLASSES), dtype=dtype)
    v = v * gg.tensor([1.0, 2.0, 3.0], dtype)
    labels = gg.tensor([0, 5, 2, 1])

    def loss(x):
        return F.cross_entropy(x, labels, reduction="sum")

    if fails_on_the_cpu(device, lambda: loss(x)):
        return
    nan = np.isnan(gg.grad(lambda x: (gg.grad(loss)(x) * v).sum())(x).numpy())
    assert nan[1].all()
    assert not nan[[0, 2, 3]].any()


def test_a_target_of_the_hinge_loss_that_is_no_sign(device):
    x = gg.tensor([2.0, 0.5, -3.0], requires_grad=True)
    targets = gg.tensor([1, 0, -1])
    if fails_on_the_cpu(device, lambda: F.hinge_loss(x, targets)):
        return
    losses = F.hinge_loss(x, targets, reduction="none")
    assert np.isnan(losses.detach().numpy()).tolist() == [False, True, False]
    losses.sum().backward()
    assert np.isnan(x.grad.numpy()).tolist() == [False, True, False]


@pytest.mark.parametrize("labels", [gg.uint8, gg.int8], ids=str)
def test_labels_of_few_bits(labels):
    x = gg.tensor(ROWS)
    wanted = -gg.log_softmax(x, axis=1).numpy()[np.arange(4), [0, 1, 2, 1]].mean()
    assert _nll(x, gg.tensor([0, 1, 2, 1], labels)).item() == pytest.approx(wanted)


@pytest.mark.parametrize("dtype", [gg.float64, gg.float32], ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_anomaly_detection_names_the_label_and_not_the_nan(name, dtype):
    """The walk finds the NaN first; but the label is its cause."""
    x = gg.tensor(ROWS, dtype, requires_grad=True)
    labels = gg.tensor([0, 3, 2, 1])
    with gg.detect_anomaly(), pytest.raises(LabelError, match="out of range"):
        LOSSES[name](x, labels).backward()


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_waits(name, device, monkeypatch):
    if not gg.cuda.is_simulated():
        pytest.skip("counts what the simulated device is asked for (GPUGRAD_SIMULATE_CUDA=1)")
    from gpugrad.cuda.simulated.array import SimArray

    x, labels = gg.tensor(ROWS, requires_grad=True), gg.tensor([0, 3, 2, 1])
    looks = []
    for asked in ("get", "item", "tolist"):
        real = getattr(SimArray, asked)
        monkeypatch.setattr(
            SimArray, asked, lambda self, *a, _real=real: looks.append(1) or _real(self, *a)
        )
    LOSSES[name](x, labels).backward()
    assert not looks
    assert np.isnan(x.grad.numpy()).any()
    assert looks


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_wrong_label_leaves_the_weights_of_the_others_alone(device, dtype):
    if device.kind == "cpu":
        pytest.skip("the CPU refuses the label")
    weight = gg.tensor([1.0, 2.0, 4.0], dtype=dtype)
    x = np.array([[0.5, 1.0, -1.0], [2.0, 0.0, 1.0], [1.0, 1.0, 0.0]], dtype)
    gradients = []
    for rows, labels in (([0, 1, 2], [0, 5, 2]), ([0, 2], [0, 2])):
        logits = gg.tensor(x[rows], requires_grad=True)
        F.cross_entropy(logits, gg.tensor(labels), weight).backward()
        gradients.append(logits.grad.numpy())
    np.testing.assert_allclose(gradients[0][[0, 2]], gradients[1], rtol=1e-6)
