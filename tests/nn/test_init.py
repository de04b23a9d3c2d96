"""nn.init: the spread of what is drawn, and where it is written."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gpugrad as gg
from gpugrad import nn
from gpugrad.errors import GraphError, OptionError, ShapeError, VersionError
from gpugrad.nn import init


def drawn(name: str, *args, shape=(300, 200), **options) -> np.ndarray:
    tensor = nn.Parameter(np.zeros(shape))
    assert getattr(init, name)(tensor, *args, generator=gg.Generator(3), **options) is tensor
    return tensor.detach().numpy()


UNIFORM = [
    ("uniform_", (-1.0, 3.0), -1.0, 3.0),
    ("xavier_uniform_", (2.0,), *(s * 2 * math.sqrt(6 / 500) for s in (-1, 1))),
    ("kaiming_uniform_", (), *(s * math.sqrt(2) * math.sqrt(3 / 200) for s in (-1, 1))),
    ("kaiming_uniform_", (math.sqrt(5),), *(s / math.sqrt(200) for s in (-1, 1))),
    ("kaiming_uniform_", (0, "fan_out"), *(s * math.sqrt(2) * math.sqrt(3 / 300) for s in (-1, 1))),
]


@pytest.mark.parametrize(("name", "args", "low", "high"), UNIFORM)
def test_uniform_fills_its_range(name, args, low, high):
    values = drawn(name, *args)
    assert low <= values.min() < low + 0.001 * (high - low)
    assert high - 0.001 * (high - low) < values.max() <= high
    assert values.mean() == pytest.approx((low + high) / 2, abs=0.01 * (high - low))


NORMAL = [
    ("normal_", (1.0, 2.0), 1.0, 2.0),
    ("xavier_normal_", (), 0.0, math.sqrt(2 / 500)),
    ("kaiming_normal_", (0, "fan_in", "tanh"), 0.0, 5 / 3 / math.sqrt(200)),
]


@pytest.mark.parametrize(("name", "args", "mean", "std"), NORMAL)
def test_normal_has_its_moments(name, args, mean, std):
    values = drawn(name, *args)
    assert values.mean() == pytest.approx(mean, abs=0.02 * std)
    assert values.std() == pytest.approx(std, rel=0.01)


def test_trunc_normal_stays_inside_and_keeps_its_shape():
    values = drawn("trunc_normal_", 1.0, 2.0, 0.0, 2.0)
    assert 0.0 <= values.min() < 0.01
    assert 1.99 < values.max() <= 2.0
    # Cut at a = 1/2 standard deviations on both sides: s**2 (1 - 2 a f(a) / (F(a) - F(-a)))
    density = math.exp(-0.125) / math.sqrt(2 * math.pi)
    wanted = 4 * (1 - density / math.erf(0.5 / math.sqrt(2)))
    assert values.var() == pytest.approx(wanted, rel=0.02)
    with pytest.raises(OptionError, match=r"hardly a number of mean=0\.0, std=1\.0 lies in"):
        drawn("trunc_normal_", 0.0, 1.0, 50.0, 60.0)
    with pytest.raises(OptionError, match="hardly a number"):
        drawn("trunc_normal_", 0.0, 1.0, 2.0, -2.0)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (3, 2, 4), (4, 4)])
def test_orthogonal_has_orthonormal_rows_or_columns(shape):
    matrix = drawn("orthogonal_", 2.0, shape=shape).reshape(shape[0], -1)
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_orthogonal_matrices_have_no_preferred_sign():
    corners = [init.orthogonal_(gg.zeros((3, 3)), generator=gg.Generator(k)) for k in range(40)]
    positive = sum(matrix[0, 0].item() > 0 for matrix in corners)
    assert 8 <= positive <= 32


def test_constants():
    tensor = gg.zeros((2, 3))
    assert init.ones_(tensor).tolist() == [[1.0] * 3] * 2
    assert init.constant_(tensor, 0.5).tolist() == [[0.5] * 3] * 2
    assert init.zeros_(tensor).tolist() == [[0.0] * 3] * 2
    assert init.eye_(tensor).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_writing_keeps_the_link_and_makes_graphs_stale():
    layer = nn.Linear(2, 2)
    gg.optim.SGD(layer.parameters(), lr=0.1)
    memory = layer.weight._data
    x = gg.ones((1, 2))
    x.requires_grad_()
    loss = layer(x).sum()
    init.zeros_(layer.weight)
    assert layer.weight._data is memory
    with pytest.raises(VersionError, match=r"init.zeros_ at .*test_init.py"):
        loss.backward()


def test_a_constant_that_others_hold_is_not_changed():
    tensor = gg.ones(2)
    view = tensor.detach()
    foreign = np.ones(2)
    shared = gg.asarray(foreign)
    init.zeros_(tensor), init.zeros_(shared)
    assert view.tolist() == foreign.tolist() == [1.0, 1.0]
    assert tensor.tolist() == shared.tolist() == [0.0, 0.0]


def test_one_generator_one_result():
    first = init.normal_(gg.zeros(5), generator=gg.Generator(1))
    assert init.normal_(gg.zeros(5), generator=gg.Generator(1)).tolist() == first.tolist()
    gg.manual_seed(1)
    assert init.normal_(gg.zeros(5)).tolist() == first.tolist()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: init.uniform_(gg.zeros(2), 1.0, 0.0), OptionError, "b=0.0 is less than a=1.0"),
        (lambda: init.normal_(gg.zeros(2), 0.0, -1.0), OptionError,
         "std=-1.0 must not be negative"),
        (lambda: init.xavier_normal_(gg.zeros(2)), ShapeError,
         r"xavier_normal_: the fans are those of a weight \(out, in, ...\), this is float32"),
        (lambda: init.kaiming_normal_(gg.zeros((2, 2)), mode="out"), OptionError,
         "mode='out' is neither 'fan_in' nor 'fan_out'"),
        (lambda: init.orthogonal_(gg.zeros(2)), ShapeError, "needs at least two axes"),
        (lambda: init.eye_(gg.zeros(2)), ShapeError, "a matrix has two axes"),
        (lambda: init.calculate_gain("gelu"), OptionError, "no gain is known for 'gelu'"),
        (lambda: init.zeros_(nn.Parameter([1.0]) * 2), GraphError,
         "a recorded operation made this"),
    ],
)  # fmt: skip
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
