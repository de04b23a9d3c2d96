"""What tests of several folders use."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from gpugrad.dtypes import default_float, float32, set_default_dtype
from gpugrad.namespace import PRIMITIVES


@pytest.fixture
def line_of(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Where the line of the test's own file that ends with the comment `# text` stands."""

    def find(text: str) -> str:
        lines = request.path.read_text(encoding="utf-8").splitlines()
        numbers = [n for n, line in enumerate(lines, 1) if line.endswith(f"# {text}")]
        assert len(numbers) == 1, text
        return f"{request.path}:{numbers[0]}"

    return find


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Without the cycle collector: only what is in no reference cycle is freed."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def own_primitives() -> Iterator[None]:
    """Forget the primitives that the test declares."""
    before = dict(PRIMITIVES)
    yield
    PRIMITIVES.clear()
    PRIMITIVES.update(before)


@pytest.fixture(autouse=True)
def _default_float_is_restored() -> Iterator[None]:
    yield
    if default_float() != float32:
        set_default_dtype(float32)
