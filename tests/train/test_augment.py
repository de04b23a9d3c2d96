"""ShiftImages: images move by whole pixels, as often as they should."""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import OptionError, ShapeError
from gpugrad.train import ShiftImages


def moved(image, down, right):
    """The image moved by slices, pixel by pixel."""
    height, width = image.shape
    out = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                out[y, x] = image[y - down, x - right]
    return out


@pytest.mark.parametrize(("shape", "pixels"), [((4, 5), 1), ((3, 7), 2)])
def test_every_row_is_one_of_the_possible_shifts_and_all_occur(shape, pixels):
    image = np.arange(1.0, 1 + shape[0] * shape[1], dtype=np.float32).reshape(shape)
    reach = range(-pixels, pixels + 1)
    possible = {moved(image, d, r).tobytes(): (d, r) for d in reach for r in reach}
    rows = 4000
    batch = gg.asarray(np.tile(image.reshape(1, -1), (rows, 1)))
    out = ShiftImages(shape, pixels, share=1.0)(batch, gg.Generator(0))
    found = [possible[row.tobytes()] for row in out.numpy()]
    counts = np.unique(found, axis=0, return_counts=True)[1]
    assert len(counts) == len(possible)
    expected = rows / len(possible)
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_a_share_stays_where_it_is():
    batch = gg.asarray(np.ones((4000, 9), np.float32))
    out = ShiftImages((3, 3), share=0.5)(batch, gg.Generator(0))
    still = (out.numpy() == 1).all(axis=1).mean()
    assert still == pytest.approx(0.5 + 0.5 / 9, abs=0.04)


def test_one_seed_one_shift_and_the_batch_is_left_alone():
    batch = gg.asarray(gg.Generator(1).uniform((6, 16)))
    before = batch.numpy().copy()
    shift = ShiftImages((4, 4))
    first, second = (shift(batch, gg.Generator(2)).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(batch.numpy(), before)
    assert first.dtype == np.float32


@pytest.mark.parametrize("pixels", [0, 4, True, -1])
def test_impossible_pixels(pixels):
    with pytest.raises(OptionError, match="pixels must be a whole number from 1 to 3"):
        ShiftImages((4, 4), pixels)


def test_impossible_share():
    with pytest.raises(OptionError, match=r"share=1.5\): a probability"):
        ShiftImages((4, 4), share=1.5)


def test_rows_that_are_no_such_images():
    with pytest.raises(ShapeError, match=r"rows of 4 x 4 pixels are expected\n  x: float32 \(2, 9"):
        ShiftImages((4, 4))(gg.ones((2, 9)), gg.Generator(0))
