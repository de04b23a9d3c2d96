"""Write down what CuPy's module offers, for the simulated device to offer no more.

    python scripts/cupy_names.py

It needs CuPy but no GPU, and rewrites `gpugrad/cuda/simulated/cupy_names.json`: the version, the
names of functions with their parameters, and the members of NumPy's arrays that CuPy's lack.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import cupy
import numpy as np

TARGET = Path(__file__).parents[1] / "gpugrad" / "cuda" / "simulated" / "cupy_names.json"


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
        elif callable(value):
            try:
                functions[name] = list(inspect.signature(value).parameters)
            except ValueError:  # written in Cython without one
                functions[name] = []
    absent = sorted(
        name for name in set(dir(np.ndarray)) - set(dir(cupy.ndarray)) if name[0] != "_"
    )
    return {
        "cupy": cupy.__version__,
        "functions": functions,
        "ufuncs": ufuncs,
        "absent_members": absent,
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(offered(), indent=1) + "\n", encoding="utf-8")
    print(TARGET)
