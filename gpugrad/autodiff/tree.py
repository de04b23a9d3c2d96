"""Nested containers of tensors: dicts, lists, tuples, named tuples and dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from gpugrad.errors import ShapeError


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


def leaves_like(tree: Any, model: Any, caller: str) -> list[Any]:
    """The leaves of `tree` in the order of those of `model`: dicts are matched by their keys.

    Raises:
        ShapeError: their structures differ; a list may stand for a tuple.
    """
    if isinstance(model, dict):
        if isinstance(tree, dict) and tree.keys() == model.keys():
            return _all_like([(tree[key], part) for key, part in model.items()], caller)
    elif isinstance(model, (list, tuple)):
        if isinstance(tree, (list, tuple)) and len(tree) == len(model):
            return _all_like(list(zip(tree, model, strict=True)), caller)
    elif dataclasses.is_dataclass(model) and not isinstance(model, type):
        if type(tree) is type(model):
            names = [field.name for field in dataclasses.fields(model) if field.init]
            return _all_like([(getattr(tree, n), getattr(model, n)) for n in names], caller)
    elif model is None:
        if tree is None:
            return []
    else:
        leaves, _ = flatten(tree)
        if len(leaves) == 1 and leaves[0] is tree:
            return leaves
    raise ShapeError(
        f"{caller}: the structures differ: {_outline(tree)} was given where {_outline(model)} is "
        "needed"
    )


def _all_like(pairs: list[tuple[Any, Any]], caller: str) -> list[Any]:
    return [leaf for tree, model in pairs for leaf in leaves_like(tree, model, caller)]


def _outline(tree: Any) -> str:
    """One level of a structure, for an error."""
    if isinstance(tree, dict):
        return f"a dict with the keys {list(tree)}"
    if isinstance(tree, (list, tuple)):
        return f"a {type(tree).__name__} of {len(tree)}"
    return "None" if tree is None else f"a {type(tree).__name__}"


def _like(original: dict[Any, Any], items: dict[Any, Any]) -> dict[Any, Any]:
    """`items` in a copy of a dict subclass (OrderedDict, defaultdict)."""
    twin = original.copy()
    twin.update(items)
    return twin
