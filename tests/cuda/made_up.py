"""CuPy's arrays on memory that does not exist: they have shapes and dtypes without a GPU."""

from __future__ import annotations

from typing import Any

import gpugrad as gg
from gpugrad.graph import Leaf

try:
    import cupy as cp
except ImportError:  # who needs this module then skips
    cp = None


def made_up(shape=(2, 3), dtype="float32"):
    """A CuPy array whose memory does not exist."""
    memory = cp.cuda.UnownedMemory(0x7F0000000000, 1 << 20, None, device_id=0)
    return cp.ndarray(shape, dtype, memptr=cp.cuda.MemoryPointer(memory, 0))


class Stub:
    """As much of a backend as tensors around CuPy's arrays ask for."""

    simulated, failures = False, ()
    module, array = cp, getattr(cp, "ndarray", None)
    device_count = staticmethod(lambda: 1)
    device_index = staticmethod(lambda: 0)
    index_of = staticmethod(lambda array: 0)

    @staticmethod
    def foreign(obj: Any) -> Any:
        return obj if isinstance(obj, cp.ndarray) else cp.asarray(obj)


def requiring_grad(array: Any) -> gg.Tensor:
    """A tensor around an array, which requires a gradient."""
    return gg.Tensor._wrap(array, Leaf(array.shape, array.dtype))
