"""gpugrad: gradients of NumPy-style array programs, and the training of MLPs with them.

>>> import gpugrad as gg
>>> x = gg.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> loss = (x**2).sum()
>>> loss.backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gpugrad import cuda, errors, numpy_protocol, ops
from gpugrad.autodiff import check_grad, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from gpugrad.determinism import deterministic, is_deterministic
from gpugrad.device import Device, default_device, devices
from gpugrad.device import as_device as device
from gpugrad.dtypes import (
    bool_,
    default_float,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    set_default_dtype,
    uint8,
    uint16,
    uint32,
    uint64,
)
from gpugrad.kernel import kernel
from gpugrad.making import asarray, tensor
from gpugrad.mode import detect_anomaly, enable_grad, is_grad_enabled, no_grad
from gpugrad.primitive import primitive
from gpugrad.random import Generator, default_generator, manual_seed
from gpugrad.tensor import Tensor

if TYPE_CHECKING:
    from gpugrad import data, nn, optim, train
    from gpugrad.saving import load, save

__all__ = [
    "Device", "Generator", "Tensor", "asarray", "bool_", "check_grad", "cuda", "data",
    "default_device", "default_float", "default_generator", "detect_anomaly", "deterministic",
    "device", "devices", "enable_grad", "errors", "float16", "float32", "float64", "grad",
    "hessian", "hvp", "int8", "int16", "int32", "int64", "is_deterministic", "is_grad_enabled",
    "jacobian", "jvp", "kernel", "load", "manual_seed", "nn", "no_grad", "numpy_protocol",
    "ops", "optim", "primitive", "save", "set_default_dtype", "tensor",
    "train", "uint8", "uint16", "uint32", "uint64", "value_and_grad", "vjp",
]  # fmt: skip
__all__ += ops.__all__  # every operation, where it is declared
globals().update({name: getattr(ops, name) for name in ops.__all__})


def __getattr__(name: str) -> Any:
    # At first use: together they would take half of what NumPy takes to import.
    if name in ("data", "nn", "optim", "train"):
        return import_module(f"gpugrad.{name}")
    if name in ("load", "save"):
        return getattr(import_module("gpugrad.saving"), name)
    raise AttributeError(f"module 'gpugrad' has no attribute {name!r}")
