"""load_moons: two interleaving half circles in the plane, drawn at random."""

from __future__ import annotations

import numpy as np

from gpugrad.data.labelled import Dataset
from gpugrad.data.preparation import ScaledPreparation
from gpugrad.errors import OptionError
from gpugrad.random import Generator, default_generator


def load_moons(n: int = 1000, noise: float = 0.2, generator: Generator | None = None) -> Dataset:
    """Points on two half circles of radius 1, one opening into the other.

    The upper one is (cos a, sin a), the lower one (1 - cos a, 1/2 - sin a), for n/2 angles a from
    0 to pi each.

    Args:
        n: how many points, at least 2; the upper half circle gets the odd one.
        noise: the standard deviation of the normal noise on both coordinates.
        generator: draws the noise and the order; None takes the default one.
    Raises:
        OptionError: n is below 2, or the noise is negative.

    >>> from gpugrad.random import Generator
    >>> moons = load_moons(200, noise=0.1, generator=Generator(0))
    >>> moons.features.shape, moons.classes, int(moons.targets.sum())
    ((200, 2), ('upper', 'lower'), 100)
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 2:
        raise OptionError(f"load_moons: n={n!r} must be a whole number, at least 2")
    if not 0 <= noise < float("inf"):
        raise OptionError(f"load_moons: noise={noise!r} must be a finite number, at least 0")
    generator = default_generator() if generator is None else generator
    labels = np.arange(int(n), dtype=np.int64) % 2
    upper = np.linspace(0.0, np.pi, int(n) - int(n) // 2)
    lower = np.linspace(0.0, np.pi, int(n) // 2)
    points = np.empty((int(n), 2))
    points[0::2] = np.column_stack([np.cos(upper), np.sin(upper)])
    points[1::2] = np.column_stack([1.0 - np.cos(lower), 0.5 - np.sin(lower)])
    points += generator.normal((int(n), 2), std=noise, dtype="float64")
    order = generator.permutation(int(n))
    preparation = ScaledPreparation(("x", "y"), 1.0, ("upper", "lower"))
    return Dataset("moons", points[order], labels[order], preparation)
