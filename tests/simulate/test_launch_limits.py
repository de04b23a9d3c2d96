"""Launches that no card would take are refused, saying which limit they break."""

from __future__ import annotations

import numpy as np
import pytest

from gpugrad.simulate.faults import LaunchError
from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from numba import cuda, float32  # noqa: E402

from gpugrad.simulate.frontend.cards import card  # noqa: E402
from gpugrad.simulate.frontend.frontend import compiled  # noqa: E402
from gpugrad.simulate.launch import check_launch, run  # noqa: E402
from tests.simulate.kernels.plain import VECTOR, bounded, reciprocal, shares  # noqa: E402


@cuda.jit
def shares_too_much(x):
    a = cuda.shared.array(12289, float32)
    a[cuda.threadIdx.x] = x[cuda.threadIdx.x]
    cuda.syncthreads()
    x[cuda.threadIdx.x] = a[99 - cuda.threadIdx.x]


@pytest.mark.parametrize("cc", [(6, 1), (7, 6), 75, "7.5", None, (9, 0, 0)])
def test_an_unknown_compute_capability(cc):
    with pytest.raises(LaunchError, match=r"\(7, 5\) as the T4, \(8, 0\) as the A100, \(9, 0\)"):
        run(reciprocal, 1, 1, np.zeros(1, np.float32), cc=cc)


def check(kernel, grid=(1, 1, 1), block=(1, 1, 1), shared_bytes=0, cc=(7, 5)):
    check_launch(compiled(kernel, VECTOR, cc), grid, block, shared_bytes, card(cc))


def test_launches_over_the_limits_are_refused():
    for message, options in {
        r"block \(1025, 1, 1\) is over the limits": {"block": (1025, 1, 1)},
        r"block \(1, 1, 65\) is over the limits": {"block": (1, 1, 65)},
        r"block \(32, 33, 1\) has 1056 threads, over 1024": {"block": (32, 33, 1)},
        r"grid \(2147483648, 1, 1\) is over": {"grid": (2**31, 1, 1)},
        r"grid \(1, 65536, 1\) is over": {"grid": (1, 65536, 1)},
        r"grid \(1, 1, 65536\) is over": {"grid": (1, 1, 65536)},
        "shared_bytes=-1 is negative": {"shared_bytes": -1},
    }.items():
        with pytest.raises(LaunchError, match=f"^reciprocal: {message}"):
            check(reciprocal, **options)
    check(reciprocal, (2**31 - 1, 65535, 65535), (16, 1, 64))
    with pytest.raises(LaunchError, match="96 threads, over the 64 of the kernel's launch_bounds"):
        check(bounded, block=(96, 1, 1))


@pytest.mark.parametrize(("cc", "kibibytes"), [((7, 5), 64), ((8, 0), 163), ((9, 0), 227)])
def test_shared_memory_over_the_card_is_refused(cc, kibibytes):
    most = kibibytes * 1024 - 440
    check(shares, shared_bytes=most, cc=cc)
    with pytest.raises(
        LaunchError, match=r"\(440 static, .* dynamic\); a block of the .* can have"
    ):
        check(shares, shared_bytes=most + 1, cc=cc)
    with pytest.raises(LaunchError, match=r"declares 49,156 bytes .* over 49,152\n  help: .*dynam"):
        check(shares_too_much, cc=cc)


@pytest.mark.parametrize("size", [0, -1, (), (1, 2, 3, 4), 1.5, "32", None, (32, 0)])
def test_dimensions_that_are_none(size):
    x = np.zeros(1, np.float32)
    with pytest.raises(LaunchError, match=r"^grid=.* is not one to three numbers above 0"):
        run(reciprocal, size, 1, x)
    with pytest.raises(LaunchError, match=r"^block=.* is not one to three numbers above 0"):
        run(reciprocal, 1, size, x)


@pytest.mark.parametrize("size", [128.0, "128", None])
def test_shared_bytes_that_are_no_integer(size):
    with pytest.raises(LaunchError, match=r"^reciprocal: shared_bytes=.* is no integer"):
        run(reciprocal, 1, 1, np.zeros(1, np.float32), shared_bytes=size)
