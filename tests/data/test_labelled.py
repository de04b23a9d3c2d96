"""Dataset: splitting by seed and class, subsets, and statistics of the training part only."""

from __future__ import annotations

import numpy as np
import pytest

from gpugrad.data import Dataset, load_digits, load_moons
from gpugrad.data.labelled import held_out_mask
from gpugrad.data.preparation import ScaledPreparation
from gpugrad.errors import DataError, IndexRangeError, OptionError
from gpugrad.random import Generator, default_generator


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_digits()


# The data that come with the package


def test_the_digits_are_what_the_source_says(digits):
    assert digits.features.shape == (1797, 64)
    assert (digits.rows.min(), digits.rows.max()) == (0, 16)
    assert np.bincount(digits.targets).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]
    assert digits.rows[0, :8].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert digits.classes == tuple("0123456789")
    assert (digits.task, digits.image_shape, digits.inputs, digits.outputs) == (
        "classification",
        (8, 8),
        64,
        10,
    )


def test_pixels_are_scaled_to_exactly_one(digits):
    features = digits.features.numpy()
    assert features.dtype == np.float32
    assert (features.min(), features.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(features, digits.rows / 16)


def test_moons_lie_on_their_half_circles_without_noise():
    moons = load_moons(101, noise=0.0, generator=Generator(1))
    upper, lower = moons.rows[moons.targets == 0], moons.rows[moons.targets == 1]
    assert (len(upper), len(lower)) == (51, 50)
    np.testing.assert_allclose(np.hypot(upper[:, 0], upper[:, 1]), 1.0, rtol=1e-12)
    np.testing.assert_allclose(np.hypot(lower[:, 0] - 1, lower[:, 1] - 0.5), 1.0, rtol=1e-12)
    assert upper[:, 1].min() >= 0
    assert lower[:, 1].max() <= 0.5


def test_moons_repeat_by_seed_and_have_the_noise_that_was_asked_for():
    first, second = (load_moons(4000, 0.3, Generator(5)) for _ in range(2))
    np.testing.assert_array_equal(first.rows, second.rows)
    clean = load_moons(4000, 0.0, Generator(5))
    assert np.array_equal(clean.targets, first.targets)
    assert np.std(first.rows - clean.rows) == pytest.approx(0.3, rel=0.05)


def test_moons_draw_from_the_default_generator():
    before = default_generator().state_dict()
    load_moons(10)
    assert default_generator().state_dict() != before
    default_generator().load_state_dict(before)


@pytest.mark.parametrize("n", [1, 0, 2.5, True])
def test_too_few_moons_are_refused(n):
    with pytest.raises(OptionError, match=f"n={n!r} must be a whole number, at least 2"):
        load_moons(n)


@pytest.mark.parametrize("noise", [-0.1, float("nan"), float("inf")])
def test_impossible_noise_is_refused(noise):
    with pytest.raises(OptionError, match="must be a finite number, at least 0"):
        load_moons(10, noise)


# Splitting


def test_a_split_has_every_example_once(digits):
    train, held_out = digits.split(0.2, seed=3)
    assert (len(train), len(held_out)) == (1437, 360)
    both = np.concatenate([train.rows, held_out.rows])
    assert np.array_equal(np.unique(both, axis=0), np.unique(digits.rows, axis=0))
    assert np.array_equal(
        np.bincount(train.targets) + np.bincount(held_out.targets), np.bincount(digits.targets)
    )


def test_each_class_is_held_out_in_its_share(digits):
    _, held_out = digits.split(0.2, seed=0)
    shares = np.bincount(held_out.targets) / np.bincount(digits.targets)
    assert np.abs(shares - 0.2).max() < 1 / 174


def test_without_stratify_the_shares_wander(digits):
    _, held_out = digits.split(0.2, seed=0, stratify=False)
    shares = np.bincount(held_out.targets) / np.bincount(digits.targets)
    assert len(held_out) == 360
    assert np.abs(shares - 0.2).max() > 1 / 174


def test_a_split_repeats_by_seed_and_leaves_the_default_generator_alone(digits):
    before = default_generator().state_dict()
    first, second, other = (digits.split(0.2, seed=seed)[1] for seed in (4, 4, 5))
    assert default_generator().state_dict() == before
    assert np.array_equal(first.rows, second.rows)
    assert not np.array_equal(first.rows, other.rows)


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.25, 0.5, 0.07])
def test_the_total_is_rounded_up_once(fraction):
    groups = np.repeat([0, 1, 2], [17, 40, 43])
    held = held_out_mask(groups, fraction, np.arange(100)[::-1])
    assert held.sum() == round(100 * fraction)
    assert np.all(np.abs(np.bincount(groups[held]) - fraction * np.bincount(groups)) < 1)


def test_a_class_of_one_example_stays_in_training():
    groups = np.array([0] * 9 + [1])
    for seed in range(10):
        held = held_out_mask(groups, 0.8, Generator(seed).permutation(10))
        assert held.sum() == 8
        assert not held[9]


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, 1.5, float("nan")])
def test_an_impossible_fraction_is_refused(digits, fraction):
    with pytest.raises(OptionError, match="must lie between 0 and 1"):
        digits.split(fraction)


def test_a_split_that_leaves_one_part_empty_is_refused(digits):
    with pytest.raises(OptionError, match=r"0\.5 of 1 examples leaves one part empty"):
        digits.subset([0]).split(0.5)


# Subsets


def test_a_subset_takes_positions_or_a_mask(digits):
    mask = digits.targets == 3
    assert np.array_equal(digits.subset(mask).rows, digits.subset(np.flatnonzero(mask)).rows)
    assert set(digits.subset(mask).labels.tolist()) == {3}


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([0, 1797], "positions from 0 to 1797, but 'digits' has 1797"),
        ([-1], "positions from -1 to -1"),
        ([0.5], "one axis of integers"),
        ([[0]], "one axis of integers"),
        ([True, False], "or 1797 bools"),
    ],
)
def test_impossible_positions_are_refused(digits, index, message):
    with pytest.raises(IndexRangeError, match=message):
        digits.subset(index)


def test_rows_and_targets_must_agree():
    preparation = ScaledPreparation(("a",), 1.0, ("x", "y"))
    with pytest.raises(DataError, match=r"differ in length\n  rows: 3\n  targets: 2"):
        Dataset("odd", np.zeros((3, 1)), np.zeros(2, np.int64), preparation)
