"""The command `gpugrad devices`: what there is to compute on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

HEADINGS = ("device", "name", "capability", "free", "memory", "driver", "CUDA")


def devices() -> None:
    """List the devices here; of a GPU its name, compute capability, memory and CUDA versions.

    The name of a simulated one (GPUGRAD_SIMULATE_CUDA=1) says that it is.
    """
    from gpugrad.device import devices as found

    for line in aligned([HEADINGS, *map(row, found())]):
        typer.echo(line)


def row(device: Any) -> tuple[str, ...]:
    """A device's cells of the table, the same of which `device.properties` has the numbers."""
    from gpugrad.device import CudaDevice

    if not isinstance(device, CudaDevice):
        return (str(device), *["-"] * (len(HEADINGS) - 1))
    has = device.properties
    return (
        str(device),
        has.name,
        "{}.{}".format(*has.compute_capability),
        f"{has.free_bytes / 2**30:.1f} GiB",
        f"{has.total_bytes / 2**30:.1f} GiB",
        has.driver_version,
        has.runtime_version,
    )


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table.

    >>> aligned([("device", "free"), ("cpu", "-")])
    ['device  free', 'cpu     -']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in rows
    ]
