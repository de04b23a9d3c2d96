"""Arrays of a GPU come in from other libraries and go out to them without a copy, or are refused.

The memory is made up: what is seen is which door is taken, and on which device and stream.
"""

from __future__ import annotations

import functools
from types import SimpleNamespace

import pytest

import gpugrad as gg
from gpugrad.cuda import backend as backends
from gpugrad.errors import DtypeError, GraphError, MemberError
from gpugrad.foreign import foreign_array

pytest.importorskip("cupy", reason="needs CuPy, but no GPU")

from tests.cuda.made_up import cp, made_up, requiring_grad

pytestmark = [
    pytest.mark.once,
    pytest.mark.usefixtures("cupy_without_a_gpu"),
    # Where there is no driver, CuPy cannot name its stream, and says so on stderr.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

A = made_up()


def test_a_tensor_is_handed_out_once_it_requires_no_gradient():
    t = requiring_grad(A)
    with pytest.raises(MemberError, match=r"requires a gradient.*\n  help: hand out t\.detach\(\)"):
        _ = t.__cuda_array_interface__
    with pytest.raises(GraphError, match=r"DLPack: .*\n  help: hand out t\.detach\(\)"):
        t.__dlpack__()
    assert t.detach().__cuda_array_interface__["data"] == (A.data.ptr, False)
    assert t.detach().data is A


def test_dlpack_is_cupys_own_with_the_consumers_stream():
    class Array(SimpleNamespace):
        def __dlpack__(self, **options):
            return options

    t = gg.Tensor._wrap(Array(shape=(2,)))
    assert t.__dlpack__(stream=7, max_version=(1, 0)) == {"stream": 7, "max_version": (1, 0)}


def test_cupys_array_is_taken_as_it_is():
    t = gg.asarray(A)
    assert t.data is A
    with pytest.raises(gg.errors.OptionError, match="copy=False"):
        gg.asarray(A, dtype="float64", copy=False)


class Numba:
    """A device array of Numba's: it has this attribute alone."""

    def __init__(self, pointer: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (2, 3), "typestr": "<f4", "data": (pointer, False), "version": 3,
        }  # fmt: skip


class Torch:
    """A tensor of PyTorch's: it speaks DLPack, unless it requires a gradient."""

    def __init__(self, kind: int = 2, requires_grad: bool = False) -> None:
        self.kind, self.requires_grad = kind, requires_grad

    def __dlpack_device__(self):
        return self.kind, 0

    def __dlpack__(self, **options):
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return "capsule"

    @property
    def __cuda_array_interface__(self):
        raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad.")


@pytest.fixture
def cupy_backend(monkeypatch):
    """The real backend, with what CuPy would ask a driver answered for it."""
    from gpugrad.cuda.cupy_backend import CupyBackend

    gpu = CupyBackend()
    entered = []

    class Device:
        def __init__(self, index):
            self.index = index

        def __enter__(self):
            entered.append(self.index)

        def __exit__(self, *error):
            entered.append("left")

    monkeypatch.setattr(cp.cuda, "Device", Device)
    monkeypatch.setattr(
        cp.cuda.runtime, "pointerGetAttributes", lambda pointer: SimpleNamespace(device=pointer % 2)
    )
    monkeypatch.setattr(backends, "backend", functools.cache(lambda: gpu))
    monkeypatch.setattr(cp, "asarray", lambda obj: (obj, entered[-1]))
    monkeypatch.setattr(cp, "from_dlpack", lambda obj: obj.__dlpack__(stream=1) and (obj, "dlpack"))
    return gpu


def test_numbas_array_is_taken_on_its_own_gpu(cupy_backend):
    for pointer, index in ((4096, 0), (4097, 1)):
        array = Numba(pointer)
        assert foreign_array(array) == (array, index)


@pytest.mark.parametrize("kind", [2, 13])
def test_pytorchs_tensor_is_taken_by_dlpack(cupy_backend, kind):
    array = Torch(kind)
    assert foreign_array(array) == (array, "dlpack")


def test_a_tensor_of_pytorch_with_a_gradient_is_refused(cupy_backend):
    with pytest.raises(DtypeError, match=r"Torch on a GPU cannot be shared: .*\n  help: x\.detach"):
        gg.asarray(Torch(requires_grad=True))


def test_tf32_is_cupys_own_switch(cupy_backend):
    assert not cupy_backend.tf32_allowed()
    cupy_backend.allow_tf32(False)
    assert not cupy_backend.tf32_allowed()
    linalg = pytest.importorskip("cupy._core._routines_linalg")
    assert {linalg.COMPUTE_TYPE_DEFAULT, linalg.COMPUTE_TYPE_TF32} == {1, 7}
