"""Dataset: labelled examples with the preparation that turns them into a model's inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpugrad.data.preparation import Preparation, Rows
from gpugrad.device import as_device
from gpugrad.errors import DataError, IndexRangeError, OptionError
from gpugrad.random import Generator
from gpugrad.tensor import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled examples: what every `gg.data.load_*` returns.

    Attributes:
        name: what to call it, such as `"digits"`.
        rows: the examples as they were read: an array (n, inputs), or the columns of a table.
        targets: (n,) raw targets: class numbers int64, or float64 values in the table's units.
        preparation: turns rows into features and back; see `gg.data.Preparation`.
        test: the test part that was published with the data, if there is one.

    >>> from gpugrad.data import load_digits
    >>> digits = load_digits()
    >>> digits
    Dataset('digits': 1797 examples, 64 inputs, 10 classes)
    >>> train, held_out = digits.split(0.2, seed=0)
    >>> len(train), len(held_out), train.features.shape, held_out.labels.dtype
    (1437, 360, (1437, 64), dtype('int64'))
    """

    name: str
    rows: Rows
    targets: NDArray[Any]
    preparation: Preparation
    test: Dataset | None = None

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.targets):
            raise DataError(
                f"Dataset {self.name!r}: the parts differ in length\n"
                f"  rows: {len(self.rows)}\n  targets: {len(self.targets)}"
            )

    @cached_property
    def features(self) -> Tensor:
        """(n, inputs) float32, prepared: the model's inputs; made once, on the default device."""
        return Tensor._wrap(as_device().put(self.preparation.transform(self.rows)))

    @cached_property
    def labels(self) -> Tensor:
        """(n,): class numbers int64, or float32 values standardised as the inputs are."""
        return Tensor._wrap(as_device().put(self.preparation.transform_targets(self.targets)))

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes in the order of their numbers; empty for regression."""
        return self.preparation.classes

    @property
    def task(self) -> str:
        """`"classification"` or `"regression"`."""
        return self.preparation.task

    @property
    def feature_names(self) -> tuple[str, ...]:
        """A name for each input."""
        return self.preparation.feature_names

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """(height, width) where the inputs are the pixels of an image, row by row."""
        return self.preparation.image_shape

    @property
    def inputs(self) -> int:
        """How many numbers describe an example."""
        return len(self.feature_names)

    @property
    def outputs(self) -> int:
        """How many numbers a model gives: one for each class, or 1 for regression."""
        return len(self.classes) or 1

    def __len__(self) -> int:
        return len(self.targets)

    def __repr__(self) -> str:
        kind = f"{len(self.classes)} classes" if self.classes else "regression"
        return f"Dataset({self.name!r}: {len(self)} examples, {self.inputs} inputs, {kind})"

    def subset(self, index: ArrayLike) -> Dataset:
        """The examples at these positions, in this order, with the same preparation.

        Args:
            index: (k,) integers in [0, n), or (n,) bool.

        >>> from gpugrad.data import load_digits
        >>> load_digits().subset([0, 1, 2]).labels.tolist()
        [0, 1, 2]
        """
        chosen = np.asarray(index)
        if chosen.dtype == bool and chosen.shape == (len(self),):
            chosen = np.flatnonzero(chosen)
        if chosen.size == 0:
            chosen = chosen.astype(np.int64)
        if chosen.ndim != 1 or chosen.dtype.kind not in "ui":
            raise IndexRangeError(
                f"Dataset.subset(index): one axis of integers, or {len(self)} bools, are expected, "
                f"not {chosen.dtype} {chosen.shape}"
            )
        if chosen.size and (chosen.min() < 0 or chosen.max() >= len(self)):
            raise IndexRangeError(
                f"Dataset.subset(index): positions from {chosen.min()} to {chosen.max()}, but "
                f"{self.name!r} has {len(self)} examples, from 0"
            )
        chosen = chosen.astype(np.int64)
        rows = self.rows[chosen] if isinstance(self.rows, np.ndarray) else self.rows.take(chosen)
        return Dataset(self.name, rows, self.targets[chosen], self.preparation)

    def with_preparation(self, preparation: Preparation) -> Dataset:
        """The same examples, prepared with another split's statistics."""
        return replace(self, preparation=preparation)

    def split(
        self, fraction: float = 0.2, *, seed: int = 0, stratify: bool = True
    ) -> tuple[Dataset, Dataset]:
        """Split into a training and a held-out part, each in the order of the file.

        The preparation of both is fitted on the training part alone.

        Args:
            fraction: the share held out, in (0, 1); rounded up to whole examples.
            seed: one seed, one split, on every machine.
            stratify: hold out the same share of each class, as nearly as whole examples allow,
                and keep at least one example of each for training. Ignored in regression.
        Raises:
            OptionError: the fraction is not in (0, 1), or it leaves one part empty.

        >>> from gpugrad.data import load_digits
        >>> train, held_out = load_digits().split(0.2, seed=1)
        >>> np.bincount(held_out.targets).tolist()
        [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]
        """
        if not 0 < fraction < 1:
            raise OptionError(f"Dataset.split: fraction={fraction!r} must lie between 0 and 1")
        groups = self.targets if stratify and self.classes else np.zeros(len(self), np.int64)
        order = Generator(seed).permutation(len(self))
        held = held_out_mask(groups, fraction, order)
        if not held.any() or held.all():
            raise OptionError(
                f"Dataset.split: {fraction:g} of {len(self)} examples leaves one part empty\n"
                f"  data: {self!r}"
            )
        train = self.subset(~held)
        train = train.with_preparation(self.preparation.fit(train.rows, train.targets))
        return train, self.subset(held).with_preparation(train.preparation)


def held_out_mask(
    groups: NDArray[np.int64], fraction: float, order: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(n,) bool: which examples to hold out, the first ones of each group in the given order.

    The total is `ceil(fraction * n)`, shared between the groups by largest remainder, with at
    least one example of each group left.
    """
    total = math.ceil(fraction * len(groups) - 1e-9)  # 0.07 * 100 is a little more than 7
    sizes = np.bincount(groups)
    quotas = sizes * fraction
    counts = np.floor(quotas + 1e-9).astype(np.int64)
    limits = np.maximum(sizes - 1, 0)
    counts = np.minimum(counts, limits)
    for group in np.argsort(counts - quotas, kind="stable"):
        if counts.sum() < total and counts[group] < limits[group]:
            counts[group] += 1
    held = np.zeros(len(groups), dtype=bool)
    for group, count in enumerate(counts):
        members = order[groups[order] == group]
        held[members[:count]] = True
    return held
