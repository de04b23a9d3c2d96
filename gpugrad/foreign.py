"""Arrays of other libraries that are on a GPU: taken where they are, without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpugrad.cuda.failures import failures
from gpugrad.device import ARRAYS, Array, cuda_namespace
from gpugrad.errors import DtypeError, GradError

# How another library's array says that it is on a GPU: by its kind of device in DLPack (kDLCUDA and
# kDLCUDAManaged of dlpack.h), or by this attribute.
DLPACK_CUDA = frozenset([2, 13])
INTERFACE = "__cuda_array_interface__"


def foreign_array(obj: Any) -> Array | None:
    """The array of a GPU that another library's object is, without a copy; None if it is none.

    Raises:
        DtypeError: its library does not hand it out.
    """
    if isinstance(obj, (np.ndarray, np.generic, bool, int, float, list, tuple)):
        return None
    if type(obj) in ARRAYS:
        return obj
    speaks = getattr(obj, "__dlpack_device__", None)
    if (speaks is None or speaks()[0] not in DLPACK_CUDA) and not hasattr(obj, INTERFACE):
        return None
    from gpugrad.cuda.backend import backend

    cuda_namespace()
    try:
        return backend().foreign(obj)
    except (BufferError, RuntimeError, TypeError) as error:
        if isinstance(error, (GradError, *failures())):
            raise
        raise DtypeError(
            f"{type(obj).__name__} on a GPU cannot be shared: {error}\n"
            "  help: x.detach() if it requires a gradient; another dtype or layout if it is exotic"
        ) from None
