"""Finite differences and tolerances, independent of gpugrad: NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

STEP = 1e-5  # balances the h**2 of central differences against rounding, in float64

# How far a result of each dtype may lie from the float64 one: a few roundings, never more.
VALUE_TOLERANCE = {"float16": 4e-3, "float32": 2e-6, "float64": 1e-13}
# A derivative rounds about twice as often as the value.
NARROW_SLOPE_TOLERANCE = {"float16": 8e-3, "float32": 4e-6}
# What central differences of a float64 function leave, for inputs and slopes of about 1.
SLOPE_TOLERANCE = 2e-8


def differences(
    f: Callable[..., np.ndarray], arrays: Sequence[np.ndarray], step: float = STEP
) -> list[np.ndarray]:
    """df / d(each array) by central differences: f's result's shape, then the array's."""
    found = []
    for k, array in enumerate(arrays):
        slopes = []
        for place in np.ndindex(array.shape):
            ends = []
            for sign in (1.0, -1.0):
                moved = [a.copy() for a in arrays]
                moved[k][place] += sign * step
                ends.append(np.asarray(f(*moved), dtype=np.float64))
            slopes.append((ends[0] - ends[1]) / (2 * step))
        out = np.shape(f(*arrays))
        stacked = np.stack(slopes, axis=-1) if slopes else np.zeros((*out, 0))
        found.append(stacked.reshape(out + array.shape))
    return found


def along(
    f: Callable[..., np.ndarray],
    arrays: Sequence[np.ndarray],
    direction: Sequence[np.ndarray],
    step: float = STEP,
) -> np.ndarray:
    """How f moves when all arrays move along `direction`, by central differences."""
    ends = [
        np.asarray(f(*[a + sign * step * v for a, v in zip(arrays, direction, strict=True)]))
        for sign in (1.0, -1.0)
    ]
    return (ends[0] - ends[1]) / (2 * step)


def host(x: Any) -> np.ndarray:
    """The elements of an array or number, or of a tensor wherever it is."""
    return x.detach().numpy() if hasattr(x, "detach") else np.asarray(x)


def close(actual: Any, wanted: Any, tolerance: float, what: str = "") -> None:
    """Assert that `actual` is `wanted`, relative to its largest element (at least 1)."""
    actual, wanted = host(actual), host(wanted)
    finite = np.abs(wanted[np.isfinite(wanted)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    np.testing.assert_allclose(
        actual, wanted, rtol=tolerance, atol=tolerance * scale, err_msg=what, equal_nan=True
    )
