"""Questions about CUDA devices, their memory and their streams: `gg.cuda`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from gpugrad.cuda.failures import Translated
from gpugrad.cuda.tf32 import allow_tf32, tf32_allowed
from gpugrad.errors import DeviceError

__all__ = [
    "Event", "Stream", "allow_tf32", "device_count", "empty_cache", "is_available", "is_simulated",
    "max_memory_allocated", "memory_allocated", "memory_summary", "reset_peak_memory_stats",
    "synchronize", "tf32_allowed",
]  # fmt: skip


def is_available() -> bool:
    """Whether `device="cuda"` works here, on a GPU or simulated.

    >>> import gpugrad as gg
    >>> gg.cuda.is_available() == (gg.cuda.device_count() > 0)
    True
    """
    return device_count() > 0


def device_count() -> int:
    """How many CUDA devices there are; a simulated one counts."""
    from gpugrad.cuda.backend import backend

    try:
        return backend().device_count()
    except DeviceError:
        return 0


def is_simulated() -> bool:
    """Whether `device="cuda"` is simulated on the CPU (`GPUGRAD_SIMULATE_CUDA=1`)."""
    from gpugrad.cuda.backend import is_simulated as simulated

    return simulated()


def _on(name: str, device: Any) -> Any:
    """The backend, and the block of `gg.cuda.name`: `device` is current there (None: as it is).

    What the driver refuses within is told in gpugrad's words.
    """
    from gpugrad.cuda.backend import backend
    from gpugrad.device import CudaDevice, as_device

    if device is None:
        return backend(), Translated(f"gg.cuda.{name}", nullcontext())
    wanted = as_device(f"cuda:{device}" if isinstance(device, int) else device)
    if not isinstance(wanted, CudaDevice):
        raise DeviceError(
            f"gg.cuda.{name}: {wanted} is no CUDA device\n  help: use 'cuda' or 'cuda:1'"
        )
    return backend(), Translated(f"gg.cuda.{name}", wanted.use())


def synchronize(device: Any = None) -> None:
    """Wait until the device has done all that it was given.

    Raises:
        GradError: within `gg.detect_anomaly()`, what a check of values on the device found.
    """
    from gpugrad.later import raise_pending

    gpu, current = _on("synchronize", device)
    with current:
        gpu.synchronize()
        raise_pending()


def memory_allocated(device: Any = None) -> int:
    """Bytes of arrays that are alive on the device."""
    gpu, current = _on("memory_allocated", device)
    with current:
        return int(gpu.used_bytes())


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that were in use at a time since `reset_peak_memory_stats`.

    CuPy keeps no such figure itself: before the first reset it is what is in use now.
    """
    gpu, current = _on("max_memory_allocated", device)
    with current:
        return int(gpu.peak_bytes())


def reset_peak_memory_stats(device: Any = None) -> None:
    """Count the peak from now on, in this thread."""
    gpu, current = _on("reset_peak_memory_stats", device)
    with current:
        gpu.reset_peak()


def empty_cache() -> None:
    """Give memory that is kept for new arrays back to the driver."""
    gpu, current = _on("empty_cache", None)
    with current:
        gpu.release()


def memory_summary(device: Any = None) -> str:
    """What is live on the device, by layer and shape, and what is free; text to be printed.

    Parameters stand by their names in their modules, then what optimizers keep, data, gradients,
    what operations keep for a backward pass, and other tensors and arrays, the largest first.
    """
    gpu, current = _on("memory_summary", device)
    with current:
        from gpugrad.cuda.live import live, summary

        index = gpu.device_index()
        return summary(index, live(index))


def Stream(**options: Any) -> Any:
    """A stream, CuPy's own: `with stream:` gives it what is computed within.

    Args:
        options: `null`, `non_blocking`, as CuPy's `Stream` takes them.
    """
    gpu, current = _on("Stream", None)
    with current:
        return gpu.Stream(**options)


def Event(**options: Any) -> Any:
    """An event, CuPy's own, to be recorded on a stream.

    Args:
        options: `block`, `disable_timing`, as CuPy's `Event` takes them.
    """
    gpu, current = _on("Event", None)
    with current:
        return gpu.Event(**options)
