"""Where variables and parameters lie in their memory."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from gpugrad.simulate.ptx.syntax import Variable


def layout(
    variables: dict[str, Variable], align: int, guard: int
) -> tuple[dict[str, int], list[tuple[int, int]], int]:
    """An offset for each variable, the gaps after them, and the bytes of it all.

    Args:
        align: that of every variable, unless it wants more; and of the whole.
        guard: bytes of nothing after a variable, at least.
    """
    offsets: dict[str, int] = {}
    gaps = []
    end = 0
    for name, variable in variables.items():
        step = max(align, variable.align)
        begin = -(-end // step) * step
        if begin > end:
            gaps.append((end, begin))
        offsets[name] = begin
        size = variable.size or 0
        gaps.append((begin + size, begin + size + guard))
        end = begin + size + guard
    whole = -(-end // align) * align
    return offsets, [*gaps, (end, whole)], whole


def parameter_offsets(parameters: list[Variable]) -> tuple[dict[str, int], int]:
    """Where each kernel parameter lies in the parameter buffer; and the buffer's bytes."""
    offsets: dict[str, int] = {}
    end = 0
    for parameter in parameters:
        end = -(-end // parameter.align) * parameter.align
        offsets[parameter.name] = end
        end += parameter.size or 0
    return offsets, end


def parameter_bytes(parameters: list[Variable], values: list[Any]) -> bytes:
    """The parameter buffer of a launch."""
    offsets, end = parameter_offsets(parameters)
    buffer = bytearray(end + 16)  # so that an empty one can be read, too
    for parameter, value in zip(parameters, values, strict=True):
        packed = _packed(parameter, value)
        at = offsets[parameter.name]
        buffer[at : at + len(packed)] = packed
    return bytes(buffer)


def _packed(parameter: Variable, value: Any) -> bytes:
    size = parameter.size or 0
    if isinstance(value, (bytes, bytearray)):
        return bytes(value[:size])
    if isinstance(value, np.generic) and value.dtype.itemsize == size:
        return value.tobytes()
    if parameter.type == "f32":
        return struct.pack("<f", value)
    if parameter.type == "f64":
        return struct.pack("<d", value)
    return (int(value) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
