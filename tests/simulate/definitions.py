"""What the PTX manual defines, in Python's exact numbers; nothing here uses the code under test."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import numpy as np

from gpugrad.simulate.arithmetic.table import operation

#: Precision in bits, and the smallest and largest exponent of a normal number.
FORMATS = {
    "f16": (11, -14, 15),
    "bf16": (8, -126, 127),
    "f32": (24, -126, 127),
    "f64": (53, -1022, 1023),
}
#: How the bits of each format are stored, and their struct codes.
STORED = {"f16": ("u2", "H", "e"), "f32": ("u4", "I", "f"), "f64": ("u8", "Q", "d")}


def run(opcode, *arrays, count=0):
    """The operation's results on read-only arrays of the dtypes it names; checks dtype, shape."""
    found = operation(opcode, count)
    assert found is not None, f"{opcode} is not in the table"
    dtypes = [array.dtype for array in arrays]
    assert dtypes[: len(found.sources)] == list(found.sources), opcode
    assert len(arrays) == len(found.sources) + found.reads_carry, opcode
    arrays = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    with np.errstate(all="ignore"):
        result = found.function(*arrays)
    results = result if isinstance(result, tuple) else (result,)
    expected = [*found.results, *([np.dtype(bool)] if found.writes_carry else [])]
    assert [one.dtype for one in results] == expected, opcode
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    assert {one.shape for one in results} == {shape}, opcode
    assert all(one.flags.writeable for one in results), f"{opcode} gives its source away"
    return result


def exponent_of(size: Fraction) -> int:
    """The largest e with 2**e <= size."""
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    return exponent if Fraction(2) ** exponent <= size else exponent - 1


def rounded(value: Fraction, kind: str, rounding: str = "rn") -> float:
    """The number of the format that an exact value rounds to."""
    precision, lowest, highest = FORMATS[kind]
    if value == 0:
        return 0.0
    sign, size = (-1 if value < 0 else 1), abs(value)
    unit = Fraction(2) ** (max(exponent_of(size), lowest) - precision + 1)
    count, rest = divmod(size, unit)
    outward = {"rm": sign < 0, "rp": sign > 0, "rz": False}
    if rounding == "rn":
        count += 2 * rest > unit or (2 * rest == unit and count % 2)
    else:
        count += outward[rounding] and rest > 0
    largest = (2 - Fraction(2) ** (1 - precision)) * Fraction(2) ** highest
    if count * unit > largest:
        return sign * (math.inf if rounding == "rn" or outward[rounding] else float(largest))
    return math.copysign(float(count * unit), sign)


def root(value: Fraction) -> Fraction:
    """The square root, or a fraction nearer to it than any rounding can tell."""
    bits = 2400
    scaled = value * 4**bits
    whole = math.isqrt(scaled.numerator // scaled.denominator)
    exact = Fraction(whole) ** 2 == scaled
    return (Fraction(whole) + (0 if exact else Fraction(1, 2))) / 2**bits


def flushed(x: float, kind: str) -> float:
    return math.copysign(0.0, x) if abs(x) < 2.0 ** FORMATS[kind][1] else x


def saturated(x: float) -> float:
    return 0.0 if not x > 0 else min(x, 1.0)


def same(got, expected) -> bool:
    """Equal with the same sign of zero; any NaN equals any other."""
    if math.isnan(expected):
        return math.isnan(got)
    return got == expected and math.copysign(1, got) == math.copysign(1, expected)


def differences(opcode, got, expected, *sources):
    """A readable list of the first lanes that differ, empty if none."""
    wrong = [k for k in range(len(expected)) if not same(got[k], expected[k])]
    return [
        f"{opcode}{tuple(source[k] for source in sources)} = {got[k]!r}, not {expected[k]!r}"
        for k in wrong[:5]
    ]


def from_bits(bits, kind: str) -> list[float]:
    """Python floats from the bits of numbers."""
    if kind == "bf16":
        return from_bits([int(word) << 16 for word in bits], "f32")
    _, whole, real = STORED[kind]
    return [struct.unpack(f"<{real}", struct.pack(f"<{whole}", int(word)))[0] for word in bits]


def to_bits(numbers, kind: str) -> list[int]:
    """The bits of numbers that the format holds exactly."""
    if kind == "bf16":
        return [word >> 16 for word in to_bits(numbers, "f32")]
    _, whole, real = STORED[kind]
    return [struct.unpack(f"<{whole}", struct.pack(f"<{real}", x))[0] for x in numbers]


def register(numbers, kind: str) -> np.ndarray:
    """An array of registers that hold these numbers."""
    bits = to_bits(numbers, kind)
    if kind == "bf16":
        return np.array(bits, np.uint16)
    stored = STORED[kind][0]
    return np.array(bits, stored).view(stored.replace("u", "f"))


def held(registers, kind: str) -> list[float]:
    """The numbers in registers."""
    return from_bits(np.asarray(registers).view(f"u{registers.dtype.itemsize}"), kind)


def edges(kind: str) -> list[float]:
    """0, the smallest and largest numbers, 1 and its neighbours, infinity, NaN."""
    precision, lowest, highest = FORMATS[kind]
    last = 2.0 ** (1 - precision)
    positive = [
        0.0,
        math.ldexp(last, lowest),
        math.ldexp(1 - last, lowest),
        math.ldexp(1.0, lowest),
        math.ldexp(1 + last, lowest),
        1 - last / 2,
        1.0,
        1 + last,
        1.5,
        3.0,
        math.ldexp(1.0, precision),
        math.ldexp(2 - last, highest),
        math.ldexp(1.0, highest),
        math.inf,
    ]
    return [*positive, *(-x for x in positive), math.nan]


def draws(kind: str, rng: np.random.Generator, count: int) -> list[float]:
    """Numbers of every size, by random bits, and short ones near 1, whose sums and products tie."""
    precision = FORMATS[kind][0]
    width = {"f64": 64, "f32": 32}.get(kind, 16)
    anything = from_bits(rng.integers(0, 2**width, count // 2, dtype=np.uint64), kind)
    mantissas = rng.integers(-(2**precision), 2**precision, count - count // 2)
    mantissas >>= rng.integers(0, precision - 1, mantissas.shape)
    exponents = rng.integers(-precision, 3, mantissas.shape)
    return [*anything, *map(math.ldexp, map(float, mantissas), map(int, exponents))]


def operands(kind: str, arity: int, seed: int = 0, count: int = 600) -> list[list[float]]:
    """Columns of operands: edges with edges, draws with draws, and for three, cancellation."""
    rng = np.random.default_rng(seed)
    marks = edges(kind)
    if arity == 1:
        return [[*marks, *draws(kind, rng, count)]]
    columns = [
        [marks[k] for k in rng.integers(0, len(marks), count)] + draws(kind, rng, count)
        for _ in range(arity)
    ]
    for column in columns:
        rng.shuffle(column)
    if arity == 3:  # c near -a * b, or near half a last place of it
        a, b, c = columns
        for k in range(0, len(c), 3):
            product = a[k] * b[k]
            if 2.0 ** FORMATS[kind][1] < abs(product) < 2.0 ** FORMATS[kind][2]:
                c[k] = rounded(-Fraction(product), kind)
                if k % 2:
                    half = exponent_of(abs(Fraction(product))) - FORMATS[kind][0]
                    c[k] = rounded(Fraction(2) ** half * int(rng.choice([-1, 1])), kind)
    return columns


def integers(kind: str, seed: int = 0, count: int = 300) -> np.ndarray:
    """Integers of a type: the extremes and their neighbours, small ones, random bits."""
    width, signed = int(kind[1:]), kind[0] == "s"
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    marks = [low, low + 1, high, high - 1, 0, 1, 2, 3, 7, 2 ** (width - 2), high // 3]
    marks += [-1, -2, -3] if signed else []
    rng = np.random.default_rng(seed)
    numbers = [*marks, *(int.from_bytes(rng.bytes(width // 8), "little") for _ in range(count))]
    shifts = rng.integers(0, width, len(numbers)).tolist()
    numbers += [n >> shift for n, shift in zip(numbers, shifts, strict=True)]
    rng.shuffle(numbers)
    return np.array([wrapped(n, kind) for n in numbers], integer_dtype(kind))


def integer_dtype(kind: str) -> np.dtype:
    return np.dtype(f"{'i' if kind[0] == 's' else 'u'}{int(kind[1:]) // 8}")


def wrapped(number: int, kind: str) -> int:
    """The low bits of an integer, read as the type."""
    width = int(kind[1:])
    number &= 2**width - 1
    return number - 2**width if kind[0] == "s" and number >> (width - 1) else number


def clamped(number: int, kind: str) -> int:
    width = int(kind[1:])
    if kind[0] == "s":
        return max(-(2 ** (width - 1)), min(2 ** (width - 1) - 1, number))
    return max(0, min(2**width - 1, number))
