"""Questions about CUDA devices."""

from __future__ import annotations


def is_available() -> bool:
    """Whether `device="cuda"` works here. This version of gpugrad computes on the CPU only.

    >>> import gpugrad as gg
    >>> gg.cuda.is_available()
    False
    """
    return False
