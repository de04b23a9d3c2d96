"""Accesses that a card lets pass, or crashes on: what, where, by whom."""

from __future__ import annotations

import numpy as np
import pytest

from gpugrad import simulate
from gpugrad.simulate.machine.memory import Memory
from tests.simulate.handwritten import kernel, run

ONES = np.ones(32, np.uint32)
BUFFER = ".shared .align 4 .b8 buffer[64];"


@pytest.mark.parametrize(
    ("body", "message", "thread"),
    [
        ("ld.global.u32 %r1, [%e0+4];", "a load of 4 bytes outside its allocation", 31),
        ("ld.global.u32 %r1, [%e0+-8];", "a load of 4 bytes outside its allocation", 0),
        ("st.global.u32 [%e0+64], %r1;", "a store of 4 bytes outside its allocation", 16),
        ("red.global.add.u32 [%e0+124], 1;", "an atomic of 4 bytes outside its allocation", 1),
        ("ld.global.u32 %r1, [0];", "a load of 4 bytes outside its allocation", 0),
        ("ld.global.u64 %d1, [%e0];", "a load of 8 bytes from an address that is no multiple", 1),
        ("st.global.u32 [%e0+2], %r1;", "a store of 4 bytes from an address that is no", 0),
        ("ld.global.v4.u32 {%r1,%r2,%r3,%r4}, [%e0];", "a load of 16 bytes from an address", 1),
        ("mov.u64 %d1, buffer; mad.wide.u32 %d1, %t, 4, %d1; st.shared.u32 [%d1], 1;",
         r"a store of 4 bytes outside its allocation.*\n.*\n.*of shared memory", 16),
        ("mov.u64 %d1, buffer; ld.shared.u32 %r1, [%d1];",
         r"nothing has written.*\n.*\n.*byte 0 of shared memory", 0),
        ("mov.u64 %d1, buffer; ld.shared.u32 %r1, [%d1+4096];",
         r"outside its allocation.*\n.*\n.*byte 4096 of \d+ bytes of shared memory", 0),
        ("mov.u64 %d1, depot; ld.local.u32 %r1, [%d1+4];", "nothing has written", 0),
        ("mov.u64 %d1, depot; st.local.u32 [%d1+8], 1;", "outside its allocation", 0),
    ],
)  # fmt: skip
def test_faults(body, message, thread):
    with pytest.raises(simulate.MemoryFault, match=message) as info:
        run(body, ONES, module=BUFFER, declared=".local .align 4 .b8 depot[8];")
    assert info.value.thread == (thread, 0, 0)
    assert info.value.block == (0, 0, 0)
    assert info.value.kernel == "k"


def test_a_fault_names_the_allocation_that_was_missed():
    device = simulate.Device()
    near, far = device.allocate(128, "weights"), device.allocate(64, "bias")
    for pointer, size in ((near, 128), (far, 64)):
        device.copy_to(pointer, np.zeros(size, np.uint8))
    entry = device.load(kernel("st.global.u32 [%a0+140], 1;", [ONES])).entries["k"]
    with pytest.raises(simulate.MemoryFault, match=r"12 bytes past the end of weights \(128 bytes"):
        device.launch(entry, 1, 1, [near])


def test_an_address_is_described_by_what_is_nearest():
    memory = Memory()
    memory.allocate(8, "_ZN08NumbaEnv8__main__1k")
    x, _ = memory.allocate(100, "x"), memory.allocate(100, "y")
    for address, words in {
        x.base - 300: "is 300 bytes before x (100 bytes at",
        x.base - (1 << 33): "is 8589934592 bytes before x (100 bytes at",
        x.base + 104: "is 4 bytes past the end of x (100 bytes at",
        x.base + 500: f"is 400 bytes past the end of {x} and 12 bytes before y (100 bytes at",
        x.base + 900: "is 288 bytes past the end of y (100 bytes at",
        12: "lies in no allocation: arrays without elements begin at 0",
        -8: "address 0xfffffffffffffff8 lies in no allocation",
    }.items():
        assert words in memory.describe(address)


def test_freed_memory():
    device = simulate.Device()
    pointer = device.allocate(128, "weights")
    device.free(pointer)
    entry = device.load(kernel("st.global.u32 [%a0], 1;", [ONES])).entries["k"]
    with pytest.raises(simulate.MemoryFault, match=r"lies in weights .*, which was freed"):
        device.launch(entry, 1, 1, [pointer])
    with pytest.raises(simulate.LaunchError, match="was freed before"):
        device.free(pointer)
    with pytest.raises(simulate.LaunchError, match="no allocation begins there"):
        device.free(pointer + 4)


def test_unwritten_memory_is_known_by_the_byte():
    device = simulate.Device()
    pointer = device.allocate(8, "sums")
    device.mark(pointer, 3, "written")
    ptx = kernel("ld.global.{} %r1, [%a0+{}];".format("{}", "{}"), [ONES])
    for kind, at, fine in (("u8", 2, True), ("u8", 3, False), ("u16", 0, True), ("u16", 2, False)):
        entry = device.load(ptx.replace("{}", kind, 1).replace("{}", str(at), 1)).entries["k"]
        if fine:
            device.launch(entry, 1, 1, [pointer])
        else:
            with pytest.raises(simulate.MemoryFault, match="nothing has written"):
                device.launch(entry, 1, 1, [pointer])
    store = device.load(kernel("st.global.u32 [%a0], 1;", [ONES])).entries["k"]
    load = device.load(kernel("ld.global.u32 %r1, [%a0];", [ONES])).entries["k"]
    device.launch(store, 1, 1, [pointer])
    device.launch(load, 1, 1, [pointer])


def test_what_is_outside_can_be_marked():
    device = simulate.Device()
    pointer = device.allocate(16, "rows")
    device.mark(pointer, 16, "written")
    device.mark(pointer + 4, 4, "outside")
    load = device.load(kernel("ld.global.u32 %r1, [%a0+4];", [ONES])).entries["k"]
    store = device.load(kernel("st.global.u32 [%a0+4], 1;", [ONES])).entries["k"]
    for entry in (load, store):
        with pytest.raises(simulate.MemoryFault, match="outside its allocation"):
            device.launch(entry, 1, 1, [pointer])


def test_lanes_in_several_allocations():
    device = simulate.Device()
    pointers = [device.allocate(64) for _ in range(3)]
    for k, pointer in enumerate(pointers):
        device.copy_to(pointer, np.full(16, k, np.uint32))
    body = """
        setp.lt.u32 %p1, %t, 10; selp.b64 %d1, %a0, %a1, %p1;
        and.b32 %r1, %t, 15;
        mad.wide.u32 %d1, %r1, 4, %d1;
        ld.global.u32 %r2, [%d1];
        add.u32 %r2, %r2, 50;
        st.global.u32 [%d1], %r2;
    """
    entry = device.load(kernel(body, [ONES, ONES])).entries["k"]
    device.launch(entry, 1, 16, [pointers[0], pointers[2]])
    first, last = (device.copy_from(p, np.empty(16, np.uint32)) for p in (pointers[0], pointers[2]))
    assert first.tolist() == [50] * 10 + [0] * 6
    assert last.tolist() == [2] * 10 + [52] * 6
    with pytest.raises(simulate.MemoryFault) as info:
        device.launch(entry, 1, 16, [pointers[0], 64])
    assert info.value.thread == (10, 0, 0)


def test_without_checks_only_the_bounds_are_kept():
    body = "mov.u64 %d1, buffer; ld.shared.u32 %r1, [%d1]; st.global.u32 [%a0], %t;"
    (out,), _ = run(body, ONES, module=BUFFER, checks=False)
    assert out[0] == 31
    with pytest.raises(simulate.MemoryFault):
        run("ld.global.u32 %r1, [%e0+4];", ONES, checks=False)


def test_a_device_has_only_so_much_memory():
    device = simulate.Device()
    with pytest.raises(simulate.LaunchError, match="bytes are left of"):
        device.allocate(1 << 40)
    with pytest.raises(simulate.LaunchError, match="8 bytes: address 0x10 lies in no allocation"):
        device.view(16, 8)


def test_stores_of_one_value_by_many_are_a_finding():
    _, report = run("st.global.u32 [%a0], 5;", ONES)
    assert [finding.kind for finding in report.findings] == ["same value"]


def test_stores_of_different_values_by_many_are_a_race():
    with pytest.raises(simulate.RaceError, match=r"byte 0 of .*nothing orders this write") as info:
        run("st.global.u32 [%a0], %t;", ONES)
    assert {info.value.thread, info.value.other_thread} == {(0, 0, 0), (1, 0, 0)}


def test_lanes_in_several_spaces_and_several_allocations_at_once():
    body = """
        mov.u64 %d1, buffer;
        cvta.shared.u64 %d1, %d1;
        mad.wide.u32 %d1, %t, 4, %d1;
        rem.u32 %r1, %t, 3;
        setp.eq.u32 %p1, %r1, 1;
        setp.eq.u32 %p2, %r1, 2;
        selp.b64 %d2, %e0, %d1, %p1;
        selp.b64 %d2, %e1, %d2, %p2;
        st.u32 [%d2], %t;
        ld.u32 %r2, [%d2];
        st.global.u32 [%e2], %r2;
    """
    (first, second, out), _ = run(
        body, *(np.zeros(32, np.uint32) for _ in range(3)), module=".shared .b32 buffer[32];"
    )
    assert first.tolist() == [t if t % 3 == 1 else 0 for t in range(32)]
    assert second.tolist() == [t if t % 3 == 2 else 0 for t in range(32)]
    assert out.tolist() == list(range(32))


@pytest.mark.parametrize("lanes", [1, 32], ids=["one lane", "all lanes"])
@pytest.mark.parametrize("address", [-8, 0x0500_0000_0000, 0x7000_0000_0000_0000])
def test_a_generic_address_that_no_space_has(address, lanes):
    body = f"""
        mov.u64 %d1, buffer;
        cvta.shared.u64 %d1, %d1;
        mad.wide.u32 %d1, %t, 4, %d1;
        setp.lt.u32 %p1, %t, {lanes};
        selp.b64 %d1, {address}, %d1, %p1;
        st.u32 [%d1], %t;
    """
    with pytest.raises(simulate.MemoryFault, match="outside its allocation"):
        run(body, ONES, module=".shared .b32 buffer[32];")
