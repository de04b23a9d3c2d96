"""Kernels written by hand in PTX, for what a compiler emits too seldom to wait for."""

from __future__ import annotations

import numpy as np

from gpugrad.simulate.device import Device

REGISTERS = """
    .reg .pred %p<10>;
    .reg .b16 %h<20>;
    .reg .b32 %r<40>;
    .reg .b64 %d<40>;
    .reg .f32 %f<20>;
    .reg .f64 %g<20>;
    .reg .b32 %t;
    .reg .b64 %a<10>;
    .reg .b64 %e<10>;
"""


def kernel(body, arrays, module="", declared=""):
    """A kernel `k` with a pointer to each array in %a0, %a1, ..., the address of the thread's own
    element of each in %e0, %e1, ..., and the thread's number in the grid in %t."""
    parameters = ", ".join(f".param .u64 p{k}" for k in range(len(arrays)))
    head = [
        "mov.u32 %r39, %tid.x;",
        "mov.u32 %r38, %ctaid.x;",
        "mov.u32 %r37, %ntid.x;",
        "mad.lo.s32 %t, %r38, %r37, %r39;",
    ]
    for k, array in enumerate(arrays):
        head += [
            f"ld.param.u64 %a{k}, [p{k}];",
            f"mad.wide.u32 %e{k}, %t, {array.itemsize}, %a{k};",
        ]
    return (
        ".version 8.0\n.target sm_75\n.address_size 64\n"
        f"{module}\n.visible .entry k({parameters})\n{{\n{REGISTERS}{declared}\n"
        + "\n".join(head)
        + f"\n{body}\nret;\n}}\n"
    )


def run(body, *arrays, grid=1, block=32, module="", declared="", shared_bytes=0, **device):
    """Launch it on copies of the arrays; the arrays as they are then, and the report."""
    card = Device(**device)
    pointers = []
    for array in arrays:
        pointers.append(card.allocate(array.nbytes))
        card.copy_to(pointers[-1], array)
    entry = card.load(kernel(body, arrays, module, declared)).entries["k"]
    report = card.launch(entry, grid, block, pointers, shared_bytes=shared_bytes)
    after = [card.copy_from(p, np.empty_like(a)) for p, a in zip(pointers, arrays, strict=True)]
    return after, report
