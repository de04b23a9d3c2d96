"""Compiled kernels on disk: one file each, under the user's cache folder.

A file holds a digest of the rest, a line of JSON, and the code. What does not match its digest is
as good as absent. Nothing needs the folder: it may be deleted at any time, or not be writable.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any


def folder() -> Path:
    """`kernels` in `$GPUGRAD_CACHE`, by default in gpugrad's folder of the user's cache."""
    own = os.environ.get("GPUGRAD_CACHE")
    if own:
        return Path(own) / "kernels"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpugrad" / "kernels"


def read(name: str) -> tuple[dict[str, Any], bytes] | None:
    """What was written under a name; None if nothing was, or not all of it."""
    try:
        digest, rest = (folder() / name).read_bytes().split(b"\n", 1)
        if digest != _digest(rest):
            return None
        about, code = rest.split(b"\n", 1)
        return json.loads(about), code
    except (OSError, ValueError):
        return None


def write(name: str, about: dict[str, Any], code: bytes) -> None:
    """Keep code for later; where the folder cannot be written, nothing happens."""
    rest = json.dumps(about).encode() + b"\n" + code
    with contextlib.suppress(OSError):
        folder().mkdir(parents=True, exist_ok=True)
        handle, path = tempfile.mkstemp(dir=folder(), prefix=f"{name}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_digest(rest) + b"\n" + rest)
            os.replace(path, folder() / name)  # readers see the old file or the new one, whole
        except OSError:
            os.unlink(path)
            raise


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=20).hexdigest().encode()
