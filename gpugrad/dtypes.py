"""The element types a tensor can hold, and the default ones.

They are NumPy's own `dtype` objects: `gg.float32 == np.dtype("float32")`.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import numpy as np

from gpugrad.errors import DtypeError

bool_ = np.dtype("bool")
int8, int16, int32, int64 = (np.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64))
float16, float32, float64 = (np.dtype(f"float{bits}") for bits in (16, 32, 64))

Dtype = np.dtype[Any]

_ALL = (bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, float32, float64)
# Maps a dtype to NumPy's one object for it, so that equal dtypes are mostly the same object.
KNOWN: dict[Dtype, Dtype] = {dtype: dtype for dtype in _ALL}
_default_float: ContextVar[Dtype] = ContextVar("gpugrad_default_float", default=float32)


def as_dtype(spec: Any) -> Dtype:
    """The dtype that `spec` names: a NumPy dtype, a NumPy scalar type, Python's own, or a string.

    Raises:
        DtypeError: gpugrad has no such dtype (complex numbers, strings, objects, ...).

    >>> as_dtype("float16"), as_dtype(float)
    (dtype('float16'), dtype('float32'))
    """
    if spec is float:
        return default_float()
    try:
        dtype = np.dtype(spec).newbyteorder("=")
    except TypeError:
        dtype = np.dtype(object)
    if dtype not in KNOWN:
        names = ", ".join(map(str, KNOWN))
        raise DtypeError(f"{spec!r} is no dtype of gpugrad\n  help: choose one of {names}")
    return KNOWN[dtype]


def default_float() -> Dtype:
    """The dtype that Python floats take: float32 unless `set_default_dtype` changed it."""
    return _default_float.get()


def set_default_dtype(dtype: Any) -> None:
    """Make `dtype` the one that Python floats take, in this thread and context.

    Args:
        dtype: float16, float32 or float64.
    Raises:
        DtypeError: `dtype` is not floating.

    >>> import gpugrad as gg
    >>> gg.set_default_dtype("float64")
    >>> gg.tensor(0.5).dtype
    dtype('float64')
    >>> gg.set_default_dtype("float32")
    """
    wanted = as_dtype(dtype)
    if wanted.kind != "f":
        raise DtypeError(
            f"set_default_dtype({dtype!r}): the default dtype must be floating\n"
            "  help: choose float16, float32 or float64"
        )
    _default_float.set(wanted)
