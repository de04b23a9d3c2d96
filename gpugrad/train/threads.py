"""How many threads the matrix products of a training are worth.

OpenBLAS splits even small products over all cores and lets its threads wait for each other in a
loop. On 2 cores that nothing else uses, `gpugrad train` takes 4 s for the digits with one thread
or two; beside another busy process it took 47 s with two, 5 s with one (NumPy 2.4, November 2026).
A single thread also gives the same bits on machines with different numbers of cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

SHARED = 2**25  # multiplications in a product, above which all cores are worth their while
CHOSEN = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def suited_threads(batch: int, sizes: Sequence[int]) -> Iterator[int | None]:
    """Within the block, BLAS uses one thread if a network's products are too small to share.

    Nothing changes where one of the usual environment variables chooses the number of threads, or
    where threadpoolctl is not installed.

    Args:
        batch: examples in a batch.
        sizes: features from the input to the output.
    Returns: 1, or None where nothing was changed.

    >>> with suited_threads(4096, [4096, 4096]) as threads:
    ...     print(threads)
    None
    """
    largest = max(batch * m * n for m, n in pairwise(sizes))
    if largest > SHARED or any(name in os.environ for name in CHOSEN):
        yield None
        return
    try:
        from threadpoolctl import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
            threadpool_limits,
        )
    except ImportError:
        yield None
        return
    with threadpool_limits(1, user_api="blas"):
        yield 1
