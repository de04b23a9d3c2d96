"""The wrappers of the kernels of layers and losses, on the simulated card, against the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

import gpugrad as gg  # noqa: E402
from gpugrad.kernels import bias_activation, softmax_cross_entropy, standardize  # noqa: E402
from gpugrad.kernels.dropout import dropout  # noqa: E402
from gpugrad.kernels.fill_random import uniform  # noqa: E402
from gpugrad.namespace import PRIMITIVES  # noqa: E402
from gpugrad.random import threshold  # noqa: E402
from tests.kernels.rows_layers import ACTIVATIONS, DERIVATIVES  # noqa: E402

pytestmark = pytest.mark.once

XP = gg.device("cpu").xp
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def drawn(*shape):
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


# bias_activation


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(1, 1), (70, 3), (3, 70), (0, 4), (5, 0)])
@pytest.mark.parametrize("in_place", [False, True])
def test_bias_and_activation(card, activation, shape, in_place):
    x, bias = drawn(*shape), drawn(shape[1])
    for offsets in (bias, None):
        given = card.put(x)
        found = bias_activation.bias_activation(
            card.xp,
            given,
            None if offsets is None else card.put(offsets),
            activation,
            **({"out": given} if in_place else {}),
        )
        assert (found is given) == in_place
        wanted = ACTIVATIONS[activation](x if offsets is None else x + offsets)
        np.testing.assert_allclose(found.get(), wanted, **CLOSE)


@pytest.mark.parametrize("activation", [None, *DERIVATIVES])
@pytest.mark.parametrize(
    "shape", [(1, 1), (70, 3), (3, 70), (0, 4), (5, 0), (1500, 40), (2, 10_000)]
)
def test_the_way_back_through_bias_and_activation(card, activation, shape):
    g, y = drawn(*shape, 1)[..., 0].copy(), drawn(*shape)
    dz, dbias = bias_activation.bias_activation_backward(
        card.xp, card.put(g), card.put(y), activation
    )
    wanted = g if activation is None else g * DERIVATIVES[activation](y)
    np.testing.assert_allclose(dz.get(), wanted, **CLOSE)
    np.testing.assert_allclose(dbias.get(), wanted.sum(0, dtype=np.float64), rtol=1e-4, atol=1e-4)


# softmax_cross_entropy


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("weighted", "smoothing"), [(False, 0.0), (True, 0.0), (True, 0.25)])
@pytest.mark.parametrize("shape", [(1, 1), (9, 10), (4, 300)])
def test_softmax_cross_entropy(card, reduction, weighted, smoothing, shape):
    logits, weight = drawn(*shape) * 5, np.abs(drawn(shape[1])) if weighted else None
    labels = np.random.default_rng(1).integers(0, shape[1], shape[0])
    labels[1::3] = -7
    options = {"ignore_index": -7, "label_smoothing": smoothing, "reduction": reduction}
    found = softmax_cross_entropy.softmax_cross_entropy(
        card.xp,
        card.put(logits),
        card.put(labels),
        card.put(weight) if weighted else None,
        **options,
    )
    with np.errstate(all="ignore"):
        wanted = PRIMITIVES["softmax_cross_entropy"].forward(XP, logits, labels, weight, **options)
    for mine, numpys in zip(found, wanted, strict=True):
        assert (mine.shape, mine.dtype) == (np.shape(numpys), np.float32)
        np.testing.assert_allclose(mine.get(), numpys, **CLOSE)


def test_the_losses_of_many_rows_are_added_in_two_stages(card, monkeypatch):
    monkeypatch.setattr(softmax_cross_entropy, "SHARE", 64)
    logits, labels = drawn(300, 3), np.arange(300) % 3
    labels[::7] = -100
    loss, gradient = softmax_cross_entropy.softmax_cross_entropy(
        card.xp, card.put(logits), card.put(labels)
    )
    wanted = PRIMITIVES["softmax_cross_entropy"].forward(XP, logits, labels)
    np.testing.assert_allclose(loss.get(), wanted[0], **CLOSE)
    np.testing.assert_allclose(gradient.get(), wanted[1], **CLOSE)


def test_nothing_but_ignored_labels_has_no_mean(card):
    logits, labels = card.put(drawn(3, 4)), card.put(np.full(3, -100))
    loss, gradient = softmax_cross_entropy.softmax_cross_entropy(card.xp, logits, labels)
    assert np.isnan(loss.get())
    assert np.isnan(gradient.get()).all()


# standardize


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((6, 5), -1), ((6, 5), 0), ((6, 5), (0, 1)), ((2, 3, 4), (-2, -1)), ((2, 3, 4), (0, 1)),
     ((1, 7), 0), ((7, 1), -1), ((3, 700), 1), ((900, 33), 0)],
)  # fmt: skip
def test_standardize_and_its_way_back(card, shape, axis):
    x, g = 10 + drawn(*shape), drawn(*shape, 1)[..., 0].copy()
    found = standardize.standardize(card.xp, card.put(x), axis, 1e-3)
    wanted = PRIMITIVES["standardize"].forward(XP, x.astype(np.float64), axis, 1e-3)
    for mine, numpys in zip(found, wanted, strict=True):
        assert (mine.shape, mine.dtype) == (numpys.shape, np.float32)
        np.testing.assert_allclose(mine.get(), numpys, rtol=1e-4, atol=1e-4)
    normal, var = (np.float32(array) for array in (wanted[0], wanted[2]))
    back = standardize.standardize_backward(
        card.xp, card.put(g), card.put(normal), card.put(var), axis, 1e-3
    )
    level, tilt = (v.mean(axis, keepdims=True) for v in (g, g * normal))
    dx = (g - level - normal * tilt) / np.sqrt(var + 1e-3)
    np.testing.assert_allclose(back.get(), dx, rtol=1e-4, atol=1e-4)


def test_other_axes_take_the_expression(card):
    x = card.put(drawn(2, 3, 4))
    for axis in (1, (0, 2), ()):
        assert standardize.standardize(card.xp, x, axis, 1e-3) is NotImplemented


# random numbers


def at(seed, position):
    """The generator that has drawn up to `position`."""
    generator = gg.Generator(seed)
    generator.position = position
    return generator


@pytest.mark.parametrize("shape", [(), (5,), (3, 700), (0, 2)])
def test_numbers_are_the_generators(card, shape):
    for seed in (0, 7):
        for position in (0, 12):
            found = uniform(card.xp, shape, seed, position)
            np.testing.assert_array_equal(found.get(), at(seed, position).uniform(shape))
            assert (found.shape, found.dtype) == (shape, np.float32)


@pytest.mark.parametrize("keep", [0.0, 0.75, 1.0])
def test_dropout_draws_what_the_generator_does(card, keep):
    x = drawn(40, 11)
    out = dropout(card.xp, card.put(x), 3, 5, threshold(keep), 4 / 3)
    wanted = np.where(at(3, 5).bernoulli(x.shape, keep), x * np.float32(4 / 3), 0)
    np.testing.assert_array_equal(out.get(), wanted)


# what the kernels leave to the expression


def test_other_arrays_take_the_expression(card):
    x, labels = drawn(4, 6), np.zeros(4, np.int64)
    strided = card.put(x)[:, ::2]
    for wrong in (card.put(x.astype(np.float64)), card.put(x.astype(np.float16)), strided):
        cross_entropy = softmax_cross_entropy.softmax_cross_entropy
        for found in (
            bias_activation.bias_activation(card.xp, wrong, None, "relu"),
            bias_activation.bias_activation_backward(card.xp, wrong, wrong, "relu"),
            cross_entropy(card.xp, wrong, card.put(labels)),
            cross_entropy(card.xp, card.put(x), card.put(labels), wrong[0]),
            standardize.standardize(card.xp, wrong, -1, 1e-3),
            standardize.standardize_backward(card.xp, wrong, wrong, wrong, -1, 1e-3),
            dropout(card.xp, wrong, 0, 0, 2**31, 2.0),
        ):
            assert found is NotImplemented


def test_bits_repeat(card):
    x, labels = card.put(drawn(129, 10)), card.put(np.arange(129) % 10)

    def bits():
        return [
            array.get().tobytes()
            for array in (
                *softmax_cross_entropy.softmax_cross_entropy(card.xp, x, labels),
                *standardize.standardize(card.xp, x, 0, 1e-3),
                *bias_activation.bias_activation_backward(card.xp, x, x, "tanh"),
            )
        ]

    assert bits() == bits()
