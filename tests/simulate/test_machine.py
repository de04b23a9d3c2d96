"""Control flow, memory and calls of hand-written PTX."""

from __future__ import annotations

import numpy as np
import pytest

from gpugrad import simulate
from tests.simulate.handwritten import run

N = 32


def ints(*values, dtype=np.uint32):
    return np.array(values or range(N), dtype)


def zeros(dtype=np.uint32, n=N):
    return np.zeros(n, dtype)


# Control flow


def test_threads_part_and_meet_again():
    (out,), report = run(
        """
        setp.lt.u32 %p1, %t, 10;
        @%p1 bra LOW;
        mov.u32 %r1, 200;
        bra MEET;
        LOW: mov.u32 %r1, 100;
        MEET: add.u32 %r1, %r1, %t;
        st.global.u32 [%e0], %r1;
        """,
        zeros(),
    )
    assert out.tolist() == [100 + t if t < 10 else 200 + t for t in range(N)]
    assert report.instructions["global store"] == N


def test_a_loop_runs_as_often_as_each_thread_asks():
    (out,), _ = run(
        """
        mov.u32 %r1, 0;
        mov.u32 %r2, 0;
        AGAIN: setp.ge.u32 %p1, %r2, %t;
        @%p1 bra DONE;
        add.u32 %r1, %r1, %r2;
        add.u32 %r2, %r2, 1;
        bra.uni AGAIN;
        DONE: st.global.u32 [%e0], %r1;
        """,
        zeros(),
    )
    assert out.tolist() == [t * (t - 1) // 2 for t in range(N)]


@pytest.mark.parametrize(("guard", "chosen"), [("@%p1", range(5)), ("@!%p1", range(5, N))])
def test_a_guard_lets_only_some_threads_execute(guard, chosen):
    (out,), _ = run(
        f"""
        setp.lt.u32 %p1, %t, 5;
        mov.u32 %r1, 7;
        {guard} mov.u32 %r1, 9;
        {guard} st.global.u32 [%e0], %r1;
        """,
        zeros(),
    )
    assert out.tolist() == [9 if t in chosen else 0 for t in range(N)]


def test_a_guarded_return_ends_those_threads_alone():
    (out,), _ = run(
        """
        setp.gt.u32 %p1, %t, 3;
        @%p1 ret;
        st.global.u32 [%e0], 1;
        """,
        zeros(),
    )
    assert out.tolist() == [1] * 4 + [0] * 28


def test_a_table_of_branches():
    (out,), _ = run(
        """
        and.b32 %r1, %t, 3;
        TABLE: .branchtargets A, B, C, B;
        brx.idx %r1, TABLE;
        A: mov.u32 %r2, 10; bra END;
        B: mov.u32 %r2, 20; bra END;
        C: mov.u32 %r2, 30;
        END: st.global.u32 [%e0], %r2;
        """,
        zeros(),
    )
    assert out.tolist() == [10, 20, 30, 20] * 8


def test_a_jump_beyond_its_table():
    body = "TABLE: .branchtargets A, A; brx.idx %t, TABLE; A: st.global.u32 [%e0], 1;"
    with pytest.raises(simulate.MemoryFault, match="a jump to label 2 of a table of 2") as info:
        run(body, zeros())
    assert info.value.thread == (2, 0, 0)


def test_a_fault_in_a_helper_names_its_line_and_the_line_that_called_it():
    body = """
        .loc 1 7 1
        mov.u32 %r1, 0;
        .loc 2 133 1, function_name helper, inlined_at 1 9 5
        ld.global.u32 %r1, [%e0+4];
        .loc 1 0 1
    """
    module = '.file 1 "mine.py"\n.file 2 "theirs.py"'
    with pytest.raises(simulate.MemoryFault, match=r"called from mine\.py:9\n") as info:
        run(body, zeros(), module=module)
    assert (info.value.file, info.value.line) == ("theirs.py", 133)


FUNCTIONS = """
.func (.param .b32 result) twice(.param .b32 x)
{
    .reg .b32 %r<4>;
    .reg .pred %p<2>;
    ld.param.u32 %r1, [x];
    setp.eq.u32 %p1, %r1, 5;
    @%p1 bra FIVE;
    shl.b32 %r2, %r1, 1;
    st.param.b32 [result+0], %r2;
    ret;
FIVE:
    st.param.b32 [result+0], 55;
    ret;
}
.func (.param .b32 result) plus_twice(.param .b32 x, .param .b32 y)
{
    .reg .b32 %r<5>;
    ld.param.u32 %r1, [x];
    ld.param.u32 %r2, [y];
    {
    .param .b32 param0;
    .param .b32 retval0;
    st.param.b32 [param0+0], %r2;
    call.uni (retval0), twice, (param0);
    ld.param.b32 %r3, [retval0+0];
    }
    add.u32 %r4, %r1, %r3;
    st.param.b32 [result+0], %r4;
    ret;
}
"""


def test_calls_within_calls_with_a_branch_in_the_called():
    (out,), _ = run(
        """
        mov.u32 %r9, 1000;
        {
        .param .b32 param0;
        .param .b32 param1;
        .param .b32 retval0;
        st.param.b32 [param0+0], %r9;
        st.param.b32 [param1+0], %t;
        call.uni (retval0), plus_twice, (param0, param1);
        ld.param.b32 %r1, [retval0+0];
        }
        st.global.u32 [%e0], %r1;
        """,
        zeros(),
        module=FUNCTIONS,
    )
    assert out.tolist() == [1055 if t == 5 else 1000 + 2 * t for t in range(N)]


def test_registers_of_a_scope_do_not_touch_those_outside():
    (out,), _ = run(
        """
        mov.u32 %r1, 1;
        { .reg .b32 %r1; mov.u32 %r1, 50; }
        st.global.u32 [%e0], %r1;
        """,
        zeros(),
    )
    assert out.tolist() == [1] * N


def test_the_carry_flag_goes_from_one_instruction_to_the_next():
    (_, out), _ = run(
        """
        ld.global.u64 %d1, [%e0];
        mov.b64 {%r1, %r2}, %d1;
        add.cc.u32 %r3, %r1, 0x90000000;
        addc.u32 %r4, %r2, 5;
        mad.lo.cc.u32 %r5, %r1, 3, %r3;
        madc.hi.u32 %r6, %r1, 3, %r4;
        mov.b64 %d2, {%r5, %r6};
        st.global.u64 [%e1], %d2;
        """,
        np.arange(N, dtype=np.uint64) * 0x30000001 + 0x100000000,
        zeros(np.uint64),
    )
    before = [t * 0x30000001 + 0x100000000 for t in range(N)]
    low = [x & 0xFFFFFFFF for x in before]
    assert out.tolist() == [
        (x + 0x590000000 + 3 * y) % 2**64 for x, y in zip(before, low, strict=True)
    ]


# Memory


@pytest.mark.parametrize(
    ("kind", "dtype", "register"),
    [
        ("u8", np.uint8, "%r1"), ("s8", np.int8, "%r1"), ("b8", np.uint8, "%h1"),
        ("u16", np.uint16, "%h1"), ("s16", np.int16, "%r1"), ("b16", np.uint16, "%h1"),
        ("u32", np.uint32, "%r1"), ("s32", np.int32, "%r1"), ("b32", np.uint32, "%r1"),
        ("u64", np.uint64, "%d1"), ("s64", np.int64, "%d1"), ("b64", np.uint64, "%d1"),
        ("f32", np.float32, "%f1"), ("f64", np.float64, "%g1"),
    ],
)  # fmt: skip
def test_loads_and_stores_keep_every_bit(kind, dtype, register):
    data = np.random.default_rng(3).integers(0, 256, N * np.dtype(dtype).itemsize, np.uint8)
    (_, out), report = run(
        f"ld.global.{kind} {register}, [%e0]; st.global.{kind} [%e1], {register};",
        data.view(dtype),
        zeros(dtype),
    )
    assert out.tobytes() == data.tobytes()
    assert report.loaded_bytes == report.stored_bytes == data.nbytes


@pytest.mark.parametrize(("kind", "value"), [("s8", -3), ("u8", 253)])
def test_a_narrow_load_fills_a_wide_register(kind, value):
    (_, out), _ = run(
        f"ld.global.{kind} %d1, [%a0]; st.global.u64 [%e1], %d1;",
        np.array([253] * 8, np.uint8),
        zeros(np.int64),
    )
    assert out.tolist() == [value] * N


@pytest.mark.parametrize("count", [2, 4])
def test_vector_loads_and_stores(count):
    data = np.arange(N * count, dtype=np.float32)
    registers = ", ".join(f"%f{k}" for k in range(count))
    swapped = ", ".join(f"%f{k}" for k in reversed(range(count)))
    (_, out), _ = run(
        f"""
        mad.wide.u32 %d1, %t, {4 * count}, %a0;
        mad.wide.u32 %d2, %t, {4 * count}, %a1;
        ld.global.v{count}.f32 {{{registers}}}, [%d1];
        st.global.v{count}.f32 [%d2], {{{swapped}}};
        """,
        data,
        np.zeros_like(data),
    )
    np.testing.assert_array_equal(out, data.reshape(-1, count)[:, ::-1].ravel())


def test_moves_take_registers_apart_and_put_them_together():
    (_, out), _ = run(
        """
        ld.global.u64 %d1, [%e0];
        mov.b64 {%r1, %r2}, %d1;
        mov.b32 {%h1, %h2}, %r1;
        mov.b32 %r3, {%h2, %h1};
        mov.b64 %d2, {%r2, %r3};
        st.global.u64 [%e1], %d2;
        """,
        np.full(N, 0x1111222233334444, np.uint64),
        zeros(np.uint64),
    )
    assert out.tolist() == [0x4444333311112222] * N


def test_shared_memory_is_each_blocks_own():
    (out,), _ = run(
        """
        mov.u32 %r1, %tid.x;
        mov.u32 %r2, %ctaid.x;
        mul.wide.u32 %d1, %r1, 4;
        mov.u64 %d2, buffer;
        add.s64 %d3, %d2, %d1;
        st.shared.u32 [%d3], %t;
        bar.sync 0;
        xor.b32 %r3, %r1, 1;
        mul.wide.u32 %d4, %r3, 4;
        add.s64 %d4, %d2, %d4;
        ld.shared.u32 %r4, [%d4];
        st.global.u32 [%e0], %r4;
        """,
        zeros(n=64),
        grid=2,
        module=".shared .align 4 .b8 buffer[128];",
    )
    assert out.tolist() == [t ^ 1 for t in range(64)]


def test_dynamic_shared_memory_lies_behind_the_static():
    (out,), _ = run(
        """
        mov.u64 %d1, dynamic;
        mad.wide.u32 %d1, %t, 4, %d1;
        st.shared.u32 [%d1], %t;
        mov.u64 %d2, fixed;
        st.shared.u32 [%d2], 77;
        bar.sync 0;
        ld.shared.u32 %r1, [%d1];
        st.global.u32 [%e0], %r1;
        """,
        zeros(),
        module=".shared .align 4 .b8 fixed[4];\n.extern .shared .align 16 .b8 dynamic[];",
        shared_bytes=128,
    )
    assert out.tolist() == list(range(N))


def test_a_kernel_can_ask_how_much_shared_memory_it_has():
    (out,), _ = run(
        "mov.u32 %r1, %dynamic_smem_size; st.global.u32 [%a0], %r1;", zeros(n=1), shared_bytes=96
    )
    assert out[0] == 96


def test_local_memory_is_each_threads_own_and_generic_addresses_find_it():
    (out,), _ = run(
        """
        mov.u64 %d1, depot;
        cvta.local.u64 %d2, %d1;
        st.local.u32 [%d1+4], %t;
        ld.u32 %r1, [%d2+4];
        st.global.u32 [%e0], %r1;
        """,
        zeros(n=64),
        grid=2,
        declared=".local .align 8 .b8 depot[16];",
    )
    assert out.tolist() == list(range(64))


def test_generic_addresses_of_different_spaces_in_one_load():
    (_, out), _ = run(
        """
        mov.u64 %d1, buffer;
        mad.wide.u32 %d2, %t, 4, %d1;
        st.shared.u32 [%d2], %t;
        cvta.shared.u64 %d3, %d2;
        setp.lt.u32 %p1, %t, 16;
        selp.b64 %d4, %d3, %e0, %p1;
        ld.u32 %r1, [%d4];
        st.global.u32 [%e1], %r1;
        """,
        ints() + 100,
        zeros(),
        module=".shared .align 4 .b8 buffer[128];",
    )
    assert out.tolist() == [t if t < 16 else t + 100 for t in range(N)]


def test_isspacep_tells_the_spaces_apart():
    (out,), _ = run(
        """
        mov.u64 %d1, buffer;
        cvta.shared.u64 %d2, %d1;
        isspacep.shared %p1, %d2;
        isspacep.shared %p2, %e0;
        isspacep.global %p3, %e0;
        selp.u32 %r1, 1, 0, %p1;
        selp.u32 %r2, 2, 0, %p2;
        selp.u32 %r3, 4, 0, %p3;
        add.u32 %r1, %r1, %r2;
        add.u32 %r1, %r1, %r3;
        st.global.u32 [%e0], %r1;
        """,
        zeros(),
        module=".shared .align 4 .b8 buffer[4];",
    )
    assert out.tolist() == [5] * N


def test_constants_and_initial_values():
    (out,), _ = run(
        """
        and.b32 %r1, %t, 3;
        mov.u64 %d1, table;
        mad.wide.u32 %d2, %r1, 4, %d1;
        ld.const.u32 %r2, [%d2];
        ld.global.f32 %f1, [more+4];
        cvt.rzi.u32.f32 %r3, %f1;
        add.u32 %r2, %r2, %r3;
        st.global.u32 [%e0], %r2;
        """,
        zeros(),
        module=".const .align 4 .u32 table[4] = {3, 1, 4, 0x10};\n"
        ".global .align 4 .f32 more[2] = {0f3F800000, 0f42C80000};",
    )
    assert out.tolist() == [103, 101, 104, 116] * 8


@pytest.mark.parametrize(
    ("register", "value"),
    [
        ("%tid.x", lambda b, t: t % 3), ("%tid.y", lambda b, t: t // 3 % 2),
        ("%tid.z", lambda b, t: t // 6), ("%ntid.y", lambda b, t: 2),
        ("%ctaid.x", lambda b, t: b % 2), ("%ctaid.y", lambda b, t: b // 2),
        ("%nctaid.x", lambda b, t: 2), ("%nctaid.z", lambda b, t: 1),
        ("%laneid", lambda b, t: t % 32), ("%warpid", lambda b, t: t // 32),
        ("%lanemask_lt", lambda b, t: (1 << t % 32) - 1),
        ("%lanemask_eq", lambda b, t: 1 << t % 32),
        ("%lanemask_ge", lambda b, t: 0xFFFFFFFF ^ ((1 << t % 32) - 1)),
        ("%lanemask_gt", lambda b, t: 0xFFFFFFFE << t % 32 & 0xFFFFFFFF),
        ("%lanemask_le", lambda b, t: (2 << t % 32) - 1),
    ],
)  # fmt: skip
def test_special_registers(register, value):
    blocks, threads = 6, 3 * 2 * 7
    (out,), _ = run(
        f"""
        mov.u32 %r1, %tid.z; mov.u32 %r2, %tid.y; mov.u32 %r3, %tid.x;
        mad.lo.u32 %r4, %r1, 2, %r2;
        mad.lo.u32 %r4, %r4, 3, %r3;
        mov.u32 %r5, %ctaid.y; mov.u32 %r6, %ctaid.x;
        mad.lo.u32 %r5, %r5, 2, %r6;
        mad.lo.u32 %r4, %r5, {threads}, %r4;
        mad.wide.u32 %d1, %r4, 4, %a0;
        mov.u32 %r7, {register};
        st.global.u32 [%d1], %r7;
        """,
        zeros(n=blocks * threads),
        grid=(2, 3),
        block=(3, 2, 7),
    )
    assert out.tolist() == [value(b, t) for b in range(blocks) for t in range(threads)]


# What is not supported says so


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("frobnicate.u32 %r1, %r2;", r"PTX instruction: frobnicate\.u32 %r1, %r2"),
        ("mov.u32 %r1, %nosuch;", r"PTX register %nosuch in: mov\.u32"),
        ("call.uni (), elsewhere, ();", r"PTX call of elsewhere: call\.uni"),
        ("ld.global.u32 %h1, [%e0];", r"PTX register %h1 is too narrow in: ld\.global"),
        ("trap;", r"PTX instruction: trap"),
        ("bra NOWHERE;", r"PTX branch to NOWHERE, a label that is not there: bra NOWHERE"),
    ],
)
def test_unknown_ptx_is_quoted(body, message):
    with pytest.raises(simulate.UnsupportedError, match=message):
        run(body, zeros())


RECURSIVE = """
.func (.param .b32 result) fib(.param .b32 x)
{
    .reg .b32 %r<9>;
    .reg .pred %p<2>;
    ld.param.u32 %r1, [x];
    setp.lt.u32 %p1, %r1, 2;
    @%p1 bra SMALL;
    sub.u32 %r2, %r1, 1;
    { .param .b32 param0; .param .b32 retval0; st.param.b32 [param0+0], %r2;
    call.uni (retval0), fib, (param0); ld.param.b32 %r3, [retval0+0]; }
    sub.u32 %r4, %r1, 2;
    { .param .b32 param0; .param .b32 retval0; st.param.b32 [param0+0], %r4;
    call.uni (retval0), fib, (param0); ld.param.b32 %r5, [retval0+0]; }
    add.u32 %r6, %r3, %r5;
    st.param.b32 [result+0], %r6;
    ret;
SMALL:
    st.param.b32 [result+0], %r1;
    ret;
}
"""


def test_a_function_that_calls_itself():
    body = """
    and.b32 %r9, %t, 7;
    { .param .b32 param0; .param .b32 retval0; st.param.b32 [param0+0], %r9;
    call.uni (retval0), fib, (param0); ld.param.b32 %r1, [retval0+0]; }
    st.global.u32 [%e0], %r1;
    """
    (out,), _ = run(body, zeros(), module=RECURSIVE)
    assert out.tolist() == [0, 1, 1, 2, 3, 5, 8, 13] * 4
    with pytest.raises(simulate.HangError, match=r"24 levels deep\n.*\n.*simulator has not"):
        run(body.replace("and.b32 %r9, %t, 7", "add.u32 %r9, %t, 24"), zeros(), module=RECURSIVE)


def test_a_wrong_number_of_parameters_is_refused():
    device = simulate.Device()
    ptx = ".visible .entry k(.param .u64 a, .param .u32 b) { ret; }"
    with pytest.raises(simulate.LaunchError, match="k has 2 parameters, not 1"):
        device.launch(device.load(ptx).entries["k"], 1, 1, [0])
    with pytest.raises(simulate.LaunchError, match=r"launch takes an entry, .* not .k."):
        device.launch("k", 1, 1, [0, 0])
