"""The machine code of every kernel of the tables, and the committed table of what it takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from cuda.bindings import nvjitlink

from gpugrad import simulate
from tests.kernels.harness import Row, rows

TABLE = Path(__file__).with_suffix(".json")
CAPABILITIES = ((7, 5), (8, 0), (9, 0))
Taken = dict[str, list[int]]  # by compute capability, registers of a thread and bytes shared


def toolchain() -> str:
    """What compiles here, as far as it changes the machine code."""
    linker = ".".join(map(str, nvjitlink.version()))
    return f"numba-cuda {version('numba-cuda')}, nvJitLink {linker}"


def codes(row: Row) -> Iterator[simulate.MachineCode]:
    """A row's kernel linked for each compute capability."""
    example = row.example()
    return (simulate.compile(row.kernel, example, cc) for cc in CAPABILITIES)


def taken(codes: Iterable[simulate.MachineCode]) -> Taken:
    """What a kernel takes, as it stands in the table."""
    return {"{}.{}".format(*code.cc): [code.registers, code.shared_bytes] for code in codes}


def kernels() -> dict[str, Row]:
    """The first row of each kernel and set of types, by its name."""
    found: dict[Any, Row] = {}
    for row in rows():
        types = tuple((value.dtype, np.ndim(value)) for value in row.example())
        found.setdefault((row.kernel, types), row)
    return {row.name: row for row in found.values()}


def table() -> dict[str, dict[str, Taken]]:
    """By toolchain and row, what was committed."""
    found: dict[str, dict[str, Taken]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return found


def write() -> None:
    """Write what the kernels take with this toolchain over what the table has of it."""
    known = table() if TABLE.exists() else {}
    known[toolchain()] = {name: taken(codes(row)) for name, row in kernels().items()}
    lines = []
    for tools in sorted(known):
        entries = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(known[tools].items())]
        lines.append(f"{json.dumps(tools)}: {{\n" + ",\n".join(entries) + "\n}")
    TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
