"""grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp: what goes in and what comes out."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import DtypeError, GraphError, OptionError, ShapeError

X = np.array([0.5, -1.5, 2.0])
MATRIX = np.array([[1.0, 2.0, 0.5], [-1.0, 0.3, 2.0]])


def cubes(x):
    return (x**3).sum()


def same(actual, expected):
    """Equal values, dtype and shape; `actual` is a tensor."""
    assert isinstance(actual, gg.Tensor)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-13, strict=True)


# grad and value_and_grad


def test_grad_of_a_tensor_is_a_tensor():
    same(gg.grad(cubes)(gg.tensor(X)), 3 * X**2)


def test_value_and_grad_gives_both():
    value, g = gg.value_and_grad(cubes)(gg.tensor(X))
    same(value, np.sum(X**3))
    same(g, 3 * X**2)
    assert not value.requires_grad
    assert not g.requires_grad


def test_a_gradient_of_a_numpy_array_is_a_numpy_array():
    g = gg.grad(cubes)(X)
    assert type(g) is np.ndarray
    np.testing.assert_allclose(g, 3 * X**2)
    g[0] = 7.0  # the caller's own, to write to


def test_a_gradient_of_a_python_float_is_a_0d_tensor_of_the_default_float():
    g = gg.grad(lambda x: x**3)(2.0)
    same(g, np.float32(12.0).reshape(()))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_gradient_keeps_shape_and_dtype(dtype):
    g = gg.grad(lambda x: (x * 3).sum())(gg.ones((2, 0, 3), dtype))
    assert (g.shape, g.dtype) == ((2, 0, 3), np.dtype(dtype))


def test_inside_the_function_arguments_are_tensors():
    seen = []

    def f(x, y, options, *, scale):
        seen.extend([x, y, options["z"], scale])
        return (x * y).sum() * scale.sum()

    gg.grad(f)(X, X, {"z": X}, scale=X)
    assert [type(s) for s in seen] == [gg.Tensor] * 4


def test_what_is_no_array_is_passed_on_as_it_is():
    def f(x, name, count, flag=None):
        assert (name, count, flag) == ("sum", 3, None)
        return x.sum() * count

    same(gg.grad(f)(gg.tensor(X), "sum", 3), np.full(3, 3.0))


def test_keyword_arguments_are_constants():
    assert gg.grad(lambda x, w: (x * w).sum())(gg.tensor(X), w=gg.tensor(X)).tolist() == X.tolist()


def test_argnums_chooses_the_argument():
    def f(a, b, c):
        return (a * b * b * c).sum()

    same(gg.grad(f, argnums=1)(X, gg.tensor(X), X), 2 * X**3)
    same(gg.grad(f, argnums=-1)(X, X, gg.tensor(X)), X**3)


@pytest.mark.parametrize("argnums", [(0, 2), [0, 2], (2, 0), (-1, 0), (1,), ()])
def test_a_tuple_of_argnums_gives_a_tuple_in_that_order(argnums):
    def f(a, b, c):
        return (2 * a + 3 * b + 5 * c).sum()

    found = gg.grad(f, argnums=argnums)(*[gg.tensor(X)] * 3)
    assert type(found) is tuple
    assert [g.tolist()[0] for g in found] == [(2.0, 3.0, 5.0)[k] for k in argnums]


@pytest.mark.parametrize("argnums", [(0, 0), (1, -1), (-2, 0, 1)])
def test_an_argument_named_twice(argnums):
    with pytest.raises(OptionError, match="argnums"):
        gg.grad(lambda a, b: a * b, argnums=argnums)(2.0, 3.0)


def test_argnums_of_numpy():
    assert gg.grad(lambda a, b: a * b, argnums=np.int64(1))(2.0, 3.0).item() == 2.0
    with pytest.raises((OptionError, DtypeError), match="argnums"):
        gg.grad(lambda a, b: a * b, argnums="a")(2.0, 3.0)


def test_the_same_tensor_twice_is_two_arguments():
    x = gg.tensor(X)
    a, b = gg.grad(lambda a, b: (a * a + b).sum(), argnums=(0, 1))(x, x)
    same(a, 2 * X)
    same(b, np.ones(3))


def test_has_aux_passes_something_on():
    def f(x):
        return cubes(x), {"twice": x * 2, "name": "f", "seen": [x.shape, None]}

    g, aux = gg.grad(f, has_aux=True)(gg.tensor(X))
    same(g, 3 * X**2)
    same(aux["twice"], 2 * X)
    assert (aux["name"], aux["seen"]) == ("f", [(3,), None])
    assert not aux["twice"].requires_grad
    (value, again), g = gg.value_and_grad(f, has_aux=True)(gg.tensor(X))
    same(value, np.sum(X**3))
    same(again["twice"], 2 * X)
    same(g, 3 * X**2)


def test_unreached_arguments_get_zeros():
    a, b = gg.grad(lambda a, b: a.sum(), argnums=(0, 1))(X, gg.ones((2, 2)))
    np.testing.assert_array_equal(a, np.ones(3))
    same(b, np.zeros((2, 2), "f4"))
    same(gg.grad(lambda x: 3.0)(gg.tensor(X)), np.zeros(3))
    same(gg.grad(lambda x: gg.floor(x).astype(gg.int64).astype(float).sum())(gg.ones(2)),
         np.zeros(2, "f4"))  # fmt: skip


def test_a_function_may_return_its_argument():
    same(gg.grad(lambda x: x)(gg.tensor(2.0)), np.float32(1).reshape(()))
    _, pull = gg.vjp(lambda x, y: (y, x), gg.tensor(X), gg.tensor(2.0))
    same(pull((gg.tensor(5.0), gg.tensor(X)))[0], X)
    same(gg.jvp(lambda x: x, (gg.tensor(X),), (gg.tensor(2 * X),))[1], 2 * X)
    same(gg.jacobian(lambda x: x)(gg.tensor(X)), np.eye(3))


def test_a_result_of_one_element_counts_as_a_number():
    same(gg.grad(lambda x: x.sum(keepdims=True))(gg.tensor(MATRIX)), np.ones((2, 3)))


def test_the_argument_itself_is_left_alone():
    x = gg.tensor(X, requires_grad=True)
    gg.grad(cubes)(x)
    gg.jvp(cubes, (x,), (x,))
    assert x.grad is None
    assert x.requires_grad


def test_a_leaf_in_the_closure_is_a_constant_of_grad_and_collects_nothing():
    w = gg.tensor(X, requires_grad=True)
    g = gg.grad(lambda x: (x * w).sum())(gg.tensor(2 * X))
    np.testing.assert_allclose(g.detach().numpy(), X)
    assert w.grad is None


def test_a_gradient_can_be_differentiated_by_backward_through_the_closure():
    w = gg.tensor(2.0, requires_grad=True)
    g = gg.grad(lambda x: w * x**3)(gg.tensor(3.0))
    g.backward()  # d/dw 3 w x^2
    assert w.grad.item() == 27.0


def test_a_gradient_can_be_differentiated_by_backward_through_its_argument():
    x = gg.tensor(3.0, requires_grad=True)
    gg.grad(lambda x: x**3)(x).backward()
    assert x.grad.item() == 18.0


def test_the_function_keeps_its_name_and_docstring():
    def f(x):
        """What f is."""
        return x

    assert gg.grad(f).__name__ == "f"
    assert gg.value_and_grad(f).__doc__ == "What f is."


def test_no_grad_inside_the_function_makes_a_constant():
    def f(x):
        with gg.no_grad():
            factor = x * 2
        return (factor * x).sum()

    same(gg.grad(f)(gg.tensor(X)), 2 * X)


def test_transforms_work_inside_no_grad():
    with gg.no_grad():
        same(gg.grad(cubes)(gg.tensor(X)), 3 * X**2)
        same(gg.jvp(cubes, (gg.tensor(X),), (gg.ones_like(X),))[1], np.sum(3 * X**2))
        same(gg.hessian(cubes)(gg.tensor(X)), np.diag(6 * X))
        same(gg.hvp(cubes, gg.tensor(X), gg.tensor(X)), 6 * X * X)
        x = gg.tensor(X, requires_grad=True)
        assert not gg.grad(cubes)(x).requires_grad


# Structures

Point = collections.namedtuple("Point", ["x", "y"])


@dataclasses.dataclass
class Layer:
    weight: object
    bias: object
    name: str = "layer"


@dataclasses.dataclass(frozen=True)
class Frozen:
    inner: object


def total(tree):
    """The sum of squares of every leaf of the structures below."""
    if isinstance(tree, dict):
        return sum(total(v) for v in tree.values())
    if isinstance(tree, (list, tuple)):
        return sum(total(v) for v in tree)
    if isinstance(tree, Layer):
        return total(tree.weight) + total(tree.bias)
    if isinstance(tree, Frozen):
        return total(tree.inner)
    return (tree * tree).sum() if tree is not None else 0.0


TREES = {
    "dict": lambda: {"a": gg.tensor(X), "b": {"c": gg.tensor(MATRIX)}},
    "list": lambda: [gg.tensor(X), [gg.tensor(MATRIX)]],
    "tuple": lambda: (gg.tensor(X), (gg.tensor(MATRIX), gg.tensor(X))),
    "namedtuple": lambda: Point(gg.tensor(X), Point(gg.tensor(MATRIX), gg.tensor(2.0))),
    "ordered dict": lambda: collections.OrderedDict(z=gg.tensor(X), a=gg.tensor(MATRIX)),
    "frozen dataclass": lambda: Frozen([gg.tensor(X), {"k": gg.tensor(MATRIX)}]),
    "None inside": lambda: {"a": gg.tensor(X), "b": None},
    "empty": lambda: {"a": gg.tensor(X), "b": [], "c": ()},
    "mixed": lambda: [{"a": (gg.tensor(X), Point(gg.tensor(2.0), [gg.tensor(MATRIX)]))}],
}


def like(a, b, check):
    """Walk two structures that must be of the same types, and check their leaves."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for k in a:
            like(a[k], b[k], check)
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            like(x, y, check)
    elif dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            like(getattr(a, field.name), getattr(b, field.name), check)
    elif a is not None:
        check(a, b)


def doubled(g, x):
    np.testing.assert_allclose(g.numpy(), 2 * x.numpy())


@pytest.mark.parametrize("name", TREES)
def test_a_gradient_has_its_arguments_structure(name):
    tree = TREES[name]()
    like(gg.grad(total)(tree), tree, doubled)
    value, found = gg.value_and_grad(lambda a, b: total(a) + total(b), (0, 1))(tree, tree)
    like(found, (tree, tree), doubled)
    assert value.item() == pytest.approx(2 * total(tree).item())


@pytest.mark.parametrize("name", TREES)
def test_vjp_and_jvp_take_and_return_structures(name):
    tree = TREES[name]()
    out, pull = gg.vjp(lambda t: [t, total(t)], tree)
    like(out[0], tree, lambda a, b: np.testing.assert_array_equal(a.numpy(), b.numpy()))
    (found,) = pull([tree, gg.tensor(1.0)])
    like(found, tree, lambda g, x: np.testing.assert_allclose(g.numpy(), 3 * x.numpy()))
    out, moved = gg.jvp(lambda t: {"t": t, "n": total(t)}, (tree,), (tree,))
    like(moved["t"], tree, lambda v, x: np.testing.assert_allclose(v.numpy(), x.numpy()))
    assert moved["n"].item() == pytest.approx(2 * total(tree).item())


@pytest.mark.parametrize("name", TREES)
def test_hvp_has_its_primals_structure(name):
    tree = TREES[name]()
    (found,) = gg.hvp(total, (tree,), (tree,))
    like(found, tree, doubled)


def test_kinds_may_be_mixed_within_a_structure():
    found = gg.grad(total)({"t": gg.tensor(X), "n": X, "f": 2.0})
    assert [type(g) for g in found.values()] == [gg.Tensor, np.ndarray, gg.Tensor]
    assert found["f"].shape == ()


def test_a_dataclass_with_other_fields_keeps_them():
    def f(layer, x):
        return (layer.weight * x + layer.bias).sum()

    layer = Layer(gg.tensor(X), gg.tensor(X), "first")
    with pytest.raises(DtypeError, match="an argument holds 'first'"):
        gg.grad(f)(layer, X)
    found = gg.grad(lambda x, layer: f(layer, x))(gg.tensor(X), layer)
    same(found, X)


def test_jacobian_of_structures():
    def f(p):
        return {"s": p["a"].sum() * p["b"], "n": p["b"] * 2}

    p = {"a": gg.tensor(X), "b": gg.tensor(MATRIX)}
    j = gg.jacobian(f)(p)
    same(j["s"]["a"], np.broadcast_to(MATRIX[:, :, None], (2, 3, 3)).copy())
    same(j["s"]["b"], X.sum() * np.eye(6).reshape(2, 3, 2, 3))
    same(j["n"]["a"], np.zeros((2, 3, 3)))
    same(j["n"]["b"], 2 * np.eye(6).reshape(2, 3, 2, 3))


# vjp and jvp


def test_vjp_returns_a_tuple_always_and_can_be_used_again():
    out, pull = gg.vjp(lambda x: x * x, gg.tensor(X))
    same(out, X * X)
    for factor in (1.0, 3.0):
        found = pull(gg.tensor(np.full(3, factor)))
        assert type(found) is tuple
        same(found[0], 2 * factor * X)


def test_vjp_of_several_primals_and_kinds():
    _, pull = gg.vjp(lambda a, b: a @ b, MATRIX, gg.tensor(X))
    a, b = pull(np.array([1.0, 10.0]))
    assert (type(a), type(b)) == (np.ndarray, gg.Tensor)
    np.testing.assert_allclose(a, np.outer([1.0, 10.0], X))
    same(b, MATRIX.T @ [1.0, 10.0])


def test_vjp_of_no_dependence_is_zero():
    _, pull = gg.vjp(lambda x: gg.ones(2), gg.tensor(X))
    same(pull(gg.ones(2))[0], np.zeros(3))


def test_jvp_pushes_forward():
    out, moved = gg.jvp(lambda a, b: (a * b, gg.sin(a)), (X, gg.tensor(2 * X)), (X, np.ones(3)))
    same(out[0], 2 * X * X)
    same(moved[0], X * 2 * X + X)
    same(moved[1], np.cos(X) * X)


def test_jvp_of_what_does_not_move_is_zero():
    _, moved = gg.jvp(lambda x: (gg.ones(2), x > 0), (gg.tensor(X),), (gg.tensor(X),))
    same(moved[0], np.zeros(2, "f4"))
    assert not moved[1].numpy().any()


def test_jvp_of_a_zero_tangent_is_zero():
    same(gg.jvp(gg.exp, (gg.tensor(X),), (gg.zeros_like(X),))[1], np.zeros(3))


# jacobian, hessian, hvp


@pytest.mark.parametrize("wide", [True, False])
def test_jacobian_by_rows_and_by_columns(wide):
    a = np.random.default_rng(0).normal(size=(2, 5) if wide else (5, 2))
    x = gg.tensor(np.linspace(-1, 1, a.shape[1]))
    j = gg.jacobian(lambda x: gg.sin(gg.asarray(a) @ x))(x)
    same(j, np.cos(a @ x.numpy())[:, None] * a)


def test_jacobian_of_a_number_is_the_gradient():
    same(gg.jacobian(cubes)(gg.tensor(X)), 3 * X**2)
    same(gg.jacobian(lambda x: x**2)(gg.tensor(3.0)), np.float32(6).reshape(()))


def test_jacobian_of_a_numpy_array_is_a_numpy_array():
    j = gg.jacobian(lambda x: x**2)(X)
    assert type(j) is np.ndarray
    np.testing.assert_allclose(j, np.diag(2 * X))


def test_jacobian_shape_is_the_outputs_then_the_arguments():
    j = gg.jacobian(lambda x: x.reshape(3, 2) * 2)(gg.tensor(MATRIX))
    assert j.shape == (3, 2, 2, 3)
    assert gg.jacobian(lambda x: x[:0])(gg.tensor(X)).shape == (0, 3)
    assert gg.jacobian(lambda x: gg.ones(2) * x.sum())(gg.zeros((0,))).shape == (2, 0)


def test_jacobian_argnums():
    def f(a, b):
        return a * b

    a, b = gg.jacobian(f, argnums=(0, 1))(gg.tensor(X), X)
    same(a, np.diag(X))
    assert type(b) is np.ndarray
    same(gg.jacobian(f, argnums=1)(X, gg.tensor(X)), np.diag(X))


def test_hessian_of_a_quadratic_form():
    a = np.array([[2.0, 1.0], [0.0, 3.0]])
    h = gg.hessian(lambda x: x @ gg.asarray(a) @ x)(gg.tensor([1.0, 2.0], dtype="float64"))
    same(h, a + a.T)
    assert type(gg.hessian(lambda x: x @ x)(X)) is np.ndarray


def test_hessian_of_a_matrix_argument():
    h = gg.hessian(lambda x: (x**3).sum())(gg.tensor(MATRIX))
    same(h, np.diag(6 * MATRIX.ravel()).reshape(2, 3, 2, 3))


def test_hessian_argnums_and_structures():
    same(gg.hessian(lambda a, b: (a * b * b).sum(), argnums=1)(X, gg.tensor(X)), np.diag(2 * X))
    h = gg.hessian(lambda p: (p["a"] * p["b"] ** 2).sum())({"a": gg.tensor(X), "b": gg.tensor(X)})
    same(h["a"]["a"], np.zeros((3, 3)))
    same(h["a"]["b"], np.diag(2 * X))
    same(h["b"]["a"], np.diag(2 * X))
    same(h["b"]["b"], np.diag(2 * X))


def test_hvp_is_the_hessian_times_the_tangents():
    def f(a, b):
        return (a**2 * b**3).sum() + (a @ b) ** 2

    a, b = gg.tensor(X), gg.tensor(X + 3)
    va, vb = gg.tensor(np.array([1.0, 2.0, -1.0])), gg.tensor(np.array([0.5, 0.0, 1.0]))
    haa = gg.hessian(f)(a, b).numpy()
    hbb = gg.hessian(f, argnums=1)(a, b).numpy()
    hab = gg.jacobian(gg.grad(f, argnums=0), argnums=1)(a, b).numpy()
    pa, pb = gg.hvp(f, (a, b), (va, vb))
    np.testing.assert_allclose(pa.numpy(), haa @ va.numpy() + hab @ vb.numpy())
    np.testing.assert_allclose(pb.numpy(), hab.T @ va.numpy() + hbb @ vb.numpy())


def test_hvp_of_one_primal_without_a_tuple():
    same(gg.hvp(cubes, gg.tensor(X), gg.tensor(2 * X)), 12 * X * X)
    assert type(gg.hvp(cubes, X, X)) is np.ndarray
    found = gg.hvp(cubes, (X,), (X,))
    assert type(found) is tuple
    assert type(found[0]) is np.ndarray


def test_hvp_of_a_linear_function_is_zero():
    same(gg.hvp(lambda x: (x * 3).sum(), gg.tensor(X), gg.tensor(X)), np.zeros(3))


# Errors


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gg.grad(lambda x: x)(X), GraphError,
         r"f must return one number, it returned float64 \(3,\) on DEVICE\n  help: reduce it"),
        (lambda: gg.grad(lambda x: (x.sum(), x.sum()))(X), GraphError, "must return one number"),
        (lambda: gg.grad(lambda x: None)(X), GraphError, "it returned nothing"),
        (lambda: gg.hessian(lambda x: x)(X), GraphError, "must return one number"),
        (lambda: gg.hvp(lambda x: x, X, X), GraphError, "must return one number"),
        (lambda: gg.grad(lambda x: "text")(X), DtypeError, "f returned 'text', which is no tensor"),
        (lambda: gg.grad(cubes)(gg.tensor([1, 2])), DtypeError,
         r"only floating arguments have gradients, this is int64 \(2,\) on DEVICE"),
        (lambda: gg.grad(cubes)(np.array([1, 2])), DtypeError, "convert with astype"),
        (lambda: gg.grad(lambda x: x * x)(3), DtypeError, r"write 2\.0 instead of 2"),
        (lambda: gg.grad(cubes)(gg.tensor([True])), DtypeError, "only floating arguments"),
        (lambda: gg.grad(cubes)("text"), DtypeError, "an argument holds 'text'"),
        (lambda: gg.grad(cubes, argnums=1)(X), OptionError,
         "argnums=1, but 1 arguments were given"),
        (lambda: gg.grad(cubes, argnums=-2)(X), OptionError, "argnums=-2"),
        (lambda: gg.grad(cubes)(), OptionError, "argnums=0, but 0 arguments were given"),
        (lambda: gg.grad(cubes, has_aux=True)(X), OptionError,
         r"has_aux=True, but f did not return \(out, aux\)"),
        (lambda: gg.vjp(lambda x: x, X)[1](np.ones(4)), ShapeError,
         r"wrong shape\n  output: float64 \(3,\) on DEVICE\n  gradient: float64 \(4,\) on DEVICE"),
        (lambda: gg.vjp(lambda x: (x, x), X)[1](np.ones(3)), ShapeError,
         "f returned 2 tensors, 1 cotangents were given"),
        (lambda: gg.vjp(lambda x: x, X)[1](np.ones(3, int)), DtypeError, "it must be floating"),
        (lambda: gg.jvp(lambda x: x, (X,), (np.ones(4),)), ShapeError, "wrong shape"),
        (lambda: gg.jvp(lambda x, y: x, (X, X), (X,)), ShapeError, "2 primals, but 1 tangents"),
        (lambda: gg.hvp(cubes, X, np.ones(4)), ShapeError, "wrong shape"),
        (lambda: gg.jvp(lambda p: p["a"] + p["b"], ({"a": X, "b": X},), ({"a": X, "c": X},)),
         ShapeError, r"a dict with the keys \['a', 'c'\] was given where a dict with the keys "
         r"\['a', 'b'\] is needed"),
        (lambda: gg.jvp(lambda p: p[0] + p[1], ([X, X],), ({"a": X, "b": X},)), ShapeError,
         "a dict with the keys .* was given where a list of 2 is needed"),
        (lambda: gg.vjp(lambda x: [x, (x,)], X)[1](((X, X),)), ShapeError,
         "a tuple of 1 was given where a list of 2 is needed"),
        (lambda: gg.vjp(lambda x: [x, None], X)[1]([None, X]), ShapeError,
         "None was given where a Tensor is needed"),
    ],
)  # fmt: skip
def test_wrong_calls_say_what_is_wrong(call, error, message, device):
    with pytest.raises(error, match=message.replace("DEVICE", str(device))):
        call()


def test_an_error_inside_the_function_comes_out_as_it_is():
    with pytest.raises(ZeroDivisionError):
        gg.grad(lambda x: x.sum() * (1 // 0))(X)
    assert gg.is_grad_enabled()


def test_tangents_and_cotangents_are_matched_by_their_keys():
    """Two dicts are the same whichever order their keys came in."""
    p, v = {"a": X, "b": 2 * X}, {"b": np.zeros(3), "a": np.ones(3)}

    def f(p):
        return {"u": 2 * p["a"], "v": p["b"] ** 2}

    _, tangent = gg.jvp(f, (p,), (v,))
    np.testing.assert_array_equal(tangent["u"].numpy(), 2.0)
    np.testing.assert_array_equal(tangent["v"].numpy(), 0.0)
    _, pull = gg.vjp(f, p)
    (g,) = pull({"v": np.ones(3), "u": np.zeros(3)})
    np.testing.assert_array_equal(g["a"], 0.0)
    np.testing.assert_array_equal(g["b"], 4 * X)
    product = gg.hvp(lambda p: (p["a"] ** 2 + p["b"] ** 3).sum(), p, v)
    np.testing.assert_array_equal(product["a"], 2.0)
    np.testing.assert_array_equal(product["b"], 0.0)
