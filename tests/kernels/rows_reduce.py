"""Rows for reductions along rows and along columns."""

from __future__ import annotations

import numpy as np

from gpugrad.kernels import reduce
from tests.kernels.harness import Row, Unwritten
from tests.kernels.rows_optim import NARROW, WIDE, matrix

SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-40], np.float32)
# Rows, columns and into how many parts each is cut.
LONG = ((1, 300, 3), (64, 33, 1), (7, 129, 2))
SHORT = ((7, 5, 1), (1, 1, 1), (300, 1, 1), (129, 3, 2))
ALONG_ROWS = ("", LONG, WIDE), (" that are short", SHORT, NARROW)
TALL = ((300, 1, 2), (129, 3, 2), (7, 5, 1), (1, 1, 1))
ALONG_COLUMNS = (
    ("", LONG, WIDE),
    (" that are few", TALL, (*NARROW, ((2, 2), (5, 7)), ((1, 1), (16, 3)))),
)


def special(rng, size):
    """Numbers, a NaN in the first row and infinities in the next."""
    x = matrix(rng, size)
    for place, value in zip(range(0, x.size, 7), SPECIAL, strict=False):
        x.reshape(-1)[place] = value
    return x


def reduce_row(name, down, which, sizes, launches, values=matrix):
    mean_of = {"deviation": True}.get(name, False)
    kernel = getattr(reduce, f"_{name}_{'columns' if down else 'rows'}")

    def arguments(rng, size):
        rows, cols, parts = size
        x = values(rng, (rows, cols))
        length = rows if down else cols
        given = {"x": x}
        if mean_of:
            given["mean"] = x.mean(axis=0 if down else 1)
        given["out"] = Unwritten((parts, cols) if down else (rows, parts))
        given["span"] = np.int32(-(-length // parts))
        given["divisor"] = np.float32(1 if name == "max" else length)
        return given

    def expected(x, out, span, divisor, mean=None):
        parts = []
        for part in range(out.shape[0 if down else 1]):
            taken = slice(part * span, (part + 1) * span)
            if down:
                piece, axis = x[taken], 0
                centre = mean
            else:
                piece, axis = x[:, taken], 1
                centre = None if mean is None else mean[:, None]
            if name == "max":
                parts.append(piece.max(axis=axis, initial=-np.inf))
            else:
                parts.append((piece if mean is None else (piece - centre) ** 2).sum(axis=axis))
        return {"out": np.stack(parts, axis=0 if down else 1) / divisor}

    return Row(
        f"{name} along {'columns' if down else 'rows'}{which}",
        kernel,
        arguments,
        expected,
        sizes,
        launches,
        # How often a mean is read depends on the shape of the block.
        None if mean_of else lambda x, out, span, divisor: (x.nbytes, out.nbytes),
        "exact" if name == "max" else "sum",
        "moves bits" if name == "max" else "sums",
    )


ROWS = [
    *(
        reduce_row(name, down, *tiled, special if name == "max" else matrix)
        for name in ("sum", "max", "deviation")
        for down, tiles in ((False, ALONG_ROWS), (True, ALONG_COLUMNS))
        for tiled in tiles
    ),
]
