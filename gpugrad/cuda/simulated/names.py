"""What CuPy offers, so that the simulated device offers no more: names and their parameters.

`cupy_names.json` is written from CuPy itself by `scripts/cupy_names.py`.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def cupy_names() -> Any:
    """What CuPy offers, as the file has it."""
    file = files("gpugrad.cuda.simulated").joinpath("cupy_names.json")
    return json.loads(file.read_text(encoding="utf-8"))


def check_parameters(
    name: str, parameters: list[str], args: tuple[Any, ...], options: dict[str, Any]
) -> None:
    """Refuse arguments for which CuPy's function or method has no parameter.

    Args:
        parameters: their names; none if nothing is known. "*axes" takes any number.
    Raises:
        TypeError: as CuPy would, naming the first.
    """
    stars = [p for p in parameters if p.startswith("*")]
    if not parameters or any(p.startswith("**") for p in stars):
        return
    unknown = sorted(set(options) - set(parameters))
    if unknown or (not stars and len(args) > len(parameters)):
        raise TypeError(
            f"{name}({', '.join(parameters)}) has no parameter "
            f"{unknown[0] if unknown else f'number {len(args)}'}"
        )
