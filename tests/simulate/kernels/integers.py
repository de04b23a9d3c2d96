"""Integer arithmetic: loops of unlike lengths, bits, and a generator of random numbers."""

from __future__ import annotations

import numpy as np
from numba import cuda, int32, int64, uint32, uint64

from tests.simulate.kernels.case import Case


@cuda.jit
def gcd(a, b, out):
    i = int32(cuda.grid(1))
    if i < int32(out.size):
        x, y = a[i], b[i]
        while y != 0:
            x, y = y, int32(x % y)
        out[i] = x


@cuda.jit
def collatz(starts, steps):
    i = int32(cuda.grid(1))
    if i < int32(starts.size):
        n = starts[i]
        count = int32(0)
        while n != int64(1):
            n = n >> 1 if n & 1 == 0 else 3 * n + 1
            count = int32(count + int32(1))
        steps[i] = count


@cuda.jit
def bit_counts(x, ones, zeros_above, first, reversed_bits):
    i = int32(cuda.grid(1))
    if i < int32(x.size):
        ones[i] = cuda.popc(x[i])
        zeros_above[i] = cuda.clz(x[i])
        first[i] = cuda.ffs(x[i])
        reversed_bits[i] = cuda.brev(x[i])


@cuda.jit
def division(a, b, floor, remainder):
    i = int32(cuda.grid(1))
    if i < int32(a.size):
        floor[i] = a[i] // b[i]
        remainder[i] = a[i] % b[i]


@cuda.jit(device=True)
def philox_round(c0, c1, c2, c3, k0, k1):
    p0, p1 = uint64(0xD2511F53) * uint64(c0), uint64(0xCD9E8D57) * uint64(c2)
    return (
        uint32(p1 >> uint64(32)) ^ c1 ^ k0,
        uint32(p1),
        uint32(p0 >> uint64(32)) ^ c3 ^ k1,
        uint32(p0),
    )


@cuda.jit
def philox(counters, keys, out):
    i = int32(cuda.grid(1))
    if i < int32(counters.shape[1]):
        c0, c1, c2, c3 = counters[0, i], counters[1, i], counters[2, i], counters[3, i]
        k0, k1 = keys[0, i], keys[1, i]
        turn = int32(0)
        while turn < int32(10):
            c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
            k0, k1 = uint32(k0 + uint32(0x9E3779B9)), uint32(k1 + uint32(0xBB67AE85))
            turn = int32(turn + int32(1))
        out[0, i], out[1, i], out[2, i], out[3, i] = c0, c1, c2, c3


def _gcd(a, b, out):
    out[:] = np.gcd(a, b)


def _collatz(starts, steps):
    for i, start in enumerate(starts.tolist()):
        n = start
        while n != 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            steps[i] += 1


def _bit_counts(x, ones, zeros_above, first, reversed_bits):
    width = 8 * x.itemsize
    for i, value in enumerate(x.tolist()):
        digits = f"{value:0{width}b}"
        ones[i] = digits.count("1")
        zeros_above[i] = width - value.bit_length()
        first[i] = (value & -value).bit_length()
        reversed_bits[i] = int(digits[::-1], 2)


def _division(a, b, floor, remainder):
    floor[:], remainder[:] = np.divmod(a, b)


# Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (2011): the known answers of its
# authors' Random123 for counters and keys of zeros, of ones, and of the digits of pi.
ANSWERS = {
    (0, 0, 0, 0, 0, 0): (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    (0xFFFFFFFF,) * 6: (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0): (
        0xD16CFE09,
        0x94FDCCEB,
        0x5001E420,
        0x24126EA1,
    ),
}


def _philox(counters, keys, out):
    for i in range(counters.shape[1]):
        c, k = counters[:, i].tolist(), keys[:, i].tolist()
        known = ANSWERS.get((*c, *k))
        for turn in range(10):
            p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            k0, k1 = (k[0] + turn * 0x9E3779B9) % 2**32, (k[1] + turn * 0xBB67AE85) % 2**32
            c = [p1 >> 32 ^ c[1] ^ k0, p1 % 2**32, p0 >> 32 ^ c[3] ^ k1, p0 % 2**32]
        assert known in (None, tuple(c))
        out[:, i] = c


def _philox_arguments(generator, n=70):
    words = generator.integers(0, 2**32, (6, n), np.uint32)
    words[:, :3] = np.array(list(ANSWERS), np.uint32).T
    return words[:4].copy(), words[4:].copy(), np.zeros((4, n), np.uint32)


def _bit_arguments(dtype):
    def arguments(generator, n=65):
        x = generator.integers(0, np.iinfo(dtype).max, n, dtype)
        x[:3] = 0, 1, np.iinfo(dtype).max
        return x, *np.zeros((3, n), np.int32), np.zeros(n, dtype)

    return arguments


def _division_arguments(dtype):
    def arguments(generator, n=99):
        low = np.iinfo(dtype).min // 2
        a, b = generator.integers(low, np.iinfo(dtype).max, (2, n), dtype)
        b[::2] = b[::2] % 17 + 1
        return a, b, np.zeros(n, dtype), np.zeros(n, dtype)

    return arguments


CASES = [
    Case(
        "gcd",
        gcd,
        2,
        64,
        lambda g: (*g.integers(0, 10**6, (2, 101), np.int32), np.zeros(101, np.int32)),
        _gcd,
    ),
    Case(
        "collatz",
        collatz,
        2,
        64,
        lambda g: (g.integers(1, 10**4, 90), np.zeros(90, np.int32)),
        _collatz,
    ),
    Case("bit_counts_32", bit_counts, 2, 64, _bit_arguments(np.uint32), _bit_counts),
    Case("bit_counts_64", bit_counts, 2, 64, _bit_arguments(np.uint64), _bit_counts),
    Case("division_32", division, 2, 64, _division_arguments(np.int32), _division),
    Case("division_64", division, 2, 64, _division_arguments(np.int64), _division),
    Case("philox", philox, 3, 32, _philox_arguments, _philox),
]
