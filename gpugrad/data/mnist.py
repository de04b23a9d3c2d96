"""load_mnist: handwritten digits of 28 by 28 pixels, from IDX files or Colab's CSV files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpugrad.data.digits import DIGIT_NAMES
from gpugrad.data.idx import read_idx
from gpugrad.data.labelled import Dataset
from gpugrad.data.preparation import ScaledPreparation, pixel_names
from gpugrad.errors import DataError, FileError

PARTS = ("train", "t10k")
CSV_FILES = {"train": "mnist_train_small.csv", "t10k": "mnist_test.csv"}
MIRROR = "https://storage.googleapis.com/cvdf-datasets/mnist/"
SHA256 = {  # of the gzipped files
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def load_mnist(root: str | Path | None = None, download: bool = False) -> Dataset:
    """60,000 training digits, and in `.test` 10,000 others, scaled from 0..255 to 0..1.

    Any data set in MNIST's four files can be read, such as Fashion-MNIST.

    Args:
        root: the folder of the IDX files, such as `train-images-idx3-ubyte`, gzipped or not; or of
            Colab's `mnist_train_small.csv` and `mnist_test.csv` (`/content/sample_data`). None
            takes the folder that `download=True` fills: `gpugrad/mnist` in the user's cache.
        download: fetch into `root` what is not there, 11 MB, and check it against its SHA-256.
    Raises:
        FileError: a file is missing, truncated or corrupt, or cannot be fetched.
        DataError: images and labels differ in number, or a label is not 0 to 9.

    Source: Y. LeCun, C. Cortes and C. Burges, the MNIST database, CC BY-SA 3.0.
    """
    folder = default_folder() if root is None else Path(root)
    if download:
        _download(folder)
    train, test = (_read_part(folder, part) for part in PARTS)
    height, width = train[0].shape[1:]
    if test[0].shape[1:] != (height, width):
        raise DataError(
            f"{folder}: training and test images differ in size\n"
            f"  training: {(height, width)}\n  test: {test[0].shape[1:]}"
        )
    preparation = ScaledPreparation(pixel_names(height, width), 255.0, DIGIT_NAMES, (height, width))
    return Dataset(
        "mnist", *_flat(train), preparation, Dataset("mnist test", *_flat(test), preparation)
    )


def default_folder() -> Path:
    """Where `download=True` puts the files when no folder is given."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "gpugrad" / "mnist"


def _flat(part: Part) -> tuple[NDArray[Any], NDArray[np.int64]]:
    images, labels = part
    return images.reshape(len(images), -1), labels


def _read_part(folder: Path, part: str) -> Part:
    images_file = _find(folder, f"{part}-images", 3)
    labels_file = _find(folder, f"{part}-labels", 1)
    csv_file = folder / CSV_FILES[part]
    images: NDArray[np.uint8]
    labels: NDArray[Any]
    if images_file is not None and labels_file is not None:
        images = read_idx(images_file, 3)
        labels = read_idx(labels_file, 1)
        where = f"{images_file} and {labels_file.name}"
    elif csv_file.is_file():
        images, labels = _read_csv(csv_file)
        where = str(csv_file)
    else:
        raise FileError(
            f"{folder}: the folder does not hold MNIST's {part} files\n"
            f"  looked for: {part}-images-idx3-ubyte[.gz] and {part}-labels-idx1-ubyte[.gz], or "
            f"{csv_file.name}\n"
            "  help: name their folder, or fetch them: load_mnist(root, download=True)"
        )
    if len(images) != len(labels):
        raise DataError(
            f"{where}: {len(images)} images, but {len(labels)} labels\n"
            "  help: the files are of different data sets"
        )
    if not len(labels):
        raise DataError(f"{where}: there are no images")
    if labels.max() > 9:
        raise DataError(f"{where}: a label is {labels.max()}, but digits are 0 to 9")
    return images, labels.astype(np.int64)


def _find(folder: Path, stem: str, ndim: int) -> Path | None:
    """The file of this name in either of its usual spellings, plain before gzipped."""
    names = [f"{stem}{mark}idx{ndim}-ubyte{end}" for end in ("", ".gz") for mark in "-."]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read_csv(path: Path) -> Part:
    """Colab's files: no header; the label, then 784 pixels, row by row."""
    if not path.stat().st_size:
        raise FileError(f"{path}: the file is empty")
    try:
        numbers = np.loadtxt(path, delimiter=",", dtype=np.int16, ndmin=2, comments=None)
    except (ValueError, UnicodeDecodeError) as error:
        raise FileError(
            f"{path}: a line is not a label and its pixels, whole numbers with commas\n"
            f"  problem: {error}"
        ) from None
    side = round((numbers.shape[1] - 1) ** 0.5)
    if side * side != numbers.shape[1] - 1 or side == 0:
        raise FileError(
            f"{path}: a label and the pixels of a square image are expected in each line\n"
            f"  expected: 785 numbers\n  found: {numbers.shape[1]}"
        )
    if numbers.min() < 0 or numbers.max() > 255:
        raise FileError(f"{path}: a number is not between 0 and 255\n  found: {numbers.max()}")
    images = numbers[:, 1:].astype(np.uint8).reshape(-1, side, side)
    return images, numbers[:, 0].astype(np.int64)


def _download(folder: Path) -> None:
    for name, checksum in SHA256.items():
        stem, _, kind = name.rpartition("-idx")
        if _find(folder, stem, int(kind[0])) is None:
            _fetch(folder, f"{name}.gz", checksum)


def _fetch(folder: Path, name: str, checksum: str) -> None:
    try:
        import pooch  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        from gpugrad._address import install_command

        raise FileError(
            "load_mnist(download=True): downloading needs the package pooch\n"
            f"  help: {install_command('train')}"
        ) from None
    try:
        pooch.retrieve(MIRROR + name, f"sha256:{checksum}", fname=name, path=folder)
    except (OSError, ValueError) as error:
        raise FileError(
            f"{folder / name}: cannot fetch the file\n  from: {MIRROR + name}\n"
            f"  problem: {error}\n"
            "  help: fetch it by other means and name its folder: load_mnist(root)"
        ) from None
