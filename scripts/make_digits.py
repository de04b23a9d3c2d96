"""Write gpugrad/data/files/digits.npz from scikit-learn's copy of the UCI optical digits.

The file is in the repository already; this is how it was made. It needs scikit-learn, which
gpugrad itself never imports:

    python scripts/make_digits.py
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).resolve().parent.parent / "gpugrad" / "data" / "files" / "digits.npz"


def main() -> None:
    """Write the images (1797, 64) and labels (1797,) as uint8 and print the file's checksum."""
    digits = load_digits()
    images = digits.data.astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    if not np.array_equal(images, digits.data) or not np.array_equal(labels, digits.target):
        raise ValueError("the digits are not whole numbers from 0 to 255: uint8 would change them")
    np.savez_compressed(TARGET, images=images, labels=labels)
    print(TARGET, TARGET.stat().st_size, hashlib.sha256(TARGET.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
