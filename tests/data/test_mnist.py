"""MNIST: IDX files, plain and gzipped, Colab's CSV files, the download, and broken files."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gpugrad.data import load_mnist
from gpugrad.data.idx import read_idx
from gpugrad.data.mnist import SHA256, default_folder
from gpugrad.errors import DataError, FileError

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]


def real_folder() -> Path | None:
    """The real files: in GPUGRAD_MNIST, or beside the repository."""
    named = os.environ.get("GPUGRAD_MNIST")
    folder = Path(named) if named else ROOT.parent / "shared" / "data" / "mnist"
    return folder if folder.is_dir() else None


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


IMAGES = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
LABELS = np.array([7, 0, 9], np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four tiny files: three training and two test images of 4 by 4 pixels."""
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES[:2])))
    (tmp_path / "t10k-labels.idx1-ubyte").write_bytes(idx(LABELS[:2]))
    return tmp_path


# Reading


def test_plain_gzipped_and_dotted_names_are_found(folder):
    mnist = load_mnist(folder)
    np.testing.assert_array_equal(mnist.rows, IMAGES.reshape(3, 16))
    assert mnist.labels.tolist() == [7, 0, 9]
    assert (len(mnist), len(mnist.test), mnist.image_shape) == (3, 2, (4, 4))
    np.testing.assert_allclose(mnist.features.numpy(), IMAGES.reshape(3, 16) / 255, rtol=1e-6)


def test_a_gzipped_file_is_known_by_its_bytes_not_its_name(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(gzip.compress(idx(LABELS)))
    assert load_mnist(str(folder)).labels.tolist() == [7, 0, 9]


def test_colab_csv_files(tmp_path):
    table = np.concatenate([LABELS[:, None], IMAGES.reshape(3, 16)], axis=1)
    np.savetxt(tmp_path / "mnist_train_small.csv", table, fmt="%d", delimiter=",")
    np.savetxt(tmp_path / "mnist_test.csv", table[:2], fmt="%d", delimiter=",")
    mnist = load_mnist(tmp_path)
    np.testing.assert_array_equal(mnist.rows, IMAGES.reshape(3, 16))
    assert (mnist.labels.tolist(), len(mnist.test)) == ([7, 0, 9], 2)


def test_a_training_split_keeps_no_test_part(folder):
    train, _ = load_mnist(folder).split(0.3, stratify=False)
    assert train.test is None


@pytest.mark.skipif(real_folder() is None, reason="no MNIST: set GPUGRAD_MNIST to its folder")
def test_the_real_files():
    mnist = load_mnist(real_folder())
    assert (mnist.rows.shape, mnist.test.rows.shape) == ((60000, 784), (10000, 784))
    assert mnist.labels.tolist()[:6] == [5, 0, 4, 1, 9, 2]
    digest = hashlib.sha256(idx(mnist.test.rows.reshape(-1, 28, 28))).hexdigest()
    assert digest == "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"


# Broken files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"not an IDX file(.|\n)*expected first bytes: 00 00 08 03\n  found: nothing"),
        (b"P5 28 28", r"expected first bytes: 00 00 08 03\n  found: 50 35 20 32"),
        (idx(LABELS), r"with 3 axes\n.*\n  found: 00 00 08 01"),
        (idx(IMAGES)[:9], r"ends inside its header\n  expected: 16 bytes\n  found: 9 bytes"),
        (idx(IMAGES)[:-1], r"is truncated\n  expected: 64 bytes, for \(3, 4, 4\).*\n  found: 63"),
        (idx(IMAGES) + b"x", r"goes on after its last element\n.*64 bytes.*\n  found: 65 bytes"),
        (gzip.compress(idx(IMAGES))[:-9], r"gzip file is truncated or corrupt"),
        (gzip.compress(idx(IMAGES))[:3], r"gzip file is truncated or corrupt"),
    ],
)
def test_a_broken_file_is_named_with_what_was_found(tmp_path, content, message):
    (tmp_path / "images").write_bytes(content)
    with pytest.raises(FileError, match=rf"images: (.|\n)*{message}"):
        read_idx(tmp_path / "images", 3)


def test_a_flipped_byte_in_a_gzip_file_is_noticed(tmp_path):
    content = bytearray(gzip.compress(idx(IMAGES)))
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "images.gz").write_bytes(bytes(content))
    with pytest.raises(FileError, match=r"images\.gz: the gzip file is truncated or corrupt"):
        read_idx(tmp_path / "images.gz", 3)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileError, match=r"absent: there is no such file\n  looked in: "):
        read_idx(tmp_path / "absent", 3)


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(FileError, match="cannot read the file"):
        read_idx(tmp_path, 3)


@pytest.mark.parametrize("name", ["train-labels-idx1-ubyte", "t10k-images-idx3-ubyte.gz"])
def test_a_folder_without_one_of_the_files_says_what_was_looked_for(folder, name):
    (folder / name).unlink()
    part = name.split("-")[0]
    with pytest.raises(
        FileError, match=rf"{part} files\n  looked for: {part}-images.*\n.*download"
    ):
        load_mnist(folder)


def test_images_and_labels_that_differ_in_number(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:2]))
    with pytest.raises(DataError, match="3 images, but 2 labels"):
        load_mnist(folder)


def test_a_label_that_is_no_digit(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(LABELS + 1))
    with pytest.raises(DataError, match="a label is 10, but digits are 0 to 9"):
        load_mnist(folder)


def test_files_without_images(folder):
    (folder / "train-images-idx3-ubyte").write_bytes(idx(IMAGES[:0]))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:0]))
    with pytest.raises(DataError, match="there are no images"):
        load_mnist(folder)


def test_images_of_two_sizes(folder):
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(idx(IMAGES[:2, :3]))
    with pytest.raises(DataError, match=r"differ in size\n  training: \(4, 4\)\n  test: \(3, 4\)"):
        load_mnist(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("label,1x1\n5,0\n", r"a line is not a label and its pixels(.|\n)*label"),
        ("5,0,0,0,0\n4,0,0\n", r"a line is not a label and its pixels"),
        ("5,0,0\n", r"expected: 785 numbers\n  found: 3"),
        ("5,0,0,0,256\n", "a number is not between 0 and 255"),
        ("5,0,0,0,-1\n", "a number is not between 0 and 255"),
        ("11,0,0,0,1\n", "a label is 11"),
    ],
)
def test_broken_csv_files(tmp_path, text, message):
    (tmp_path / "mnist_train_small.csv").write_text(text)
    with pytest.raises((FileError, DataError), match=rf"mnist_train_small.csv: (.|\n)*{message}"):
        load_mnist(tmp_path)


# The download, without a network


def test_download_fetches_what_is_missing_with_checksums(folder, monkeypatch):
    (folder / "train-images-idx3-ubyte").unlink()
    asked = []

    def retrieve(url: str, known_hash: str, fname: str, path: Path) -> None:
        asked.append((url.rsplit("/", 1)[1], known_hash))
        (path / fname).write_bytes(gzip.compress(idx(IMAGES)))

    monkeypatch.setitem(sys.modules, "pooch", SimpleNamespace(retrieve=retrieve))
    assert len(load_mnist(folder, download=True)) == 3
    name = "train-images-idx3-ubyte"
    assert asked == [(f"{name}.gz", f"sha256:{SHA256[name]}")]


@pytest.mark.parametrize("error", [OSError("no route"), ValueError("SHA256 hash differs")])
def test_a_download_that_fails_says_from_where(tmp_path, monkeypatch, error):
    def retrieve(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setitem(sys.modules, "pooch", SimpleNamespace(retrieve=retrieve))
    with pytest.raises(FileError, match=rf"cannot fetch(.|\n)*from: https(.|\n)*problem: {error}"):
        load_mnist(tmp_path, download=True)


def test_without_pooch_the_error_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(
        FileError, match=r"needs the package pooch\n  help: pip install .*\[train\]"
    ):
        load_mnist(tmp_path, download=True)


def test_the_default_folder_is_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "gpugrad" / "mnist"
    with pytest.raises(FileError, match=str(default_folder())):
        load_mnist()
