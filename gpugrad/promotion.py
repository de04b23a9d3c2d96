"""Promotion: which dtype the operands of an operation take together.

A Python number never widens a tensor. An integer or bool tensor beside a floating one takes its
dtype. Integers beside a Python float, or given to a floating operation, take the default float.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.dtypes import Dtype, default_float
from gpugrad.errors import DtypeError, GradError, OptionError
from gpugrad.namespace import PRIMITIVES
from gpugrad.tensor import Tensor, asarray

if TYPE_CHECKING:
    from gpugrad.primitive import Primitive

SCALARS = frozenset([bool, int, float])


def unify(primitive: Primitive, args: Sequence[Any]) -> list[Any] | None:
    """The arguments as tensors of one dtype (numbers stay), or None if they are that already.

    Arguments that the primitive keeps apart (indices, labels, masks) become tensors as they are.
    """
    apart = [bool(primitive.separate >> k & 1) for k in range(len(args))]
    unified: list[Any] = []
    for position, a in enumerate(args):
        if a is None or isinstance(a, Tensor) or (type(a) in SCALARS and not apart[position]):
            unified.append(a)
        else:
            unified.append(_tensor(primitive, position, a))
    joined = [k for k, a in enumerate(unified) if a is not None and not apart[k]]
    if not joined:
        raise OptionError(f"{primitive.name}{primitive.__signature__} was given no array")
    if not any(isinstance(unified[k], Tensor) for k in joined):
        for k in joined:
            unified[k] = Tensor(unified[k])
    wanted = _common(primitive, [unified[k] for k in joined])
    for k in joined:
        if isinstance(unified[k], Tensor) and unified[k].dtype != wanted:
            unified[k] = PRIMITIVES["astype"](unified[k], wanted)
    changed = any(new is not old for new, old in zip(unified, args, strict=True))
    return unified if changed else None


def _tensor(primitive: Primitive, position: int, a: Any) -> Tensor:
    try:
        return asarray(a)
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
