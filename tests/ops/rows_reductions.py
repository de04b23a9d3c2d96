"""Rows of ops/reductions, ops/normalization, ops/losses and the softmaxes."""

from __future__ import annotations

import numpy as np

import gpugrad as gg
from gpugrad.nn.functional.regression import squared_error
from tests.ops.case import Case

KEEP = np.arange(12).reshape(3, 4) % 4 > 0
LABELS = np.array([2, 0, 3])
ROW_OF = np.array([3, 0, 3])


def drawn(shape):
    """Which elements a dropout that begins at position 5 of seed 3 keeps, by NumPy's Philox."""
    words = np.random.Philox(key=3, counter=5).random_raw(-(-int(np.prod(shape)) // 2))
    numbers = words.astype("<u8").view("<u4")[: int(np.prod(shape))]
    return (numbers < 3 * 2**30).reshape(shape)


def scattered(v):
    out = np.zeros((4, 4))
    for row, values in zip(ROW_OF, v, strict=True):
        out[row] = out[row] + values
    return out.astype(v.dtype)


FAR_LABELS = np.array([2, 0, 99])
WEIGHT = np.array([0.5, 2.0, 1.0, 3.0])
ONE_HOT = np.eye(4)[LABELS]
SMOOTH = (0.6 * ONE_HOT + 0.4 / 4) * WEIGHT  # the smoothed label, times the class's weight
# Along which axes, keeping them or not; the shape is (2, 3, 4).
ALONG = [
    ({}, ""),
    ({"axis": 1}, "axis 1"),
    ({"axis": -1, "keepdims": True}, "axis -1 kept"),
    ({"axis": (0, 2)}, "axes 0 and 2"),
    ({"axis": (2, -3), "keepdims": True}, "axes 2 and -3 kept"),
]


def reductions(name, expect, along=ALONG, empty=True, **more):
    """A row for each way of saying along which axes; `empty`: it may reduce no elements to one."""
    operation = getattr(gg, name)
    return [
        Case(
            name,
            lambda x, options=options: operation(x, **options),
            lambda x, options=options: expect(x, **options),
            ((2, 3, 4),),
            label=label,
            empty=((0, 3, 4),) if empty or options.get("axis") in (1, -1) else None,
            **more,
        )
        for options, label in along
    ]


def logsumexp(x, axis=None, keepdims=False):
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    for k in axes:
        x = np.logaddexp.reduce(x, axis=k, keepdims=True)
    return x if keepdims else np.squeeze(x, tuple(axes))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True)) if x.size else x
    return e / e.sum(axis=axis, keepdims=True)


def log_softmax(x, axis=-1):
    shifted = x - x.max(axis=axis, keepdims=True) if x.size else x
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def moments(x, axis):
    return x.mean(axis=axis, keepdims=True), x.var(axis=axis, keepdims=True)


def normal(x, axis, eps):
    mean, var = moments(x, axis)
    return (x - mean) / np.sqrt(var + eps)


def cross_entropy(x, labels=LABELS, weight=None, ignore=None, smoothing=0.0, reduction="mean"):
    """Written row by row, as the definition reads."""
    losses, weights = [], []
    for row, label in zip(log_softmax(x), labels, strict=True):
        if label == ignore:
            losses.append(0.0)
            continue
        w = np.ones(len(row)) if weight is None else weight
        target = (1 - smoothing) * np.eye(len(row))[label] + smoothing / len(row)
        losses.append(-sum(t * p for t, p in zip(w * target, row, strict=True) if t))
        weights.append(w[label])
    if reduction == "none":
        return np.array(losses)
    return np.sum(losses) / (np.sum(weights) if reduction == "mean" else 1)


def entropy_row(label, shape=(3, 4), **options):
    ours = {
        {"ignore": "ignore_index", "smoothing": "label_smoothing"}.get(k, k): v
        for k, v in options.items()
        if k not in ("labels", "weight")
    }
    labels, weight = options.get("labels", LABELS), options.get("weight")
    return Case(
        "softmax_cross_entropy",
        lambda x: gg.softmax_cross_entropy(x, labels, weight, **ours)[0],
        lambda x: cross_entropy(x, **options),
        (shape,),
        label=label,
    )


NORMALIZATION = [
    Case("standardize", lambda x, k=k, axis=axis: gg.standardize(x, axis, 1e-5)[k],
         lambda x, f=f, axis=axis: f(x, axis), ((2, 3, 4),), label=f"{what} {axis}")
    for axis in (1, (0, 2), -1)
    for k, what, f in [
        (0, "normal", lambda x, axis: normal(x, axis, 1e-5)),
        (1, "mean", lambda x, axis: moments(x, axis)[0]),
        (2, "var", lambda x, axis: moments(x, axis)[1]),
    ]
] + [
    Case("standardize",
         lambda x: (lambda n, m, v: n * m + gg.sin(v))(*gg.standardize(x, 1, 0.1)),
         lambda x: (lambda m, v: normal(x, 1, 0.1) * m + np.sin(v))(*moments(x, 1)),
         label="all together"),
    Case("scatter_add_rows", lambda v: gg.scatter_add_rows(v, ROW_OF, rows=4), scattered),
    Case("dropout", lambda x: gg.dropout(x, seed=3, start=5, keep=0.75, scale=4 / 3),
         lambda x: np.where(drawn(x.shape), x * (4 / 3), 0)),
    Case("masked_scale", lambda x: gg.masked_scale(x, KEEP, 4 / 3),
         lambda x: np.where(KEEP, x * (4 / 3), 0)),
]  # fmt: skip

LOSSES = [
    entropy_row(""),
    entropy_row("sum", reduction="sum"),
    entropy_row("none", reduction="none"),
    entropy_row("weight", weight=WEIGHT),
    entropy_row("smoothing", smoothing=0.3),
    entropy_row("ignored", ignore=3),
    entropy_row("ignored -100", ignore=-100, labels=np.array([1, -100, 0])),
    entropy_row("all but the sum", weight=WEIGHT, smoothing=0.2, ignore=0, reduction="none"),
    entropy_row("everything", weight=WEIGHT, smoothing=0.2, ignore=0),
    entropy_row("one class", shape=(3, 1), labels=np.zeros(3, int)),
    entropy_row("one row", shape=(1, 4), labels=np.array([1])),
    entropy_row("narrow labels", shape=(3, 100), labels=FAR_LABELS.astype("int8")),
    entropy_row("unsigned labels", shape=(3, 100), labels=FAR_LABELS.astype("uint8")),
    entropy_row("many classes", shape=(3, 100), labels=FAR_LABELS),
    entropy_row("many classes, none", shape=(3, 100), labels=FAR_LABELS, reduction="none"),
    entropy_row("many classes, smoothing", shape=(3, 100), labels=FAR_LABELS, smoothing=0.1),
    entropy_row("many classes, everything", shape=(3, 100), labels=FAR_LABELS, ignore=0,
                weight=np.linspace(0.5, 1.5, 100), smoothing=0.1),
    Case("softmax_cross_entropy", lambda x: gg.softmax_cross_entropy(x, LABELS)[1],
         lambda x: (softmax(x) - ONE_HOT) / 3, label="gradient"),
    Case("softmax_cross_entropy",
         lambda x: gg.softmax_cross_entropy(x, LABELS, WEIGHT, -100, 0.4, "none")[1],
         lambda x: softmax(x) * SMOOTH.sum(1, keepdims=True) - SMOOTH, label="gradient, smoothed"),
    Case("softmax_cross_entropy",
         lambda x: (lambda loss, g: loss * gg.sin(g))(*gg.softmax_cross_entropy(x, LABELS)),
         lambda x: cross_entropy(x) * np.sin((softmax(x) - ONE_HOT) / 3), label="both outputs"),
]  # fmt: skip


def squared_error_row(reduction, expect):
    return Case("squared_error",
                lambda x, target: squared_error(x, target, reduction=reduction),
                lambda x, target: expect((x - target) ** 2), ((3, 4), (3, 4)),
                label=reduction)  # fmt: skip


ROWS = [
    *reductions("sum", np.sum),
    Case("sum", lambda x: gg.sum(x, axis=0, dtype="float64"), lambda x: x.sum(0),
         label="dtype", dtypes=("float64",)),
    Case("sum", gg.sum, np.sum, ((),), label="of a number"),
    Case("sum", lambda x: gg.sum(x, axis=()), np.positive, label="along no axis"),
    *reductions("mean", np.mean),
    *reductions("prod", np.prod, low=0.4),
    Case("prod", gg.prod, np.prod, ((7,),), low=-1.5, high=-0.5, label="vector"),
    Case("prod", gg.prod, np.prod, ((),), label="of a number"),
    *reductions("max", np.max, empty=False),
    *reductions("min", np.min, empty=False),
    *reductions("var", np.var),
    Case("var", lambda x: gg.var(x, axis=1, correction=1), lambda x: np.var(x, axis=1, ddof=1),
         label="correction"),
    *reductions("std", np.std),
    Case("std", lambda x: gg.std(x, axis=1, correction=1), lambda x: np.std(x, axis=1, ddof=1),
         label="correction"),
    *reductions("logsumexp", logsumexp, empty=False),
    *reductions("argmax", np.argmax, along=ALONG[:3], empty=False, result="int64"),
    *reductions("argmin", np.argmin, along=ALONG[:3], empty=False, result="int64"),
    *reductions("all", np.all, result="bool"),
    *reductions("any", np.any, result="bool"),
    Case("column_sums", gg.ops.column_sums, lambda x: x.sum(0), empty=((0, 3),)),
    Case("cumulative_sum", gg.cumulative_sum, np.cumsum, ((5,),), empty=((0,),)),
    Case("cumulative_sum", lambda x: gg.cumulative_sum(x, axis=1), lambda x: np.cumsum(x, 1),
         ((2, 3, 4),), label="axis 1", empty=((2, 0, 4),)),
    Case("cumulative_sum", lambda x: gg.cumulative_sum(x, axis=-1), lambda x: np.cumsum(x, -1),
         label="axis -1", empty=((2, 0),)),
    Case("softmax", gg.softmax, softmax, empty=((0, 3),)),
    Case("softmax", lambda x: gg.softmax(x, axis=0), lambda x: softmax(x, 0), label="axis 0",
         empty=((3, 0),)),
    Case("log_softmax", gg.log_softmax, log_softmax, empty=((0, 3),)),
    Case("log_softmax", lambda x: gg.log_softmax(x, axis=1), lambda x: log_softmax(x, 1),
         ((2, 3, 4),), label="axis 1"),
    *NORMALIZATION,
    *LOSSES,
    squared_error_row("none", np.positive),
    squared_error_row("sum", np.sum),
    squared_error_row("mean", np.mean),
]  # fmt: skip
