"""What functions are by definition, in Python's numbers: for what `math` and NumPy lack.

Rounded results come from exact fractions, so that they owe nothing to a floating-point unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from statistics import NormalDist
from typing import Any

import numpy as np

_PI = Decimal("3.1415926535897932384626433832795028841971693993751")
_BERNOULLI = [
    Fraction(*number)
    for number in ((1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510))
]
MODES = {"rn": "to nearest, ties to even", "rz": "to zero", "rd": "down", "ru": "up"}


def rounded(exact: Fraction | float, dtype: Any, mode: str) -> Any:
    """An exact number as a float of `dtype`, rounded by one of MODES; no overflow expected."""
    exact = Fraction(exact)
    near = dtype(float(exact))  # off by one place at most, if rounded twice
    below = near if Fraction(float(near)) <= exact else np.nextafter(near, dtype(-np.inf))
    if Fraction(float(below)) == exact:
        return below
    above = np.nextafter(below, dtype(np.inf))
    if mode == "rn":
        down, up = exact - Fraction(float(below)), Fraction(float(above)) - exact
        odd = int(below.view(f"u{below.itemsize}")) % 2
        return above if up < down or (up == down and odd) else below
    return {"rd": below, "ru": above, "rz": below if exact > 0 else above}[mode]


def rounded_root(value: float, dtype: Any, mode: str) -> Any:
    """The square root, rounded by one of MODES."""
    exact = Fraction(value)
    scale = 4**300  # a root with 300 bits behind the point decides every case but the exact ones
    root = math.isqrt(int(exact * scale**2 // 1)) if exact else 0
    inexact = Fraction(root, scale) ** 2 != exact
    return rounded(Fraction(2 * root + inexact, 2 * scale), dtype, mode)


def rounded_integer(value: float, mode: str) -> int:
    return {"rn": round, "rz": math.trunc, "rd": math.floor, "ru": math.ceil}[mode](value)


def sin_of_pi(x: float) -> float:
    """sin(pi x), exactly 0 where it is."""
    turn = math.remainder(x, 2)
    near = math.copysign(1 - abs(turn), turn) if abs(turn) > 0.5 else turn
    return math.sin(math.pi * near)


def cos_of_pi(x: float) -> float:
    return sin_of_pi(0.5 - abs(math.remainder(x, 2)))


def half_away(value: float) -> float:
    """Rounded to an integer, halves away from zero."""
    return math.copysign(math.floor(abs(value) + 0.5), value)


def signed(value: int, bits: int) -> int:
    """The last bits of a number, read in two's complement."""
    value %= 2**bits
    return value - 2**bits if value >= 2 ** (bits - 1) else value


def unsigned(function: Callable[..., int], bits: int = 32) -> Callable[..., int]:
    """A function of unsigned numbers, on the signed ones that Numba declares."""
    return lambda *values: signed(function(*(value % 2**bits for value in values)), bits)


def leading_zeros(value: int, bits: int) -> int:
    return bits - (value % 2**bits).bit_length()


def first_set(value: int, bits: int) -> int:
    """Counting from 1; 0 if there is none."""
    value %= 2**bits
    return (value & -value).bit_length()


def reversed_bits(value: int, bits: int) -> int:
    return signed(int(f"{value % 2**bits:0{bits}b}"[::-1], 2), bits)


def chosen_bytes(low: int, high: int, choice: int) -> int:
    """Four of the eight bytes of two words: each of the last four digits names one."""
    source = (low % 2**32).to_bytes(4, "little") + (high % 2**32).to_bytes(4, "little")
    digits = (choice % 2**32 >> 4 * k & 7 for k in range(4))
    return int.from_bytes(bytes(source[digit] for digit in digits), "little", signed=True)


def integral(function: Callable[[np.ndarray], np.ndarray], low: float, high: float) -> float:
    """By Gauss and Legendre's rule in 64 panels: to the last places, for smooth functions."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    edges = np.linspace(low, high, 65)
    half = np.diff(edges)[:, None] / 2
    return float((function(edges[:-1, None] + half * (1 + nodes)) * weights * half).sum())


def bessel_j(order: int, x: float) -> float:
    """Of the first kind, as Bessel's integral."""
    return integral(lambda t: np.cos(order * t - x * np.sin(t)), 0, math.pi) / math.pi


def bessel_y(order: int, x: float) -> float:
    """Of the second kind, by Schläfli's integral (DLMF 10.9.7)."""

    def tail(t: np.ndarray) -> np.ndarray:
        growth = np.exp(order * t) + (-1) ** order * np.exp(-order * t)
        return growth * np.exp(-x * np.sinh(t))

    wave = integral(lambda t: np.sin(x * np.sin(t) - order * t), 0, math.pi)
    return (wave - integral(tail, 0, math.asinh(60 / x) + 2)) / math.pi


def log_gamma(x: float) -> float:
    """log|gamma(x)| in 40 digits, from Stirling's series (DLMF 5.11.1) far to the right."""
    with localcontext() as context:
        context.prec = 40
        place, total = Decimal(x), Decimal(0)
        while place < 40:
            total -= abs(place).ln()
            place += 1
        total += (place - Decimal("0.5")) * place.ln() - place + (2 * _PI).ln() / 2
        for k, number in enumerate(_BERNOULLI, 1):
            top, bottom = map(Decimal, number.as_integer_ratio())
            total += top / bottom / (2 * k * (2 * k - 1) * place ** (2 * k - 1))
        return float(round(total, 24))  # exactly 0 at 1 and 2


def inverse_normal(p: float) -> float:
    """One step of Newton's method more than the standard library's 16 digits or so."""
    normal = NormalDist()
    x = normal.inv_cdf(p)
    tail = 0.5 * math.erfc(-x / math.sqrt(2)) if x < 0 else 0.5 * math.erfc(x / math.sqrt(2))
    miss = tail - p if x < 0 else (1 - p) - tail
    return x - miss / normal.pdf(x)


def inverse_erf(y: float) -> float:
    return _inverse(math.erf, y)


def inverse_erfc(y: float) -> float:
    return _inverse(math.erfc, y)


def _inverse(function: Callable[[float], float], y: float) -> float:
    """Of erf or erfc, by Newton's method from the inverse normal distribution."""
    sign = 1 if function is math.erf else -1
    p = (1 + y) / 2 if sign == 1 else 1 - y / 2
    x = 0.0 if p in (0, 1) else NormalDist().inv_cdf(p) / math.sqrt(2)
    for _ in range(3):
        x -= (function(x) - y) / (sign * 2 / math.sqrt(math.pi) * math.exp(-x * x))
    return x


def scaled_erfc(x: float) -> float:
    """exp(x**2) erfc(x); from 5 on by its continued fraction (DLMF 7.9.1)."""
    if x < 5:
        return math.exp(x * x) * math.erfc(x)
    fraction = x
    for k in range(60, 0, -1):
        fraction = x + k / 2 / fraction
    return 1 / fraction / math.sqrt(math.pi)


def quotient_bits(x: float, y: float) -> tuple[float, int]:
    """The remainder after the nearest quotient, and that quotient's sign and last three bits."""
    remainder = math.remainder(x, y)
    quotient = round((Fraction(x) - Fraction(remainder)) / Fraction(y))
    return remainder, int(math.copysign(abs(quotient) % 8, quotient))
