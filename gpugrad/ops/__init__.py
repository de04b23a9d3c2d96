"""The operations: what `gg.*` offers, and what `xp` is while a rule is recorded.

Each file is a family, each operation one declaration in it. NumPy's other spellings of a name
stand in `NUMPY_SPELLINGS`.
"""

from __future__ import annotations

from typing import Any

from gpugrad.namespace import PRIMITIVES
from gpugrad.ops import (
    activation,
    arithmetic,
    comparison,
    core,
    creation,
    elementary,
    indexing,
    losses,
    manipulation,
    normalization,
    products,
    reductions,
    special,
    writing,
)

FAMILIES = (
    activation, arithmetic, comparison, core, creation, elementary, indexing, losses, manipulation,
    normalization, products, reductions, special, writing,
)  # fmt: skip

NUMPY_SPELLINGS = {
    "absolute": "abs", "amax": "max", "amin": "min", "arccos": "acos", "arccosh": "acosh",
    "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2", "arctanh": "atanh",
    "bitwise_not": "bitwise_invert", "concatenate": "concat", "cumsum": "cumulative_sum",
    "invert": "bitwise_invert", "mod": "remainder", "power": "pow", "true_divide": "divide",
    "around": "round",
}  # fmt: skip

inf = float("inf")
nan = float("nan")

__all__ = sorted({name for family in FAMILIES for name in family.__all__} | set(NUMPY_SPELLINGS))
globals().update({name: getattr(family, name) for family in FAMILIES for name in family.__all__})
globals().update({name: globals()[standard] for name, standard in NUMPY_SPELLINGS.items()})


def __getattr__(name: str) -> Any:
    """A primitive by its name: those that only rules use, and those of users."""
    if name in PRIMITIVES:
        return PRIMITIVES[name]
    raise AttributeError(f"gpugrad.ops has no operation {name!r}")
