"""Nested containers of tensors: dicts, lists, tuples, named tuples and dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """The leaves of `tree` in order, and a function that puts others in their places."""
    leaves: list[Any] = []
    rebuild = _flatten(tree, leaves)

    def unflatten(values: Sequence[Any]) -> Any:
        return rebuild(iter(values))

    return leaves, unflatten


def _flatten(tree: Any, leaves: list[Any]) -> Callable[[Any], Any]:
    if isinstance(tree, dict):
        keys, make = list(tree), [_flatten(value, leaves) for value in tree.values()]
        kind = type(tree)

        def rebuild_dict(values: Any) -> Any:
            items = {key: rebuild(values) for key, rebuild in zip(keys, make, strict=True)}
            return items if kind is dict else _like(tree, items)

        return rebuild_dict
    if isinstance(tree, (list, tuple)):
        make = [_flatten(value, leaves) for value in tree]
        sequence = type(tree)
        if hasattr(tree, "_fields"):  # a named tuple takes its fields one by one
            return lambda values: sequence(*[rebuild(values) for rebuild in make])
        return lambda values: sequence([rebuild(values) for rebuild in make])
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        names = [field.name for field in dataclasses.fields(tree) if field.init]
        make = [_flatten(getattr(tree, name), leaves) for name in names]
        return lambda values: dataclasses.replace(
            tree, **{name: rebuild(values) for name, rebuild in zip(names, make, strict=True)}
        )
    if tree is None:
        return lambda values: None
    leaves.append(tree)
    return next


def _like(original: dict[Any, Any], items: dict[Any, Any]) -> dict[Any, Any]:
    """`items` in a copy of a dict subclass (OrderedDict, defaultdict)."""
    twin = original.copy()
    twin.update(items)
    return twin
