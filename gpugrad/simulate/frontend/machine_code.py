"""`simulate.compile`: a kernel's machine code without a GPU, and what it will cost one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from gpugrad.simulate.faults import CompileError, LaunchError
from gpugrad.simulate.frontend.arguments import types_of
from gpugrad.simulate.frontend.cards import (
    CARDS,
    MAX_THREADS,
    REGISTERS,
    WARP,
    Occupancy,
    card,
    occupancy,
)
from gpugrad.simulate.frontend.frontend import Compiled, Kernel, as_kernel, build, compiled
from gpugrad.simulate.frontend.toolchain import link
from gpugrad.simulate.ptx.reader import parse
from gpugrad.simulate.report.counts import Counts
from gpugrad.simulate.report.findings import float64


@dataclass(frozen=True)
class MachineCode:
    """What the linker made of a kernel.

    Attributes:
        entry: the kernel's name in the cubin.
        registers, spilled_bytes, local_bytes: of a thread; spilled_bytes counts stores.
        shared_bytes: static shared memory of a block.
        max_threads: a block may have.
        float64_lines: (file, line) of float64 arithmetic, where no argument is float64.
        cubin: the machine code, which a driver loads.
        ptx: what the simulator runs.
    """

    name: str
    entry: str
    cc: tuple[int, int]
    registers: int
    spilled_bytes: int
    local_bytes: int
    shared_bytes: int
    max_threads: int
    float64_lines: tuple[tuple[str, int], ...]
    cubin: bytes = field(repr=False)
    ptx: str = field(repr=False)

    def occupancy(self, threads: int, shared_bytes: int = 0, card: str | None = None) -> Occupancy:
        """How many blocks of the kernel a multiprocessor holds at a time.

        Args:
            threads: of a block.
            shared_bytes: dynamic shared memory of a block.
            card: "T4", "A100" or "H100", by default the one that the code was linked for. For
                another, link again: registers differ between cards.
        """
        of = {known.name: known for known in CARDS.values()}
        if card is not None and card not in of:
            raise LaunchError(f"{card!r} is no card that is simulated: {', '.join(of)} are")
        chosen = of[card] if card is not None else CARDS[self.cc]
        return occupancy(chosen, threads, self.registers, self.shared_bytes + shared_bytes)


def compile(kernel: Any, signature: Any, cc: tuple[int, int] = (7, 5)) -> MachineCode:
    """Compile a kernel to the machine code of a card, with no GPU or driver present.

    Args:
        kernel: what `@cuda.jit` made, or its Python function.
        signature: Numba's types of the arguments, as a tuple or as `cuda.jit` takes them in a
            string ("void(float32[::1], int32)"), or a list of example arguments.
        cc: the compute capability: (7, 5), (8, 0) or (9, 0).
    Raises:
        CompileError: Numba cannot compile it, or something is not installed.
        LaunchError: the signature does not fit, or the compute capability is unknown.
    """
    target = card(cc)
    user = as_kernel(kernel)
    types = _types(user, signature)
    code = compiled(user, types, target.cc)
    cubin, log = _link(user, code)
    entry = re.search(r"entry function '(\S+)'", log)
    if entry is None:
        raise CompileError(f"{code.name}: the linker names no kernel\n  {log}")
    return MachineCode(
        name=code.name,
        entry=entry[1],  # which is not the PTX's: Numba numbers what it compiles
        cc=target.cc,
        registers=(registers := _number(r"Used (\d+) registers", log)),
        spilled_bytes=_number(r"(\d+) bytes spill stores", log),
        local_bytes=_number(r"(\d+) bytes stack frame", log),
        shared_bytes=_number(r"(\d+) bytes smem", log),
        max_threads=min(
            MAX_THREADS,
            code.options.max_threads or MAX_THREADS,
            REGISTERS // max(1, -(-registers * WARP // 256) * 256) // 4 * 4 * WARP,
        ),
        float64_lines=float64_lines(code.ptx) if code.float32 else (),
        cubin=cubin,
        ptx=code.ptx,
    )


def _types(kernel: Kernel, signature: Any) -> tuple[Any, ...]:
    """Numba's types, of whatever form the caller gave them in."""
    from numba.cuda import types
    from numba.cuda.core import sigutils
    from numba.cuda.core.errors import NumbaError

    if isinstance(signature, list):
        return types_of(kernel, tuple(signature))
    try:
        found, returns = sigutils.normalize_signature(signature)
    except (TypeError, NameError, SyntaxError, AttributeError, NumbaError) as error:
        raise LaunchError(
            f"{kernel.name}: {signature!r} is no signature ({error})\n"
            '  help: write "(float32[::1], int32)", a tuple of Numba\'s types, or a list of '
            "example arguments"
        ) from None
    if returns not in (None, types.void):
        raise LaunchError(f"{kernel.name}: a kernel returns nothing, not {returns}")
    if len(found) != len(kernel.parameters):
        raise LaunchError(
            f"{kernel.name}({', '.join(kernel.parameters)}) takes {len(kernel.parameters)} "
            f"arguments, and the signature has {len(found)}"
        )
    return tuple(found)


def _link(kernel: Kernel, code: Compiled) -> tuple[bytes, str]:
    flags: tuple[str, ...] = ()
    if code.options.max_registers:
        flags = (f"-maxrregcount={code.options.max_registers}",)
    libraries: tuple[str, ...] = ()
    if "cudaCGGetIntrinsicHandle" in code.ptx:  # this_grid().sync()
        libraries = (_cudadevrt(),)
    if code.externals:  # as LTO-IR, NVVM's and NVRTC's debug information do not mix
        return link(code.ptx, code.cc, flags, libraries)
    (part,) = build(kernel, code.types, code.cc, "ltoir")
    return link(part, code.cc, flags, libraries)


def _cudadevrt() -> str:
    """NVIDIA's device runtime, which a kernel that synchronises its grid is linked with."""
    from numba.cuda.cudadrv.libs import get_cudalib

    path = get_cudalib("cudadevrt", static=True)
    if not isinstance(path, str):
        raise CompileError("the kernel needs libcudadevrt, which is not installed")
    return path


def _number(pattern: str, log: str) -> int:
    found = re.search(pattern, log)
    return int(found[1]) if found else 0


def float64_lines(ptx: str) -> tuple[tuple[str, int], ...]:
    """(file, line) of each source line that became float64 instructions, in order."""
    code = [said for function in parse(ptx).functions.values() for said in function.body]
    places = [(said.place.file, said.place.line) if said.place else None for said in code]
    found = float64(Counts(len(code)), [said.opcode for said in code], places)
    return tuple((finding.file, finding.line) for finding in found if finding.line is not None)
