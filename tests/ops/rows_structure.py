"""Rows of ops/core, ops/manipulation, ops/indexing, ops/writing and the masks of ops/creation."""

from __future__ import annotations

import numpy as np

import gpugrad as gg
from tests.ops.case import Case

CUBE = ((2, 3, 4),)
ROWS_OF = np.array([2, 0, 2, 1])
COLUMNS = np.array([0, 3, 0, 1])
GRID = np.array([[0, 2], [2, 1]])
MASK = np.arange(12).reshape(3, 4) % 5 < 2
ORDER = np.array([[1, 0, 3, 2], [0, 0, 1, 1], [3, 2, 1, 0]])
NARROW = np.array([[1], [3], [0]])

# Every kind of key, for a (3, 4) array.
KEYS = {
    "integer": 1,
    "last": -1,
    "slice": slice(1, None),
    "step": (slice(None), slice(None, None, 2)),
    "backwards": (slice(None, None, -1), slice(3, 0, -2)),
    "empty slice": slice(2, 2),
    "ellipsis": (..., 1),
    "new axes": (None, slice(None), None, 2),
    "integers": (2, -3),
    "NumPy integer": np.int64(1),
    "array": ROWS_OF,
    "negative array": np.array([-1, -3]),
    "list": [0, 2],
    "grid": GRID,
    "pairs": (ROWS_OF, COLUMNS),
    "broadcast pairs": (ROWS_OF[:, None], COLUMNS[:2]),
    "slice and array": (slice(0, 2), COLUMNS),
    "array and slice": (ROWS_OF, slice(None, None, -1)),
    "array and integer": (ROWS_OF, 1),
    "array, new axis": (ROWS_OF, None, slice(1, 3)),
    "mask": MASK,
    "row mask": np.array([True, False, True]),
    "mask and slice": (np.array([True, False, True]), slice(1, 3)),
    "slice and mask": (slice(None), np.array([True, False, True, True])),
    "nothing chosen": np.zeros((3, 4), bool),
    "no indices": np.array([], np.int64),
    "true": True,
}


def written(x, key, v, add=False):
    """What `.at[key]` gives, on a copy."""
    out = x.copy()
    if add:
        np.add.at(out, key, v)
    else:
        out[key] = v
    return out


def taken_shape(key):
    return np.zeros((3, 4))[key].shape


UNIQUE = [name for name, key in KEYS.items() if np.bincount(
    np.arange(12).reshape(3, 4)[key].ravel(), minlength=1).max() <= 1]  # fmt: skip

INDEXING = [
    *[Case("index", lambda x, key=key: x[key], lambda x, key=key: x[key], label=name)
      for name, key in KEYS.items()],
    Case("index", lambda x: x[1:, :, GRID], lambda x: x[1:, :, GRID], CUBE, label="grid inside"),
    Case("index", lambda x: x[ROWS_OF % 2, :, COLUMNS], lambda x: x[ROWS_OF % 2, :, COLUMNS], CUBE,
         label="arrays apart"),
    Case("index", lambda x: x[:, MASK], lambda x: x[:, MASK], CUBE, label="mask inside"),
    Case("index", lambda x: x[()], lambda x: x[()], ((),), label="of a number"),
    *[Case("index_set", lambda x, v, key=key: x.at[key].set(v),
           lambda x, v, key=key: written(x, key, v), ((3, 4), taken_shape(key)), label=name)
      for name, key in KEYS.items() if name in UNIQUE],
    Case("index_set", lambda x, v: x.at[1:].set(v), lambda x, v: written(x, np.s_[1:], v),
         ((3, 4), (4,)), label="broadcast value"),
    Case("index_set", lambda x: x.at[MASK].set(7.0), lambda x: np.where(MASK, 7.0, x),
         label="number"),
    *[Case("index_add", lambda x, v, key=key: x.at[key].add(v),
           lambda x, v, key=key: written(x, key, v, add=True), ((3, 4), taken_shape(key)),
           label=name)
      for name, key in KEYS.items()],
    Case("index_add", lambda x, v: x.at[ROWS_OF].add(v),
         lambda x, v: written(x, ROWS_OF, v, add=True), ((3, 4), (4, 1)),
         label="broadcast value"),
    Case("index_add", lambda x, v: x.at[1].subtract(v), lambda x, v: written(x, 1, -v, add=True),
         ((3, 4), (4,)), label="subtract"),
    *[Case("index_add_to_zeros",
           lambda v, key=key, parts=parts: gg.ops.index_add_to_zeros(
               v, *parts, template=key, shape=(3, 4)),
           lambda v, numpy_key=numpy_key: written(np.zeros((3, 4)), numpy_key, v, add=True),
           (shape,), label=name)
      for name, key, parts, numpy_key, shape in [
          ("slice", (slice(1, None),), (), np.s_[1:], (2, 4)),
          ("repeated", ("array",), (ROWS_OF,), ROWS_OF, (4, 4)),
      ]],
    Case("take", lambda x: gg.take(x, ROWS_OF, axis=0), lambda x: np.take(x, ROWS_OF, axis=0)),
    Case("take", lambda x: gg.take(x, GRID, axis=-1), lambda x: np.take(x, GRID, axis=-1), CUBE,
         label="grid"),
    Case("take", lambda x: gg.take(x, COLUMNS), lambda x: np.take(x, COLUMNS), label="flat"),
    Case("take", lambda x: gg.take(x, [0, 0], axis=0), lambda x: np.take(x, [0, 0], axis=0), ((),),
         label="scalar"),
    Case("take", lambda x: gg.take(x, -COLUMNS, axis=1), lambda x: np.take(x, -COLUMNS, axis=1),
         label="negative"),
    Case("take_along_axis", lambda x: gg.take_along_axis(x, ORDER),
         lambda x: np.take_along_axis(x, ORDER, -1)),
    Case("take_along_axis", lambda x: gg.take_along_axis(x, ORDER % 3, axis=0),
         lambda x: np.take_along_axis(x, ORDER % 3, 0), label="axis 0"),
    Case("take_along_axis", lambda x: gg.take_along_axis(x, NARROW, axis=1),
         lambda x: np.take_along_axis(x, NARROW, 1), label="one a row"),
    Case("take_along_axis", lambda x: gg.take_along_axis(x, NARROW - 2, axis=1),
         lambda x: np.take_along_axis(x, NARROW - 2, 1), label="negative"),
    Case("take_along_axis", lambda x: gg.take_along_axis(x, ORDER),
         lambda x: np.take_along_axis(x, ORDER, -1), ((1, 4),), label="broadcast"),
    Case("take_along_axis", lambda x: gg.take_along_axis(x, ORDER[:1], axis=1),
         lambda x: np.take_along_axis(x, ORDER[:1], 1), label="one for all rows"),
    Case("take_along_axis", lambda x: gg.take_along_axis(x, COLUMNS, axis=None),
         lambda x: np.take_along_axis(x, COLUMNS, None), label="flat"),
]  # fmt: skip


def shaping(name, *args, numpy_name=None, shapes=((3, 4),), empty=((0, 4),), **options):
    """A row for an operation that NumPy has with the same arguments."""
    ours, theirs = getattr(gg, name), getattr(np, numpy_name or name)
    label = ", ".join([*map(str, args), *[f"{k}={v}" for k, v in options.items()]])
    return Case(name, lambda x: ours(x, *args, **options), lambda x: theirs(x, *args, **options),
                shapes, label=label, empty=empty)  # fmt: skip


def joining(name, expect, *shapes, **options):
    label = " ".join([*map(str, shapes), *map(str, options.values())])
    return Case(name, lambda *xs: getattr(gg, name)(xs, **options),
                lambda *xs: expect(xs, **options), shapes, label=label)  # fmt: skip


def transposed(x):
    return np.swapaxes(x, -1, -2)


ROWS = [
    *INDEXING,
    Case("sum_to", lambda x: gg.sum_to(x, (3, 1)), lambda x: x.sum((0, 2)).reshape(3, 1), CUBE,
         empty=((0, 3, 2),)),
    Case("sum_to", lambda x: gg.sum_to(x, (2, 3, 4)), np.positive, CUBE, label="same shape"),
    Case("sum_to", lambda x: gg.sum_to(x, ()), np.sum, CUBE, label="number"),
    shaping("broadcast_to", (2, 3, 4), empty=None),
    shaping("broadcast_to", (3, 4), shapes=((3, 1),), empty=None),
    shaping("broadcast_to", (2,), shapes=((),), empty=None),
    Case("broadcast_to", lambda x: gg.broadcast_to(x, (0, 4)), lambda x: np.broadcast_to(x, (0, 4)),
         ((1, 4),), label="to nothing"),
    Case("to_device", lambda x: gg.to_device(x, target=x.device, source=x.device), np.positive),
    Case("astype", lambda x: gg.astype(x, "float64"), np.float64, result="float64"),
    Case("astype", lambda x: gg.astype(x, "float64"), np.positive, dtypes=("float64",),
         label="same"),
    Case("astype", lambda x: gg.astype(x, gg.int32), np.trunc, result="int32", low=-90, high=90,
         label="to integers", special=False),
    Case("astype", lambda x: x.astype(bool), lambda x: x != 0, result="bool", label="to bools"),
    shaping("reshape", (2, 6), empty=None),
    shaping("reshape", (-1, 2)),
    shaping("reshape", -1),
    Case("reshape", lambda x: x.reshape(4, 3), lambda x: x.reshape(4, 3), label="method"),
    Case("reshape", lambda x: gg.reshape(x, ()), lambda x: x.reshape(()), ((1, 1),),
         label="number"),
    shaping("ravel"),
    Case("flatten", gg.flatten, np.ravel, CUBE),
    Case("flatten", lambda x: x.flatten(1), lambda x: x.reshape(2, 12), CUBE, label="from axis 1"),
    Case("flatten", lambda x: x.flatten(0, 1), lambda x: x.reshape(6, 4), CUBE,
         label="to axis 1"),
    shaping("permute_dims", (2, 0, 1), numpy_name="transpose", shapes=CUBE, empty=((2, 0, 3),)),
    shaping("permute_dims", (-1, 0, -2), numpy_name="transpose", shapes=CUBE, empty=None),
    shaping("transpose"),
    Case("transpose", lambda x: x.transpose(1, 2, 0), lambda x: x.transpose(1, 2, 0), CUBE,
         label="method"),
    Case("transpose", lambda x: x.T, lambda x: x.T, label="T"),
    shaping("swapaxes", 0, 2, shapes=CUBE, empty=None),
    shaping("swapaxes", 1, -1, shapes=CUBE, empty=None),
    shaping("moveaxis", 0, -1, shapes=CUBE, empty=None),
    shaping("moveaxis", (0, 1), (2, 0), shapes=CUBE, empty=None),
    Case("matrix_transpose", gg.matrix_transpose, transposed, CUBE, empty=((0, 2),)),
    Case("matrix_transpose", lambda x: x.mT, transposed, CUBE, label="mT"),
    shaping("expand_dims", 0),
    shaping("expand_dims", axis=-1),
    shaping("expand_dims", axis=(0, 2)),
    shaping("squeeze", shapes=((1, 3, 1),), empty=((1, 0),)),
    shaping("squeeze", 0, shapes=((1, 3, 1),), empty=None),
    shaping("squeeze", axis=(0, -1), shapes=((1, 3, 1),), empty=None),
    joining("concat", np.concatenate, (3, 4), (2, 4), (1, 4)),
    joining("concat", np.concatenate, (3, 4), (3, 2), axis=1),
    joining("concat", np.concatenate, (2, 3, 4), (2, 3, 1), axis=-1),
    joining("concat", np.concatenate, (3, 4), (2,), axis=None),
    joining("concat", np.concatenate, (3,)),
    joining("concat", np.concatenate, (3, 4), (0, 4)),
    joining("stack", np.stack, (3, 4), (3, 4)),
    joining("stack", np.stack, (3, 4), (3, 4), (3, 4), axis=1),
    joining("stack", np.stack, (3,), (3,), axis=-1),
    Case("concat", lambda x: gg.concat([x, x * x, x]), lambda x: np.concatenate([x, x * x, x]),
         label="one thrice", empty=((0, 4),)),
    shaping("flip"),
    shaping("flip", axis=1),
    shaping("flip", axis=(0, -1), shapes=CUBE, empty=None),
    shaping("roll", 5),
    shaping("roll", -1, axis=1),
    shaping("roll", (1, 2), axis=(0, 1)),
    shaping("roll", 2, axis=(0, 1)),
    shaping("repeat", 3),
    shaping("repeat", 2, axis=-1),
    Case("repeat", lambda x: gg.repeat(x, 3, axis=0), lambda x: np.repeat(x, 3, axis=0), ((),),
         label="scalar"),
    shaping("repeat", 0, axis=0, empty=None),
    shaping("tile", 2),
    shaping("tile", (2, 3)),
    shaping("tile", (2, 1, 3), shapes=((4,),), empty=None),
    shaping("tile", (2,), shapes=CUBE, empty=None),
    shaping("tile", (0, 1), empty=None),
    shaping("tril"),
    shaping("tril", 1),
    shaping("triu", -1, shapes=CUBE, empty=None),
]  # fmt: skip
