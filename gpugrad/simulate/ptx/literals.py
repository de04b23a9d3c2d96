"""Numbers as PTX text writes them."""

from __future__ import annotations

import re
import struct

from gpugrad.simulate.faults import UnsupportedError


def number(said: str) -> int | float | None:
    """The number that PTX text writes, or None: decimal, hexadecimal, or the bits of a float."""
    if re.fullmatch(r"0[fF][0-9a-fA-F]{8}", said):
        return float(struct.unpack("<f", struct.pack("<I", int(said[2:], 16)))[0])
    if re.fullmatch(r"0[dD][0-9a-fA-F]{16}", said):
        return float(struct.unpack("<d", struct.pack("<Q", int(said[2:], 16)))[0])
    if re.fullmatch(r"-?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)U?", said):
        digits = said.rstrip("U")
        octal = re.fullmatch(r"(-?)0([0-7]+)", digits)
        return int(octal[1] + octal[2], 8) if octal else int(digits, 0)
    if re.fullmatch(r"-?\d*\.\d+(?:[eE][-+]?\d+)?|-?\d+[eE][-+]?\d+", said):
        return float(said)
    return None


def initial_bytes(said: str, size: int, kind: str) -> bytes:
    """The bytes of `{1, 2, 3}` (or of a string or a number)."""
    numbers = [number(part) for part in re.findall(r"[\w.+-]+", said)]
    if any(value is None for value in numbers):
        raise UnsupportedError(f"PTX initial value: {said.strip()[:80]}")
    if kind.startswith("f"):
        return b"".join(struct.pack("<d" if size == 8 else "<f", value) for value in numbers)
    mask = (1 << 8 * size) - 1
    return b"".join((int(value or 0) & mask).to_bytes(size, "little") for value in numbers)
