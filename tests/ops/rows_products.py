"""Rows of ops/products: matmul, einsum, linear."""

from __future__ import annotations

import numpy as np

import gpugrad as gg
from tests.ops.case import Case


def linear(activation=None):
    """A dense layer written out."""
    finish = {
        None: lambda z: z,
        "relu": lambda z: np.maximum(z, 0),
        "tanh": np.tanh,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    }[activation]

    def layer(x, weight, bias=0.0):
        return finish(np.einsum("...i,oi->...o", x, weight) + bias)

    return layer


def linear_row(activation, *shapes, **more):
    return Case(
        "linear",
        lambda *args: gg.linear(*args, activation=activation),
        linear(activation),
        shapes,
        **more,
    )


def einsum_row(subscripts, *shapes, **more):
    return Case(
        "einsum",
        lambda *args: gg.einsum(subscripts, *args),
        lambda *args: np.einsum(subscripts, *args),
        shapes,
        label=subscripts,
        **more,
    )


PRODUCTS = [((3, 4), (4, 2)), ((4,), (4,)), ((3, 4), (4,)), ((4,), (4, 2)), ((2, 3, 4), (4, 2)),
            ((2, 1, 3, 4), (5, 4, 2)), ((4,), (2, 4, 3)), ((2, 3, 4), (4,)),
            ((1, 1), (1, 1))]  # fmt: skip

ROWS = [
    *[
        Case("matmul", gg.matmul, np.matmul, shapes, label=f"{shapes[0]} {shapes[1]}")
        for shapes in PRODUCTS
    ],
    Case("matmul", lambda a: a @ a, lambda a: a @ a, ((3, 3),), label="with itself"),
    Case("matmul", lambda a: a @ a.T, lambda a: a @ a.T, ((3, 2),), label="with its transpose"),
    Case("matmul", gg.matmul, np.matmul, ((2, 3), (3, 2)), label="empty inside",
         empty=((2, 0), (0, 3))),
    Case("matmul", gg.matmul, np.matmul, ((2, 3), (3, 2)), label="empty rows",
         empty=((0, 4), (4, 3))),
    Case("dot", gg.dot, np.dot, ((3, 4), (4, 2))),
    Case("dot", gg.dot, np.dot, ((), (4, 2)), label="with a number"),
    Case("outer", gg.outer, np.outer, ((3,), (4,)), empty=((0,), (2,))),
    Case("outer", gg.outer, np.outer, ((2, 2), (3,)), label="of a matrix"),
    linear_row(None, (5, 4), (3, 4), (3,), empty=((0, 4), (3, 4), (3,))),
    linear_row(None, (5, 4), (3, 4), label="no bias", empty=((0, 4), (3, 4))),
    linear_row(None, (2, 5, 4), (3, 4), (3,), label="batch"),
    linear_row(None, (4,), (3, 4), (3,), label="vector"),
    linear_row("relu", (5, 4), (3, 4), (3,), label="relu", empty=((0, 4), (3, 4), (3,))),
    linear_row("relu", (5, 4), (3, 4), label="relu, no bias"),
    linear_row("tanh", (5, 4), (3, 4), (3,), label="tanh"),
    linear_row("sigmoid", (2, 5, 4), (3, 4), (3,), label="sigmoid, batch"),
    einsum_row("ij,jk->ik", (3, 4), (4, 2), empty=((0, 4), (4, 2))),
    einsum_row("ij,jk", (3, 4), (4, 2)),
    einsum_row("ji,jk->ki", (4, 3), (4, 2)),
    einsum_row("i,i->", (4,), (4,)),
    einsum_row("i,j->ij", (3,), (4,)),
    einsum_row("ij->", (3, 4)),
    einsum_row("ij->j", (3, 4), empty=((0, 4),)),
    einsum_row("ij->ji", (3, 4)),
    einsum_row("ba", (3, 4)),
    einsum_row("ii", (3, 3)),
    einsum_row("ii->i", (3, 3)),
    einsum_row("iij->ij", (3, 3, 2)),
    einsum_row("iji->j", (2, 3, 2)),
    einsum_row("iii->i", (2, 2, 2)),
    einsum_row("ij,kj->", (3, 4), (2, 4)),
    einsum_row("ij,k->k", (3, 4), (2,)),
    einsum_row("bij,bjk->bik", (2, 3, 4), (2, 4, 2)),
    einsum_row("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
    einsum_row("...i->...", (2, 3, 4)),
    einsum_row("i...,i...->...", (3, 4), (3, 4)),
    # inf * (b @ c) here is inf * b + inf * c there: the order of the products is not promised.
    einsum_row("ij,jk,kl->il", (2, 3), (3, 4), (4, 2), special=False),
    einsum_row("a,ab,b->", (3,), (3, 4), (4,)),
    einsum_row("ij , jk -> i k", (3, 4), (4, 2)),
    # The sum over letters that one operand alone has: NumPy writes it the same way.
    Case("contract", lambda a, b: gg.ops.contract(a, b, subscripts="ij,jk->ik"), np.matmul,
         ((3, 4), (4, 2))),
    Case("contract", lambda a: gg.ops.contract(a, subscripts="ij->i"), lambda a: a.sum(1),
         label="one operand"),
]  # fmt: skip
