"""Write down what CuPy's module offers, for the simulated device to offer no more.

    python scripts/cupy_names.py

It needs CuPy but no GPU, and rewrites `gpugrad/cuda/simulated/cupy_names.json`: the version, the
names of functions and methods with their parameters, and the other members of arrays. Methods are
written in Cython, so their parameters are read from the first lines of their docstrings.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import cupy
import numpy as np

TARGET = Path(__file__).parents[1] / "gpugrad" / "cuda" / "simulated" / "cupy_names.json"
STARS = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def parameters(method: Any) -> list[str]:
    """Those of a method beside self: `f(self, T b, *axes, out=None) -> T` has three."""
    found = re.match(r"[\w.]+\((.*)\)", (method.__doc__ or "").partition("\n")[0])
    if found is None:
        return []
    named = [part.partition("=")[0].split()[-1] for part in found[1].split(",")]
    return [name for name in named if name != "self"]


def offered() -> dict[str, Any]:
    """What the installed CuPy offers, in the form of the file."""
    functions: dict[str, list[str]] = {}
    ufuncs: list[str] = []
    for name in sorted(dir(cupy)):
        value = getattr(cupy, name)
        if name.startswith("_") or inspect.isclass(value) or inspect.ismodule(value):
            continue
        if isinstance(value, cupy.ufunc):
            ufuncs.append(name)
        elif value is getattr(np, name, None):
            functions[name] = []  # NumPy's own, whose parameters are NumPy's
        elif callable(value):
            try:
                found = inspect.signature(value).parameters.values()
                functions[name] = [
                    STARS.get(p.kind, "") + p.name for p in found if p.name != "self"
                ]
            except ValueError:  # written in Cython without one
                functions[name] = []
    members = {name: getattr(cupy.ndarray, name) for name in dir(cupy.ndarray) if name[0] != "_"}
    return {
        "cupy": cupy.__version__,
        "functions": functions,
        "ufuncs": ufuncs,
        "attributes": sorted(name for name, value in members.items() if not callable(value)),
        "methods": {name: parameters(v) for name, v in sorted(members.items()) if callable(v)},
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(offered(), indent=1) + "\n", encoding="utf-8")
    print(TARGET)
