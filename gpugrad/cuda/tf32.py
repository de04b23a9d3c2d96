"""TensorFloat-32: whether products of float32 matrices may round their operands to 10 bits.

Cards from compute capability 8.0 on (A100 and later) multiply such numbers on tensor cores, several
times as fast. What is added up stays float32. It is off until it is asked for, because float32 has
23 bits: a relative error of 1e-3 in each factor in place of 1e-7.
"""

from __future__ import annotations

from gpugrad.errors import DeviceError

SINCE = (8, 0)


def allow_tf32(allowed: bool = True) -> None:
    """Let matrix products of float32 use TensorFloat-32, on every GPU, or keep them from it.

    CuPy's own products follow the same switch. Kernels, and all else that is computed in float32,
    do not change. With `CUPY_TF32=1` in the environment CuPy begins with it on.

    Raises:
        DeviceError: there is no GPU, or one that has no TensorFloat-32 (a T4, for one).
    """
    from gpugrad.cuda.backend import backend

    gpu = backend()
    for index in range(gpu.device_count()) if allowed else ():
        card = gpu.properties(index)
        if card.compute_capability < SINCE:
            major, minor = card.compute_capability
            raise DeviceError(
                f"gg.cuda.allow_tf32: cuda:{index} ({card.name}) has compute capability "
                f"{major}.{minor}, and TensorFloat-32 begins with 8.0\n"
                "  help: leave it off; such a card has tensor cores for float16 alone"
            )
    gpu.allow_tf32(allowed)


def tf32_allowed() -> bool:
    """Whether matrix products of float32 use TensorFloat-32: no, until `allow_tf32` is called.

    >>> import gpugrad as gg
    >>> gg.cuda.tf32_allowed()
    False
    """
    from gpugrad.cuda.backend import backend

    try:
        return backend().tf32_allowed()
    except DeviceError:
        return False
