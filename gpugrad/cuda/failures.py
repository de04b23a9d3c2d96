"""What a GPU refuses, told in gpugrad's words: memory exhausted, a stream that is gone, a lost GPU.

CuPy and the driver raise errors of their own, from whatever needed memory or a launch. They are
translated at the few doors through which work goes to a device: the call of an operation, the
backward and the forward walk, `with device.use():`, and `gg.cuda`. Each has

    except failures() as error:
        raise told("what was done", error) from None

whose head Python evaluates only after something was raised, so that it costs the CPU nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any

from gpugrad.errors import DeviceError, GradError

# What to do, by CUDA's name of the error: the driver's, or that of the runtime.
HELP = {
    "CUDA_ERROR_ILLEGAL_ADDRESS": "a kernel before it read or wrote outside its arrays, and this "
    "process cannot use the GPU any more: start again with GPUGRAD_SIMULATE_CUDA=1, which names "
    "the line",
    "CUDA_ERROR_INVALID_HANDLE": "the current stream is gone, or belongs to another device: make "
    "a new one on this device",
    "CUDA_ERROR_INVALID_CONTEXT": "the GPU was reset in this process, or the process was forked "
    "after it had used the GPU: start a new one (multiprocessing: the method 'spawn')",
    "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES": "its registers do not suffice for so large a block: "
    "launch fewer threads a block, or compile with @cuda.jit(launch_bounds=THREADS)",
    "CUDA_ERROR_NO_BINARY_FOR_GPU": "the code is for another GPU; the cache of compiled kernels "
    "may be deleted at any time",
    "CUDA_ERROR_UNSUPPORTED_PTX_VERSION": "the driver is older than the compiler: update it",
    "cudaErrorInsufficientDriver": "gpugrad doctor says which driver or package is missing",
    "CUDA_ERROR_OUT_OF_MEMORY": "gg.cuda.empty_cache() gives the driver what CuPy keeps for new "
    "arrays",
    "CUBLAS_STATUS_NOT_INITIALIZED": "too little memory is left for cuBLAS: free some, "
    "gg.cuda.memory_summary() says what is live",
}
RUNTIME_NAMES = {
    "cudaErrorIllegalAddress": "CUDA_ERROR_ILLEGAL_ADDRESS",
    "cudaErrorInvalidResourceHandle": "CUDA_ERROR_INVALID_HANDLE",
    "cudaErrorMemoryAllocation": "CUDA_ERROR_OUT_OF_MEMORY",
    "cudaErrorContextIsDestroyed": "CUDA_ERROR_INVALID_CONTEXT",
    "cudaErrorInitializationError": "CUDA_ERROR_INVALID_CONTEXT",
    "cudaErrorNoKernelImageForDevice": "CUDA_ERROR_NO_BINARY_FOR_GPU",
    "CUBLAS_STATUS_ALLOC_FAILED": "CUBLAS_STATUS_NOT_INITIALIZED",
}


def failures() -> tuple[type[Exception], ...]:
    """The errors that the backend in use raises by itself; none before one is in use."""
    from gpugrad.cuda.backend import in_use

    gpu = in_use()
    return () if gpu is None else gpu.failures


def told(
    doing: str, error: Exception, operands: Sequence[str] = (), rows: Collection[int] = ()
) -> GradError:
    """The error to raise in its place.

    Args:
        doing: what was being done.
        operands: lines about what it was done with.
        rows: how long the first axes of the operands are.
    """
    if isinstance(error, MemoryError):
        from gpugrad.cuda.live import out_of_memory

        exhausted = out_of_memory(doing, error, operands, rows)
        # It becomes the context of the new error, and its traceback would hold the arrays of frames
        # that nobody sees.
        error.__traceback__ = None
        return exhausted
    said, _, help_text = with_help(error).partition("\n")
    return DeviceError(
        "\n".join([f"{doing}: the GPU refused: {said}", *operands, *help_text.splitlines()])
    )


def with_help(error: Exception) -> str:
    """What CUDA said, and what to do."""
    text = str(error)
    name = text.partition(":")[0]
    help_text = HELP.get(RUNTIME_NAMES.get(name, name))
    return text + (f"\n  help: {help_text}" if help_text else "")


class Translated(AbstractContextManager[Any]):
    """A block whose failures are told: that of a door that is no hot path.

    Args:
        within: entered with it, such as the current device's block.
    """

    __slots__ = ("doing", "within")

    def __init__(self, doing: str, within: AbstractContextManager[Any]) -> None:
        self.doing, self.within = doing, within

    def __enter__(self) -> Any:
        try:
            return self.within.__enter__()
        except failures() as error:
            raise told(self.doing, error) from None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.within.__exit__(kind, error, trace)
        if kind is not None and issubclass(kind, failures()):
            raise told(self.doing, error) from None
