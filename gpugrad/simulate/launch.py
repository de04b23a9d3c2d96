"""`simulate.run`: launch a kernel on NumPy arrays, on a card that is not there."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Protocol

from gpugrad.simulate.faults import LaunchError
from gpugrad.simulate.frontend.arguments import place, types_of
from gpugrad.simulate.frontend.cards import (
    MAX_BLOCK,
    MAX_GRID,
    MAX_THREADS,
    STATIC_SHARED_BYTES,
    card,
)
from gpugrad.simulate.frontend.frontend import Options, as_kernel, compiled
from gpugrad.simulate.ptx.program import LIMIT

if TYPE_CHECKING:
    from gpugrad.simulate.report.report import Report

Dimensions = int | tuple[int, ...]


def run(
    kernel: Any,
    grid: Dimensions,
    block: Dimensions,
    *args: Any,
    cc: tuple[int, int] = (7, 5),
    shared_bytes: int = 0,
    checks: bool = True,
    limit: int = LIMIT,
) -> Report:
    """Run a kernel's PTX on a simulated card and copy its results back into the arrays.

    A launch that fails leaves the arrays as they were.

    Args:
        kernel: what `@cuda.jit` made, or its Python function.
        grid: blocks, as a number or up to three of them.
        block: threads of a block, likewise.
        args: NumPy arrays and records, numbers, and tuples of them, typed as Numba types them.
        cc: the compute capability: (7, 5), (8, 0) or (9, 0).
        shared_bytes: dynamic shared memory of a block.
        checks: look for faults and races.
        limit: how many instructions count as a hang; see `Device`.
    Returns: what the launch did: bytes, sectors, instructions, findings, by source line too.
    Raises:
        Fault: the kernel did what is wrong on every card.
        CompileError: Numba cannot compile it, or is not installed.
        LaunchError: no card would take this launch.
    """
    target = card(cc)
    user = as_kernel(kernel)
    types = types_of(user, args)
    code = compiled(user, types, target.cc)
    shape = dimensions("grid", grid), dimensions("block", block)
    try:
        shared_bytes = operator.index(shared_bytes)
    except TypeError:
        raise LaunchError(f"{user.name}: shared_bytes={shared_bytes!r} is no integer") from None
    check_launch(code, *shape, shared_bytes, target)

    from gpugrad.simulate.device import Device

    device = Device(cc=target.cc, checks=checks, limit=limit)
    entry = device.load(code.ptx).entries[code.entry]
    arguments = place(device, user, types, args)
    report = device.launch(
        entry,
        *shape,
        arguments.parameters,
        shared_bytes=shared_bytes,
        name=code.name,
        source=code.source,
        float32=code.float32,
    )
    arguments.copy_back()
    return report


class Launchable(Protocol):
    """A compiled kernel, as far as a launch is checked."""

    @property
    def name(self) -> str: ...
    @property
    def options(self) -> Options: ...
    @property
    def shared_bytes(self) -> int: ...


class Limits(Protocol):
    """A card, as far as a launch is checked."""

    @property
    def name(self) -> str: ...
    @property
    def block_shared_bytes(self) -> int: ...


def check_launch(
    code: Launchable,
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    shared_bytes: int,
    card: Limits,
) -> None:
    """Refuse a launch that the card's driver would refuse.

    Raises:
        LaunchError: saying which limit is broken.
    """
    for what, sizes, limits in (("grid", grid, MAX_GRID), ("block", block, MAX_BLOCK)):
        if any(size > limit for size, limit in zip(sizes, limits, strict=True)):
            raise LaunchError(
                f"{code.name}: {what} {sizes} is over the limits of a {what}, {limits}"
            )
    threads = block[0] * block[1] * block[2]
    if threads > MAX_THREADS:
        raise LaunchError(f"{code.name}: block {block} has {threads} threads, over {MAX_THREADS}")
    most = code.options.max_threads
    if most is not None and threads > most:
        raise LaunchError(
            f"{code.name}: block {block} has {threads} threads, over the {most} of the kernel's "
            "launch_bounds"
        )
    static = code.shared_bytes
    if static > STATIC_SHARED_BYTES:
        raise LaunchError(
            f"{code.name} declares {static:,} bytes of shared memory, over {STATIC_SHARED_BYTES:,}"
            "\n  help: take the rest as dynamic shared memory: cuda.shared.array(0, dtype) and "
            "shared_bytes="
        )
    if shared_bytes < 0:
        raise LaunchError(f"{code.name}: shared_bytes={shared_bytes} is negative")
    if static + shared_bytes > card.block_shared_bytes:
        raise LaunchError(
            f"{code.name}: a block needs {static + shared_bytes:,} bytes of shared memory "
            f"({static:,} static, {shared_bytes:,} dynamic); a block of the {card.name} can have "
            f"{card.block_shared_bytes:,}"
        )


def dimensions(what: str, given: Dimensions) -> tuple[int, int, int]:
    """(x, y, z) of what `kernel[grid, block]` takes."""
    sizes = given if isinstance(given, (tuple, list)) else (given,)
    try:
        sizes = tuple(operator.index(size) for size in sizes)
    except TypeError:
        sizes = ()
    if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
        raise LaunchError(f"{what}={given!r} is not one to three numbers above 0")
    x, y, z = (*sizes, 1, 1)[:3]
    return x, y, z
