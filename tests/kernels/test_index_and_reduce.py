"""The wrappers of gather_rows, scatter_add_rows, reduce and accuracy, on the simulated card."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from gpugrad.kernels import accuracy, gather_rows, reduce, scatter_add_rows  # noqa: E402
from gpugrad.ops import reductions  # noqa: E402

pytestmark = pytest.mark.once


def drawn(*shape):
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


# gather_rows

DTYPES = [np.float32, np.float64, np.float16, np.int64, np.int32, np.uint8, np.bool_]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(9,), (9, 5), (9, 3, 90), (9, 0)])
def test_gathers_rows_of_any_type(card, dtype, shape):
    x = (drawn(*shape) * 10).astype(dtype)
    for index in ([0, 8, -1, 3, 3, -9], [[1], [2]], [4], []):
        place = np.array(index, np.int64)
        found = gather_rows.gather_rows(card.xp, card.put(x), card.put(place))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found.get(), x[place])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_out_of_range_is_nan_or_0(card, dtype):
    x = np.ones((4, 3), dtype)
    index = card.put(np.array([4, 1, -5, 2**40]))
    found = gather_rows.gather_rows(card.xp, card.put(x), index).get()
    assert (found[1] == 1).all()
    outside = found[[0, 2, 3]]
    assert (np.isnan(outside) if outside.dtype.kind == "f" else outside == 0).all()


def test_gathers_nothing_from_nothing(card):
    x, index = card.put(np.ones((0, 3), np.float32)), card.put(np.zeros(2, np.int64))
    assert np.isnan(gather_rows.gather_rows(card.xp, x, index).get()).all()


def test_gathering_moves_each_element_once(card):
    x, index = card.put(drawn(20, 96)), card.put(np.arange(40) % 20)
    with card.launches() as reports:
        gather_rows.gather_rows(card.xp, x, index)
    # 128 threads take a row, and each of them reads its index.
    assert card.moved(reports) == (4 * 40 * 96 + 8 * 40 * 128, 4 * 40 * 96)


def test_gather_leaves_to_numpy_what_does_not_suit(card):
    x, index = card.put(drawn(6, 4)), card.put(np.array([1, 2]))
    gather = gather_rows.gather_rows
    assert gather(card.xp, x[:, ::2], index) is NotImplemented
    assert gather(card.xp, x, card.put(np.array([0.0]))) is NotImplemented
    assert gather(card.xp, card.put(np.ones(2, np.complex64)), index) is NotImplemented


# scatter_add_rows


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("shape", [(100,), (100, 7), (1, 300), (40, 2, 30), (0, 4), (5, 0)])
def test_adds_rows_as_numpy_does(card, shape, repeats):
    v = drawn(*shape)
    index = np.random.default_rng(1).integers(-6, 6, len(v))
    wanted = np.zeros((6, *shape[1:]), np.float32)
    np.add.at(wanted, index, v)
    found = scatter_add_rows.scatter_add_rows(card.xp, card.put(v), card.put(index), 6, repeats)
    assert found.shape == wanted.shape
    if repeats:
        np.testing.assert_array_equal(found.get(), wanted)  # in NumPy's order: the same bits
    else:
        np.testing.assert_allclose(found.get(), wanted, 1e-5, 1e-5)


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("dtype", [np.int64, np.int8])
def test_rows_out_of_range_are_left_out(card, repeats, dtype):
    v, index = drawn(5, 3), np.array([2, -4, 0, 3, -1], dtype)
    found = scatter_add_rows.scatter_add_rows(card.xp, card.put(v), card.put(index), 3, repeats)
    np.testing.assert_array_equal(found.get(), [v[2], np.zeros(3), v[0] + v[4]])
    wide = scatter_add_rows.scatter_add_rows(card.xp, card.put(v), card.put(index), 300, repeats)
    assert (wide.get()[299] == v[4]).all()  # 300 is no int8
    np.testing.assert_array_equal(wide.get()[3], v[3])


def test_adding_moves_each_element_once(card):
    v, index = card.put(drawn(40, 64)), card.put(np.arange(40) % 20)
    with card.launches() as reports:
        scatter_add_rows.scatter_add_rows(card.xp, v, index, 20)
    loaded, stored = card.moved(reports)
    assert stored == 4 * 20 * 64
    # Of the bounds, the compiler may load the lower halves only.
    assert (loaded - (4 + 8) * 40 * 64) / (20 * 64) in (8, 12, 16)


# reduce

SHAPES = [
    (7, 5), (1, 1), (1, 300), (300, 1), (64, 33), (4, 3, 2), (5, 1, 6, 1), (70000,), (3, 9000),
    (9000, 3),
]  # fmt: skip
FUNCTIONS = ["sum", "max", "mean", "var"]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_reduces_as_the_primitive(card, name, shape):
    x = drawn(*shape)
    function = getattr(reduce, name)
    forward = getattr(reductions, name).forward
    for axis in {None, 0, -1, tuple(range(len(shape) - 1)), tuple(range(1, len(shape)))} - {()}:
        for keepdims in (False, True):
            found = function(card.xp, card.put(x), axis, keepdims=keepdims)
            wanted = forward(np, x.astype(np.float64), axis, keepdims=keepdims)
            assert found.dtype == np.float32
            assert found.shape == np.shape(wanted)
            np.testing.assert_allclose(found.get(), wanted, 1e-5, 1e-3 if name == "sum" else 1e-5)


@pytest.mark.parametrize("correction", [0, 1, 0.5, 8, 9])
def test_variance_with_a_correction(card, correction):
    x = drawn(8, 5)
    found = reduce.var(card.xp, card.put(x), 0, correction=correction)
    forward = reductions.var.forward(np, x.astype(np.float64), 0, correction=correction)
    np.testing.assert_allclose(found.get(), forward, 1e-5)


def test_variance_does_not_cancel(card):
    x = 1e4 + drawn(3, 500)
    found = reduce.var(card.xp, card.put(x), 1)
    np.testing.assert_allclose(found.get(), x.astype(np.float64).var(1), 1e-3)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_nan_is_the_largest(card, axis):
    for place in [(0, 0), (6, 4), (3, 2)]:
        x = drawn(7, 5)
        x[place] = np.nan
        found = reduce.max(card.xp, card.put(x), axis)
        np.testing.assert_array_equal(found.get(), x.max(axis))
    low = np.full((7, 5), -np.inf, np.float32)
    np.testing.assert_array_equal(reduce.max(card.xp, card.put(low), axis).get(), low.max(axis))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_reduce_leaves_to_numpy_what_does_not_suit(card, name):
    function, xp, x = getattr(reduce, name), card.xp, card.put(drawn(4, 3, 2))
    assert function(xp, x, 1) is NotImplemented
    assert function(xp, x, (0, 2)) is NotImplemented
    for axis in (3, (0, 0), (0, -3)):  # NumPy says what is wrong with them
        assert function(xp, x, axis) is NotImplemented
    assert function(xp, x[::2], 0) is NotImplemented
    assert function(xp, card.put(np.ones((2, 2))), 0) is NotImplemented
    assert function(xp, card.put(np.ones((0, 2), np.float32)), 0) is NotImplemented
    assert function(xp, card.put(np.ones((2, 0), np.float32)), 0) is NotImplemented


def test_sum_takes_its_own_dtype_only(card):
    x = card.put(drawn(4, 3))
    assert reduce.sum(card.xp, x, dtype=np.float64) is NotImplemented
    assert reduce.sum(card.xp, x, dtype="float32") is not NotImplemented


# rows and columns; loads and launches of a sum along both axes: x, and the parts' results
LARGE = [((64, 33), 1, 1), ((1, 70000), 2, 1), ((9000, 3), 1, 2)]


@pytest.mark.parametrize(("shape", "along_rows", "along_columns"), LARGE)
def test_reduce_reads_once_and_in_one_or_two_stages(
    card,
    shape,
    along_rows,
    along_columns,
):
    x = card.put(drawn(*shape))
    for axis, stages in ((1, along_rows), (0, along_columns)):
        with card.launches() as reports:
            reduce.sum(card.xp, x, axis)
        assert len(reports) == stages
        loaded, stored = card.moved(reports)
        assert loaded == 4 * x.size + stored - 4 * shape[1 - axis]


# accuracy and confusion counts


@pytest.mark.parametrize("shape", [(7, 5), (1, 1), (300, 10), (64, 33), (20, 1000), (0, 3)])
def test_counts_right_rows(card, shape):
    scores = np.round(drawn(*shape))
    scores.reshape(-1)[::29] = np.nan
    labels = np.random.default_rng(0).integers(0, shape[1], shape[0])
    labels[::2] = scores.argmax(1)[::2]
    with card.launches() as reports:
        found = accuracy.accuracy(card.xp, card.put(scores), card.put(labels))
    card.moved(reports)
    assert (found.dtype, found.shape) == (np.int64, ())
    assert found.get() == (scores.argmax(1) == labels).sum()


def test_counts_confusions(card):
    truth, predicted = np.random.default_rng(0).integers(0, 5, (2, 900))
    predicted[3], truth[4] = 5, -1
    found = accuracy.confusion_counts(card.xp, card.put(truth), card.put(predicted), 5)
    wanted = np.zeros((5, 5), np.int64)
    inside = (predicted < 5) & (truth >= 0)
    np.add.at(wanted, (truth[inside], predicted[inside]), 1)
    np.testing.assert_array_equal(found.get(), wanted)


def test_counting_leaves_to_numpy_what_does_not_suit(card):
    labels = card.put(np.zeros(4, np.int64))
    for scores in (np.ones((4, 2)), np.ones((4, 0), np.float32), np.ones((3, 2), np.float32)):
        assert accuracy.accuracy(card.xp, card.put(scores), labels) is NotImplemented
    halves = card.put(np.ones(4, np.float32))
    assert accuracy.confusion_counts(card.xp, labels, halves, 2) is NotImplemented
    assert accuracy.confusion_counts(card.xp, labels, labels[:3], 2) is NotImplemented
