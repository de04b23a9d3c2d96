"""optimizer_step and clip_grad_norm: kernels whose gradients lie anywhere, by their addresses."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from gpugrad import simulate  # noqa: E402
from gpugrad.kernels import clip, many_arrays, optimizer_step  # noqa: E402
from gpugrad.optim import SGD, Adagrad, Adam, AdamW, RMSprop  # noqa: E402
from tests.kernels import rows_optim  # noqa: E402

pytestmark = pytest.mark.once

SHAPES = {
    "several": [(3, 4), (1500,), (0,), (1,), (2, 3, 5)],
    "one element": [(1,)],
    "one column": [(300, 1)],
    "none": [(0,), (0, 3)],
}
# Of blocks and threads, beside the wrapper's own: few for much work, and many for little.
LAUNCHES = [(1, 32), (2, 96), (40, 256)]

# rule, class, options, bytes an element that its docstring claims
STEPS = [
    ("sgd", SGD, {}, 12),
    ("sgd", SGD, {"weight_decay": 0.1, "maximize": True}, 12),
    ("sgd", SGD, {"momentum": 0.9}, 20),
    ("sgd", SGD, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}, 20),
    ("sgd", SGD, {"momentum": 0.9, "nesterov": True, "maximize": True}, 20),
    ("adam", Adam, {}, 28),
    ("adam", Adam, {"weight_decay": 0.1, "amsgrad": True, "eps": 1e-3}, 36),
    ("adam", Adam, {"betas": (0.0, 0.5), "maximize": True}, 28),
    ("adam", AdamW, {"weight_decay": 0.1}, 28),
    ("adam", AdamW, {"weight_decay": 0.1, "amsgrad": True, "maximize": True}, 36),
    ("rmsprop", RMSprop, {}, 20),
    ("rmsprop", RMSprop, {"centered": True, "weight_decay": 0.1}, 28),
    ("rmsprop", RMSprop, {"momentum": 0.9, "maximize": True}, 28),
    ("rmsprop", RMSprop, {"momentum": 0.9, "centered": True, "eps": 1e-3, "alpha": 0.5}, 36),
    ("adagrad", Adagrad, {}, 20),
    ("adagrad", Adagrad, {"lr_decay": 0.5, "weight_decay": 0.1, "maximize": True}, 20),
    ("adagrad", Adagrad, {"initial_accumulator_value": 0.3, "eps": 1e-3}, 20),
]


def drawn(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def flat(arrays):
    return np.concatenate([array.reshape(-1) for array in arrays])


def options_of(kind, given):
    import gpugrad as gg

    return dict(kind([gg.tensor([0.0], requires_grad=True)], lr=0.1, **given).defaults)


class Group:
    """Parameters, their gradients and state: on the card, and in float64 for the class's update."""

    def __init__(self, card, rule, kind, given, shapes):
        self.card, self.rule, self.kind = card, rule, kind
        self.options = options_of(kind, given)
        start = flat(drawn(shapes))
        slots = kind.slots(self.options)
        self.parameter = card.put(start)
        self.state = {k: card.put(np.full(start.size, v, np.float32)) for k, v in slots.items()}
        self.wanted = start.astype(np.float64)
        self.wanted_state = {k: np.full(start.size, v, np.float64) for k, v in slots.items()}
        self.tables = many_arrays.ManyArrays(card.xp, many_arrays.one_behind_another(drawn(shapes)))
        self.shapes, self.steps = shapes, 0

    def step(self):
        self.steps += 1
        gradients = drawn(self.shapes, self.steps)
        on_card = [self.card.put(gradient) for gradient in gradients]
        with self.card.launches() as reports:
            assert (
                optimizer_step.optimizer_step(
                    self.card.xp, self.rule, self.tables, self.parameter, on_card, self.state,
                    self.steps, self.options,
                )
                is None
            )  # fmt: skip
        self.wanted_state["step"] = self.steps
        gradient = flat(gradients).astype(np.float64)
        self.kind.update(np, self.wanted, gradient, self.wanted_state, self.options)
        return reports

    def check(self):
        # RMSprop's first steps are 10 times the gradient's sign, and cancel in its momentum.
        np.testing.assert_allclose(self.parameter.get(), self.wanted, 1e-5, 1e-5)
        for name, array in self.state.items():
            np.testing.assert_allclose(array.get(), self.wanted_state[name], 1e-5, 1e-5)


@pytest.mark.parametrize(("rule", "kind", "given", "claimed"), STEPS)
def test_three_updates_are_those_of_the_class(card, rule, kind, given, claimed):
    group = Group(card, rule, kind, given, SHAPES["several"])
    for step in range(3):
        (report,) = group.step()
        group.check()
        loaded, stored = card.moved([report])
        first = rule == "sgd" and given.get("momentum") and step == 0  # velocity is not read yet
        states = len(group.state)
        assert stored == 4 * group.wanted.size * (1 + states)
        elements = group.wanted.size * (claimed - 4 * bool(first)) - stored
        assert loaded - elements in table_bytes(group.tables)


def table_bytes(tables):
    """What the threads may load from the tables: all 24 bytes, or 16 only if they have elements."""
    threads = many_arrays.THREADS
    chunks = tables.chunks.get()
    busy = int(np.minimum(chunks[:, 2] - chunks[:, 1], threads).sum())
    return 24 * threads * len(chunks), 8 * threads * len(chunks) + 16 * busy


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("rule", "kind"), [("sgd", SGD), ("adam", Adam), ("adagrad", Adagrad)])
def test_one_launch_whatever_the_sizes(card, rule, kind, shapes):
    group = Group(card, rule, kind, {}, shapes)
    for _ in range(2):
        assert len(group.step()) == (group.wanted.size > 0)
        group.check()


@pytest.mark.parametrize("shape", LAUNCHES)
def test_any_grid_is_correct(card, monkeypatch, shape):
    given = optimizer_step.launch
    monkeypatch.setattr(
        optimizer_step,
        "launch",
        lambda kernel, blocks, threads, *args: given(kernel, *shape, *args),
    )
    group = Group(card, "rmsprop", RMSprop, {"momentum": 0.9}, SHAPES["several"])
    group.step()
    group.check()


def test_largest_square_stays_nan(card):
    group = Group(card, "adam", Adam, {"amsgrad": True}, [(2,)])
    group.state["max_exp_avg_sq"].set(np.array([np.nan, 0], np.float32))
    group.wanted_state["max_exp_avg_sq"][:] = [np.nan, 0]
    group.step()
    group.check()
    assert np.isnan(group.parameter.get()).tolist() == [True, False]


def test_centred_square_is_not_fused(card):
    # Where v is m² as rounded, v - m² is 0. A fused multiply-add gives what the rounding took off,
    # and the root of that is NaN where it is negative.
    means = np.linspace(0.1, 1, 64, dtype=np.float32)
    group = Group(card, "rmsprop", RMSprop, {"centered": True, "alpha": 1.0, "eps": 1.0}, [(64,)])
    group.state["grad_avg"].set(means)
    group.state["square_avg"].set(means * means)
    before = group.parameter.get()
    group.step()
    (gradient,) = drawn([(64,)], 1)
    np.testing.assert_allclose(group.parameter.get(), before - np.float32(0.1) * gradient, 1e-6)
    # That run cannot show what is fused later: a card's assembler does it with any `mul.f32`.
    (row,) = [row for row in rows_optim.ROWS if row.kernel is optimizer_step._rmsprop]
    ptx = simulate.compile(row.kernel, row.example(), (7, 5)).ptx
    squared = re.search(r"mul\.rn\.f32\s+(%f\d+), (%f\d+), \2;", ptx)
    assert squared
    assert re.search(rf"sub\.f32\s+%f\d+, %f\d+, {squared[1]};", ptx)


def test_strided_and_repeated_gradients(card):
    xp, options = card.xp, options_of(SGD, {})
    parameter = card.put(np.zeros(12, np.float32))
    tables = many_arrays.ManyArrays(xp, [(0, 6), (6, 12)])
    turned = card.put(np.arange(6, dtype=np.float32).reshape(3, 2)).T
    ones = xp.broadcast_to(card.put(np.ones(1, np.float32)), (6,))
    result = optimizer_step.optimizer_step(
        xp, "sgd", tables, parameter, [turned, ones], {}, 1, options
    )
    assert result is None
    wanted = -0.1 * np.array([0, 2, 4, 1, 3, 5] + 6 * [1])
    np.testing.assert_allclose(parameter.get(), wanted, 1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_other_dtypes_are_left_to_numpy(card, dtype):
    arrays = [card.put(np.ones(3, dtype)) for _ in range(2)]
    tables = many_arrays.ManyArrays(card.xp, [(0, 3)])
    options = options_of(SGD, {})
    result = optimizer_step.optimizer_step(
        card.xp, "sgd", tables, arrays[0], arrays[1:], {}, 1, options
    )
    assert result is NotImplemented
    assert clip.clip_grad_norm(card.xp, arrays, 1.0, 2.0) is NotImplemented


def test_addresses_are_copied_once(card):
    tables = many_arrays.ManyArrays(card.xp, [(0, 3)])
    arrays = [card.put(np.ones(3, np.float32)) for _ in range(12)]
    kept = tables.addresses(arrays[:1])
    assert tables.addresses(arrays[:1]) is kept
    others = [tables.addresses([array]) for array in arrays[1:]]
    assert [int(table.get()[0]) for table in others] == [a.data.ptr for a in arrays[1:]]
    assert tables.addresses(arrays[-1:]) is others[-1]
    assert tables.addresses(arrays[:1]) is not kept  # the oldest went first


# clip_grad_norm


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("limit", [0.5, 1000.0])
def test_clips_to_the_norm_of_all(card, shapes, limit):
    gradients = drawn(shapes)
    given = [card.put(gradient) for gradient in gradients]
    with card.launches() as reports:
        norm, scaled = clip.clip_grad_norm(card.xp, given, limit, 2.0)
    wanted = np.linalg.norm(flat(gradients).astype(np.float64))
    assert norm.shape == ()
    np.testing.assert_allclose(norm.get(), wanted, 1e-6)
    for gradient, before, after in zip(gradients, given, scaled, strict=True):
        assert (before.get() == gradient).all()
        assert after.shape == gradient.shape
        factor = min(1, limit / (wanted + 1e-6))
        np.testing.assert_allclose(after.get(), gradient * factor, 1e-6)
    assert len(reports) == (3 if wanted else 2)
    card.moved(reports)


def test_the_norm_of_large_models(card):
    gradient = drawn([(clip.PARTS * 1024 + 1500,)])[0]  # blocks take more than a chunk
    norm, (scaled,) = clip.clip_grad_norm(card.xp, [card.put(gradient)], 1.0, 2)
    np.testing.assert_allclose(norm.get(), np.linalg.norm(gradient.astype(np.float64)), 1e-6)
    np.testing.assert_allclose(np.linalg.norm(scaled.get()), 1, 1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_spreads_as_in_numpy(card, bad):
    gradients = [np.array([1.0, bad], np.float32), np.array([2.0], np.float32)]
    norm, scaled = clip.clip_grad_norm(card.xp, [card.put(g) for g in gradients], 1.0, 2.0)
    assert np.array_equal(norm.get(), np.float32(bad), equal_nan=True)
    with np.errstate(invalid="ignore"):
        factor = np.minimum(np.float32(1) / (np.float32(bad) + np.float32(1e-6)), np.float32(1))
        for gradient, after in zip(gradients, scaled, strict=True):
            np.testing.assert_array_equal(after.get(), gradient * factor)


def test_other_norms_are_left_to_numpy(card):
    gradients = [card.put(np.ones(3, np.float32))]
    assert clip.clip_grad_norm(card.xp, gradients, 1.0, 1.0) is NotImplemented
