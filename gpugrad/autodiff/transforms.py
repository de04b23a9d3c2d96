"""Functions made from functions: grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp.

Each runs the function on aliases of its arguments, records it, and walks the graph: backwards with
cotangents, or forwards with tangents. Results stay part of the graph of an enclosing
differentiation, so every composition to any order comes from the same rules.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from operator import index
from typing import Any, TypeVar

import numpy as np

from gpugrad import ops
from gpugrad.autodiff.backward import cotangent_for, gradients, leaves_under
from gpugrad.autodiff.forward import push
from gpugrad.autodiff.tree import flatten, leaves_like
from gpugrad.cupy_protocol import explained
from gpugrad.device import ARRAYS, as_array, beside, to_host
from gpugrad.errors import DtypeError, GraphError, OptionError, ShapeError
from gpugrad.foreign import foreign_array
from gpugrad.graph import Leaf, Vertex
from gpugrad.making import asarray
from gpugrad.mode import is_grad_enabled, transforming
from gpugrad.tensor import Tensor, describe

T = TypeVar("T")


class _Call:
    """One call of a function on aliases of its arguments, recorded.

    Args:
        argnums: the positions of the arguments to differentiate.
        caller: the transform's name, for errors.
    """

    def __init__(
        self, f: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any],
        argnums: Sequence[int], caller: str, has_aux: bool = False,
    ) -> None:  # fmt: skip
        self.caller = caller
        self.outer = is_grad_enabled()
        self.primals: list[Any] = []  # the arguments' leaves as the user gave them
        self.aliases: list[Tensor] = []
        self.rebuilds = []
        passed = list(args)
        if args and len({k % len(args) for k in argnums}) < len(argnums):
            raise OptionError(f"{caller}: argnums={tuple(argnums)} names an argument twice")
        for k in argnums:
            if not -len(args) <= k < len(args):
                raise OptionError(f"{caller}: argnums={k}, but {len(args)} arguments were given")
            leaves, rebuild = flatten(args[k])
            aliases = [self._alias(leaf) for leaf in leaves]
            self.primals += leaves
            self.aliases += aliases
            self.rebuilds.append((len(leaves), rebuild))
            passed[k] = rebuild(aliases)
        chosen = {k % len(args) for k in argnums} if args else set()
        passed = [a if k in chosen else _constants(a) for k, a in enumerate(passed)]
        named = {name: _constants(value) for name, value in kwargs.items()}
        try:
            with transforming():
                out = f(*passed, **named)
        except ValueError as error:
            if isinstance(error.__cause__, GraphError):  # which NumPy hid: a[i] = t of an array a
                raise error.__cause__ from error
            raise
        except (TypeError, GraphError) as error:
            refused = explained(error)
            if refused is not None:
                raise refused from error
            raise
        self.aux: Any = None
        if has_aux:
            if not isinstance(out, tuple) or len(out) != 2:
                raise OptionError(f"{caller}: has_aux=True, but f did not return (out, aux)")
            out, self.aux = out
        self.returned = out
        leaves, self.rebuild_out = flatten(out)
        self.outs = [self._output(leaf) for leaf in leaves]
        self.inner = {t._node for t in self.aliases if isinstance(t._node, Leaf)}
        self.differentiable = self.outer and self._depends_on_more(self.outs)

    def _alias(self, leaf: Any) -> Tensor:
        """A tensor of its own for an argument, tied to an enclosing differentiation if any."""
        if not isinstance(leaf, NUMERIC) and foreign_array(leaf) is None:
            raise DtypeError(
                f"{self.caller}: an argument holds {leaf!r}; differentiable arguments hold tensors,"
                " arrays and floats\n  help: choose others with argnums, or close over this one"
            )
        tensor = asarray(leaf)
        if tensor.dtype.kind != "f":
            raise DtypeError(
                f"{self.caller}: only floating arguments have gradients, this is "
                f"{describe(leaf)}\n  help: write 2.0 instead of 2, or convert with astype"
            )
        if tensor._node is not None and self.outer:
            alias = ops.positive(tensor)
            return alias  # type: ignore[no-any-return]
        return Tensor._wrap(
            tensor._data, Leaf(tensor.shape, tensor.dtype, argument=True), tensor._version
        )

    def _output(self, leaf: Any) -> Tensor:
        if not isinstance(leaf, NUMERIC) and foreign_array(leaf) is None:
            raise DtypeError(f"{self.caller}: f returned {leaf!r}, which is no tensor")
        return asarray(leaf)

    def _depends_on_more(self, tensors: Sequence[Tensor], arguments_only: bool = False) -> bool:
        """Whether a leaf other than this call's own arguments is under these tensors."""
        ends = [t._node for t in tensors if t._node is not None]
        return any(
            leaf not in self.inner and not leaf.spent and (leaf.argument or not arguments_only)
            for leaf in leaves_under(ends)
        )

    def released(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Results as the caller may keep them: constants, unless something outside needs them."""
        return [t if self.differentiable and self._depends_on_more([t]) else t.detach()
                for t in tensors]  # fmt: skip

    def out(self) -> Any:
        """What f returned."""
        return self.rebuild_out(self.released(self.outs))

    def aux_out(self) -> Any:
        leaves, rebuild = flatten(self.aux)
        return rebuild([self.released([x])[0] if isinstance(x, Tensor) else x for x in leaves])

    def pulled(self, cotangents: Sequence[Tensor], retain_graph: bool) -> list[Any]:
        """The gradients of the arguments, each in the kind and place of its argument."""
        differentiable = self.differentiable or (
            is_grad_enabled() and any(g.requires_grad for g in cotangents)
        )
        found = gradients(
            self.outs,
            list(cotangents),
            self.aliases,
            retain_graph=retain_graph or differentiable,
            differentiable=differentiable,
        )
        if differentiable:
            found = [g if self._depends_on_more([g]) else g.detach() for g in found]
        kinds = [self._as_given(g, p) for g, p in zip(found, self.primals, strict=True)]
        trees, start = [], 0
        for count, rebuild in self.rebuilds:
            trees.append(rebuild(kinds[start : start + count]))
            start += count
        return trees

    def _as_given(self, g: Tensor, primal: Any) -> Any:
        """`g` as the kind its argument was; a tensor if an enclosing transform needs its graph."""
        if not _is_array(primal):
            return g
        if g.requires_grad and self._depends_on_more([g], arguments_only=True):
            return g
        return _array_like(g, primal)

    def over(self, results: T) -> T:
        """`results`, now that nobody can ask for the gradients of this call's arguments."""
        for leaf in self.inner:
            leaf.spent = True
        return results

    def scalar(self) -> Tensor:
        """The one number that f returned."""
        if len(self.outs) != 1 or self.outs[0].size != 1:
            shapes = ", ".join(describe(t) for t in self.outs) or "nothing"
            raise GraphError(
                f"{self.caller}: f must return one number, it returned {shapes}\n"
                "  help: reduce it (.sum(), .mean()), or use gg.vjp or gg.jacobian"
            )
        return self.outs[0]


NUMERIC = (Tensor, np.ndarray, np.generic, float, int)


def _is_array(x: Any) -> bool:
    """Whether x is an array of NumPy's or of the device."""
    return isinstance(x, np.ndarray) or type(x) in ARRAYS


def _array_like(t: Tensor, primal: Any) -> Any:
    """A copy of t's elements as an array of the kind of `primal`."""
    if isinstance(primal, np.ndarray):
        return np.array(to_host(t._data))
    with beside(t._data):
        return t._data.copy()


def _constants(tree: Any) -> Any:
    """`tree` with NumPy arrays as tensors: inside a differentiated function all are tensors."""
    leaves, rebuild = flatten(tree)
    return rebuild([asarray(x) if _is_array(x) and x.dtype.kind in "fiub" else x
                    for x in leaves])  # fmt: skip


def _positions(argnums: int | Sequence[int], caller: str) -> tuple[int, ...]:
    """`argnums` as a tuple of integers."""
    given = argnums if isinstance(argnums, (tuple, list)) else (argnums,)
    try:
        return tuple(index(k) for k in given)
    except TypeError:
        raise OptionError(
            f"{caller}: argnums={argnums!r} must be an integer, or a tuple of integers"
        ) from None


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns f's value and its gradient.

    Args:
        f: takes tensors, or nested dicts, lists, tuples and dataclasses of them; returns one number
            (and, with `has_aux`, anything beside it).
        argnums: which argument to differentiate; a tuple gives a tuple of gradients.
    Returns: a function of the same arguments, returning (value, gradient), or ((value, aux),
        gradient). A gradient has its argument's structure, shapes, dtypes and kinds.
    Raises:
        GraphError: f returns something else than one number.
        DtypeError: the argument is not floating.

    >>> import gpugrad as gg
    >>> gg.value_and_grad(lambda x: (x**2).sum())(gg.tensor([1.0, 2.0]))
    (tensor(5.), tensor([2., 4.]))
    """

    @functools.wraps(f, assigned=("__name__", "__doc__"), updated=())
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        call = _Call(f, args, kwargs, _positions(argnums, "grad"), "grad", has_aux)
        out = call.scalar()
        found = call.pulled([cotangent_for(out, None, "grad")], retain_graph=False)
        value = (call.out(), call.aux_out()) if has_aux else call.out()
        return call.over((value, tuple(found) if isinstance(argnums, (tuple, list)) else found[0]))

    return value_and_gradient


def grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the gradient of f; see `value_and_grad`.

    With `has_aux` it returns (gradient, aux).

    >>> import gpugrad as gg
    >>> gg.grad(gg.grad(lambda x: x**3))(2.0)
    tensor(12.)
    """
    both = value_and_grad(f, argnums, has_aux)

    @functools.wraps(f, assigned=("__name__", "__doc__"), updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """f(*primals), and the function that maps a cotangent of it to those of the primals.

    Returns: (out, vjp_fn); vjp_fn takes a cotangent of out's structure, any number of times, and
        returns a tuple with a cotangent for each primal.

    >>> import gpugrad as gg
    >>> out, pull = gg.vjp(lambda x: x * x, gg.tensor([1.0, 2.0]))
    >>> pull(gg.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    call = _Call(f, primals, {}, range(len(primals)), "vjp")

    def vjp_fn(cotangent: Any) -> tuple[Any, ...]:
        given, _ = flatten(cotangent)
        if len(given) != len(call.outs):
            raise ShapeError(
                f"vjp_fn: f returned {len(call.outs)} tensors, {len(given)} cotangents were given"
            )
        given = leaves_like(cotangent, call.returned, "vjp_fn")
        checked = [cotangent_for(out, g, "vjp_fn")
                   for out, g in zip(call.outs, given, strict=True)]  # fmt: skip
        return tuple(call.pulled(checked, retain_graph=True))

    return call.over((call.out(), vjp_fn))


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """f(*primals), and how it moves when the primals move along the tangents: forward mode.

    Args:
        primals, tangents: tuples of equal structure, one entry for each argument of f.
    Returns: (out, tangent of out).

    >>> import gpugrad as gg
    >>> gg.jvp(lambda x: x**2, (gg.tensor(3.0),), (gg.tensor(1.0),))
    (tensor(9.), tensor(6.))
    """
    if not isinstance(primals, (tuple, list)):
        primals, tangents = (primals,), (tangents,)
    call = _Call(f, primals, {}, range(len(primals)), "jvp")
    given, _ = flatten(tuple(tangents))
    if len(given) != len(call.aliases):
        raise ShapeError(f"jvp: {len(call.aliases)} primals, but {len(given)} tangents")
    given = leaves_like(tuple(tangents), tuple(primals), "jvp")
    moves = [cotangent_for(alias, v, "jvp")
             for alias, v in zip(call.aliases, given, strict=True)]  # fmt: skip
    differentiable = call.differentiable or (call.outer and any(v.requires_grad for v in moves))
    start: dict[Vertex, Any] = {
        alias._node: v if differentiable else v._data  # type: ignore[misc]
        for alias, v in zip(call.aliases, moves, strict=True)
    }
    ends = [out._node for out in call.outs if out._node is not None]
    found = push(start, ends, differentiable=differentiable)
    results = []
    for out in call.outs:
        tangent = found.get(out._node) if out._node is not None else None
        if tangent is None:
            tangent = out.device.xp.zeros(out.shape, dtype=out.dtype)
        wrapped = tangent if isinstance(tangent, Tensor) else Tensor._wrap(as_array(tangent))
        results.append(wrapped if call._depends_on_more([wrapped]) else wrapped.detach())
    return call.over((call.out(), call.rebuild_out(results)))


def jacobian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns the derivatives of every output of f in every element it takes.

    Each has the shape of the output followed by that of the argument. Rows come from reverse mode,
    or columns from forward mode, whichever are fewer.

    >>> import gpugrad as gg
    >>> gg.jacobian(lambda x: x**2)(gg.tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    def jacobian_of_f(*args: Any, **kwargs: Any) -> Any:
        call = _Call(f, args, kwargs, _positions(argnums, "jacobian"), "jacobian")
        rows, columns = (sum(t.size for t in ts) for ts in (call.outs, call.aliases))
        blocks = _by_rows(call) if rows <= columns else _by_columns(call)
        per_out = []
        for row in blocks:
            kinds = [call._as_given(b, p) for b, p in zip(row, call.primals, strict=True)]
            trees, start = [], 0
            for count, rebuild in call.rebuilds:
                trees.append(rebuild(kinds[start : start + count]))
                start += count
            per_out.append(tuple(trees) if isinstance(argnums, (tuple, list)) else trees[0])
        return call.over(call.rebuild_out(per_out))

    return jacobian_of_f


def _basis(t: Tensor) -> list[Tensor]:
    """The tensors shaped like t that are 1 in one element and 0 in the others."""
    size = t.size
    rows = t.device.xp.eye(size, dtype=t.dtype)
    return [Tensor._wrap(rows[k].reshape(t.shape)) for k in range(size)]


def _by_rows(call: _Call) -> list[list[Tensor]]:
    targets = call.aliases
    blocks = []
    for out in call.outs:
        rows = [
            gradients([out], [e], targets, retain_graph=True, differentiable=call.differentiable)
            for e in _basis(out)
        ]
        blocks.append([
            ops.stack([row[k] for row in rows]).reshape(out.shape + t.shape)
            if rows else ops.zeros(out.shape + t.shape, t.dtype, t.device)
            for k, t in enumerate(call.aliases)
        ])  # fmt: skip
    return [call.released(row) for row in blocks]


def _by_columns(call: _Call) -> list[list[Tensor]]:
    ends = [out._node for out in call.outs if out._node is not None]
    blocks: list[list[Tensor]] = [[] for _ in call.outs]
    for alias in call.aliases:
        columns: list[list[Tensor]] = [[] for _ in call.outs]
        for e in _basis(alias):
            start: dict[Vertex, Any] = {alias._node: e if call.differentiable else e._data}  # type: ignore[dict-item]
            found = push(start, ends, differentiable=call.differentiable)
            for k, out in enumerate(call.outs):
                v = found.get(out._node) if out._node is not None else None
                v = out.device.xp.zeros(out.shape, dtype=out.dtype) if v is None else v
                columns[k].append(v if isinstance(v, Tensor) else Tensor._wrap(as_array(v)))
        for k, out in enumerate(call.outs):
            block = (
                ops.stack(columns[k], axis=-1).reshape(out.shape + alias.shape)
                if columns[k]
                else ops.zeros(out.shape + alias.shape, out.dtype, out.device)
            )
            blocks[k].append(block)
    return [call.released(row) for row in blocks]


def hessian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that returns the second derivatives of f, which returns one number.

    >>> import gpugrad as gg
    >>> gg.hessian(lambda x: (x**3).sum())(gg.tensor([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Callable[..., Any], primals: Any, tangents: Any) -> Any:
    """The Hessian of f at the primals times the tangents, without forming it: forward over reverse.

    Args:
        primals: a tuple of f's arguments (or the only one); f returns one number.
        tangents: the same structure.
    Returns: the product, shaped like the primals.

    Source: Pearlmutter, "Fast exact multiplication by the Hessian" (1994).

    >>> import gpugrad as gg
    >>> gg.hvp(lambda x: (x**3).sum(), gg.tensor([1.0, 2.0]), gg.tensor([1.0, 0.0]))
    tensor([6., 0.])
    """
    if not isinstance(primals, (tuple, list)):
        return hvp(f, (primals,), (tangents,))[0]
    every = grad(f, tuple(range(len(primals))))
    products, rebuild = flatten(jvp(every, tuple(primals), tuple(tangents))[1])
    given, _ = flatten(tuple(primals))
    return rebuild([
        _array_like(v, p) if _is_array(p) and not v.requires_grad else v
        for v, p in zip(products, given, strict=True)
    ])  # fmt: skip
