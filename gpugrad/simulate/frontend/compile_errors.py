"""A kernel that Numba cannot compile: the user's line and Numba's reason, without its trace."""

from __future__ import annotations

import linecache
import re
from typing import Any

import numpy as np

from gpugrad.simulate.faults import CompileError

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_PLACE = re.compile(r"(?:at|from|defined at) (\S[^\n]*?) \((\d+)\)")
_CAUSE = re.compile(r"^\s*(?:\w*Error|Exception): (.+)$", re.M)
_NOISE = ("Failed in ", "During: ", "File ", "There are ", "- ", "^", "<source elided>")
_REASON_LINES = 4


def compile_error(
    error: BaseException,
    name: str,
    source: tuple[str, int],
    parameters: tuple[str, ...],
    types: tuple[Any, ...],
) -> CompileError:
    """A short CompileError in place of what Numba raised."""
    file, line = _place(error, source)
    text = linecache.getline(file, line).strip() if line else ""
    where = f"\n  at {file}:{line}" + (f"\n    {text}" if text else "") if line else ""
    given = ", ".join(f"{p}: {t}" for p, t in zip(parameters, types, strict=False))
    reason = "\n  ".join(_reason(error))
    message = f"{name} does not compile{where}\n  Numba: {reason}\n  arguments: {given or 'none'}"
    return CompileError(message)


def _reason(error: BaseException) -> list[str]:
    """Numba's reason, at most a few lines."""
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], np.ufunc):
        ufunc = error.args[0].__name__
        return [f"NumPy's {ufunc} cannot be compiled for a GPU", f"help: try math.{ufunc}"]
    text = _ESCAPE.sub("", str(error)).strip()
    if not isinstance(error, Exception) or not _is_numba(error):
        return [f"{type(error).__name__}: {text.splitlines()[0] if text else 'no reason given'}"]
    if "must have void return type" in text:
        return ["a kernel returns nothing", "help: write its result to an array argument"]
    lines: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith(_NOISE):
            if lines:
                break
        elif stripped:
            lines.append(re.sub(r"\.\. Raised from .*$", ".", stripped))
    cause = _CAUSE.search(text)
    if cause and not any(cause[1] in line for line in lines):
        lines = [*lines[: _REASON_LINES - 1], cause[1]]
    return lines[:_REASON_LINES] or [type(error).__name__]


def _is_numba(error: BaseException) -> bool:
    kinds = type(error).__mro__
    return any(kind.__module__.startswith("numba") for kind in kinds) or (
        isinstance(error, TypeError) and "CUDA kernel" in str(error)
    )


def _place(error: BaseException, source: tuple[str, int]) -> tuple[str, int | None]:
    """The user's file and line that Numba was compiling.

    The message names it in most cases. Otherwise, what the compiler had in hand when it failed
    does: constraints, instructions and the lowering all have a `loc`.
    """
    named = _PLACE.search(_ESCAPE.sub("", str(error)))
    if named and named[1] not in ("None", "unknown location"):
        return named[1], int(named[2])
    loc = _loc_of(error)
    if _is_loc(loc):
        return loc.filename, loc.line
    failed: BaseException | None = error
    while failed is not None:
        frames = []
        trace = failed.__traceback__
        while trace is not None:
            frames.append(trace.tb_frame)
            trace = trace.tb_next
        for frame in reversed(frames):  # the innermost first: it knows best
            if "numba" in frame.f_code.co_filename:
                for value in list(frame.f_locals.values()):
                    loc = _loc_of(value)
                    if _is_loc(loc) and loc.filename == source[0]:
                        return loc.filename, loc.line
        failed = failed.__cause__ or failed.__context__
    return source


def _loc_of(value: Any) -> Any:
    try:
        return getattr(value, "loc", None)
    except Exception:  # a property that computes
        return None


def _is_loc(loc: Any) -> bool:
    line = getattr(loc, "line", None)
    return isinstance(getattr(loc, "filename", None), str) and isinstance(line, int) and line > 0
