"""An optimizer's state as PyTorch lays it out, and the checks when it comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.device import as_array
from gpugrad.errors import StateError
from gpugrad.optim.flat import Saved
from gpugrad.tensor import Tensor

if TYPE_CHECKING:
    from gpugrad.optim.optimizer import Optimizer


def pack(optimizer: Optimizer, saved: Mapping[int, Saved]) -> dict[str, Any]:
    """`optimizer.state_dict()`; `saved` holds the state of each tensor by its id."""
    state: dict[int, dict[str, Tensor]] = {}
    groups, index = [], 0
    for group in optimizer.param_groups:
        numbers = []
        names = optimizer.slots(group)
        for tensor in group["params"]:
            steps, arrays = saved.get(id(tensor), (0, {}))
            if steps > 0 and names:
                # float64 counts exactly to 2**53; PyTorch's float32 stops at 2**24 steps.
                count = {"step": Tensor._wrap(np.array(float(steps)))} if optimizer.counts else {}
                state[index] = count | {name: Tensor._wrap(arrays[name]) for name in names}
            numbers.append(index)
            index += 1
        groups.append({**group, "params": numbers})
    return {"state": state, "param_groups": groups}


def unpack(
    optimizer: Optimizer, state_dict: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[int, Saved]]]:
    """For each group of `optimizer`: the options, and the state by position, in `state_dict`.

    Raises:
        StateError: naming every missing, extra or wrong-shaped key.
    """
    if not isinstance(state_dict, Mapping):
        raise StateError(
            f"{type(optimizer).__name__}.load_state_dict: expected a dict, not "
            f"{type(state_dict).__name__}\n  help: pass what state_dict() or gg.load gave"
        )
    problems = [f"missing: {key}" for key in ("state", "param_groups") if key not in state_dict]
    _report(optimizer, problems)
    saved_groups = list(state_dict["param_groups"])
    entries = {int(index): entry for index, entry in state_dict["state"].items()}
    ours, theirs = len(optimizer.param_groups), len(saved_groups)
    if ours != theirs:
        _report(optimizer, [f"param_groups: {theirs} saved, the optimizer has {ours}"])
    options: list[dict[str, Any]] = []
    states: list[dict[int, Saved]] = []
    claimed: set[int] = set()
    for number, (group, given) in enumerate(zip(optimizer.param_groups, saved_groups, strict=True)):
        where = f"param_groups[{number}]"
        missing = sorted((optimizer.defaults.keys() | {"params"}) - given.keys())
        problems += [f"missing: {where}[{key!r}]" for key in missing]
        if missing:  # then the other keys tell which optimizer saved it
            extra = sorted(given.keys() - group.keys())
            problems += [f"extra: {where}[{key!r}]" for key in extra]
            continue
        if len(given["params"]) != len(group["params"]):
            problems.append(
                f"{where}['params']: {len(given['params'])} saved, "
                f"the optimizer has {len(group['params'])}"
            )
            continue
        claimed.update(given["params"])
        options.append({k: _like(group.get(k), v) for k, v in given.items() if k != "params"})
        names = optimizer.slots(given).keys() | ({"step"} if optimizer.counts else set())
        states.append({})
        for position, (index, tensor) in enumerate(
            zip(given["params"], group["params"], strict=True)
        ):
            entry = entries.get(index)
            if not entry:
                continue
            found = _entry_problems(f"state[{index}]", entry, names, tensor)
            problems += found
            if not found and names:
                arrays = {k: tensor.device.put(_array(v)) for k, v in entry.items() if k != "step"}
                steps = int(_array(entry["step"]).item()) if optimizer.counts else 1
                states[-1][position] = (steps, arrays)
    problems += [f"extra: state[{index}]" for index in sorted(entries.keys() - claimed)]
    _report(optimizer, problems)
    return options, states


def _entry_problems(
    where: str, entry: Mapping[str, Any], names: set[str], tensor: Tensor
) -> list[str]:
    # PyTorch writes None for a momentum buffer that has not been filled.
    present = {name for name, value in entry.items() if value is not None}
    problems = [f"missing: {where}[{name!r}]" for name in sorted(names - present)]
    problems += [f"extra: {where}[{name!r}]" for name in sorted(present - names)]
    for name in sorted((present & names) - {"step"}):
        shape = _array(entry[name]).shape
        if shape != tensor.shape:
            problems.append(f"{where}[{name!r}]: {shape} saved, the parameter is {tensor.shape}")
    return problems


def _report(optimizer: Optimizer, problems: list[str]) -> None:
    if problems:
        lines = [f"{type(optimizer).__name__}.load_state_dict: the state does not fit"]
        lines += [f"  {problem}" for problem in problems]
        raise StateError("\n".join(lines))


def _array(value: Any) -> Any:
    return value._data if isinstance(value, Tensor) else as_array(value)


def _like(present: Any, value: Any) -> Any:
    """`value`; as a tuple where the option is one, since files know only lists."""
    return tuple(value) if isinstance(present, tuple) and isinstance(value, list) else value
