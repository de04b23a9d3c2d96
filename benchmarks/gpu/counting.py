"""What a piece of work is made of, as the simulated device sees it: kernels, products, functions.

Kernels are counted by the simulator. Array functions and products are noted where the simulated
array module calls NumPy, so that no rule and no kernel knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from benchmarks.cost_model import Work, of_array_function, of_product, of_report

PRODUCTS = ("dot", "matmul")


@contextmanager
def counted() -> Iterator[list[Work]]:
    """The works of what the simulated device does within the block, filled in at its end."""
    from gpugrad.cuda.simulated import array, module
    from gpugrad.cuda.simulated.launch import launches

    works: list[Work] = []
    original = array.called

    def noting(function: Any, args: Any, options: dict[str, Any], self: Any = None) -> Any:
        result = original(function, args, options, self)
        work = _work(function, [*args, *options.values(), self], result, array.SimArray)
        if work is not None:
            works.append(work)
        return result

    with ExitStack() as stack:
        reports = stack.enter_context(launches())
        for place in (array, module):  # each has the name
            stack.enter_context(mock.patch.object(place, "called", noting))
        yield works
    works.extend(map(of_report, reports))


def _work(function: Callable[..., Any], given: list[Any], result: Any, kind: type) -> Work | None:
    """What a call cost; None for one that only looked, or made a view."""
    arrays = [value for value in given if isinstance(value, kind)]
    if isinstance(result, kind):
        if not any(result is a for a in arrays) and _is_view(result, arrays):
            return None
    elif result is not None:
        return None
    name = getattr(function, "__name__", type(function).__name__)
    if name == "__call__":  # a method of a universal function
        name = str(getattr(function, "__self__", function).__name__)
    if name in PRODUCTS and result.ndim == 2:
        a, b = arrays[:2]
        return of_product(a.shape[0], a.shape[1], b.shape[1], result.itemsize)
    distinct = {id(array): array for array in (*arrays, result) if array is not None}
    sizes = [array.size for array in distinct.values()]
    nbytes = sum(array.nbytes for array in distinct.values())
    return of_array_function(name, nbytes, max(sizes, default=0))


def _is_view(result: Any, arrays: list[Any]) -> bool:
    return any(result.allocation is array.allocation for array in arrays)
