"""New tensors: what NumPy makes, in the default float; and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import DtypeError, OptionError, ShapeError
from tests.ops.case import FLOATS

CASES = {
    "zeros": (lambda: gg.zeros((2, 3)), np.zeros((2, 3), "f4")),
    "zeros of a number": (lambda: gg.zeros(2), np.zeros(2, "f4")),
    "zeros of nothing": (lambda: gg.zeros(()), np.zeros((), "f4")),
    "ones": (lambda: gg.ones([3, 0]), np.ones((3, 0), "f4")),
    "ones of integers": (lambda: gg.ones(2, gg.int16), np.ones(2, "i2")),
    "full": (lambda: gg.full((2,), 2.5), np.full(2, 2.5, "f4")),
    "full of an integer": (lambda: gg.full((2,), 7), np.full(2, 7)),
    "full of a bool": (lambda: gg.full((2,), True), np.full(2, True)),
    "full of a dtype": (lambda: gg.full(2, 1, dtype="float64"), np.ones(2)),
    "full of a tensor": (lambda: gg.full((2, 2), gg.tensor(0.5)), np.full((2, 2), 0.5, "f4")),
    "full of a row": (lambda: gg.full((2, 3), np.arange(3.0)), np.full((2, 3), np.arange(3.0))),
    "arange": (lambda: gg.arange(4), np.arange(4)),
    "arange of NumPy's": (lambda: gg.arange(np.int32(1), np.int64(4)), np.arange(1, 4)),
    "arange of a tensor": (lambda: gg.arange(gg.tensor(3)), np.arange(3)),
    "arange from": (lambda: gg.arange(2, 5), np.arange(2, 5)),
    "arange backwards": (lambda: gg.arange(5, 0, -2), np.array([5, 3, 1])),
    "arange of floats": (lambda: gg.arange(0.0, 1.0, 0.25), np.arange(4, dtype="f4") / 4),
    "arange of nothing": (lambda: gg.arange(3, 3), np.arange(0)),
    "arange of a dtype": (lambda: gg.arange(3, dtype=gg.float16), np.arange(3, dtype="f2")),
    "linspace": (lambda: gg.linspace(0, 1, 5), np.linspace(0, 1, 5, dtype="f4")),
    "linspace of one": (lambda: gg.linspace(2, 3, 1), np.array([2], "f4")),
    "linspace of none": (lambda: gg.linspace(2, 3, 0), np.zeros(0, "f4")),
    "eye": (lambda: gg.eye(3), np.eye(3, dtype="f4")),
    "eye wide": (lambda: gg.eye(2, 3, dtype=gg.float64), np.eye(2, 3)),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_dtype(name):
    make, expected = CASES[name]
    made = make()
    assert made.dtype == expected.dtype
    assert not made.requires_grad
    np.testing.assert_array_equal(made.numpy(), expected, strict=True)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_likes_keep_shape_and_dtype(dtype):
    x = gg.tensor(np.ones((2, 3), dtype), requires_grad=True)
    for made, value in [
        (gg.zeros_like(x), 0),
        (gg.ones_like(x), 1),
        (gg.full_like(x, 2.5), 2.5),
    ]:
        assert (made.shape, made.dtype, made.requires_grad) == ((2, 3), np.dtype(dtype), False)
        assert (made.numpy() == value).all()
    assert gg.zeros_like(x, dtype=gg.int64).dtype == gg.int64


def test_the_default_dtype_is_used():
    gg.set_default_dtype("float64")
    try:
        made = [gg.zeros(2), gg.ones(2), gg.full(2, 0.5), gg.arange(0.0, 2.0), gg.linspace(0, 1, 3),
                gg.eye(2), gg.rand(2), gg.randn(2)]  # fmt: skip
    finally:
        gg.set_default_dtype("float32")
    assert {str(t.dtype) for t in made} == {"float64"}
    assert gg.full(2, 3).dtype == gg.int64


def test_rand_and_randn_draw_from_the_generator_given():
    a, b = gg.Generator(3), gg.Generator(3)
    np.testing.assert_array_equal(gg.rand(2, 5, generator=a).numpy(), b.uniform((2, 5)))
    np.testing.assert_array_equal(gg.randn(4, generator=a).numpy(), b.normal((4,)))
    assert gg.rand(generator=a).shape == ()


def test_rand_is_drawn_on_the_device_by_one_launch_if_it_is_float32(device):
    if device.kind == "cpu" or not gg.cuda.is_simulated():
        pytest.skip("counts launches of the simulated device (GPUGRAD_SIMULATE_CUDA=1)")
    from gpugrad.cuda.simulated.launch import launches

    generator = gg.Generator(3)
    for dtype, count in (("float32", 1), ("float64", 0), ("float16", 0)):
        with launches() as reports:
            drawn = gg.rand(3, 700, generator=generator, dtype=dtype)
        assert (drawn.device, drawn.dtype, len(reports)) == (device, dtype, count)


def test_rand_and_randn_draw_from_the_default_generator():
    gg.manual_seed(5)
    first = gg.rand(3), gg.randn(3)
    gg.manual_seed(5)
    second = gg.rand(3), gg.randn(3)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert not np.array_equal(gg.rand(3).numpy(), first[0].numpy())


def test_full_records_its_value():
    x = gg.tensor(2.0, requires_grad=True)
    (gg.full((2, 3), x) * gg.full_like(gg.ones(3), x)).sum().backward()
    assert x.grad.item() == 24.0


def test_linspace_records_its_ends():
    def f(x):
        return (np.linspace(x[0], 2.0, 5) * np.linspace(x, x[1], 5)[:, 0]).sum()

    x = np.array([0.5, -1.5])
    np.testing.assert_allclose(gg.linspace(gg.tensor(x), 2.0, 5).numpy(), np.linspace(x, 2.0, 5))
    assert gg.value_and_grad(f)(x)[0].item() == pytest.approx(f(x), rel=1e-14)
    gg.check_grad(f, x, order=2)


def test_each_call_has_memory_of_its_own():
    a = gg.zeros(3)
    with gg.no_grad():
        a[0] = 1.0
    assert gg.zeros(3).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: gg.zeros(-1), ShapeError, r"-1 is not a shape: use integers >= 0"),
        (lambda: gg.ones((2, -3)), ShapeError, r"\(2, -3\) is not a shape"),
        (lambda: gg.full(2.5, 0), ShapeError, r"2\.5 is not a shape"),
        (lambda: gg.zeros(2, dtype="complex64"), DtypeError, "'complex64' is no dtype of gpugrad"),
        (lambda: gg.zeros(2, dtype="nonsense"), DtypeError, "'nonsense' is no dtype of gpugrad"),
        (lambda: gg.arange(0, 5, 0), OptionError, "arange: step is 0"),
        (lambda: gg.arange(float("nan")), OptionError, "arange: .* finite numbers, not 0, nan"),
        (lambda: gg.arange("a"), OptionError, "arange: .* must be finite numbers, not 0, 'a', 1"),
        (lambda: gg.eye(2.5), ShapeError, r"eye: \(2\.5, 2\.5\) is not a shape"),
        (lambda: gg.linspace(0, 1, 2.5), OptionError, r"linspace: num=2\.5 must be a whole number"),
        (lambda: gg.randn(-1), ShapeError, r"\(-1,\) is not a shape: use integers >= 0"),
        (lambda: gg.rand(2, 2.5), ShapeError, r"\(2, 2\.5\) is not a shape"),
        (lambda: gg.eye(-1), ShapeError, r"eye: \(-1, -1\) is not a shape"),
        (lambda: gg.linspace(0, 1, -1), OptionError, "linspace: num=-1 is negative"),
        (lambda: gg.tril(gg.ones(3)), ShapeError, "a matrix has two axes"),
        (lambda: gg.triu(gg.ones(3)), ShapeError, "a matrix has two axes"),
    ],
)  # fmt: skip
def test_impossible_requests_say_why(make, error, message):
    with pytest.raises(error, match=message):
        make()
