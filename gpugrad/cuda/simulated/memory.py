"""Memory of the simulated device: allocations that are given back when nobody holds them."""

from __future__ import annotations

import gc
import sys
from typing import Any

import numpy as np

from gpugrad.simulate.device import Device

TOTAL = 16 << 30  # bytes, as a Tesla T4 has
GARBAGE = 0xFF  # in memory that nobody wrote: NaN in a float, and no number that a test expects


class OutOfMemoryError(MemoryError):
    """What CuPy's pool raises, with its arguments."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,})")
        self._size = size


class Pool:
    """The device, and how much of its memory is in use.

    Attributes:
        total: bytes that it has; a test may say fewer.
    """

    def __init__(self) -> None:
        self.device = Device(cc=(7, 5))
        self.total = TOTAL
        self.used = 0
        self.peak = 0

    def allocate(self, nbytes: int) -> Allocation:
        """Unwritten memory.

        Raises:
            OutOfMemoryError: so much is not left.
        """
        if self.used + nbytes > self.total:
            gc.collect()  # as CuPy's pool does
            if self.used + nbytes > self.total:
                raise OutOfMemoryError(nbytes, self.used)
        pointer = self.device.allocate(nbytes)
        self.used += nbytes
        self.peak = max(self.peak, self.used)
        return Allocation(self, pointer, nbytes)


class Allocation:
    """Some memory of the device, given back when the last array in it is gone.

    Attributes:
        ptr: where it begins.
        written: every byte of it is known to be written.
    """

    __slots__ = ("_pool", "bytes", "nbytes", "ptr", "written")

    def __init__(self, pool: Pool, pointer: int, nbytes: int) -> None:
        self._pool, self.ptr, self.nbytes = pool, pointer, nbytes
        self.bytes = pool.device.view(pointer, nbytes)
        self.written = False

    def __del__(self, exiting: Any = sys.is_finalizing) -> None:
        if exiting():  # the rest of Python may be gone
            return
        self._pool.used -= self.nbytes
        self._pool.device.free(self.ptr)

    @property
    def size(self) -> int:
        """Its bytes, by the name that CuPy's memory has for them."""
        return self.nbytes

    def fill(self) -> None:
        """Note that every byte was written."""
        self._pool.device.mark(self.ptr, self.nbytes)
        self.written = True

    def wrote(self, host: np.ndarray[Any, Any]) -> None:
        """Note that an array operation wrote all of `host`, which lies in here."""
        if self.written or not host.size:
            return
        first, last = np.lib.array_utils.byte_bounds(host)
        start = first - self.bytes.__array_interface__["data"][0]
        where = None
        if last - first != host.nbytes:
            where = np.zeros(last - first, np.bool_)
            offsets = np.zeros((1,) * host.ndim, np.int64)
            low = host.__array_interface__["data"][0] - first
            for axis, (size, stride) in enumerate(zip(host.shape, host.strides, strict=True)):
                steps = np.arange(size) * stride
                offsets = offsets + steps.reshape((-1,) + (1,) * (host.ndim - axis - 1))
            places = (offsets.reshape(-1, 1) + low + np.arange(host.itemsize)).ravel()
            where[places] = True
        self._pool.device.mark(self.ptr + start, last - first, "written", where)


POOL = Pool()


def placed(host: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], Allocation]:
    """`host` copied to new memory: the array there, and the memory."""
    order: Any = "F" if host.flags.f_contiguous and not host.flags.c_contiguous else "C"
    view, allocation = unwritten(host.shape, host.dtype, order)
    view[...] = host
    allocation.fill()
    return view, allocation


def unwritten(shape: Any, dtype: Any, order: Any = "C") -> tuple[np.ndarray[Any, Any], Allocation]:
    """An array of memory that nobody wrote, and the memory."""
    template = np.broadcast_to(np.empty((), dtype), shape)
    allocation = POOL.allocate(template.nbytes)
    allocation.bytes[...] = GARBAGE
    view: np.ndarray[Any, Any] = np.ndarray(
        template.shape, template.dtype, allocation.bytes.data, order=order
    )
    return view, allocation
