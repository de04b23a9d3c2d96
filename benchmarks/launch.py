"""python -m benchmarks.launch: what a kernel launch costs on the host, before the driver is called.

It needs CuPy and numba-cuda, and neither GPU nor driver: the arrays are real `cupy.ndarray` on
made-up addresses, and each way stops where it would call the driver.

- gpugrad: `launch` as it is, with a handle in place of the loaded kernel, and then CuPy reading the
  parameters that it passes, one CPointer a word.
- CuPy: its `Function`, which `RawKernel` calls, reading the arrays and numbers themselves.
- Numba: its dispatcher finding the arguments' types and making the parameters (`_prepare_args`),
  with an object in place of the context. DLPack and the stream that CuPy exports need a driver, so
  arrays are taken by `__cuda_array_interface__` without a stream: a lower bound. Newer versions
  (from 0.25) ask the driver even so; there only the types are found.

CuPy's part is the difference between a call that reads everything and then refuses an object, and
one that refuses at once.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ["CUPY_CUDA_ARRAY_INTERFACE_EXPORT_VERSION"] = "2"  # without a stream; read at import

import cupy
import numpy as np
from cupy.cuda.function import CPointer, Function
from numba import cuda

from benchmarks import machine
from benchmarks.processes import rotated, summary
from gpugrad.kernels import launch as launching

ROUNDS, CALLS = 15, 3000
GRID, BLOCK = (32, 1, 1), (256, 1, 1)
STREAM = SimpleNamespace(ptr=0)


@cuda.jit
def three(x, y, out):
    pass


@cuda.jit
def three_and_two(x, y, out, a, n):
    pass


def array(address: int) -> Any:
    memory = cupy.cuda.UnownedMemory(address, 1 << 20, None, device_id=0)
    return cupy.ndarray((64, 128), "f", memptr=cupy.cuda.MemoryPointer(memory, 0))


class Interface:
    """An array without DLPack."""

    def __init__(self, of: Any) -> None:
        self.of = of

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self.of.__cuda_array_interface__, "version": 3, "stream": None}


class Backend:
    """CuPy's, as far as it needs no driver."""

    array = cupy.ndarray
    read: tuple[Any, ...] = ()

    def device_index(self) -> int:
        return 0

    def load(self, kernel: Any, types: Any) -> Any:
        def parameters(words: ctypes.Array[ctypes.c_int64]) -> tuple[CPointer, ...]:
            base = ctypes.addressof(words)
            self.read = tuple(CPointer(base + 8 * k) for k in range(len(words)))
            return self.read

        code = SimpleNamespace(name="", options=SimpleNamespace(max_threads=None), shared_bytes=0)
        limits = SimpleNamespace(name="", block_shared_bytes=1 << 16)
        return SimpleNamespace(code=code, limits=limits, parameters=parameters)

    @staticmethod
    def run(kernel: Any, grid: Any, block: Any, parameters: Any, shared: int) -> None:
        """Where the driver would be called."""


def reading(*args: Any) -> Callable[[], None]:
    """CuPy reading arguments, and refusing the last."""
    function, refused = Function.__new__(Function), (*args, object())

    def read() -> None:
        try:
            function(GRID, BLOCK, refused, 0, STREAM)
        except TypeError:
            return
        raise AssertionError("CuPy took an object for an argument")

    return read


def dispatching(kernel: Any, args: tuple[Any, ...]) -> dict[str, Callable[[], None]]:
    """What Numba's dispatcher does with arguments before it calls the driver."""
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv import devices

    context = SimpleNamespace(device=SimpleNamespace(id=0))
    devices._runtime.get_or_create_context = lambda *_: context
    devices.driver = SimpleNamespace(get_active_context=nullcontext)
    args = tuple(Interface(a) if isinstance(a, cupy.ndarray) else a for a in args)
    made = object.__new__(dispatcher._Kernel)
    made.extensions = []
    prepare = made._prepare_args

    def dispatch() -> None:
        words: list[Any] = []
        back: list[Any] = []
        for kind, value in [(kernel.typeof_pyval(value), value) for value in args]:
            prepare(kind, value, 0, back, words)

    def type_only() -> None:
        for value in args:
            kernel.typeof_pyval(value)

    try:
        dispatch()
    except Exception:  # each version fails in its own way where it asks for the driver
        return {"Numba: finding the types": type_only}
    return {"Numba: types and parameters": dispatch}


def ways(kernel: Any, args: tuple[Any, ...]) -> dict[str, Callable[[], None]]:
    backend = Backend()
    launching.backend = lambda: backend  # type: ignore[assignment,return-value]
    launch = launching.launch
    launch(kernel, 32, 256, *args)
    return {
        "gpugrad: launch": lambda: launch(kernel, 32, 256, *args),
        "CuPy: reading gpugrad's parameters": reading(*backend.read),
        "CuPy: reading the arguments": reading(*args),
        **dispatching(kernel, args),
    }


def microseconds(call: Callable[[], None], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls * 1e6


def measure(kernel: Any, args: tuple[Any, ...], rounds: int, calls: int) -> dict[str, Any]:
    """Medians in microseconds, the ways taking turns."""
    timed = {**ways(kernel, args), "nothing": reading()}
    blocks: dict[str, list[float]] = {name: [] for name in timed}
    for call in timed.values():
        microseconds(call, calls)  # warms up
    for turn in range(rounds):
        for name in rotated(list(timed), turn):
            blocks[name].append(microseconds(timed[name], calls))
    nothing = blocks.pop("nothing")
    for name, times in blocks.items():
        if name.startswith("CuPy"):
            blocks[name] = [t - n for t, n in zip(times, nothing, strict=True)]
    return {name: summary(times) for name, times in blocks.items()}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.launch", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="blocks of each way")
    parser.add_argument("--calls", type=int, default=CALLS, help="of a block")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    chosen = parser.parse_args(argv)
    if min(chosen.rounds, chosen.calls) < 1:
        parser.error("rounds and calls must be at least 1")
    about = machine.describe()
    about |= {name: importlib.metadata.version(name) for name in ("numba", "numba-cuda")}
    about["cupy"] = cupy.__version__
    warning = machine.busy(about)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    arrays = tuple(array(0x7F0000000000 + (k << 20)) for k in range(3))
    results = {
        "3 arrays": measure(three, arrays, chosen.rounds, chosen.calls),
        "3 arrays, 2 numbers": measure(
            three_and_two, (*arrays, np.float32(2), np.int32(8192)), chosen.rounds, chosen.calls
        ),
    }
    print(
        f"{about['processor']}, {about['cores']} cores, Python {about['python']}, CuPy "
        f"{about['cupy']}, numba-cuda {about['numba-cuda']}\n"
        f"microseconds a launch on the host, median of {chosen.rounds}\n"
    )
    print(f"{'':36}" + "".join(f"{name:>22}" for name in results))
    for way in results["3 arrays"]:
        print(f"{way:36}" + "".join(f"{row[way]['median']:>22.2f}" for row in results.values()))
    if chosen.json:
        chosen.json.write_text(json.dumps({"machine": about, "launch": results}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
