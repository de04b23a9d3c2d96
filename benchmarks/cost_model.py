"""What a launch must take on a card, from what it moves, computes and costs to begin:

    time = max(bytes / bandwidth, flops / peak) + launches x overhead

summed over the launches of a step, one after the other. Where the figures come from:

bytes     A kernel's are counted by the simulator: 32 for each sector that its warps touch. An array
          function of CuPy, or a product, reads its arrays once and writes its result once.
flops     A product's are 2 m n k. A kernel's are 2 for each float32 or integer instruction that its
          threads execute: each takes the place of one fused multiply-add, which is how cards' peaks
          are counted.
launches  One a kernel, an array function or a product; views cost nothing.

It leaves out: caches (what a kernel reads twice counts twice, even if the second time comes out of
a cache), latency and the last blocks' unequal ends, what else instructions wait for, the passes
inside CuPy's sorts and searches, copies from and to the host, and the host itself. Where Python
takes longer to prepare a launch than the overhead below, the step takes as long as Python does. So
this is about the least that a step can take, not what it will.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

SECTOR = 32  # bytes
FUSED = 2  # flops of a multiply-add

# From the start of a short kernel to that of the next, launched one after the other from C++ with
# no wait between. No data sheet has it. NVIDIA's article "Getting Started with CUDA Graphs"
# (developer.nvidia.com/blog/cuda-graphs, 2019) gives this for a V100; it is taken for all cards.
LAUNCH_SECONDS = 3.8e-6


@dataclass(frozen=True)
class Card:
    """A card as its data sheet has it, at its peaks.

    Args:
        name: how it is called here.
        marks: what the driver's name of the device holds, each of them.
        bandwidth: of its memory, bytes a second.
        peak: float32 flops a second, without tensor cores.
        source: of both figures.
    """

    name: str
    marks: tuple[str, ...]
    bandwidth: float
    peak: float
    source: str
    overhead: float = LAUNCH_SECONDS


CARDS = (
    Card("T4", ("T4",), 320e9, 8.1e12, "NVIDIA T4: product page and product brief"),
    Card("A100", ("A100", "40GB"), 1555e9, 19.5e12, "NVIDIA A100 data sheet: 40 GB"),
    Card("H100", ("H100", "HBM3"), 3350e9, 67e12, "NVIDIA H100 data sheet: SXM"),
)


def card_of(device_name: str) -> Card | None:
    """The card that a device is, by the driver's name of it; None if its figures are not here.

    >>> card_of("Tesla T4").name, card_of("NVIDIA H100 80GB HBM3").name, card_of("NVIDIA H100 PCIe")
    ('T4', 'H100', None)
    """
    return next((c for c in CARDS if all(mark in device_name for mark in c.marks)), None)


@dataclass(frozen=True)
class Work:
    """What some launches move and compute.

    Args:
        name: of the kernel, or of CuPy's function.
        bytes: through memory, in both directions.
        flops: as the module's docstring counts them.
    """

    name: str
    bytes: float
    flops: float
    launches: int = 1

    def scaled(self, factor: float) -> Work:
        """The same launches on so many times as much."""
        return replace(self, bytes=self.bytes * factor, flops=self.flops * factor)

    def seconds(self, card: Card) -> float:
        """What it takes on a card."""
        moving, computing = self.bytes / card.bandwidth, self.flops / card.peak
        return max(moving, computing) + self.launches * card.overhead


def seconds(works: Iterable[Work], card: Card) -> float:
    """What works take one after the other: those of a training step, say."""
    return sum(work.seconds(card) for work in works)


def of_report(report: Any) -> Work:
    """A launch of a kernel, from what `gpugrad.simulate` counted of it."""
    sectors = report.load_sectors + report.store_sectors
    kinds = report.instructions
    arithmetic = kinds.get("float32", 0) + kinds.get("integer", 0)
    return Work(report.kernel, SECTOR * sectors, FUSED * arithmetic, report.launches)


def of_product(m: int, k: int, n: int, itemsize: int = 4) -> Work:
    """The product of (m, k) and (k, n), as cuBLAS computes it."""
    return Work("product", itemsize * (m * k + k * n + m * n), FUSED * m * k * n)


def of_array_function(name: str, nbytes: int, elements: int) -> Work:
    """A function of CuPy that reads and writes `nbytes` in all, one flop an element."""
    return Work(name, nbytes, elements)
