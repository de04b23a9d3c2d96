"""What tests of CuPy's own classes use, which need no GPU."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from gpugrad.cuda import backend as backends
from gpugrad.device import ARRAYS


@pytest.fixture
def cupy_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tensors hold CuPy's arrays, and no driver is asked for anything."""
    pytest.importorskip("cupy", reason="needs CuPy, but no GPU")
    from tests.cuda.made_up import Stub, cp

    monkeypatch.setattr(backends, "backend", functools.cache(Stub))
    before = set(ARRAYS)
    ARRAYS.add(cp.ndarray)
    yield
    ARRAYS.intersection_update(before)
