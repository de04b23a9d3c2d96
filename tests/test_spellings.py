"""What users of NumPy and PyTorch write by habit is answered with gpugrad's spelling."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import DtypeError, GraphError, MemberError, NumpyFunctionError
from gpugrad.numpy_protocol import SPELLINGS
from tests.numeric import host

ROW = np.array([0.5, -2.0, 1.5])
SQUARE = np.array([[0.5, -2.0, 1.5], [1.0, 0.2, -0.7], [3.0, 0.1, 0.4]])
HOLED = np.array([0.5, np.nan, 2.0])
ONE = {
    "diag": SQUARE, "diagonal": SQUARE, "diff": ROW, "linalg.norm": ROW, "nansum": HOLED,
    "sort": ROW, "argsort": ROW, "trace": SQUARE, "trapezoid": ROW,
}  # fmt: skip
TWO = {
    "append": np.append, "average": lambda a, b: np.average(a, weights=b), "inner": np.inner,
    "hstack": lambda a, b: np.hstack([a, b]), "vstack": lambda a, b: np.vstack([a, b]),
    "vdot": np.vdot,
}  # fmt: skip


def written(name, **tensors):
    return eval(SPELLINGS[name], {"gg": gg, "np": np, **tensors})


@pytest.mark.parametrize("name", ONE)
def test_a_spelling_of_one_array_gives_what_numpy_gives(name):
    if name == "trapezoid" and not hasattr(np, name):
        pytest.skip("NumPy 2.0 is the first to have it")
    expected = operator.attrgetter(name)(np)(ONE[name])
    found = written(name, t=gg.tensor(ONE[name], requires_grad=True))
    np.testing.assert_allclose(host(gg.asarray(found)), expected)


@pytest.mark.parametrize("name", TWO)
def test_a_spelling_of_two_arrays_gives_what_numpy_gives(name):
    a, b = ROW, np.array([2.0, 0.5, 1.0])
    found = written(name, a=gg.tensor(a), b=gg.tensor(b))
    np.testing.assert_allclose(found.numpy(), TWO[name](a, b))


def test_the_other_spellings():
    t = gg.tensor(SQUARE)
    np.testing.assert_allclose(
        written("tensordot", a=t, b=t).numpy(), np.tensordot(SQUARE, SQUARE, 1), rtol=1e-14
    )
    np.testing.assert_array_equal(written("heaviside", t=t).numpy(), np.heaviside(SQUARE, 0.0))
    in_words = {"copy", "nonzero"}
    assert set(SPELLINGS) == {*ONE, *TWO, "tensordot", "heaviside", *in_words}


def test_a_refused_function_names_its_spelling():
    with pytest.raises(NumpyFunctionError, match=r"np\.linalg\.norm .*\n  help: write gg\.sqrt\("):
        gg.grad(np.linalg.norm)(ROW)


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("outer", r"gg\.outer\(t, \.\.\.\)"), ("cumsum", r"gg\.cumulative_sum\(t, \.\.\.\)"),
        ("copy", "t itself"), ("view", r"t\.reshape\(shape\)"), ("zero_", r"t\.grad = None"),
    ],
)  # fmt: skip
def test_a_method_of_other_libraries_is_answered_with_gpugrads(name, spelling):
    with pytest.raises(MemberError, match=f"has no attribute '{name}'\n  help: write {spelling}"):
        getattr(gg.tensor(ROW), name)


def test_a_typo_is_an_attribute_error():
    assert not hasattr(gg.tensor(1.0), "shpae")
    with pytest.raises(AttributeError, match=r"^'Parameter' object has no attribute 'shpae'$"):
        gg.nn.Parameter(1.0).shpae  # noqa: B018


# Python's numbers drop a gradient


def filled(x):
    a = np.zeros(2)
    a[0] = x
    return a.sum()


@pytest.mark.parametrize(
    "f",
    [
        math.sin,
        filled,
        lambda x: float(x) * x,
        lambda x: x * math.exp(x),
        lambda x: gg.grad(math.cos)(x),
    ],
    ids=["math.sin", "a[i] = t", "float", "math.exp", "nested"],
)
def test_a_number_of_what_is_differentiated_is_refused(f):
    with pytest.raises(GraphError, match=r"float\(\): .*\n  help: gg\.sin\(t\) instead of math\.s"):
        gg.grad(f)(0.5)


def test_a_number_is_given_where_no_gradient_is_dropped():
    def f(x):
        with gg.no_grad():
            scale = float(x * 2)
        assert float(gg.tensor(3.0)) == 3.0
        return x * scale * x.item()

    assert gg.grad(f)(0.5).item() == 0.5
    assert float(gg.tensor(2.0, requires_grad=True) * 2) == 4.0  # a loss to print, as in PyTorch


# The step of the lecture: p.data += -0.1 * p.grad; p.grad = 0


def test_a_step_written_to_data_says_how_steps_are_written():
    p = gg.tensor(ROW, requires_grad=True)
    (p * p).sum().backward()
    with pytest.raises(NumpyFunctionError, match=r"p -= 0\.1 \* p\.grad within gg\.no_grad\(\)"):
        p.data += -0.1 * p.grad
    with pytest.raises(GraphError, match=r"data: this view is not assigned to\n  help: within gg"):
        p.data = p.data - 0.1
    with pytest.raises(DtypeError, match=r"not float\n  help: t\.grad = None forgets the gradient"):
        p.grad = 0.0
    np.testing.assert_array_equal(p.detach().numpy(), ROW)


def test_an_integer_that_requires_a_gradient_is_told_how_to_be_a_float():
    with pytest.raises(DtypeError, match=r"this is int64\n  help: write 2\.0 instead of 2, or "):
        gg.tensor(-4, requires_grad=True)


def test_python_integers_that_do_not_fit_are_refused():
    with pytest.raises(DtypeError, match=r"tensor: uint8 holds 0 to 255, not \[300\]"):
        gg.tensor([300], dtype="uint8")
    with pytest.raises(DtypeError, match=r"uint8 holds 0 to 255, not -1"):
        gg.tensor(-1, dtype="uint8")
    assert gg.tensor([255], dtype="uint8").item() == 255
