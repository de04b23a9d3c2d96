"""Explicit, seedable, counter-based random numbers.

A generator is a seed and a position. Its words are those of Philox 4x64-10 with the seed as key and
the position as counter (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), so any
stretch of the stream can be recomputed anywhere from two integers.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from gpugrad.dtypes import Dtype, as_dtype
from gpugrad.errors import DtypeError, OptionError, ShapeError, StateError

Shape = int | tuple[int, ...]
BLOCK = 4  # 64-bit words that one value of the counter yields


class Generator:
    """A stream of random numbers: `seed` is its key, `position` its counter, in blocks of 4 words.

    Every method returns a NumPy array on the host and moves `position` past what it used.

    Args:
        seed: from 0 to 2**64 - 1.
    Raises:
        OptionError: the seed is not such an integer.

    >>> g = Generator(0)
    >>> g.uniform((2,)).tolist() == Generator(0).uniform((2,)).tolist()
    True
    """

    def __init__(self, seed: int = 0) -> None:
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` from its beginning."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise OptionError(f"Generator(seed={seed!r}): the seed must be an integer")
        if not 0 <= seed < 2**64:
            raise OptionError(f"Generator(seed={seed}): the seed must lie in [0, 2**64)")
        self.seed = int(seed)
        self.position = 0
        return self

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, position={self.position})"

    def words(self, count: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """The next `count` words, uint64; a block once begun is used up."""
        philox = np.random.Philox(key=self.seed, counter=self.position)
        self.position += -(-count // BLOCK)
        return philox.random_raw(count)

    def skip(self, count: int) -> tuple[int, int]:
        """Move past `count` numbers of 32 bits, for a kernel that draws them itself.

        Returns: (seed, position) from which they come: four 64-bit words a block, the low half of
            a word first.
        """
        start = self.seed, self.position
        self.position += -(-count // (2 * BLOCK))
        return start

    def _halves(self, count: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
        # Little-endian order, so that the low half of a word comes first on every machine.
        return self.words(-(-count // 2)).astype("<u8", copy=False).view("<u4")[:count]

    def uniform(
        self, shape: Shape, low: float = 0.0, high: float = 1.0, dtype: Any = "float32"
    ) -> np.ndarray[Any, Any]:
        """Numbers from [low, high): integers of 24 (float64: 53) bits, scaled by a power of two."""
        size, wanted = math.prod(as_shape(shape)), _floating(dtype)
        if wanted.itemsize == 8:
            unit = (self.words(size) >> np.uint64(11)) * 2.0**-53
        else:
            unit = (self._halves(size) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
        drawn = unit if (low, high) == (0.0, 1.0) else low + unit * (high - low)
        return drawn.astype(wanted, copy=False).reshape(as_shape(shape))

    def normal(
        self, shape: Shape, mean: float = 0.0, std: float = 1.0, dtype: Any = "float32"
    ) -> np.ndarray[Any, Any]:
        """Normal numbers, by Box and Muller (1958) in float64: sqrt(-2 ln u) cos(2 pi v)."""
        size, wanted = math.prod(as_shape(shape)), _floating(dtype)
        pairs = -(-size // 2)
        unit = self.uniform((2, pairs), dtype="float64")
        radius = np.sqrt(-2.0 * np.log1p(-unit[0]))  # 1 - u lies in (0, 1]
        angle = (2.0 * math.pi) * unit[1]
        both = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:size]
        return (mean + std * both).astype(wanted).reshape(as_shape(shape))

    def integers(self, shape: Shape, high: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Integers from [0, high), int64; the bias of the remainder is below high / 2**64."""
        if high < 1:
            raise OptionError(f"Generator.integers(high={high}): high must be at least 1")
        words = self.words(math.prod(as_shape(shape)))
        return (words % np.uint64(high)).astype(np.int64).reshape(as_shape(shape))

    def permutation(self, n: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The integers below n in random order, (n,) int64: the order of n random words."""
        return np.argsort(self.words(n), kind="stable")

    def bernoulli(self, shape: Shape, p: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """True with probability p, to within 2**-32."""
        if not 0.0 <= p <= 1.0:
            raise OptionError(f"Generator.bernoulli(p={p}): a probability lies in [0, 1]")
        if p == 1.0:
            return np.ones(as_shape(shape), bool)
        drawn = self._halves(math.prod(as_shape(shape)))
        return (drawn < np.uint32(threshold(p))).reshape(as_shape(shape))

    def state_dict(self) -> dict[str, int]:
        """The two integers from which the stream goes on."""
        return {"seed": self.seed, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from where `state` was taken.

        Raises:
            StateError: `state` is not what `state_dict` gives.
        """
        if set(state) != {"seed", "position"}:
            raise StateError(
                f"Generator.load_state_dict: the keys are {sorted(state)}\n"
                "  help: it takes what Generator.state_dict() gave: 'position' and 'seed'"
            )
        self.manual_seed(state["seed"])
        self.position = int(state["position"])


def threshold(p: float) -> int:
    """The number below which 32 bits lie with probability p, to within 2**-32.

    >>> threshold(0.5), threshold(1.0)
    (2147483648, 4294967296)
    """
    return 2**32 if p == 1.0 else min(round(p * 2.0**32), 2**32 - 1)


def _floating(dtype: Any) -> Dtype:
    wanted = as_dtype(dtype)
    if wanted.kind != "f":
        raise DtypeError(f"uniform and normal numbers are floating, not {wanted}; see integers()")
    return wanted


def as_shape(shape: Shape) -> tuple[int, ...]:
    """A shape as a tuple of integers.

    Raises:
        ShapeError: it is none.
    """
    try:
        sizes = tuple(map(operator.index, (shape,) if isinstance(shape, int) else shape))
    except TypeError:
        sizes = (-1,)
    if sizes and min(sizes) < 0:
        raise ShapeError(f"{shape!r} is not a shape: use integers >= 0")
    return sizes


_default = Generator(0)


def default_generator() -> Generator:
    """The generator that everything draws from when none is given; its seed is 0 at the start."""
    return _default


def manual_seed(seed: int) -> Generator:
    """Seed the default generator, and return it.

    >>> import gpugrad as gg
    >>> gg.manual_seed(7)
    Generator(seed=7, position=0)
    """
    return _default.manual_seed(seed)
