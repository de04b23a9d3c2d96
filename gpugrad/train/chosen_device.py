"""Which device a run is on, in words, and why "auto" found no GPU."""

from __future__ import annotations

from gpugrad.cuda import is_simulated
from gpugrad.device import as_device


def in_words(spec: str) -> str:
    """The device that a setting means here; a simulated one is called so.

    >>> in_words("cpu")
    'cpu'
    """
    device = as_device(spec)
    return f"{device} (simulated)" if device.kind == "cuda" and is_simulated() else f"{device}"


def why_cpu(spec: str) -> str:
    """Why "auto" means the CPU here; empty where it means a GPU or another device is asked for.

    >>> why_cpu("cpu")
    ''
    """
    if spec != "auto" or as_device(spec).kind != "cpu":
        return ""
    from gpugrad.cuda.diagnosis import first_problem

    found = first_problem()
    return found.problem if found is not None else "CuPy finds no GPU"
