"""CuPy itself asks tensors before it computes: its real classes, on memory that is made up.

Nothing here touches a GPU: CuPy's arrays have shapes and dtypes without one, and each test ends
where gpugrad's operation would begin, which is replaced by one that notes its arguments.
"""

from __future__ import annotations

import operator
import re
from typing import Any

import numpy as np
import pytest

import gpugrad as gg
from gpugrad import cupy_protocol, numpy_protocol, ops
from gpugrad.errors import GradError, NumpyFunctionError

pytest.importorskip("cupy", reason="needs CuPy, but no GPU")

from tests.cuda.made_up import cp, made_up, requiring_grad

pytestmark = [
    pytest.mark.once,
    pytest.mark.usefixtures("cupy_without_a_gpu"),
    # Where there is no driver, CuPy cannot name its stream, and says so on stderr.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def noted(monkeypatch):
    """Calls of gpugrad's operations, which compute nothing: (name, arguments, options)."""
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    spelling = numpy_protocol.spelling_of

    def noting(name):
        function = spelling(name)
        if function is None:
            return None

        def note(*args, **options):
            calls.append((function.__name__, args, options))
            return "recorded"

        return note

    monkeypatch.setattr(numpy_protocol, "spelling_of", noting)
    monkeypatch.setattr(cupy_protocol, "spelling_of", noting)
    return calls


A = made_up()
MASK = made_up(dtype="bool")


def recorded():
    return requiring_grad(A)


def constant():
    return gg.Tensor._wrap(made_up())


def test_every_ufunc_of_cupy_is_recorded_or_refused_by_name(noted):
    ufuncs = {name: f for name, f in vars(cp).items() if isinstance(f, cp.ufunc)}
    for name, ufunc in ufuncs.items():
        t = recorded()
        noted.clear()
        ours = getattr(ops, numpy_protocol.RENAMED.get(name, name), None)
        if ours is None:
            about = re.escape(f"cp.{ufunc.name.removeprefix('cupy_')} on a tensor is not recorded")
            with pytest.raises(NumpyFunctionError, match=about):
                ufunc(*[t] * ufunc.nin)
            continue
        assert ufunc(*[t] * ufunc.nin) == "recorded", name
        ((called, args, options),) = noted
        assert args == (t,) * ufunc.nin
        assert options == {}
        assert called == ours.__name__
    assert len(ufuncs) > 90


OPERATORS = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul,
    "divide": operator.truediv, "floor_divide": operator.floordiv, "remainder": operator.mod,
    "pow": operator.pow, "matmul": operator.matmul, "less": operator.lt, "less_equal": operator.le,
    "greater": operator.gt, "greater_equal": operator.ge, "equal": operator.eq,
    "not_equal": operator.ne,
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_with_cupys_array_on_the_left_is_recorded(noted, name):
    t = recorded()
    assert OPERATORS[name](A, t) == "recorded"
    ((called, args, _),) = noted
    assert called == name
    assert args[0] is A
    assert args[1] is t


@pytest.mark.parametrize("name", sorted(set(OPERATORS) - {"matmul"}))
def test_an_operator_with_a_constant_is_one_of_gpugrads_too(noted, name):
    assert OPERATORS[name](A, constant()) == "recorded"
    assert noted[0][0] == name


def test_a_product_with_a_constant_on_the_right_is_cupys_to_refuse():
    with pytest.raises(TypeError, match="got Tensor"):
        A @ constant()


def test_where_is_recorded_whichever_argument_is_a_tensor(noted):
    t = recorded()
    for arguments in ((MASK, t, 0), (MASK, A, t), (MASK, 0.0, t)):
        assert cp.where(*arguments) == "recorded"
        assert noted.pop() == ("where", arguments, {})


def test_numpys_functions_of_both_kinds_of_array_are_recorded(noted):
    t = recorded()
    assert np.add(A, t) == "recorded"
    assert np.concatenate([A, t]) == "recorded"
    assert np.where(MASK, A, t) == "recorded"
    assert [name for name, *_ in noted] == ["add", "concat", "where"]


# CuPy's function, what it calls of a tensor, and with which arguments of gpugrad's operation.
BY_METHOD = {
    "sum": (lambda t: cp.sum(t, 0, keepdims=True), "sum", {"axis": 0, "keepdims": True}),
    "add.reduce": (lambda t: cp.add.reduce(t), "sum", {"axis": 0, "keepdims": False}),
    "prod": (lambda t: cp.prod(t), "prod", {"axis": None, "keepdims": False}),
    "mean": (lambda t: cp.mean(t, axis=(0, 1)), "mean", {"axis": (0, 1), "keepdims": False}),
    "var": (
        lambda t: cp.var(t, 1, ddof=1), "var", {"axis": 1, "correction": 1, "keepdims": False},
    ),
    "amax": (lambda t: cp.amax(t, 1), "max", {"axis": 1, "keepdims": False}),
    "argmin": (lambda t: cp.argmin(t, 0), "argmin", {"axis": 0, "keepdims": False}),
    "clip": (lambda t: cp.clip(t, 0.1, 0.9), "clip", {}),
    "take": (lambda t: cp.take(t, [1], 0), "take", {"indices": [1], "axis": 0}),
    "dot": (lambda t: cp.dot(t, A), "dot", {"b": A}),
    "reshape": (lambda t: cp.reshape(t, (3, 2)), "reshape", {}),
    "ravel": (lambda t: cp.ravel(t), "ravel", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_METHOD)
def test_a_function_that_calls_a_method_gets_gpugrads(name, monkeypatch):
    call, method, expected = BY_METHOD[name]
    calls = []

    def note(self, *args, **options):
        calls.append(options)
        return "recorded"

    taking = getattr(gg.Tensor, method)  # and passing on to the operation, by this name:
    operation = taking.__closure__[taking.__code__.co_freevars.index("ours")]
    monkeypatch.setattr(operation, "cell_contents", note)
    assert call(recorded()) == "recorded"
    assert calls == [expected]


REFUSED = {
    "cp.cumsum": (lambda t: cp.cumsum(t), r"write gg\.cumulative_sum\("),
    "cp.matmul": (lambda t: cp.matmul(A, t), r"write gg\.matmul\("),
    "cp.stack": (lambda t: cp.stack([t]), r"write gg\.stack\("),
    "cp.expand_dims": (lambda t: cp.expand_dims(t, 0), r"write gg\.expand_dims\("),
    "cp.tensordot": (lambda t: cp.tensordot(t, A), r"write gg\.einsum\("),
    "cp.any": (lambda t: cp.any(t), r"write gg\.any\("),
    "cp.array": (lambda t: cp.array(t), "write t itself"),
    "cp.array of several": (lambda t: cp.array([t, t]), r"gg\.stack\(\[\.\.\.\]\) of several"),
    "cp.nan_to_num": (lambda t: cp.nan_to_num(t), "no such operation"),
    "cp.count_nonzero": (lambda t: cp.count_nonzero(t), "no such operation"),
    "cp.linalg.norm": (lambda t: cp.linalg.norm(t, axis=0), r"write gg\.sqrt\(gg\.sum\(t \* t\)\)"),
    "a method of cupy.ndarray": (lambda t: A.dot(t), "is not recorded"),
    "cp.take": (lambda t: cp.take(A, t), r"write gg\.take\("),
    "cp.add(..., out=...)": (lambda t: operator.iadd(made_up(), t), r"write a = a \+ t"),
    "CuPy's kernel 'own'": (
        lambda t: cp.ElementwiseKernel("T x", "T y", "y = x", "own")(t), r"@gg\.primitive"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_recorded_says_what_to_write(name):
    call, help_ = REFUSED[name]
    with pytest.raises(NumpyFunctionError, match=help_) as e:
        gg.grad(call)(A)
    assert str(e.value).startswith(name.removesuffix(" of several"))
    assert "t.detach().data as a constant" in str(e.value)


def test_an_array_is_not_filled_with_a_recorded_number(monkeypatch):
    number = requiring_grad(made_up(()))
    monkeypatch.setattr(gg.Tensor, "__eq__", lambda self, other: False)  # to 0, CuPy wants to know
    with pytest.raises(NumpyFunctionError, match=r"CuPy's kernel '\w*fill\w*' on a tensor is not"):
        A.fill(number)


DOORS = {
    "asarray of several": lambda t: cp.array([A, t]),
    "asnumpy": lambda t: cp.asnumpy(t),
    "put": lambda t: cp.put(A, t, t),
    "out": lambda t: A.sum(out=t),
    "set": lambda t: A.set(t),
    "full": lambda t: cp.full((2,), t),
    "copyto": lambda t: cp.copyto(A, t),
    "sort": lambda t: cp.sort(t),
    "zeros_like": lambda t: cp.zeros_like(t),
    "column_stack": lambda t: cp.column_stack([t]),
    "select": lambda t: cp.select([MASK], [t]),
    "interface": lambda t: t.__cuda_array_interface__,
    "dlpack": lambda t: t.__dlpack__(),
    "numpy": np.asarray,
}


@pytest.mark.parametrize("name", DOORS)
def test_no_other_door_lets_a_recorded_tensor_through(name):
    with pytest.raises((GradError, TypeError)):
        DOORS[name](recorded())
