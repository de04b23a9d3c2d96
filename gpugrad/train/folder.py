"""A run's folder: which files there are, and how they are made and read."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpugrad.errors import FileError, OptionError
from gpugrad.saving import write_whole
from gpugrad.train.loop import CHECKPOINT, METRICS

CONFIG = "config.json"
MODEL = "model.safetensors"
RESULT = "result.json"
FORMAT = 1

__all__ = ["CHECKPOINT", "CONFIG", "METRICS", "MODEL", "RESULT", "new_folder", "read_config"]


def new_folder(out: str | Path | None, data: str) -> Path:
    """An empty folder for a run: `out`, or `runs/<data>-<time>`.

    Raises:
        OptionError: `out` holds something already.
        FileError: the folder cannot be made, or not written to.
    """
    if out is None:
        stem = Path("runs") / f"{data}-{time.strftime('%Y%m%d-%H%M%S')}"
        names = [stem, *(stem.with_name(f"{stem.name}-{n}") for n in range(2, 100))]
        folder = next(name for name in names if not name.exists())
    else:
        folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise FileError(
            f"{folder}: cannot make the folder: {error.strerror or error}\n"
            "  help: name a folder that can be written"
        ) from None
    if CONFIG in content:
        raise OptionError(
            f"{folder}: the folder holds a run already\n"
            f"  help: go on with it by --resume {folder}, or name another folder"
        )
    if content:
        raise OptionError(
            f"{folder}: the folder is not empty\n  found: {content[0]}\n"
            "  help: name a new or an empty folder"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(
            f"{folder}: the folder cannot be written\n  help: name a folder that can be written"
        )
    return folder


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file for people to read, whole or not at all."""
    write_whole(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def read_config(folder: str | Path) -> dict[str, Any]:
    """What `config.json` of a run holds.

    Raises:
        FileError: there is no run, or its config is no such JSON.
    """
    path = Path(folder) / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise FileError(f"{path}: format {config['format']!r}, this gpugrad reads {FORMAT}")
        for key in ("settings", "preparation", "data"):
            config[key]
    except FileNotFoundError:
        raise FileError(
            f"{folder}: there is no run here: {CONFIG} is missing\n"
            "  help: name the folder that gpugrad train printed"
        ) from None
    except KeyError as error:
        raise FileError(f"{path}: this is not the config of a run: it lacks {error}") from None
    except (TypeError, ValueError) as error:
        raise FileError(f"{path}: this is not the config of a run: {error}") from None
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path}: cannot read the file: {error.strerror or error}") from None
    return dict(config)
