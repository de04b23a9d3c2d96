"""Loading a module's state: everything is checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gpugrad.device import Device
from gpugrad.errors import GradError, StateError
from gpugrad.making import asarray
from gpugrad.nn.parameter import overwrite
from gpugrad.tensor import Tensor

if TYPE_CHECKING:
    from gpugrad.nn.module import Module


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found on one side only."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load(model: Module, state: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Write `state` into the parameters and buffers of `model`; see `Module.load_state_dict`."""
    name = type(model).__name__
    if not isinstance(state, Mapping):
        raise StateError(
            f"{name}.load_state_dict: expected a dict of tensors by name, not "
            f"{type(state).__name__}\n  help: pass other.state_dict(), or what gg.load gave"
        )
    own = model.state_dict(keep_vars=True)
    missing = [key for key in own if key not in state]
    extra = [key for key in state if key not in own]
    problems = []
    if strict:
        problems += [f"missing: {key}" for key in missing]
        problems += [f"extra: {key}" for key in extra]
    values = {}
    for key, tensor in own.items():
        if key in state:
            values[key] = _array(state[key], tensor.device)
            if values[key] is None:
                problems.append(f"no tensor: {key} is {type(state[key]).__name__}")
            elif values[key].shape != tensor.shape:
                problems.append(
                    f"wrong shape: {key} is {values[key].shape} in the state, {tensor.shape} here"
                )
    if problems:
        lines = "\n  ".join(problems)
        hint = "\n  help: strict=False passes over missing and extra keys" if strict else ""
        raise StateError(f"{name}.load_state_dict: the state does not fit\n  {lines}{hint}")
    for key, value in values.items():
        overwrite(own[key], value, "load_state_dict")
    return IncompatibleKeys(missing, extra)


def _array(value: Any, device: Device) -> Any:
    """The elements of a tensor, an array or a number on `device`; None for anything else."""
    if isinstance(value, Tensor):
        return device.put(value._data)
    try:
        return asarray(value, device=device)._data
    except GradError:
        return None
