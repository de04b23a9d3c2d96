"""DataLoader: batches gathered whole, in an order drawn once an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpugrad.data.dataset import TensorDataset
from gpugrad.data.labelled import Dataset
from gpugrad.data.prefetch import Prefetcher
from gpugrad.device import CPU, CudaDevice, Device, as_device, default_device, device_of
from gpugrad.errors import DataError, OptionError, StateError
from gpugrad.random import Generator, default_generator
from gpugrad.tensor import Tensor

STATE_KEYS = ("batches_given", "epoch_start", "examples", "generator")


class DataLoader:
    """Iterate over a data set in batches, each a tuple of tensors with memory of its own.

    Args:
        dataset: a TensorDataset, a Dataset (its features and labels), or a tuple of tensors or
            arrays of one length. Its memory is read as each batch is made, never copied whole
            unless it is strided or elsewhere than `device`.
        batch_size: examples in a batch; the last one may hold fewer.
        shuffle: draw a new order at the start of each epoch.
        drop_last: leave out a last batch that is not full.
        generator: what draws the order; None takes the default one.
        device: where the batches shall be; None leaves the data where it is (with
            keep_on="host": the default device).
        keep_on: "device" moves all of the data to `device` once. "host", for data that does not
            fit there, gathers each batch on the host and copies it while the GPU still computes
            with the one before. On the CPU both are the same.
    Raises:
        OptionError: an impossible batch size, one that leaves no batch at all, or an unknown
            `keep_on`.
        DataError: the data set is empty, or its parts differ in length.
        DeviceError: the device is unknown or absent.

    >>> loader = DataLoader((np.arange(5.0), np.arange(5)), batch_size=2)
    >>> [(x.tolist(), y.tolist()) for x, y in loader]
    [([0.0, 1.0], [0, 1]), ([2.0, 3.0], [2, 3]), ([4.0], [4])]
    """

    def __init__(
        self,
        dataset: TensorDataset | Dataset | tuple[Any, ...] | list[Any],
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
        device: Device | str | None = None,
        keep_on: str = "device",
    ) -> None:
        if keep_on not in ("device", "host"):
            raise OptionError(f"DataLoader: keep_on={keep_on!r} is neither 'device' nor 'host'")
        if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)):
            raise OptionError(f"DataLoader: batch_size={batch_size!r} must be a whole number")
        if batch_size < 1:
            raise OptionError(f"DataLoader: batch_size={batch_size} must be at least 1")
        target = None if device is None and keep_on == "device" else as_device(device)
        self._prefetcher: Prefetcher | None = None
        if keep_on == "host" and isinstance(target, CudaDevice):
            self._prefetcher = Prefetcher(target, int(batch_size))
            target = CPU
        with nullcontext() if target is None else default_device(target):
            self.dataset = _as_tensor_dataset(dataset)
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        if generator is not None and not isinstance(generator, Generator):
            raise OptionError(
                f"DataLoader: generator={generator!r} is no generator\n  help: gg.Generator(seed)"
            )
        self.generator = default_generator() if generator is None else generator
        self._examples = len(self.dataset)
        if self._examples == 0:
            raise DataError(f"DataLoader: the data set is empty\n  data: {self.dataset!r}")
        if len(self) == 0:
            raise OptionError(
                f"DataLoader: drop_last=True leaves no batch: batch_size={batch_size}, but there "
                f"are {self._examples} examples"
            )
        tensors = self.dataset.tensors
        if target is not None:
            tensors = tuple(tensor.to(target) for tensor in tensors)
        # take() copies a strided array whole at each call, so strided data is copied here, once.
        self._arrays = [t.device.xp.ascontiguousarray(t._data) for t in tensors]
        self._given = 0
        self._epoch_start: dict[str, int] | None = None
        self._resuming = False

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(self._examples, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __repr__(self) -> str:
        return (
            f"DataLoader({self.dataset!r}, batch_size={self.batch_size}, shuffle={self.shuffle}, "
            f"drop_last={self.drop_last})"
        )

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Start an epoch; or, once after `load_state_dict`, go on in the middle of one."""
        source = self.generator
        if self._resuming and self._epoch_start is not None:
            # The order of an epoch begun earlier comes from a generator of its own: the loader's
            # has gone on since then, and perhaps drawn for others.
            source = Generator()
            source.load_state_dict(self._epoch_start)
        else:
            self._given = 0
            self._epoch_start = source.state_dict()
        self._resuming = False
        order = source.permutation(self._examples) if self.shuffle else None
        if self._prefetcher is not None:
            return self._prefetched(self._prefetcher, order)
        return self._in_order() if order is None else self._gathered(order)

    def _prefetched(
        self, prefetcher: Prefetcher, order: NDArray[np.int64] | None
    ) -> Iterator[tuple[Tensor, ...]]:
        size, wrap = self.batch_size, Tensor._wrap
        numbers = range(self._given, len(self))
        rows = (slice(number * size, (number + 1) * size) for number in numbers)
        which = rows if order is None else (order[part] for part in rows)
        with closing(prefetcher.batches(self._arrays, which)) as batches:
            for number, arrays in zip(numbers, batches, strict=True):
                self._given = number + 1
                yield tuple([wrap(array) for array in arrays])
        self._end_epoch()

    def _gathered(self, order: NDArray[np.int64]) -> Iterator[tuple[Tensor, ...]]:
        wrap, size = Tensor._wrap, self.batch_size
        # The order goes to each device once an epoch, and a batch is gathered where the data is.
        places = [device_of(array) for array in self._arrays]
        orders = {place: place.put(order) for place in places}
        parts = [(place.xp.rows, array, orders[place])
                 for place, array in zip(places, self._arrays, strict=True)]  # fmt: skip
        for number in range(self._given, len(self)):
            first, last = number * size, (number + 1) * size
            batch = tuple([wrap(rows(array, own[first:last])) for rows, array, own in parts])
            self._given = number + 1
            yield batch
        self._end_epoch()

    def _in_order(self) -> Iterator[tuple[Tensor, ...]]:
        wrap, arrays, size = Tensor._wrap, self._arrays, self.batch_size
        for number in range(self._given, len(self)):
            rows = slice(number * size, (number + 1) * size)
            # A copy, because others may write to the data while a graph still needs the batch.
            batch = tuple([wrap(array[rows].copy()) for array in arrays])
            self._given = number + 1
            yield batch
        self._end_epoch()

    def _end_epoch(self) -> None:
        self._given = 0
        self._epoch_start = None

    def state_dict(self) -> dict[str, Any]:
        """Where in which epoch this loader is, and its generator: numbers and None only."""
        return {
            "batches_given": self._given,
            "epoch_start": None if self._epoch_start is None else dict(self._epoch_start),
            "examples": self._examples,
            "generator": self.generator.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken: the next iteration gives the batch after the last one.

        A state taken while the last batch was in use gives an epoch without any further batch.

        Raises:
            StateError: keys are missing or extra, or the state is of another data set.
        """
        missing = sorted(set(STATE_KEYS) - set(state))
        extra = sorted(set(state) - set(STATE_KEYS))
        if missing or extra:
            raise StateError(
                "DataLoader.load_state_dict: the keys do not fit\n"
                f"  missing: {missing}\n  extra: {extra}"
            )
        if state["examples"] != self._examples or not 0 <= state["batches_given"] <= len(self):
            raise StateError(
                "DataLoader.load_state_dict: the state is of another data set or batch size\n"
                f"  state: {state['examples']} examples, {state['batches_given']} batches given\n"
                f"  here: {self._examples} examples, {len(self)} batches"
            )
        started = state["epoch_start"]
        self.generator.load_state_dict(dict(state["generator"]))
        self._given = int(state["batches_given"])
        self._epoch_start = None if started is None else dict(started)
        self._resuming = started is not None


def _as_tensor_dataset(dataset: Any) -> TensorDataset:
    if isinstance(dataset, TensorDataset):
        return dataset
    if isinstance(dataset, Dataset):
        return TensorDataset(dataset.features, dataset.labels)
    if isinstance(dataset, (tuple, list)):
        return TensorDataset(*dataset)
    raise DataError(
        f"DataLoader: a {type(dataset).__name__} is not a data set\n"
        "  help: pass a TensorDataset, what gg.data.load_... returned, or a tuple (x, y)"
    )
