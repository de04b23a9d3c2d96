"""Rows for the kernels of batches, embeddings, metrics and optimizers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from gpugrad.kernels import accuracy, clip, gather_rows, optimizer_step, scatter_add_rows
from tests.kernels.harness import Row, Unwritten

# One warp, few threads for much work, many blocks for little. Blocks that are narrower than a warp
# are for narrow arrays: what they touch of a wide one lies apart.
WIDE = (((1, 1), (32, 1)), ((3, 1), (32, 3)), ((1, 2), (128, 2)), ((40, 3), (64, 4)))
NARROW = (((1, 1), (1, 32)), ((2, 1), (8, 4)), ((5, 3), (4, 64)), ((40, 1), (16, 2)))


def matrix(rng, size):
    return rng.standard_normal(size).astype(np.float32)


def places(rng, n, rows):
    """Row numbers, from both ends, and some that are out of range."""
    index = rng.integers(-rows, rows, n)
    index[::7] = rng.choice([rows, -rows - 1, 2**40, -(2**40)], len(index[::7]))
    return index


# gather_rows and scatter_add_rows: the rows (n) that are named, the rows there are, the columns


WIDE_INDEXED = ((1, 3, 300), (65, 20, 64), (4, 2, 129))
NARROW_INDEXED = ((5, 7, 5), (1, 1, 1), (60, 4, 1), (9, 20, 4), (3, 1, 7))
TILED = ("", WIDE_INDEXED, WIDE), (" of few columns", NARROW_INDEXED, NARROW)


def gathered(x, index, absent):
    inside = (index >= -len(x)) & (index < len(x))
    return np.where(inside[:, None], x[np.where(inside, index, 0)], x.dtype.type(absent))


def gather_row(dtype, index_dtype, name, sizes, launches):
    def arguments(rng, size):
        n, rows, cols = size
        index = places(rng, n, rows) if index_dtype == np.int64 else rng.integers(0, rows, n)
        high = np.iinfo(dtype).max
        return {
            "x": rng.integers(0, high, (rows, cols), dtype, endpoint=True),
            "index": index.astype(index_dtype),
            "absent": np.int32(-1 if dtype == np.uint32 else 0),
            "out": Unwritten((n, cols), dtype),
        }

    def expected(x, index, absent, out):
        return {"out": gathered(x, index.astype(np.int64), int(absent) & np.iinfo(dtype).max)}

    return Row(
        f"gather_rows {np.dtype(dtype).name} by {np.dtype(index_dtype).name}{name}",
        gather_rows._gather_rows,
        arguments,
        expected,
        sizes,
        launches,
        None,
        "exact",
        "moves bits",
    )


def added(index, v, rows):
    inside = (index >= -rows) & (index < rows)
    out = np.zeros((rows, v.shape[1]))
    np.add.at(out, index[inside], v[inside])
    return out


def stretches(rng, size):
    n, rows, cols = size
    index = rng.integers(-1, rows + 1, n)
    order = np.argsort(index, kind="stable")
    return {
        "v": matrix(rng, (n, cols)),
        "order": order,
        "bounds": np.searchsorted(index[order], np.arange(rows + 1)),
        "out": Unwritten((rows, cols)),
    }


def stretch_sums(v, order, bounds, out):
    pairs = pairwise(bounds)
    return {"out": np.stack([v[order[begin:end]].sum(0) for begin, end in pairs])}


def scatter(rng, size):
    n, rows, cols = size
    return {
        "v": matrix(rng, (n, cols)),
        "index": places(rng, n, rows),
        "out": np.zeros((rows, cols), np.float32),
    }


# accuracy and confusion counts


def scores(rng, size):
    """Few different scores, so that the largest is often there twice; some NaN and infinite."""
    x = rng.integers(0, 4, size).astype(np.float32)
    x.reshape(-1)[::11] = np.nan
    x.reshape(-1)[3::17] = -np.inf
    x[-1:] = -np.inf
    labels = np.where(rng.random(len(x)) < 0.5, x.argmax(1), rng.integers(-1, size[1] + 1, len(x)))
    return {"scores": x, "labels": labels, "count": np.zeros(1, np.int64)}


def right(scores, labels, count):
    return {"count": np.array([(scores.argmax(1) == labels).sum()])}


def pairs(rng, size):
    n, classes = size
    truth = rng.integers(0, classes, n)
    predicted = np.where(rng.random(n) < 0.5, truth, rng.integers(-1, classes + 1, n))
    return {
        "truth": truth,
        "predicted": predicted,
        "counts": np.zeros((classes, classes), np.int64),
    }


def counted(truth, predicted, counts):
    inside = (predicted >= 0) & (predicted < len(counts))
    np.add.at(counts, (truth[inside], predicted[inside]), 1)
    return {"counts": counts}


# Kernels over many arrays: test_many_arrays.py runs them, since what they read is no argument.
# Here there is no array, and nothing may be written.


def no_tables():
    return {"chunks": np.zeros((0, 4), np.int32), "addresses": np.zeros(0, np.int64)}


def no_arrays(kernel, arrays, numbers=0, conditions=0):
    def arguments(rng, size):
        names = list(kernel.py_func.__code__.co_varnames[: kernel.py_func.__code__.co_argcount])
        values = list(no_tables().values())
        values += [np.zeros(size, np.float32) for _ in range(arrays)]
        values += [np.float32(1)] * numbers + [np.bool_(True)] * conditions
        return dict(zip(names, values, strict=True))

    name = f"{kernel.py_func.__name__} of no arrays"
    return Row(name.lstrip("_"), kernel, arguments, lambda **_: {}, ((1,),), ((2, 64),), None)


def sums_of_squares(rng, size):
    return {
        "sums": matrix(rng, size) ** 2,
        "limit": np.float32(1.5),
        "norm": Unwritten(1),
        "coefficient": Unwritten(1),
    }


def norm(sums, limit, norm, coefficient):
    length = np.sqrt(sums.sum(keepdims=True))
    return {"norm": length, "coefficient": np.minimum(limit / (length + 1e-6), 1)}


ROWS = [
    *(
        gather_row(dtype, np.int64, *tiled)
        for dtype in (np.uint8, np.uint16, np.uint32, np.uint64)
        for tiled in TILED
    ),
    gather_row(np.uint32, np.uint8, *TILED[0]),
    *(
        Row(
            f"scatter_add_rows{name}",
            scatter_add_rows._add_stretches,
            stretches,
            stretch_sums,
            sizes,
            launches,
            None,
            "sum",
            "sums",
        )
        for name, sizes, launches in TILED
    ),
    *(
        Row(
            f"scatter_add_rows with atomics{name}",
            scatter_add_rows._add_atomically,
            scatter,
            lambda v, index, out: {"out": added(index, v, len(out))},
            sizes,
            launches,
            None,
            "sum",
            "sums",
        )
        for name, sizes, launches in TILED
    ),
    Row(
        "accuracy",
        accuracy._count_right,
        scores,
        right,
        ((1, 300), (64, 33), (7, 5), (129, 3)),
        ((1, (32, 1)), (2, (16, 4)), (3, (32, 8))),
        None,
        "exact",
        "counts",
    ),
    Row(
        "accuracy of few classes",
        accuracy._count_right,
        scores,
        right,
        ((7, 5), (1, 1), (300, 1), (129, 3), (40, 2)),
        ((1, (1, 32)), (2, (8, 4)), (40, (4, 8))),
        None,
        "exact",
        "counts",
    ),
    Row(
        "confusion_counts",
        accuracy._count_pairs,
        pairs,
        counted,
        ((7, 5), (1, 1), (300, 3), (64, 33)),
        ((3, 64), (1, 32), (40, 128)),
        None,
        "exact",
        "counts",
    ),
    Row(
        "clip_grad_norm, the coefficient",
        clip._coefficient,
        sums_of_squares,
        norm,
        ((1,), (2,), (300,), (1024,)),
        ((1, 32), (1, 256), (3, 64)),
        None,
        "sum",
        "sums",
    ),
    Row(
        "clip_grad_norm, the squares of no arrays",
        clip._square_sums,
        lambda rng, size: {**no_tables(), "sums": Unwritten(2)},
        lambda sums, **_: {"sums": np.zeros(2)},
        ((1,),),
        ((2, 64),),
        None,
    ),
    no_arrays(clip._scale, 2),
    no_arrays(optimizer_step._sgd, 2, 5, 2),
    no_arrays(optimizer_step._adam, 4, 10, 1),
    no_arrays(optimizer_step._rmsprop, 4, 7, 1),
    no_arrays(optimizer_step._adagrad, 2, 4),
]
