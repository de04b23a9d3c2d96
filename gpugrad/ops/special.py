"""Special functions: the error function and what statistics makes of it."""

from __future__ import annotations

import math
from typing import Any

from gpugrad.dtypes import float16, float32
from gpugrad.primitive import primitive

__all__ = ["erf"]

# Chebyshev fits, highest power first; the largest error is below 2e-16 (float64).
# erf(x) / x in powers of x * x, for |x| <= 1:
NEAR = (
    -7.795898827002142e-10, 1.3720064546777686e-08, -1.6208483801871705e-07,
    1.6447424703317362e-06, -1.492473690741966e-05, 0.00012055294904839707,
    -0.0008548325975389692, 0.0052239776071164225, -0.02686617064323777, 0.11283791670945006,
    -0.37612638903183543, 1.1283791670955126,
)  # fmt: skip
# erfc(x) exp(x * x) (1 + 2x) in powers of (x - 2) / (x + 2), for 1 <= x <= 6:
FAR = (
    4.567818384699565e-06, 4.780167970665935e-06, -1.3377843610301066e-05, -3.6739685589621616e-05,
    -1.5054457438053162e-06, 0.0001510872612051129, 0.00020636426368347952, -0.00045434493868878526,
    -0.0014568136425517457, 0.001271339165754213, 0.008722653862273692, -0.008034015087659687,
    -0.05422000099178036, 0.16405128003350503, -0.16603039761529106, -0.09276382658574624,
    1.2769783815525286,
)  # fmt: skip


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    """Horner's rule."""
    total = x * coefficients[0] + coefficients[1]
    for c in coefficients[2:]:
        total = total * x + c
    return total


@primitive(floating=True)
def erf(xp: Any, x: Any, /) -> Any:
    """The error function: 2/sqrt(pi) times the integral of exp(-t*t) from 0 to x.

    Source: the form of the fit for |x| > 1 follows Shepherd and Laframboise, "Chebyshev
    approximation of (1 + 2x) exp(x*x) erfc x" (1981).

    >>> import gpugrad as gg
    >>> gg.round(gg.erf(gg.tensor([0.0, 1.0])), 4)
    tensor([0.    , 0.8427])
    """
    if x.dtype == float16:
        return xp.astype(erf.forward(xp, xp.astype(x, float32)), float16)
    distance = xp.abs(x)
    inner = xp.minimum(distance, 1)
    outer = xp.minimum(xp.maximum(distance, 1), 6)
    tail = _polynomial(FAR, (outer - 2) / (outer + 2)) / (outer * 2 + 1)
    far = xp.copysign(1 - xp.exp(-outer * outer) * tail, x)
    return xp.where(distance < 1, x * _polynomial(NEAR, inner * inner), far)


@erf.partial("x")
def derf_dx(xp: Any, x: Any) -> Any:
    return xp.exp(-x * x) * (2 / math.sqrt(math.pi))
