"""`simulate.run`: NumPy arrays in, results in the same arrays, or a fault and nothing changed."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest

from gpugrad import simulate
from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from numba import cuda, float32  # noqa: E402


@cuda.jit
def add(x, y, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] + y[i]


@cuda.jit
def neighbours(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = float32(1)
        out[i] = x[i] + x[i + 1]  # past the end


@cuda.jit
def double(x):
    i = cuda.grid(1)
    if i < x.shape[0]:
        for j in range(x.shape[1]):
            x[i, j] = float32(2) * x[i, j]


@cuda.jit
def scalars(out, n, record, z, pair, flag, half):
    if flag:
        out[0] = n
    out[1] = record.b + record.a
    out[2] = z.real - z.imag
    out[3] = pair[0] + pair[1][0]
    out[4] = float32(half)
    record.b = 7


def test_results_are_in_the_arrays_and_the_report_tells_of_the_launch():
    x, y, out = (
        np.arange(100, dtype=np.float32),
        np.ones(100, np.float32),
        np.zeros(100, np.float32),
    )
    report = simulate.run(add, 4, 32, x, y, out)
    assert np.array_equal(out, x + y)
    assert (report.kernel, report.grid, report.block) == ("add", (4, 1, 1), (32, 1, 1))
    assert (report.loaded_bytes, report.stored_bytes) == (800, 400)
    assert report.source[0] == __file__
    assert not report.findings


@pytest.mark.parametrize("cc", [(7, 5), (8, 0), (9, 0)])
@pytest.mark.parametrize("checks", [True, False])
def test_a_python_function_runs_as_its_dispatcher_does(cc, checks):
    x, out = np.arange(70, dtype=np.int16), np.zeros(70, np.int16)
    simulate.run(add.py_func, (1, 3), (16, 4), x, x, out, cc=cc, checks=checks)
    assert np.array_equal(out[:16], 2 * x[:16])  # cuda.grid(1) is along x alone
    assert not out[16:].any()


def test_a_fault_names_the_argument_and_leaves_all_of_them_alone(line_of):
    x, out = np.arange(100, dtype=np.float32), np.zeros(100, np.float32)
    with pytest.raises(simulate.MemoryFault, match=r"past the end of x \(400 bytes") as caught:
        simulate.run(neighbours, 4, 32, x, out)
    assert caught.value.kernel == "neighbours"
    assert line_of("past the end") == f"{__file__}:{caught.value.line}"
    assert (caught.value.block, caught.value.thread) == ((3, 0, 0), (3, 0, 0))
    assert not out.any()


def test_the_step_from_a_view_to_its_base_is_a_fault():
    base = np.arange(10, dtype=np.float32)
    with pytest.raises(simulate.MemoryFault, match="x"):
        simulate.run(neighbours, 1, 32, base[:9], np.zeros(9, np.float32))
    with pytest.raises(simulate.MemoryFault):  # between the elements
        simulate.run(add, 1, 32, base[::2], base[::2], np.zeros(6, np.float32))


def test_an_output_has_to_be_written_before_it_is_read():
    out = np.zeros((3, 2), np.float32)
    with pytest.raises(simulate.MemoryFault):
        simulate.run(double, 1, 32, cuda.Out(out))
    x = np.ones(3, np.float32)
    simulate.run(add, 1, 32, x, x, cuda.Out(out[:, 0].copy()))


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        lambda a: a.T,
        lambda a: a[::-1],
        lambda a: a[1::2, ::-3],
        lambda a: a[:, 2:3],
        lambda a: np.asfortranarray(a),
        lambda a: a[:0],
    ],
)
def test_strides_are_as_on_the_host(view):
    base = np.arange(48, dtype=np.float32).reshape(6, 8)
    expected = base.copy()
    view(expected)[...] *= 2
    given = view(base)
    doubled = 2 * given
    simulate.run(double, 1, 32, given)
    assert np.array_equal(given, doubled)
    assert np.array_equal(base, expected) or not np.shares_memory(given, base)


def test_memory_shared_on_the_host_is_shared():
    base = np.zeros(9, np.float32)
    base[0] = 1
    x = np.ones(1, np.float32)
    for i in range(8):  # each launch reads what the one before wrote
        simulate.run(add, 1, 1, base[i : i + 1], x, base[i + 1 : i + 2])
    assert list(base) == list(range(1, 10))
    a = np.arange(4, dtype=np.float32)
    simulate.run(add, 1, 4, a, a, a)
    assert list(a) == [0, 2, 4, 6]
    with pytest.raises(simulate.RaceError):  # out[i] and x[i + 1] are one element
        simulate.run(neighbours, 1, 8, base, base[1:-1])


def test_scalars_records_tuples_and_complex_numbers():
    record = np.array([(3, 2.5)], np.dtype([("a", "i1"), ("b", "f4")], align=True))[0]
    out = np.zeros(5)
    pair = (1.5, (np.int8(-3),))
    simulate.run(scalars, 1, 1, out, -5, record, 1 - 2j, pair, True, np.float16(0.1))
    assert list(out) == [-5, 5.5, 3, -1.5, float(np.float16(0.1))]
    assert record["b"] == 7


def test_what_only_the_host_may_write_is_not_written():
    x = np.ones(3, np.float32)
    x.flags.writeable = False
    out = np.zeros(3, np.float32)
    simulate.run(add, 1, 3, x, x, out)
    assert list(out) == [2, 2, 2]
    with pytest.raises(simulate.CompileError, match=r"(?i)readonly|cannot modify|setitem"):
        simulate.run(add, 1, 3, out, out, x)


def test_a_kernel_with_its_grid_is_refused():
    configured = SimpleNamespace(dispatcher=add)  # as add[1, 32], which asks for a driver
    with pytest.raises(simulate.LaunchError, match=re.escape("write simulate.run(add, grid, ")):
        simulate.run(configured, 1, 1)


def test_addresses_do_not_depend_on_the_hosts():
    both, messages = np.ones(200, np.float32), set()
    for x, out in ((both[:100], both[100:]), (both[100:], both[:100])):
        with pytest.raises(simulate.MemoryFault, match="past the end of x") as caught:
            simulate.run(neighbours, 1, 128, x, out)
        messages.add(str(caught.value))
    assert len(messages) == 1


@pytest.mark.parametrize("copies", [True, False])
def test_an_array_of_another_library_must_let_numpy_write(copies):
    class Other:
        held = np.zeros(3, np.float32)

        def __dlpack__(self, **options):
            return self.held.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.held.__dlpack_device__()

        def __array__(self, dtype=None, copy=None):
            if copies:
                return self.held.copy()
            view = self.held.view()
            view.flags.writeable = False
            return view

    x = np.ones(3, np.float32)
    with pytest.raises(simulate.LaunchError, match=r"not write them: Other|to a kernel: Other"):
        simulate.run(add, 1, 32, x, x, Other())
