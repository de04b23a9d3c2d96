"""Arguments: typed as Numba's dispatcher types them, and laid out in memory as a driver would."""

from __future__ import annotations

import enum
import re
from collections import namedtuple

import numpy as np
import pytest

from gpugrad.simulate.faults import LaunchError
from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from numba import cuda, types  # noqa: E402

from gpugrad.simulate.frontend.arguments import place, types_of  # noqa: E402
from gpugrad.simulate.frontend.frontend import Kernel, Options, as_kernel, compiled  # noqa: E402


class Memory:
    """A device as far as arguments go: each allocation at a multiple of 256, with byte states."""

    def __init__(self):
        self.allocations = []

    def allocate(self, nbytes, name=""):
        pointer = 4096 + sum(-(-len(data) // 256) * 256 for _, data, _, _ in self.allocations)
        state = np.full(nbytes, "unwritten", object)
        self.allocations.append((pointer, np.zeros(nbytes, np.uint8), state, name))
        return pointer

    def view(self, pointer, nbytes):
        for start, data, _, _ in self.allocations:
            if start <= pointer and pointer + nbytes <= start + len(data):
                return data[pointer - start : pointer - start + nbytes]
        raise AssertionError(pointer)

    def mark(self, pointer, nbytes, state, where=slice(None)):
        for start, data, states, _ in self.allocations:
            if start <= pointer < start + len(data):
                assert pointer + nbytes <= start + len(data)
                states[pointer - start : pointer - start + nbytes][where] = state

    def state(self, pointer, nbytes):
        for start, data, states, _ in self.allocations:
            if start <= pointer < start + max(1, len(data)):
                return states[pointer - start : pointer - start + nbytes]
        raise AssertionError(pointer)


def kernel_of(count):
    names = ", ".join("abcdefgh"[:count])
    scope = {}
    exec(f"def kernel({names}):\n    pass", scope)
    return Kernel(scope["kernel"], Options())


def placed(*args):
    kernel, memory = kernel_of(len(args)), Memory()
    return memory, place(memory, kernel, types_of(kernel, args), args)


class Colour(enum.IntEnum):
    RED = 3


class Weight(enum.Enum):
    HALF = 0.5


Point = namedtuple("Point", "x y")
RECORD = np.dtype([("a", np.int8), ("b", np.float32), ("c", np.int16, (3,))], align=True)

VALUES = {
    "int": 5,
    "negative int": -(2**40),
    "large int": 2**63,
    "float": 0.1,
    "bool": True,
    "complex": 1.5 - 2j,
    "int8": np.int8(-3),
    "uint64": np.uint64(2**64 - 1),
    "float16": np.float16(0.1),
    "float32": np.float32(0.1),
    "complex64": np.complex64(1 + 2j),
    "numpy bool": np.bool_(True),
    "date": np.datetime64("2026-08-01T12:00", "s"),
    "interval": np.timedelta64(-3, "ms"),
    "tuple": (1, np.float32(2), (3.0, False)),
    "namedtuple": Point(np.int32(1), 2.0),
    "empty tuple": (),
    "integer enum": Colour.RED,
    "enum": Weight.HALF,
    "record": np.zeros(1, RECORD)[0],
    "array": np.zeros((2, 3), np.float32),
    "fortran array": np.zeros((2, 3), np.float64, order="F"),
    "strided array": np.zeros((4, 6), np.int16)[::2, ::-1],
    "zero-dimensional array": np.zeros((), np.uint8),
    "empty array": np.zeros((0, 3), np.float32),
    "array of records": np.zeros(3, RECORD),
    "array of dates": np.zeros(3, "M8[ns]"),
    "tuple of arrays": (np.zeros(2, np.float32), np.zeros((1, 1), np.int8)),
}


@pytest.mark.parametrize("name", VALUES)
def test_types_are_those_of_the_dispatcher(name):
    @cuda.jit
    def kernel(a):
        pass

    assert types_of(kernel_of(1), (VALUES[name],)) == (kernel.typeof_pyval(VALUES[name]),)


@pytest.mark.parametrize("name", VALUES)
def test_parameters_are_those_of_the_compiled_entry(name):
    def kernel(a):
        pass

    argument = VALUES[name]
    own = as_kernel(kernel)
    kinds = types_of(own, (argument,))
    ptx = compiled(own, kinds, (7, 5)).ptx
    declared = re.findall(
        r"\.param\s+(?:\.align\s+\d+\s+)?\.([a-z])(\d+)\s+[\w$]+(?:\[(\d+)\])?", ptx
    )
    sizes = [int(bits) // 8 * int(count or 1) for _, bits, count in declared]
    given = place(Memory(), own, kinds, (argument,)).parameters
    assert [value.nbytes if isinstance(value, np.generic) else 8 for value in given] == sizes
    kinds = [kind for kind, _, _ in declared]
    assert [isinstance(value, np.floating) for value in given] == [kind == "f" for kind in kinds]


def test_an_array_is_its_size_its_address_its_shape_and_its_strides():
    a = np.arange(12, dtype=np.int16).reshape(3, 4)[:, ::-2]
    memory, arguments = placed(a)
    zero, none, size, itemsize, pointer, *rest = arguments.parameters
    assert (zero, none, size, itemsize) == (0, 0, 6, 2)
    assert rest == [3, 2, 8, 2**64 - 4]
    for index in np.ndindex(a.shape):
        address = pointer + index[0] * 8 - index[1] * 4
        assert memory.view(address, 2).view(np.int16)[0] == a[index]


def test_bytes_between_the_elements_of_a_view_belong_to_nothing():
    a = np.arange(10, dtype=np.float32)[1:9:3]
    memory, arguments = placed(a)
    states = memory.state(arguments.parameters[4], 28)
    assert len(memory.allocations[0][1]) == 28  # the view, not its base
    assert list(states) == 2 * [*4 * ["written"], *8 * ["outside"]] + 4 * ["written"]


@pytest.mark.parametrize("order", ["C", "F"])
def test_all_bytes_of_a_contiguous_array_are_written(order):
    memory, arguments = placed(np.ones((3, 5), np.int32, order=order))
    assert set(memory.state(arguments.parameters[4], 60)) == {"written"}


def test_arrays_that_share_memory_share_it_there():
    base = np.arange(20, dtype=np.float32)
    other = np.arange(20, dtype=np.float32)
    views = [base, base[4:8], base[::-1], other, base[6:].view(np.uint8)]
    memory, arguments = placed(*views)
    pointers = arguments.parameters[4::7]
    assert len(memory.allocations) == 2
    assert [p - pointers[0] for p in pointers[:3]] == [0, 16, 76]
    assert pointers[4] - pointers[0] == 24
    assert {name for _, _, _, name in memory.allocations} == {"a, b, c, e", "d"}


def test_views_that_do_not_overlap_are_apart():
    base = np.arange(20, dtype=np.float32)
    memory, _ = placed(base[:10], base[10:])
    assert len(memory.allocations) == 2


def test_shared_memory_keeps_its_alignment():
    base = np.zeros(64, np.uint8)
    base = base[-base.__array_interface__["data"][0] % 16 :][:32]
    memory, arguments = placed(base[1:12], base[4:8].view(np.float32))
    assert arguments.parameters[4] % 16 == 1
    assert arguments.parameters[4 + 7] % 4 == 0
    start = arguments.parameters[4] // 256 * 256
    assert set(memory.state(start, 1)) == {"outside"}


def test_a_column_and_its_neighbour_interleave():
    base = np.arange(8, dtype=np.int32).reshape(4, 2)
    memory, arguments = placed(base[:, 0], base[:, 1])
    assert len(memory.allocations) == 1
    assert arguments.parameters[4 + 7] - arguments.parameters[4] == 4
    assert set(memory.allocations[0][2]) == {"written"}


def test_results_are_copied_back_where_the_array_can_be_written():
    a, b = np.zeros((2, 3), np.float32)[:, ::2], np.arange(3)
    b.flags.writeable = False
    record = np.zeros(1, RECORD)[0]
    c = np.broadcast_to(np.float32(1), (2, 2))
    memory, arguments = placed(a, b, record, c)
    for _, data, _, _ in memory.allocations:
        data[:] = 1
    assert not a.any()
    arguments.copy_back()
    assert (a.view(np.uint32) == 0x01010101).all()
    assert list(b) == [0, 1, 2]
    assert record["a"] == 1
    assert list(record["c"]) == [257, 257, 257]
    assert c[0, 0] == 1
    assert (a.base[:, 1] == 0).all()  # between the elements


def test_bits_are_kept():
    a = np.array([0x7FA00001, 0xFFFFFFFF], np.uint32).view(np.float32)  # NaNs, one signalling
    memory, arguments = placed(a)
    assert list(memory.view(arguments.parameters[4], 8).view(np.uint32)) == [0x7FA00001, 0xFFFFFFFF]


def test_what_is_only_output_is_unwritten_and_what_is_only_input_is_not_copied_back():
    a, b = np.zeros(3, np.float32), np.zeros(3, np.float32)
    memory, arguments = placed(cuda.Out(a), cuda.In(b))
    assert set(memory.state(arguments.parameters[4], 12)) == {"unwritten"}
    assert np.isnan(memory.view(arguments.parameters[4], 12).view(np.float32)).all()
    memory.view(arguments.parameters[11], 12)[:] = 1
    arguments.copy_back()
    assert np.isnan(a).all()
    assert not b.any()


def test_an_empty_array_has_no_memory():
    memory, arguments = placed(np.zeros((0, 4), np.float32))
    assert not memory.allocations
    assert arguments.parameters[:7] == [0, 0, 0, 4, 0, 0, 4]
    arguments.copy_back()


class OnGPU:
    __cuda_array_interface__ = {}  # noqa: RUF012

    def get(self):
        pass


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (np.array([1, "a"], object), "argument a of kernel holds objects"),
        (np.array(["a", "bc"]), "holds strings"),
        (np.array([b"a"]), "holds strings"),
        (np.zeros(2, [("a", object)]), "array of"),
        (np.zeros(2, ">f4"), "array of >f4"),
        (np.zeros(2, np.longdouble), "array of"),
        (np.ma.masked_array([1.0], [True]), r"masked array\n  help: pass its .data"),
        (OnGPU(), r"in the memory of a real GPU: OnGPU\n  help: .*\.get\(\)"),
        ([1, 2], "cannot be passed to a kernel: list"),
        ("text", "cannot be passed to a kernel: str"),
        (None, "cannot be passed to a kernel: NoneType"),
        (2**64, "cannot be passed to a kernel: int"),
        ((1, [2]), "cannot be passed to a kernel: tuple"),
        (object(), "cannot be passed to a kernel: object"),
    ],
    ids=str,
)
def test_what_no_kernel_takes_is_refused(argument, message):
    with pytest.raises(LaunchError, match=message):
        types_of(kernel_of(1), (argument,))


def test_the_wrong_number_of_arguments_is_refused():
    with pytest.raises(LaunchError, match=r"kernel\(a, b\) takes 2 arguments, and 3 were given"):
        types_of(kernel_of(2), (1, 2, 3))


def test_a_declared_signature_converts_numbers_and_refuses_other_arrays():
    declared = (types.float32[::1], types.float32, types.int8)
    kernel = Kernel(kernel_of(3).function, Options(), (declared,))
    args = (np.zeros(3, np.float32), 0.1, 300)
    assert types_of(kernel, args) == declared
    assert place(Memory(), kernel, declared, args).parameters[-2:] == [np.float32(0.1), 44]
    for other in (np.zeros(3), np.zeros((3, 1), np.float32), np.zeros(6, np.float32)[::2], 1):
        with pytest.raises(LaunchError, match="kernel is declared for"):
            types_of(kernel, (other, 0.1, 300))
