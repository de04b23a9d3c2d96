"""Promotion: which dtype the operands of an operation take together.

A Python number never widens a tensor. An integer or bool tensor beside a floating one takes its
dtype. Integers beside a Python float, or given to a floating operation, take the default float.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.device import Device
from gpugrad.dtypes import KNOWN, Dtype, default_float
from gpugrad.errors import DtypeError, GradError, OptionError
from gpugrad.making import asarray
from gpugrad.namespace import PRIMITIVES
from gpugrad.tensor import Tensor

if TYPE_CHECKING:
    from gpugrad.primitive import Primitive

SCALARS = frozenset([bool, int, float])


def unify(primitive: Primitive, args: Sequence[Any]) -> list[Any]:
    """The arguments as tensors of one dtype; numbers stay if there is a tensor.

    Arguments that the primitive keeps apart (indices, labels, masks) become tensors as they are.
    NumPy's scalars count with their dtype and go where the tensors are; its arrays do not move.
    """
    apart = [bool(primitive.separate >> k & 1) for k in range(len(args))]
    unified: list[Any] = []
    for position, a in enumerate(args):
        if a is None or isinstance(a, Tensor) or (type(a) in SCALARS and not apart[position]):
            unified.append(a)
        elif isinstance(a, np.generic):
            unified.append(a)  # for now
        else:
            unified.append(_tensor(primitive, position, a))
    place = next((a.device for a in unified if isinstance(a, Tensor)), None)
    for position, a in enumerate(unified):
        if isinstance(a, np.generic):
            unified[position] = _tensor(primitive, position, a, place)
    joined = [k for k, a in enumerate(unified) if a is not None and not apart[k]]
    if not joined:
        raise OptionError(f"{primitive.name}{primitive.__signature__} was given no array")
    if not any(isinstance(unified[k], Tensor) for k in joined):
        for k in joined:
            unified[k] = Tensor(unified[k])
    wanted = KNOWN[_common(primitive, [unified[k] for k in joined])]
    for k in joined:
        t = unified[k]
        if isinstance(t, Tensor) and t.dtype is not wanted:
            if t.dtype == wanted:  # another dtype object (an unpickled one) for the same dtype
                unified[k] = Tensor._wrap(t._data.view(wanted), t._node, t._version)
            else:
                unified[k] = PRIMITIVES["astype"](t, wanted)
    return unified


def _tensor(primitive: Primitive, position: int, a: Any, place: Device | None = None) -> Tensor:
    try:
        return asarray(a, device=place)  # of the host: on the default device
    except GradError as error:
        raise type(error)(
            f"{primitive.name}: its argument '{primitive.argument_name(position)}' cannot be a "
            f"tensor: {error}"
        ) from None


def _common(primitive: Primitive, operands: list[Any]) -> Dtype:
    dtypes = {a.dtype for a in operands if isinstance(a, Tensor)}
    floats = [dtype for dtype in dtypes if dtype.kind == "f"]
    if floats:
        return functools.reduce(np.promote_types, floats)
    if primitive.floating or any(type(a) is float for a in operands):
        return default_float()
    common = functools.reduce(np.promote_types, dtypes)
    if common.kind == "f":
        raise DtypeError(
            f"{primitive.name}: no integer dtype holds both {' and '.join(map(str, dtypes))}\n"
            "  help: convert one of them with astype"
        )
    return common
