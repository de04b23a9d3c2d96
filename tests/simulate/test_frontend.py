"""From kernels to PTX: options, caching, and errors that a user can act on."""

from __future__ import annotations

import gc
import math
import re
import threading
import weakref
from pathlib import Path

import pytest

from gpugrad.simulate.faults import LaunchError, UnsupportedError
from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from numba import cuda, float32, njit, types  # noqa: E402

from gpugrad.simulate.frontend import frontend  # noqa: E402
from gpugrad.simulate.frontend.cards import CARDS  # noqa: E402
from gpugrad.simulate.frontend.frontend import as_kernel, compiled  # noqa: E402
from tests.simulate.kernels.plain import VECTOR, bounded, reciprocal, shares  # noqa: E402


@cuda.jit(fastmath=True)
def fast_reciprocal(x):
    x[0] = float32(1) / x[0]


@cuda.jit(opt=False)
def unoptimised(x):
    x[0] = 1


@cuda.jit(device=True)
def helper(a):
    return a / float32(3)  # in the helper


@cuda.jit
def calls(x):
    x[0] = helper(x[0])  # in the kernel


@cuda.jit
def halves(x):
    x[0] = x[1] * x[2] + x[3]


@cuda.jit
def reshapes(x):
    x[0] = x.reshape(2, 2)[1, 0]


@pytest.mark.parametrize("cc", CARDS)
def test_ptx_is_for_the_card_and_names_its_entry_and_lines(cc, line_of):
    code = compiled(calls, VECTOR, cc)
    assert f".target sm_{cc[0]}{cc[1]}" in code.ptx
    assert f".visible .entry {code.entry}(" in code.ptx
    assert (code.name, code.types, code.cc) == ("calls", VECTOR, cc)
    assert code.source[0] == __file__
    assert Path(__file__).read_text().splitlines()[code.source[1] - 1] == "@cuda.jit"
    assert f'.file\t1 "{__file__}"' in code.ptx
    for place in ("in the helper", "in the kernel"):
        line = line_of(place).rpartition(":")[2]
        assert re.search(rf"^\s*\.loc\s+1 {line} ", code.ptx, re.M), place


def test_the_second_time_it_is_looked_up():
    first = compiled(reciprocal, VECTOR, (7, 5))
    assert compiled(reciprocal, VECTOR, (7, 5)) is first
    assert compiled(reciprocal.py_func, VECTOR, (7, 5)) is first  # the same options
    assert compiled(reciprocal, VECTOR, (8, 0)) is not first
    assert compiled(reciprocal, (types.float64[::1],), (7, 5)) is not first
    assert compiled(cuda.jit(fastmath=True)(reciprocal.py_func), VECTOR, (7, 5)) is not first


def test_a_function_is_not_kept_alive():
    def kernel(x):
        x[0] = 1

    compiled(kernel, VECTOR, (7, 5))
    known = weakref.ref(kernel)
    del kernel
    gc.collect()
    assert known() is None


def test_options_that_change_code_are_kept():
    assert "div.rn.f32" in compiled(reciprocal, VECTOR, (7, 5)).ptx.replace("rcp.rn", "div.rn")
    fast = compiled(fast_reciprocal, VECTOR, (7, 5)).ptx
    assert "approx" in fast
    assert ".maxntid 64" in compiled(bounded, VECTOR, (7, 5)).ptx
    assert compiled(bounded, VECTOR, (7, 5)).options.max_threads == 64
    assert len(compiled(unoptimised, VECTOR, (7, 5)).ptx) > len(
        compiled(unoptimised.py_func, VECTOR, (7, 5)).ptx
    )


def test_debug_is_left_out_with_a_warning():
    with pytest.warns(UserWarning, match="debug=True; it is simulated without"):
        kernel = as_kernel(cuda.jit(debug=True, opt=False)(reciprocal.py_func))
    assert kernel.options == frontend.Options(opt=False)


def test_functions_from_cuda_source_are_part_of_the_ptx():
    code = compiled(halves, (types.float16[::1],), (7, 5))
    assert code.externals
    assert ".extern .func" not in code.ptx
    assert "mul.f16" in code.ptx
    assert code.ptx.count(".version") == 1
    assert not compiled(reciprocal, VECTOR, (7, 5)).externals


def test_reshape_is_part_of_the_ptx():
    code = compiled(reshapes, VECTOR, (7, 5))
    assert ".extern .func" not in code.ptx
    labels = re.findall(r"^(\$\w+):", code.ptx, re.M)
    assert len(labels) == len(set(labels))


def test_static_shared_memory_is_counted_with_its_alignment():
    assert compiled(shares, VECTOR, (7, 5)).shared_bytes == 408 + 32
    assert compiled(reciprocal, VECTOR, (7, 5)).shared_bytes == 0


@pytest.mark.parametrize(
    ("kinds", "meant"),
    [
        ((types.float32[::1],), True),
        ((types.int32,), True),
        ((types.float64,), False),
        ((types.float64[:, :],), False),
        ((types.complex128[:],), False),
        ((types.UniTuple(types.float64, 2),), False),
        ((types.Tuple((types.int8, types.float32[::1])),), True),
    ],
    ids=str,
)
def test_a_kernel_is_meant_to_be_float32_without_float64_arguments(kinds, meant):
    def kernel(x):
        pass

    assert compiled(kernel, kinds, (7, 5)).float32 is meant


def test_compiling_leaves_other_threads_their_gpu():
    from numba.cuda import dispatcher

    from gpugrad.simulate.frontend.toolchain import offline

    real = dispatcher.get_current_device
    seen = []

    def other():
        try:
            seen.append(dispatcher.get_current_device().compute_capability)
        except Exception:  # the real one: there is no driver here
            seen.append(None)

    with offline((8, 0)):
        assert dispatcher.get_current_device().compute_capability == (8, 0)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen != [(8, 0)]
    assert dispatcher.get_current_device is real


def test_what_is_no_kernel_is_refused():
    for thing, message in (
        (3, "a kernel is a function that numba.cuda.jit can compile, not 3"),
        (math.sin, "a kernel is a function"),
        (
            njit(reciprocal.py_func),
            "is compiled for the CPU\n  help: decorate it with numba.cuda.jit",
        ),
        (helper, r"helper is a device function.*\n  help: launch a kernel that calls it"),
    ):
        with pytest.raises(LaunchError, match=message):
            as_kernel(thing)


def test_files_to_link_are_refused():
    with pytest.raises(UnsupportedError, match=r"links files \(\['a.cu'\]\)"):
        as_kernel(cuda.jit(link=["a.cu"])(reciprocal.py_func))
