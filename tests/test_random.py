"""gg.Generator: the words of Philox, distributions, position, state, refusals."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import DtypeError, OptionError, StateError

N = 40_000


def philox(seed, position, count):
    return np.random.Philox(key=seed, counter=position).random_raw(count)


# Words


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**63, 2**64 - 1])
def test_words_are_philoxs(seed):
    g = gg.Generator(seed)
    np.testing.assert_array_equal(g.words(1000), philox(seed, 0, 1000))
    assert g.words(4).dtype == np.uint64


def test_position_counts_blocks_of_four_words():
    g = gg.Generator(7)
    assert (g.seed, g.position) == (7, 0)
    for count, position in [(4, 1), (1, 2), (5, 4), (0, 4), (8, 6)]:
        before = g.position
        np.testing.assert_array_equal(g.words(count), philox(7, before, count))
        assert g.position == position


def test_a_stretch_of_the_stream_can_be_computed_from_its_position():
    whole = gg.Generator(3).words(40)
    g = gg.Generator(3)
    g.load_state_dict({"seed": 3, "position": 5})
    np.testing.assert_array_equal(g.words(20), whole[20:40])


def test_positions_beyond_32_bits():
    g = gg.Generator(3)
    g.load_state_dict({"seed": 3, "position": 2**40})
    np.testing.assert_array_equal(g.words(4), philox(3, 2**40, 4))


def test_every_method_moves_the_position_past_what_it_used():
    draws = [
        lambda g: g.uniform((3, 5)), lambda g: g.uniform((3, 5), dtype="float64"),
        lambda g: g.normal((7,)), lambda g: g.integers((9,), 10), lambda g: g.permutation(6),
        lambda g: g.bernoulli((3, 3), 0.5),
    ]  # fmt: skip
    for draw in draws:
        g = gg.Generator(1)
        first, position = draw(g), g.position
        assert position > 0
        assert not np.array_equal(draw(g), first)
        again = gg.Generator(1)
        np.testing.assert_array_equal(draw(again), first)
        assert again.position == position


# Distributions


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_uniform(dtype):
    x = gg.Generator(1).uniform((N,), dtype=dtype)
    assert (x.dtype, x.shape) == (np.dtype(dtype), (N,))
    assert x.min() >= 0
    assert x.max() <= 1 if dtype == "float16" else x.max() < 1
    wide = x.astype(np.float64)
    assert abs(wide.mean() - 0.5) < 5 * np.sqrt(1 / 12 / N)
    counts = np.histogram(wide, bins=20, range=(0, 1))[0]
    assert np.sum((counts - N / 20) ** 2 / (N / 20)) < 45  # chi-squared, 19 degrees: p = 0.0007


def test_uniforms_are_integers_scaled_exactly():
    single, double = gg.Generator(1).uniform((N,)), gg.Generator(1).uniform((N,), dtype="float64")
    words = philox(1, 0, N)
    np.testing.assert_array_equal(double, (words >> np.uint64(11)) * 2.0**-53)
    scaled = single.astype(np.float64) * 2**24
    np.testing.assert_array_equal(scaled, np.floor(scaled))
    halves = np.stack([words & np.uint64(0xFFFFFFFF), words >> np.uint64(32)], axis=1).ravel()[:N]
    np.testing.assert_array_equal(scaled, halves >> np.uint64(8))


def test_uniform_between():
    x = gg.Generator(2).uniform((N,), -3.0, 5.0)
    assert x.dtype == np.float32
    assert x.min() >= -3
    assert x.max() <= 5
    assert abs(x.mean() - 1) < 5 * 8 / np.sqrt(12 * N)
    assert gg.Generator(2).uniform((3,), 2.0, 2.0).tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_normal(dtype):
    x = gg.Generator(1).normal((N,), dtype=dtype)
    assert (x.dtype, x.shape) == (np.dtype(dtype), (N,))
    wide = x.astype(np.float64)
    assert np.isfinite(wide).all()
    assert abs(wide.mean()) < 5 / np.sqrt(N)
    assert abs(wide.var() - 1) < 5 * np.sqrt(2 / N)
    assert abs((wide**3).mean()) < 5 * np.sqrt(15 / N)
    assert abs((wide**4).mean() - 3) < 5 * np.sqrt(96 / N)
    for bound, share in [(1.0, 0.6827), (2.0, 0.9545), (3.0, 0.9973)]:
        found = (np.abs(wide) < bound).mean()
        assert abs(found - share) < 5 * np.sqrt(share * (1 - share) / N)


def test_normals_are_box_and_mullers():
    """Both halves of each pair, from the uniforms that come first and second in the stream."""
    u, v = gg.Generator(1).uniform((2, 500), dtype="float64")
    radius, angle = np.sqrt(-2 * np.log(1 - u)), 2 * np.pi * v
    wanted = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    np.testing.assert_allclose(gg.Generator(1).normal((1000,), dtype="float64"), wanted, 1e-12)
    np.testing.assert_allclose(gg.Generator(1).normal((999,), dtype="float64"), wanted[:999], 1e-12)


def test_neighbouring_normals_are_not_correlated():
    x = gg.Generator(4).normal((N,), dtype="float64")
    for lag in (1, 2, N // 2):
        assert abs(np.mean(x[lag:] * x[:-lag])) < 5 / np.sqrt(N - lag)


def test_normal_with_mean_and_std():
    x = gg.Generator(1).normal((N,), mean=3.0, std=2.0, dtype="float64")
    assert x.mean() == pytest.approx(3.0, abs=0.05)
    assert x.std() == pytest.approx(2.0, rel=0.02)
    unit = gg.Generator(1).normal((N,), dtype="float64")
    np.testing.assert_allclose(x, 3 + 2 * unit)


def test_narrow_dtypes_round_the_same_draws():
    wide = gg.Generator(1).normal((100,), dtype="float64")
    np.testing.assert_array_equal(gg.Generator(1).normal((100,)), wide.astype("float32"))


def test_seeds_give_streams_that_differ():
    x, y = (gg.Generator(seed).normal((N,), dtype="float64") for seed in (1, 2))
    assert abs(np.mean(x * y)) < 5 / np.sqrt(N)


@pytest.mark.parametrize("high", [1, 2, 7, 256, 10**6, 2**40])
def test_integers(high):
    x = gg.Generator(1).integers((N,), high)
    assert x.dtype == np.int64
    assert x.min() >= 0
    assert x.max() < high
    if high <= 256:
        counts = np.bincount(x, minlength=high)
        spread = np.sum((counts - N / high) ** 2 / (N / high))
        assert spread < high + 5 * np.sqrt(2 * high)
        assert (counts > 0).all()


@pytest.mark.parametrize("n", [0, 1, 2, 5, 1000])
def test_a_permutation_holds_each_integer_once(n):
    p = gg.Generator(1).permutation(n)
    assert (p.dtype, p.shape) == (np.int64, (n,))
    np.testing.assert_array_equal(np.sort(p), np.arange(n))


def test_every_permutation_is_as_likely():
    g = gg.Generator(1)
    counts = {}
    for _ in range(6000):
        key = tuple(g.permutation(3))
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == 6
    assert sum((c - 1000) ** 2 / 1000 for c in counts.values()) < 21  # 5 degrees: p = 0.0008


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_bernoulli_is_exact_at_its_ends(p):
    x = gg.Generator(1).bernoulli((N,), p)
    assert x.dtype == np.bool_
    assert x.all() if p else not x.any()


@pytest.mark.parametrize("p", [1e-3, 0.2, 0.5, 0.999])
def test_bernoulli(p):
    x = gg.Generator(1).bernoulli((N,), p)
    assert abs(x.mean() - p) < 5 * np.sqrt(p * (1 - p) / N)


def test_bernoulli_near_its_ends_is_neither_always_nor_never_by_rounding():
    assert not gg.Generator(1).bernoulli((N,), 1e-12).any()
    assert gg.Generator(1).bernoulli((N,), 1 - 1e-12).all()


@pytest.mark.parametrize("shape", [(), 3, (2, 3), (0,), (2, 0)])
def test_shapes(shape):
    wanted = (shape,) if isinstance(shape, int) else shape
    g = gg.Generator(1)
    for x in (g.uniform(shape), g.normal(shape), g.integers(shape, 5), g.bernoulli(shape, 0.5)):
        assert isinstance(x, np.ndarray)
        assert x.shape == wanted


# State


def test_state_dict_is_two_integers_and_continues_the_stream():
    g = gg.Generator(9)
    g.normal((5,))
    state = g.state_dict()
    assert state == {"seed": 9, "position": g.position}
    assert {type(v) for v in state.values()} == {int}
    wanted = g.uniform((4,))
    other = gg.Generator(1)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.uniform((4,)), wanted)
    g.load_state_dict(state)
    np.testing.assert_array_equal(g.uniform((4,)), wanted)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_clones_go_their_own_way(clone):
    g = gg.Generator(9)
    g.words(3)
    other = clone(g)
    np.testing.assert_array_equal(other.words(8), g.words(8))
    g.words(1)
    assert other.position != g.position


def test_repr():
    assert repr(gg.Generator(9)) == "Generator(seed=9, position=0)"


def test_manual_seed_seeds_the_default_generator():
    assert gg.manual_seed(5) is gg.default_generator()
    assert gg.default_generator().state_dict() == {"seed": 5, "position": 0}
    first = gg.rand(3)
    gg.manual_seed(5)
    np.testing.assert_array_equal(gg.rand(3).numpy(), first.numpy())
    g = gg.Generator(2)
    g.words(9)
    assert g.manual_seed(3) is g
    assert g.state_dict() == {"seed": 3, "position": 0}


def test_numpys_integers_are_seeds():
    assert type(gg.Generator(np.int64(4)).seed) is int


def test_the_global_numpy_generator_is_left_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()
    gg.rand(5)
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g: gg.Generator(-1), OptionError, r"the seed must lie in \[0, 2\*\*64\)"),
        (lambda g: gg.Generator(2**64), OptionError, r"the seed must lie in"),
        (lambda g: gg.Generator(1.5), OptionError, r"Generator\(seed=1\.5\): the seed must be"),
        (lambda g: gg.Generator(True), OptionError, "the seed must be an integer"),
        (lambda g: gg.Generator("1"), OptionError, "the seed must be an integer"),
        (lambda g: gg.manual_seed(-3), OptionError, "must lie in"),
        (lambda g: g.integers((2,), 0), OptionError, r"integers\(high=0\): high must be at"),
        (lambda g: g.bernoulli((2,), 1.5), OptionError, r"bernoulli\(p=1\.5\): a probability"),
        (lambda g: g.bernoulli((2,), -0.1), OptionError, "a probability lies in"),
        (lambda g: g.bernoulli((2,), float("nan")), OptionError, "a probability lies in"),
        (lambda g: g.uniform((2,), dtype="complex64"), DtypeError, "no dtype of gpugrad"),
        (lambda g: g.load_state_dict({"seed": 1}), StateError, r"the keys are \[.seed.\]\n  help"),
        (lambda g: g.load_state_dict({"seed": 1, "position": 0, "x": 1}), StateError, "keys"),
        (lambda g: g.load_state_dict({"seed": -1, "position": 0}), OptionError, "must lie in"),
    ],
)  # fmt: skip
def test_impossible_settings_say_what_is_wrong(call, error, message):
    g = gg.Generator(7)
    with pytest.raises(error, match=message):
        call(g)
    assert g.state_dict() == {"seed": 7, "position": 0}


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_uniform_and_normal_are_floating(dtype):
    for draw in (gg.Generator(1).uniform, gg.Generator(1).normal):
        with pytest.raises((DtypeError, OptionError), match="float"):
            draw((3,), dtype=dtype)
