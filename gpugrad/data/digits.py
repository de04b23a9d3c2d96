"""load_digits: the UCI optical digits, which come with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpugrad.data.labelled import Dataset
from gpugrad.data.preparation import ScaledPreparation, pixel_names

FILE = Path(__file__).parent / "files" / "digits.npz"
DIGIT_NAMES = tuple(str(digit) for digit in range(10))


def load_digits() -> Dataset:
    """1,797 handwritten digits as images of 8 by 8 pixels, scaled from 0..16 to 0..1.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository (1998), doi 10.24432/C50P49, CC BY 4.0; the 1,797 images of its test part.

    >>> digits = load_digits()
    >>> digits.features.shape, digits.image_shape, digits.labels.tolist()[:5]
    ((1797, 64), (8, 8), [0, 1, 2, 3, 4])
    """
    with np.load(FILE, allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    preparation = ScaledPreparation(pixel_names(8, 8), 16.0, DIGIT_NAMES, (8, 8))
    return Dataset("digits", images, labels.astype(np.int64), preparation)
