"""Reading one IDX file: a big-endian header with the sizes, then unsigned bytes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpugrad.errors import FileError

GZIP = b"\x1f\x8b"
UBYTE = 0x08


def read_idx(path: str | Path, ndim: int) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an IDX file, gzipped or not.

    Args:
        path: the file; whether it is gzipped is seen from its first bytes, not from its name.
        ndim: how many axes belong: 1 for labels, 3 for images.
    Raises:
        FileError: the file is missing, is no IDX file of this kind, or holds too few or too many
            bytes; with what was expected and what was found.
    """
    path = Path(path)
    content = _content(path)
    expected = bytes([0, 0, UBYTE, ndim])
    if content[:4] != expected:
        raise FileError(
            f"{path}: this is not an IDX file of unsigned bytes with {_axes(ndim)}\n"
            f"  expected first bytes: {expected.hex(' ')}\n"
            f"  found: {content[:4].hex(' ') or 'nothing'}"
        )
    header = 4 + 4 * ndim
    if len(content) < header:
        raise FileError(
            f"{path}: the file ends inside its header\n"
            f"  expected: {header} bytes\n  found: {len(content)} bytes"
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", ndim, offset=4))
    wanted = header + math.prod(shape)
    if len(content) != wanted:
        problem = "is truncated" if len(content) < wanted else "goes on after its last element"
        raise FileError(
            f"{path}: the file {problem}\n"
            f"  expected: {wanted} bytes, for {shape} and a header of {header}\n"
            f"  found: {len(content)} bytes"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _axes(ndim: int) -> str:
    return f"{ndim} axis" if ndim == 1 else f"{ndim} axes"


def _content(path: Path) -> bytes:
    import gzip
    import zlib

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileError(
            f"{path}: there is no such file\n  looked in: {path.parent.resolve()}"
        ) from None
    except OSError as error:
        raise FileError(f"{path}: cannot read the file: {error.strerror or error}") from None
    if content[:2] != GZIP:
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise FileError(
            f"{path}: the gzip file is truncated or corrupt: {error}\n  found: {len(content)} bytes"
        ) from None
