"""A kernel's arguments: their types as Numba's dispatcher finds them, and their place in memory.

An array becomes 5 + 2·ndim words: 0, 0, size, itemsize, pointer, shape..., strides.... Arrays that
share memory on the host share it on the device. A launch that fails leaves them as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from gpugrad.simulate.faults import LaunchError
from gpugrad.simulate.frontend.frontend import Kernel

WORD = (1 << 64) - 1


@dataclass(eq=False)
class Block:
    """Host memory that the kernel is given: an array, or a record passed by its address."""

    name: str
    host: np.ndarray[Any, Any]  # elements as bytes: dtype V1, V2, ...
    read: bool = True  # copied to the device
    written: bool = True  # copied back
    record: np.void | None = None
    pointer: int = 0
    device: np.ndarray[Any, Any] | None = None  # the simulated memory, in the shape of `host`

    @property
    def start(self) -> int:
        """The address of the first element, which is not the lowest if a stride is negative."""
        return int(self.host.__array_interface__["data"][0])


@dataclass
class Arguments:
    """A launch's parameters, one for each of the entry's, and what is copied back after it."""

    parameters: list[int | np.generic]
    blocks: list[Block] = field(repr=False)

    def copy_back(self) -> None:
        """Copy what the kernel wrote to the host's arrays."""
        for block in self.blocks:
            if block.written and block.device is not None:
                block.host[...] = block.device
            if block.record is not None:
                new = block.host.view(block.record.dtype)
                for name in new.dtype.names or ():
                    block.record[name] = new[name]


def types_of(kernel: Kernel, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Numba's types of the arguments, those of the kernel's own signature if it has one.

    Raises:
        LaunchError: their number is wrong, or one is of a kind that no kernel takes.
    """
    wanted = kernel.parameters
    if len(args) != len(wanted):
        count = f"{len(wanted)} argument{'s' * (len(wanted) != 1)}"
        raise LaunchError(
            f"{kernel.name}({', '.join(wanted)}) takes {count}, and {len(args)} were given"
        )
    given = tuple(_type_of(_place(kernel, n), _value(a)) for n, a in zip(wanted, args, strict=True))
    if not kernel.signatures or given in kernel.signatures:
        return given
    for signature in kernel.signatures:
        if len(kernel.signatures) == 1 and all(map(_takes, signature, given)):
            return signature
    declared = "; ".join(str(signature) for signature in kernel.signatures)
    raise LaunchError(f"{kernel.name} is declared for {declared}, not for {given}")


def place(device: Any, kernel: Kernel, types: tuple[Any, ...], args: tuple[Any, ...]) -> Arguments:
    """Copy the arguments to the device's memory and make the launch's parameters of them.

    Bytes of an array count as written, bytes between the elements of a view belong to nothing.
    """
    parts: list[Block | np.generic] = []
    for name, kind, argument in zip(kernel.parameters, types, args, strict=True):
        parts += _parts(name, kind, argument)
    blocks = [part for part in parts if isinstance(part, Block)]
    for group in _overlapping([block for block in blocks if block.host.size]):
        _allocate(device, group)
    parameters: list[int | np.generic] = []
    for part in parts:
        if not isinstance(part, Block):
            parameters.append(part)
        elif part.record is not None:
            parameters.append(part.pointer)
        else:
            host = part.host
            strides = [stride & WORD for stride in host.strides]
            parameters += [0, 0, host.size, host.itemsize, part.pointer, *host.shape, *strides]
    return Arguments(parameters, blocks)


def _place(kernel: Kernel, name: str) -> str:
    return f"argument {name} of {kernel.name}"


def _value(argument: Any) -> Any:
    """The argument inside `cuda.In`, `cuda.Out` or `cuda.InOut`."""
    from numba.cuda.args import ArgHint

    return argument.value if isinstance(argument, ArgHint) else argument


def _type_of(place: str, value: Any) -> Any:
    from numba.cuda import types
    from numba.cuda.core.errors import NumbaError
    from numba.cuda.typing.typeof import Purpose, typeof

    if isinstance(value, np.ma.MaskedArray):
        raise LaunchError(f"{place} is a masked array\n  help: pass its .data and its .mask")
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.kind in "OSUT":
            what = "objects" if value.dtype.kind == "O" else "strings"
            raise LaunchError(f"{place} holds {what} ({value.dtype}), which no GPU can take")
    elif hasattr(value, "__cuda_array_interface__"):
        way = ".get()" if hasattr(value, "get") else ".copy_to_host()"
        raise LaunchError(
            f"{place} is in the memory of a real GPU: {type(value).__name__}\n"
            f"  help: pass a NumPy array, as {way} makes one"
        )
    kind: Any
    try:
        kind = typeof(value, Purpose.argument)
    except (NumbaError, ValueError, TypeError, NotImplementedError):
        kind = None
    if kind is None or not _is_passable(kind):
        what = f"array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
        raise LaunchError(
            f"{place} cannot be passed to a kernel: {what}\n"
            "  help: NumPy arrays and records, numbers, booleans, dates, and tuples of them can"
        )
    if isinstance(kind, types.Array) and not isinstance(value, np.ndarray):
        seen, again = np.asarray(value), np.asarray(value)
        own = not seen.size or np.shares_memory(seen, again)
        if kind.mutable and not (own and seen.flags.writeable):
            raise LaunchError(
                f"{place} lets NumPy read its elements, not write them: {type(value).__name__}\n"
                "  help: pass a NumPy array, in which what the kernel writes can be read"
            )
    return kind


def _is_passable(kind: Any) -> bool:
    from numba.cuda import types

    if isinstance(kind, types.BaseTuple):
        return all(map(_is_passable, kind))
    if isinstance(kind, types.EnumMember):
        return _is_passable(kind.dtype)
    passable = (
        types.Array, types.Integer, types.Float, types.Boolean, types.Complex, types.NPDatetime,
        types.NPTimedelta, types.Record,
    )  # fmt: skip
    return isinstance(kind, passable)


def _takes(declared: Any, given: Any) -> bool:
    """Whether an argument of a type fits a declared one, as Numba would convert it."""
    from numba.cuda import types

    if isinstance(declared, types.Array) and isinstance(given, types.Array):
        return (
            (declared.dtype, declared.ndim) == (given.dtype, given.ndim)
            and declared.layout in ("A", given.layout)
            and (given.mutable or not declared.mutable)
        )
    numbers = (types.Integer, types.Float, types.Boolean)
    return declared == given or (isinstance(declared, numbers) and isinstance(given, numbers))


def _parts(name: str, kind: Any, argument: Any) -> Iterator[Block | np.generic]:
    """What an argument becomes: blocks of memory and scalars in the order of the parameters."""
    from numba.cuda import types

    value = _value(argument)
    if isinstance(kind, types.Array):
        array = np.asarray(value)
        hint = type(argument).__name__ if value is not argument else "InOut"
        yield Block(
            name,
            array.view(f"V{array.itemsize}"),
            read=hint != "Out",
            written=hint != "In" and array.flags.writeable,
        )
    elif isinstance(kind, types.Record):
        yield Block(name, np.array(value).view(f"V{value.itemsize}"), record=value)
    elif isinstance(kind, types.BaseTuple):
        for number, (item, each) in enumerate(zip(kind, value, strict=True)):
            yield from _parts(f"{name}[{number}]", item, each)
    elif isinstance(kind, types.EnumMember):
        yield from _parts(name, kind.dtype, value.value)
    elif isinstance(kind, types.Complex):
        real = np.float32 if kind == types.complex64 else np.float64
        yield from (real(value.real), real(value.imag))
    elif isinstance(kind, types.Boolean):
        yield np.uint8(bool(value))
    elif isinstance(kind, (types.NPDatetime, types.NPTimedelta)):
        yield value.view(np.int64)
    elif kind == types.float16:
        yield np.float16(value).view(np.uint16)
    elif isinstance(kind, types.Float):
        yield np.dtype(str(kind)).type(value)
    else:  # two's complement, cut to the declared width as C does
        bits = int(value) & ((1 << kind.bitwidth) - 1)
        yield np.dtype(f"u{kind.bitwidth // 8}").type(bits)


def _overlapping(blocks: list[Block]) -> Iterator[list[Block]]:
    """Groups of blocks whose ranges of bytes overlap, directly or through others.

    They come in the order of the arguments, so that addresses do not depend on the host's.
    """
    groups: list[list[Block]] = []
    end = 0
    for block in sorted(blocks, key=lambda block: byte_bounds(block.host)[0]):
        low, high = byte_bounds(block.host)
        if not groups or low >= end:
            groups.append([])
        end = max(end, high)
        groups[-1].append(block)
    groups = [sorted(group, key=blocks.index) for group in groups]
    yield from sorted(groups, key=lambda group: blocks.index(group[0]))


def _allocate(device: Any, group: list[Block]) -> None:
    """One allocation for a group: copy its bytes there and mark them."""
    bounds = [byte_bounds(block.host) for block in group]
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    # What shares memory keeps its alignment; an array by itself is copied to an aligned address.
    shift = low % 16 if len(group) > 1 else 0
    nbytes = shift + high - low
    pointer = device.allocate(nbytes, ", ".join(block.name for block in group))
    memory = device.view(pointer, nbytes)
    for block in group:
        offset = shift + block.start - low
        block.pointer = pointer + offset
        block.device = _view(memory, offset, block.host)
        if not block.read:  # what a card has there is anything but zeros, so NaN
            block.device[...] = np.full(block.host.itemsize, 255, np.uint8).view(block.host.dtype)
    for block in group:
        if block.read and block.device is not None:
            block.device[...] = block.host
    _mark(device, pointer, nbytes, shift - low, group)


def _mark(device: Any, pointer: int, nbytes: int, shift: int, group: list[Block]) -> None:
    """Say which bytes belong to an argument, and which of those count as written."""
    if any(block.read for block in group):
        device.mark(pointer, nbytes, "written")
    if len(group) == 1 and group[0].host.nbytes == nbytes:  # contiguous, in whatever order
        return
    mine, read = np.zeros(nbytes, bool), np.zeros(nbytes, bool)
    for block in group:
        item = np.full(block.host.itemsize, 1, np.uint8).view(block.host.dtype)[0]
        for flags in (mine, read) if block.read else (mine,):
            _view(flags.view(np.uint8), shift + block.start, block.host)[...] = item
    device.mark(pointer, nbytes, "outside", ~mine)
    device.mark(pointer, nbytes, "unwritten", mine & ~read)  # what one argument reads is written


def _view(memory: np.ndarray[Any, Any], offset: int, like: np.ndarray[Any, Any]) -> Any:
    """Bytes of simulated memory in the shape and strides of an array on the host."""
    return np.ndarray(like.shape, like.dtype, memory, offset, like.strides)
