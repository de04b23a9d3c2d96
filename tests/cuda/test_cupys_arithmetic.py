"""Where CuPy's functions differ from NumPy's, gpugrad has NumPy's results on every device."""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import GradError

NUMBERS = [0.0, -0.0, 0.1, -0.1, 0.7, 1.0, -1.0, 3.0, 5.0, -5.0, 1e8, 1e9, np.inf, -np.inf, np.nan]
FLOATS = ["float32", "float64"]


def pairs(dtype):
    a, b = np.meshgrid(np.array(NUMBERS, dtype), np.array(NUMBERS, dtype))
    return a.ravel(), b.ravel()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["remainder", "floor_divide"])
def test_quotients_small_large_and_infinite(name, dtype):
    a, b = pairs(dtype)
    with np.errstate(all="ignore"):
        wanted = getattr(np, name)(a, b)
        found = getattr(gg, name)(gg.tensor(a), gg.tensor(b)).numpy()
    np.testing.assert_array_equal(found, wanted)
    assert (np.signbit(found) == np.signbit(wanted))[~np.isnan(wanted)].all()


@pytest.mark.parametrize("name", ["remainder", "floor_divide"])
def test_python_numbers_on_either_side(name):
    a = np.array([1e9, -1e9, 5.0, 0.3], "float32")
    for b in (0.7, 3, -3):
        np.testing.assert_array_equal(
            getattr(gg, name)(gg.tensor(a), b).numpy(), getattr(np, name)(a, b)
        )
        np.testing.assert_array_equal(
            getattr(gg, name)(b, gg.tensor(a)).numpy(), getattr(np, name)(b, a)
        )


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_sign_of_nan_is_nan(dtype):
    x = gg.tensor([np.nan, -2.0, 0.0], dtype=dtype)
    np.testing.assert_array_equal(gg.sign(x).numpy(), [np.nan, -1.0, 0.0])
    np.testing.assert_array_equal(
        gg.grad(lambda x: gg.abs(x).sum())(x).numpy(), [np.nan, -1.0, 0.0]
    )


@pytest.mark.parametrize("number", [-100, 300, 2**40, -(2**40)])
def test_integers_beside_numbers_that_they_cannot_hold(number):
    x = np.array([0, 7, 255], "uint8")
    for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
        found = getattr(gg, name)(gg.tensor(x), number).numpy()
        np.testing.assert_array_equal(found, getattr(np, name)(x, number))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64"])
@pytest.mark.parametrize("logits", ["float16", "float32", "float64"])
def test_labels_of_few_bits(dtype, logits):
    x = gg.tensor([[0.5, 1.0, -1.0], [2.0, 0.0, 1.0]], dtype=logits, requires_grad=True)
    labels = np.array([2, 0])
    losses = []
    for kind in (dtype, "int64"):
        with gg.detect_anomaly():
            loss = gg.nn.functional.cross_entropy(x, gg.asarray(labels.astype(kind)))
            loss.backward(create_graph=True)
        losses.append(loss.item())
    assert losses[0] == losses[1]


def test_integers_to_negative_powers_are_refused():
    with pytest.raises(GradError, match="negative integer powers"):
        gg.tensor([2, 3]) ** -1
    with pytest.raises(GradError, match="negative integer powers"), gg.detect_anomaly():
        gg.tensor([2, 3]) ** gg.tensor([1, -1])


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_a_masked_row_that_is_nan_does_not_reach_the_bias(activation):
    x = np.linspace(-1, 1, 12).astype("float32").reshape(4, 3)
    x[1] = np.nan
    keep = gg.asarray(np.array([1, 0, 1, 1])[:, None])
    weight, bias = (gg.tensor(np.full(s, 0.3, "float32"), requires_grad=True) for s in ((2, 3), 2))
    y = gg.linear(gg.tensor(x), weight, bias, activation)
    gg.where(keep > 0, y, 0).sum().backward()
    assert np.isfinite(bias.grad.numpy()).all()
    clean = gg.linear(gg.tensor(x[[0, 2, 3]]), weight.detach(), b := bias.detach().requires_grad_(),
                      activation)  # fmt: skip
    clean.sum().backward()
    np.testing.assert_allclose(bias.grad.numpy(), b.grad.numpy(), rtol=1e-6)
