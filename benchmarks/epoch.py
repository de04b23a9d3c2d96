"""Section `epoch`: one pass over 60,000 images, 784-128-10, shuffled batches of 128.

Each library draws its batches as its users do: gpugrad's and PyTorch's `DataLoader`, and slices of
a permuted NumPy array for JAX, NumPy and the rest. MNIST when `--root` or $GPUGRAD_MNIST names a
folder with its IDX files; otherwise noise of the same shape.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.cases import Array, Labels, initial
from benchmarks.processes import Effort, Worker, interleave, ratios, summary

SIZES = (784, 128, 10)
BATCH = 128
ROWS = 60_000
LIBRARIES = ("gpugrad", "torch", "jax", "numpy")


def mnist_folder(root: str | None) -> str | None:
    """The folder to read MNIST from, or None for synthetic data."""
    return root or os.environ.get("GPUGRAD_MNIST") or None


def read_idx(folder: Path, name: str) -> np.ndarray[Any, Any]:
    """An IDX file of bytes, gzipped or not (http://yann.lecun.com/exdb/mnist/)."""
    packed = folder / f"{name}.gz"
    raw = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()
    shape = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def data(folder: str | None, rows: int) -> tuple[Array, Labels]:
    """`rows` images (rows, 784) float32 and their labels."""
    if folder is None:
        rng = np.random.default_rng(2)
        return rng.random((rows, SIZES[0]), dtype=np.float32), rng.integers(0, SIZES[-1], rows)
    images = read_idx(Path(folder), "train-images-idx3-ubyte")[:rows]
    labels = read_idx(Path(folder), "train-labels-idx1-ubyte")[:rows]
    scaled: Array = np.divide(images.reshape(len(images), -1), 255, dtype=np.float32)
    return scaled, labels.astype(np.int64)


def slices(x: Array, labels: Labels) -> Iterator[tuple[Any, Any]]:
    """Shuffled batches of NumPy arrays."""
    order = np.random.default_rng(3).permutation(len(x))
    for start in range(0, len(x), BATCH):
        rows = order[start : start + BATCH]
        yield x[rows], labels[rows]


def loader(peer: str, x: Array, labels: Labels) -> Any:
    """What one iterates over once for an epoch; None for the slices."""
    if peer == "torch":
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        return DataLoader(
            TensorDataset(torch.tensor(x), torch.tensor(labels)), batch_size=BATCH, shuffle=True
        )
    if peer == "gpugrad":
        from gpugrad import data, tensor

        return data.DataLoader(
            data.TensorDataset(tensor(x), tensor(labels)), batch_size=BATCH, shuffle=True
        )
    return None


class Epoch:
    def __init__(self, peer: str, folder: str | None, rows: int) -> None:
        self.trainer = peers.load(peer).Trainer(*initial(SIZES))
        self.x, self.labels = data(folder, rows)
        self.loader = loader(peer, self.x, self.labels)
        x, labels = self.trainer.batch(self.x[:BATCH], self.labels[:BATCH])
        self.report = self.trainer.step(x, labels)  # and JAX compiles

    def run(self, count: int) -> float:
        """Mean loss of the last epoch."""
        losses: list[float] = []
        for _ in range(count):
            batches = slices(self.x, self.labels) if self.loader is None else self.loader
            losses = [self.trainer.step(x, labels) for x, labels in batches]
        return sum(losses) / len(losses)


def workload(peer: str, folder: str | None, rows: int) -> Epoch:
    return Epoch(peer, folder, rows)


def measure(
    workers: Mapping[str, Worker], root: str | None, effort: Effort, rows: int = ROWS
) -> dict[str, Any]:
    chosen = {name: workers[name] for name in LIBRARIES if name in workers}
    folder = mnist_folder(root)
    for worker in chosen.values():
        worker.ask("prepare", section="epoch", folder=folder, rows=rows)
    seconds, losses = interleave(chosen, replace(effort, rounds=effort.few), runs=1)
    times = {name: summary(blocks) for name, blocks in seconds.items()}
    return {
        "data": "MNIST" if folder else "synthetic",
        "rows": rows,
        "seconds": times,
        "mean_loss_by_epoch": losses,
        "ratios": ratios({name: time["median"] for name, time in times.items()}),
    }
