"""The linear layer with bias and activation in one kernel, and its gradients, beside the CPU."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

import gpugrad as gg  # noqa: E402
from gpugrad.cuda.simulated.memory import POOL  # noqa: E402
from gpugrad.kernels.linear import linear, linear_dz  # noqa: E402
from gpugrad.namespace import PRIMITIVES  # noqa: E402

XP = gg.device("cpu").xp
ACTIVATIONS = [None, "relu", "tanh", "sigmoid"]
SIZES = [(1, 1, 1), (1, 5, 3), (7, 3, 5), (33, 17, 65)]  # rows, features in, features out
CLOSE = {"rtol": 2e-5, "atol": 2e-5}  # sums of up to 65 terms, twice one behind the other


def drawn(rows, into, out):
    rng = np.random.default_rng([rows, into, out])
    shapes = (rows, into), (out, into), (out,)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.once
@pytest.mark.parametrize(("activation", "with_bias"), list(product(ACTIVATIONS, (False, True))))
@pytest.mark.parametrize("size", [*SIZES, (0, 3, 2), (4, 0, 3), (4, 3, 0)])
def test_the_wrapper_computes_what_the_expression_does(card, activation, with_bias, size):
    x, weight, bias = drawn(*size)
    bias = bias if with_bias else None
    found = linear(
        card.xp, card.put(x), card.put(weight), card.put(bias) if with_bias else None, activation
    )
    if activation is None and not with_bias:  # a product and nothing more
        assert found is NotImplemented
        return
    wanted = PRIMITIVES["linear"].forward(XP, x, weight, bias, activation)
    assert (found.shape, found.dtype) == (wanted.shape, np.float32)
    np.testing.assert_allclose(found.get(), wanted, **CLOSE)


@pytest.mark.once
def test_bias_and_activation_take_one_launch_and_no_array_beside_the_product(card):
    x, weight, bias = map(card.put, drawn(7, 3, 5))
    POOL.peak = POOL.used
    with card.launches() as reports:
        y = linear(card.xp, x, weight, bias, "relu")
    assert len(reports) == 1
    assert card.moved(reports) == (4 * 2 * y.size, 4 * y.size)
    assert POOL.peak == POOL.used


@pytest.mark.once
@pytest.mark.parametrize("activation", ACTIVATIONS[1:])
def test_the_way_back_through_the_activation(card, activation):
    y, g = drawn(7, 5, 7)[0], drawn(7, 5, 1)[0]
    dz, dbias = linear_dz(card.xp, card.put(g), card.put(y), activation)
    wanted = g * PRIMITIVES["linear"].tail_rule(XP, y, activation)
    np.testing.assert_allclose(dz.get(), wanted, **CLOSE)
    np.testing.assert_allclose(dbias.get(), wanted.sum(0), **CLOSE)


@pytest.mark.once
def test_what_the_wrapper_leaves_to_the_expression(card):
    x, weight, bias = map(card.put, drawn(4, 3, 2))
    for wrong in (
        (x.astype(np.float64), weight.astype(np.float64), bias.astype(np.float64)),
        (x[0], weight, bias),
        (x.reshape(2, 2, 3), weight, bias),
        (x[:, :2], weight, bias),
        (x, weight, x[0]),
        (x, weight, card.put(np.zeros((4, 2), np.float32))[::2, 0]),
        (x, weight, bias.astype(np.float64)),
    ):
        assert linear(card.xp, *wrong, "relu") is NotImplemented
    assert linear(card.xp, x, weight, bias, "no activation") is NotImplemented


def gradients(arrays, activation, device):
    """The layer's output, the gradients of a function of it, and those of a function of these."""
    tensors = [gg.tensor(array, device=device) for array in arrays]
    rng = np.random.default_rng(1)

    def factor(tensor):
        array = rng.standard_normal(tensor.shape).astype(arrays[0].dtype)
        return gg.tensor(array, device=device)

    y = gg.linear(*tensors, activation=activation)
    factors = [factor(value) for value in (y, *tensors)]

    def first(*tensors):
        return (gg.linear(*tensors, activation=activation) * factors[0]).sum()

    places = tuple(range(len(tensors)))

    def second(*tensors):
        found = gg.grad(first, places)(*tensors)
        return sum((g * f).sum() for g, f in zip(found, factors[1:], strict=True))

    return [
        value.numpy()
        for value in (y, *gg.grad(first, places)(*tensors), *gg.grad(second, places)(*tensors))
    ]


@pytest.mark.parametrize(("activation", "with_bias"), list(product(ACTIVATIONS, (False, True))))
@pytest.mark.parametrize("size", SIZES)
def test_gradients_of_two_orders_are_those_in_float64(device, activation, with_bias, size):
    arrays = drawn(*size)[: 2 + with_bias]
    found = gradients(arrays, activation, device)
    wanted = gradients([array.astype(np.float64) for array in arrays], activation, "cpu")
    for mine, reference in zip(found, wanted, strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_allclose(mine, reference, rtol=1e-4, atol=1e-4)
