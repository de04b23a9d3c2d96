"""Kernels of primitives and rules: which function computes the same on a GPU, loaded when needed.

A kernel has the signature of the expression that it must equal, and answers NotImplemented to what
it does not take: then the expression itself computes, with CuPy's functions.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from gpugrad.namespace import Namespace

Rule = Callable[..., Any]


class Kernel:
    """A kernel: a function, or the full name of one, whose module is imported at the first call."""

    def __init__(self, function: str | Rule) -> None:
        self._named = function
        self._function: Rule | None = None if isinstance(function, str) else function

    def __call__(self, *args: Any, **options: Any) -> Any:
        function = self._function
        if function is None:
            module, _, name = str(self._named).rpartition(".")
            function = self._function = getattr(importlib.import_module(module), name)
        return function(*args, **options)

    def before(self, expression: Rule) -> Rule:
        """This kernel for the arrays that suit it, else the expression."""

        def kernel_first(*args: Any, **options: Any) -> Any:
            y = self(*args, **options)
            return expression(*args, **options) if y is NotImplemented else y

        return kernel_first


def on_gpu_by(kernel: str | Rule, rule: Rule) -> Rule:
    """A rule that asks a kernel of its own signature first, when it computes on a GPU."""
    fast = Kernel(kernel)

    @functools.wraps(rule)
    def either(xp: Any, *args: Any) -> Any:
        if type(xp) is Namespace and not xp.on_host:
            y = fast(xp, *args)
            if y is not NotImplemented:
                return y
        return rule(xp, *args)

    return either
