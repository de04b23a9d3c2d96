"""What the simulated cards allow: the limits of each compute capability, and occupancy.

The figures are those of the CUDA C++ Programming Guide, "Technical Specifications per Compute
Capability", and of the occupancy calculator's notes on allocation.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpugrad.simulate.faults import LaunchError

MAX_THREADS = 1024  # in a block, on every card here
MAX_BLOCK = (1024, 1024, 64)
MAX_GRID = (2**31 - 1, 65535, 65535)
STATIC_SHARED_BYTES = 48 * 1024  # more has to be dynamic
WARP = 32
REGISTER_UNIT = 256  # registers are handed out to warps in this many
WARP_UNIT = 4  # and to warps in fours, one for each quarter of a multiprocessor
REGISTERS = 64 * 1024  # of a multiprocessor, and the most that one block can have


@dataclass(frozen=True)
class Card:
    """A compute capability, named by the card that gpugrad means by it."""

    name: str
    cc: tuple[int, int]
    multiprocessors: int
    warps: int  # resident in a multiprocessor at most, as the next three
    blocks: int
    shared_bytes: int
    block_shared_bytes: int  # of one block, static and dynamic together
    shared_unit: int  # shared memory is handed out in this many bytes
    reserved_shared_bytes: int  # taken by the system for each block


CARDS = {
    card.cc: card
    for card in (
        Card("T4", (7, 5), 40, 32, 16, 64 << 10, 64 << 10, 256, 0),
        Card("A100", (8, 0), 108, 64, 32, 164 << 10, 163 << 10, 128, 1024),
        Card("H100", (9, 0), 132, 64, 32, 228 << 10, 227 << 10, 128, 1024),
    )
}


def card(cc: object) -> Card:
    """The card of a compute capability such as (7, 5).

    Raises:
        LaunchError: the compute capability is not among those that are simulated.
    """
    if isinstance(cc, (tuple, list)) and tuple(cc) in CARDS:
        return CARDS[tuple(cc)]
    known = ", ".join(f"{known.cc} as the {known.name}" for known in CARDS.values())
    raise LaunchError(f"cc={cc!r} is no compute capability that is simulated\n  help: {known}")


@dataclass(frozen=True)
class Occupancy:
    """How many blocks a multiprocessor holds at a time, and what keeps it from holding more."""

    blocks: int
    warps: int
    fraction: float  # of the warps that the multiprocessor could hold
    limits: tuple[str, ...]  # "blocks", "warps", "registers", "shared memory": the tightest


def occupancy(card: Card, threads: int, registers: int, shared_bytes: int) -> Occupancy:
    """What one multiprocessor of the card holds of blocks of this size.

    Args:
        threads: of a block.
        registers: of a thread.
        shared_bytes: of a block, static and dynamic together.
    """
    if not 0 < threads <= MAX_THREADS:
        raise LaunchError(f"a block has 1 to {MAX_THREADS} threads, not {threads}")
    warps = -(-threads // WARP)
    shared = _rounded(shared_bytes + card.reserved_shared_bytes, card.shared_unit)
    fits = {"blocks": card.blocks, "warps": card.warps // warps}
    if registers:
        for_warp = _rounded(registers * WARP, REGISTER_UNIT)
        fits["registers"] = REGISTERS // for_warp // WARP_UNIT * WARP_UNIT // warps
    if shared_bytes > card.block_shared_bytes:
        fits["shared memory"] = 0
    elif shared:
        fits["shared memory"] = card.shared_bytes // shared
    blocks = min(fits.values())
    limits = tuple(name for name, fit in fits.items() if fit == blocks)
    return Occupancy(blocks, blocks * warps, blocks * warps / card.warps, limits)


def _rounded(number: int, unit: int) -> int:
    return -(-number // unit) * unit
