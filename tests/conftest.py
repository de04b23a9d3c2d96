"""What tests of several folders use."""

from __future__ import annotations

import gc
import struct
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.dtypes import default_float, float32, set_default_dtype
from gpugrad.namespace import PRIMITIVES

SIMULATED = gg.cuda.is_simulated()
# Where each test runs: on the CPU, and on a GPU if there is one; or on the simulated one alone.
DEVICES = [] if SIMULATED else ["cpu"]
if gg.cuda.is_available():
    DEVICES.append(pytest.param("cuda", marks=pytest.mark.cuda))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on every device, but those marked `once`."""
    if metafunc.definition.get_closest_marker("once") is None:
        metafunc.parametrize("device", DEVICES, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With a simulated device, leave out what has nothing to do with devices."""
    if SIMULATED:
        once = [item for item in items if _runs_once(item)]
        config.hook.pytest_deselected(items=once)
        items[:] = [item for item in items if not _runs_once(item)]


def _runs_once(item: pytest.Item) -> bool:
    return isinstance(item, pytest.DoctestItem) or item.get_closest_marker("once") is not None


@pytest.fixture(autouse=True)
def device(request: pytest.FixtureRequest) -> Iterator[gg.Device]:
    """The device that the test computes on, which is the default one meanwhile."""
    with gg.default_device(getattr(request, "param", "cpu")) as chosen:
        yield chosen


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


@pytest.fixture
def tiny_mnist(tmp_path):
    """A folder with MNIST's four files: 300 and 50 images of a bright bar, by its place 0 to 9."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for part, count in (("train", 300), ("t10k", 50)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = rng.integers(0, 60, (count, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[:, 2 * label + 3 : 2 * label + 6] += 180
        header = struct.pack(">4I", 0x803, count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = struct.pack(">2I", 0x801, count)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    return folder
