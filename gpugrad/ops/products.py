"""Products: matmul, einsum and the linear layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpugrad.errors import GradError, OptionError, ShapeError
from gpugrad.making import asarray
from gpugrad.primitive import primitive

__all__ = ["LINEAR_ACTIVATIONS", "dot", "einsum", "linear", "matmul", "outer"]


@primitive(linear=True, methods=["__matmul__", "__rmatmul__", "matmul"])
def matmul(xp: Any, a: Any, b: Any, /) -> Any:
    """The matrix product: a (..., m, k) @ b (..., k, n); batches broadcast.

    >>> import gpugrad as gg
    >>> gg.tensor([[1.0, 2.0]]) @ gg.tensor([3.0, 4.0])
    tensor([11.])
    """
    return xp.matmul(a, b)


@matmul.vjp("a")
def matmul_da(xp: Any, g: Any, a_shape: Any, b: Any) -> Any:
    if b.ndim == 1:  # each row of a met the one vector b
        return xp.expand_dims(g, -1) * b
    if len(a_shape) == 1:
        g = xp.expand_dims(g, -2)
    share = xp.matmul(g, xp.matrix_transpose(b))
    return xp.reshape(share, share.shape[:-2] + share.shape[-1:]) if len(a_shape) == 1 else share


@matmul.vjp("b")
def matmul_db(xp: Any, g: Any, a: Any, b_shape: Any) -> Any:
    if a.ndim == 1:  # each column of b met the one vector a
        return xp.expand_dims(a, -1) * xp.expand_dims(g, -2) if len(b_shape) > 1 else a * g
    if len(b_shape) == 1:
        return xp.sum(a * xp.expand_dims(g, -1), axis=tuple(range(a.ndim - 1)))
    return xp.matmul(xp.matrix_transpose(a), g)


@matmul.explain
def explain_matmul(a: Any, b: Any) -> str | None:
    a, b = asarray(a), asarray(b)
    if a.ndim == 0 or b.ndim == 0:
        return "a matrix product needs axes\n  help: multiply by a number with *"
    inner = b.shape[0] if b.ndim == 1 else b.shape[-2]
    if a.shape[-1] != inner:
        hint = ""
        if b.ndim == 2 and b.shape[-1] == a.shape[-1]:
            hint = "\n  help: b looks transposed; write matmul(a, b.T)"
        elif a.ndim == 2 and a.shape[0] == inner:
            hint = "\n  help: a looks transposed; write matmul(a.T, b)"
        what = "elements" if a.ndim == 1 else "columns"
        rows = "elements" if b.ndim == 1 else "rows"
        return f"a has {a.shape[-1]} {what} but b has {inner} {rows}{hint}"
    return f"the batches {a.shape[:-2]} and {b.shape[:-2]} do not broadcast"


def dot(a: Any, b: Any) -> Any:
    """The product of two vectors or matrices, or of a number and a tensor."""
    a, b = asarray(a), asarray(b)
    if b.ndim > 2 and a.ndim > 0:
        raise ShapeError(
            f"dot: b has {b.ndim} axes; NumPy's dot does not batch as matmul does\n"
            "  help: matmul for batches of matrices, einsum for anything else"
        )
    return a * b if a.ndim == 0 or b.ndim == 0 else matmul(a, b)


def outer(a: Any, b: Any) -> Any:
    """The products of all pairs of a's and b's elements: a (m,), b (n,) to (m, n)."""
    a, b = asarray(a), asarray(b)
    return a.reshape(-1, 1) * b.reshape(1, -1)


# Activations whose derivative can be read off their output: what they do in place to the product,
# and dy/dz in terms of y.
LINEAR_ACTIVATIONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "relu": (lambda xp, z: xp.maximum(z, 0, out=z), lambda xp, y: y > 0),
    "tanh": (lambda xp, z: xp.tanh(z, out=z), lambda xp, y: 1 - y * y),
    "sigmoid": (lambda xp, z: xp.sigmoid(z), lambda xp, y: y * (1 - y)),
}


@primitive(floating=True, cuda="gpugrad.kernels.linear")
def linear(xp: Any, x: Any, weight: Any, bias: Any = None, /, activation: str | None = None) -> Any:
    """activation(x @ weight.T + bias) in one operation: the layer of an MLP.

    Args:
        x: (..., in_features).
        weight: (out_features, in_features), as PyTorch stores it.
        bias: (out_features,) or None.
        activation: None, "relu", "tanh" or "sigmoid"; its derivative is read off the output, so
            the product itself is not kept.
    Returns: (..., out_features).

    >>> import gpugrad as gg
    >>> gg.linear(gg.tensor([[1.0, -1.0]]), gg.tensor([[2.0, 1.0]]), gg.tensor([-3.0]), "relu")
    tensor([[0.]])
    """
    if activation is not None and activation not in LINEAR_ACTIVATIONS:
        raise OptionError(
            f"linear: activation={activation!r} is none of {[None, *LINEAR_ACTIVATIONS]}\n"
            "  help: call another activation on the result"
        )
    if weight.ndim != 2 or not getattr(x, "ndim", 0) or getattr(bias, "ndim", 0) > 1:
        raise ValueError  # NumPy would compute something, and its gradient would be wrong
    y = xp.dot(x, weight.T)  # what matmul does with a matrix on the right, 0.3 us quicker
    if bias is not None:
        y = xp.add(y, bias, out=y)
    return y if activation is None else LINEAR_ACTIVATIONS[activation][0](xp, y)


@linear.tail(option="activation", cuda="gpugrad.kernels.linear.linear_dz", also="bias")
def dlinear_dz(xp: Any, y: Any, activation: str) -> Any:
    return LINEAR_ACTIVATIONS[activation][1](xp, y)


@linear.vjp("x")
def linear_dx(xp: Any, g: Any, weight: Any) -> Any:
    return xp.dot(g, weight)


@linear.vjp("weight")
def linear_dweight(xp: Any, g: Any, x: Any) -> Any:
    if x.ndim != 2:
        g, x = xp.reshape(g, (-1, g.shape[-1])), xp.reshape(x, (-1, x.shape[-1]))
    return xp.dot(g.T, x)


@linear.vjp("bias")
def linear_dbias(xp: Any, g: Any) -> Any:
    return xp.column_sums(g) if g.ndim == 2 else g


@linear.explain
def explain_linear(x: Any, weight: Any, bias: Any, activation: Any) -> str | GradError | None:
    if weight.ndim != 2 or not getattr(x, "ndim", 0):
        return "x needs an axis, and weight is (out_features, in_features)"
    if x.shape[-1] != weight.shape[1]:
        return (
            f"x has {x.shape[-1]} features but the layer takes {weight.shape[1]}\n"
            "  help: the last axis of x holds the features"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        return f"bias must be ({weight.shape[0]},)"
    return None


@primitive(linear=True)
def _contract(xp: Any, /, *operands: Any, subscripts: str) -> Any:
    return xp.einsum(subscripts, *operands, optimize=len(operands) > 2)


@_contract.vjp("operands")
def contract_doperand(
    xp: Any, g: Any, position: int, operands: Any, operands_shape: Any, subscripts: str
) -> Any:
    inputs, output = subscripts.split("->")
    terms = inputs.split(",")
    mine = terms[position]
    others = [t for k, t in enumerate(terms) if k != position]
    rest = [x for k, x in enumerate(operands) if k != position]
    reached = [letter for letter in mine if any(letter in t for t in (*others, output))]
    share = xp.einsum(f"{','.join([output, *others])}->{''.join(reached)}", g, *rest)
    # A letter that only this operand has was summed away: its cotangent is the same all along.
    shape = operands_shape[position]
    kept = tuple(n if letter in reached else 1 for letter, n in zip(mine, shape, strict=True))
    return xp.broadcast_to(xp.reshape(share, kept), shape)


def einsum(subscripts: str, *operands: Any, optimize: Any = None) -> Any:
    """Einstein's summation: letters name axes, and those not after `->` are summed.

    Raises:
        ShapeError: the subscripts do not fit the operands.

    >>> import gpugrad as gg
    >>> a = gg.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> gg.einsum("ii", a), gg.einsum("ij,kj->ik", a, a).tolist()
    (tensor(5.), [[5.0, 11.0], [11.0, 25.0]])
    """
    tensors = [asarray(x) for x in operands]
    terms, output = _parsed(subscripts, tensors)
    for k in range(len(terms)):
        while len(set(terms[k])) < len(terms[k]):
            terms[k], tensors[k] = _diagonal(terms[k], tensors[k])
    return _contract(*tensors, subscripts=f"{','.join(terms)}->{output}")


def _diagonal(term: str, x: Any) -> tuple[str, Any]:
    """A term with a letter that it has twice only once, and x's diagonal along its axes."""
    letter = next(letter for letter in term if term.count(letter) > 1)
    first = term.index(letter)
    second = term.index(letter, first + 1)
    rest = [k for k in range(len(term)) if k not in (first, second)]
    along = x.device.put(np.arange(x.shape[first]))
    diagonal = x.permute_dims((first, second, *rest))[along, along]
    return letter + "".join(term[k] for k in rest), diagonal


LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _parsed(subscripts: str, operands: list[Any]) -> tuple[list[str], str]:
    """The letters of each operand and of the output, with any ellipsis spelled out."""

    def wrong(why: str) -> ShapeError:
        shapes = ", ".join(str(tuple(x.shape)) for x in operands)
        return ShapeError(f"einsum({subscripts!r}): {why}\n  operands: {shapes}")

    text = subscripts.replace(" ", "")
    inputs, arrow, output = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise wrong(f"{len(terms)} terms for {len(operands)} operands")
    spare = [letter for letter in LETTERS if letter not in text]
    widths = [x.ndim - len(t.replace("...", "")) for t, x in zip(terms, operands, strict=True)]
    widest = max((w for t, w in zip(terms, widths, strict=True) if "..." in t), default=0)
    if widest < 0 or any(
        w < 0 or (w and "..." not in t) for t, w in zip(terms, widths, strict=True)
    ):
        raise wrong("an operand has not as many axes as its term has letters")
    if not arrow:
        once = sorted(c for c in set(inputs) - set(".,") if inputs.count(c) == 1)
        output = ("..." if "..." in inputs else "") + "".join(once)
    dots = "".join(spare[:widest])
    terms = [
        t.replace("...", dots[widest - w :] if w else "")
        for t, w in zip(terms, widths, strict=True)
    ]
    output = output.replace("...", dots)
    sizes: dict[str, int] = {}
    for term, x in zip(terms, operands, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            if letter not in LETTERS:
                raise wrong(f"{letter!r} is no letter")
            if sizes.setdefault(letter, n) != n:
                if 1 in (n, sizes[letter]) and letter in dots:
                    sizes[letter] = max(n, sizes[letter])
                else:
                    raise wrong(f"the axis {letter!r} has {sizes[letter]} and {n} elements")
    if any(letter not in sizes for letter in output) or len(set(output)) != len(output):
        raise wrong("the output names an unknown axis, or one twice")
    for k, (term, x) in enumerate(zip(terms, operands, strict=True)):
        full = tuple(sizes[letter] for letter in term)
        if x.shape != full:
            operands[k] = x.broadcast_to(full)
    return terms, output
