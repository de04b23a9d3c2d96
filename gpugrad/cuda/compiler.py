"""From a kernel and the types of its arguments to the code that a device loads.

A GPU gets machine code (a cubin), the simulated device PTX. Either is made by Numba once for each
kernel, types and compute capability, and then kept on disk (`cache.py`) under a digest of all it
was made from (`sources.py`).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, Literal
from weakref import WeakKeyDictionary

from gpugrad.cuda import cache
from gpugrad.cuda.sources import UnknownSourceError, digest
from gpugrad.simulate.faults import CompileError
from gpugrad.simulate.frontend import frontend
from gpugrad.simulate.frontend.frontend import Kernel, Options, as_kernel, build, is_float32, merged
from gpugrad.simulate.frontend.toolchain import link

Output = Literal["cubin", "ptx"]


@dataclass(frozen=True)
class Code:
    """A kernel as a device loads it.

    Attributes:
        name: of the Python function.
        entry: what the code calls the kernel.
        source: the file and line of the Python function.
        shared_bytes: static shared memory of a block.
        float32: whether no argument is float64.
    """

    name: str
    entry: str
    output: Output
    code: bytes = field(repr=False)
    options: Options
    source: tuple[str, int]
    shared_bytes: int
    float32: bool


# What each kernel was made of when it was first compiled here. Numba takes a global for a constant
# from then on, so after a change neither its code nor the file of the new digest is to be trusted.
_first: WeakKeyDictionary[Any, dict[bool, str]] = WeakKeyDictionary()


def compiled(kernel: Any, types: tuple[Any, ...], cc: tuple[int, int], output: Output) -> Code:
    """A kernel's code for arguments of these types, from disk if it was made before.

    Args:
        kernel: what `@cuda.jit` made.
        types: Numba's types of the arguments.
        cc: the compute capability, such as (7, 5).
        output: "cubin", or "ptx" with line information.
    Raises:
        CompileError: Numba cannot compile it: the line, and why.
        LaunchError: it is no kernel.
    """
    user = as_kernel(kernel)
    name = _file_name(kernel, user, types, cc, output)
    kept = cache.read(name) if name else None
    if kept is None:
        about, code = (_cubin if output == "cubin" else _ptx)(user, types, cc)
        if name:
            cache.write(name, about, code)
    else:
        about, code = kept
    return Code(user.name, about["entry"], output, code, user.options, user.source,
                about["shared_bytes"], about["float32"])  # fmt: skip


def _file_name(
    kernel: Any, user: Kernel, types: tuple[Any, ...], cc: tuple[int, int], output: Output
) -> str | None:
    """Where the code is kept; None if it must not be."""
    lines = output == "ptx"
    try:
        sources = digest(kernel, lines=lines)
    except UnknownSourceError:
        return None
    if _first.setdefault(user.function, {}).setdefault(lines, sources) != sources:
        return None
    told = repr((sources, tuple(map(str, types)), cc, user.options))
    return f"{user.name}.{hashlib.blake2b(told.encode(), digest_size=20).hexdigest()}.{output}"


def _ptx(user: Kernel, types: tuple[Any, ...], cc: tuple[int, int]) -> tuple[Any, bytes]:
    made = frontend.compiled(user, types, cc)
    about = {"entry": made.entry, "shared_bytes": made.shared_bytes, "float32": made.float32}
    return about, made.ptx.encode()


def _cubin(user: Kernel, types: tuple[Any, ...], cc: tuple[int, int]) -> tuple[Any, bytes]:
    limit = user.options.max_registers
    flags = (f"-maxrregcount={limit}",) if limit else ()
    parts = build(user, types, cc, "ltoir")
    try:
        cubin, log = link(parts[0], cc, flags)
    except CompileError:  # it may need CUDA C++ that Numba brings along, which comes as PTX
        cubin, log = link(merged(build(user, types, cc, "ptx"), user), cc, flags)
    entry = re.search(r"entry function '(\S+)'", log)
    if entry is None:
        raise CompileError(f"{user.name}: the linker names no kernel\n  {log}")
    shared = re.search(r"(\d+) bytes smem", log)
    about = {
        "entry": entry[1],
        "shared_bytes": int(shared[1]) if shared else 0,
        "float32": is_float32(types),
    }
    return about, cubin
