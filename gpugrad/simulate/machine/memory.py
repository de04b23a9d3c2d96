"""Simulated memory: allocations with addresses, and what state each of their bytes is in."""

from __future__ import annotations

import bisect
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpugrad.simulate.faults import LaunchError

# Where each space begins, seen from a generic address. Real cards differ; nothing may depend on it.
SHARED, LOCAL, GLOBAL = 0x0100_0000_0000, 0x0200_0000_0000, 0x7F00_0000_0000
WINDOW = 0x0100_0000_0000  # bytes of address space for shared, and for local memory
ALIGN = 256  # of an allocation, as cudaMalloc gives
GUARD = 256  # bytes of nothing between two allocations, so that a step past the end is outside

NUMBAS = "_ZN08NumbaEnv"  # how variables begin that Numba adds to modules and no kernel touches
GRAVES = 4096  # freed allocations that are remembered, so that whoever uses them late is told so
FAR = 1 << 40  # bytes: no index of 32 bits goes so far

# Fresh memory is unwritten, and zeros cost nothing until they are touched.
UNWRITTEN, WRITTEN, OUTSIDE = 0, 1, 2
WHOLE: dict[int, Any] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
STATES = {"outside": OUTSIDE, "unwritten": UNWRITTEN, "written": WRITTEN}


class Segment:
    """One allocation.

    Attributes:
        base: its address.
        nbytes: its size.
        data: its bytes (with up to 15 more, never addressed, so that wide views fit).
        state: of each byte, or None where all are written.
        shadow: what race detection keeps of it.
        name: what a message calls it.
    """

    def __init__(self, base: int, nbytes: int, name: str, written: bool = False) -> None:
        self.base, self.nbytes, self.name = base, nbytes, name
        self.data: NDArray[np.uint8] = np.zeros(-(-nbytes // 16) * 16, np.uint8)
        self.state: NDArray[np.uint8] | None = None
        if not written:
            self.state = np.zeros(len(self.data), np.uint8)
            self.state[nbytes:] = OUTSIDE
        self.freed = False
        self.shadow: Any = None
        self._views: dict[Any, Any] = {}

    def __str__(self) -> str:
        return f"{self.name} ({self.nbytes} bytes at 0x{self.base:x})"

    def view(self, dtype: Any) -> Any:
        """The bytes as an array of `dtype`."""
        found = self._views.get(dtype)
        if found is None:
            found = self._views[dtype] = self.data.view(dtype)
        return found

    def mark(self, begin: int, nbytes: int, state: int, where: Any = None) -> None:
        """Set the state of some bytes; `where` chooses among them."""
        if self.state is None:
            if state == WRITTEN:
                return
            self.state = np.full(len(self.data), WRITTEN, np.uint8)
            self.state[self.nbytes :] = OUTSIDE
        self.state[begin : begin + nbytes][slice(None) if where is None else where] = state
        if state == WRITTEN and (self.state[: self.nbytes] == WRITTEN).all():
            self.state = None

    def wrong(self, offset: Any, size: int, load: bool) -> Any:
        """For each access of `size` bytes: whether a byte is outside, or unwritten on a load."""
        assert self.state is not None
        dtype = WHOLE.get(size)
        if dtype is None:
            states = self.state[offset[:, None] + np.arange(size)]
            return ((states != WRITTEN) if load else (states == OUTSIDE)).any(1)
        states = self.state.view(dtype)[offset >> (size.bit_length() - 1)]
        if load:
            return states != dtype(int.from_bytes(bytes([WRITTEN]) * size, "little"))
        return (states & dtype(int.from_bytes(bytes([OUTSIDE]) * size, "little"))) != 0

    def written(self, offset: Any, size: int) -> None:
        """Note that `size` bytes at each of these offsets are written."""
        if self.state is None:
            return
        dtype = WHOLE.get(size)
        if dtype is None:
            self.state[offset[:, None] + np.arange(size)] = WRITTEN
        else:
            value = dtype(int.from_bytes(bytes([WRITTEN]) * size, "little"))
            self.state.view(dtype)[offset >> (size.bit_length() - 1)] = value


class Memory:
    """The global memory of a device.

    Args:
        total: how many bytes it has.
    """

    def __init__(self, total: int = 16 << 30) -> None:
        self.total, self.used = total, 0
        self.next = GLOBAL
        self.graves = 0
        self.bases: list[int] = []
        self.segments: list[Segment] = []

    def allocate(self, nbytes: int, name: str = "", written: bool = False) -> Segment:
        """A new allocation; its bytes are unwritten until something writes them.

        Raises:
            LaunchError: there is not so much memory left.
        """
        if nbytes < 0 or self.used + nbytes > self.total:
            raise LaunchError(
                f"allocate({nbytes}): {self.total - self.used} bytes are left of {self.total}"
            )
        segment = Segment(self.next, nbytes, name or f"allocation {len(self.segments)}", written)
        self.used += nbytes
        self.next += -(-(max(nbytes, 1) + GUARD) // ALIGN) * ALIGN
        self.bases.append(segment.base)
        self.segments.append(segment)
        return segment

    def free(self, address: int) -> None:
        """Give an allocation back. Its address is not used again, so that late use is noticed.

        Raises:
            LaunchError: no allocation begins there, or it was freed before.
        """
        segment = self.at(address)
        if segment is None or segment.base != address:
            raise LaunchError(f"free(0x{address:x}): no allocation begins there")
        if segment.freed:
            raise LaunchError(f"free(0x{address:x}): {segment.name} was freed before")
        segment.freed = True
        self.used -= segment.nbytes
        segment.data, segment.state, segment.shadow = np.zeros(0, np.uint8), None, None
        segment._views = {}
        self.graves += 1
        if self.graves > GRAVES:  # of a long run: a late use is found "outside" from then on
            self.segments = [kept for kept in self.segments if not kept.freed]
            self.bases = [kept.base for kept in self.segments]
            self.graves = 0

    def at(self, address: int) -> Segment | None:
        """The allocation that an address lies in, or lies behind; None before the first."""
        k = bisect.bisect_right(self.bases, address) - 1
        return self.segments[k] if k >= 0 else None

    def holding(self, first: int, last: int) -> Segment | None:
        """The live allocation that holds all bytes from `first` to before `last`, if one does."""
        segment = self.at(first)
        if segment is None or segment.freed or last > segment.base + segment.nbytes:
            return None
        return segment

    def describe(self, address: int) -> str:
        """Where an address lies, for a message."""
        segment, place = self.at(address), f"address 0x{address & (1 << 64) - 1:x}"
        past = FAR if segment is None else address - segment.base - segment.nbytes
        if segment is not None and past >= 0 and segment.name.startswith(NUMBAS):
            segment, past = None, FAR
        above = self.segments[bisect.bisect_right(self.bases, address) :]
        near = next((each for each in above if not each.name.startswith(NUMBAS)), None)
        before = ""
        if near is not None and near.base - address < past:
            before = f"{near.base - address} bytes before {near}"
        if segment is None:
            empty = ": arrays without elements begin at 0" if 0 <= address < 1 << 20 else ""
            return f"{place} is {before}" if before else f"{place} lies in no allocation{empty}"
        if segment.freed:
            return f"{place} lies in {segment}, which was freed"
        if past < 0:
            return f"{place} is byte {address - segment.base} of {segment}"
        return f"{place} is {past} bytes past the end of {segment}{before and f' and {before}'}"
