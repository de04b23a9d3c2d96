"""In-place writes that a backward pass would notice, and outside writes that it must not."""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import GraphError, IndexRangeError, ShapeError, VersionError

X = np.array([0.5, -1.5, 2.0])


def leaf(values=X):
    return gg.tensor(values, dtype="float64", requires_grad=True)


def assign(p):
    with gg.no_grad():
        p[...] = 7.0


def assign_one(p):
    with gg.no_grad():
        p[0] = 7.0


def assign_masked(p):
    with gg.no_grad():
        p[p > 100] = 7.0  # nothing is chosen, yet it is a write


def copy(p):
    p.copy_(np.full(p.shape, 7.0))


def note(p):
    p._data[...] = 7.0
    p._written("SGD.step")


WRITES = {
    "p[...] = v": assign, "p[0] = v": assign_one, "masked": assign_masked, "copy_": copy,
    "an optimizer": note,
}  # fmt: skip

# What keeps the leaf's own memory for its backward pass.
USES = {
    "p * p": lambda p: p * p,
    "c * p": lambda p: made(p) * p,
    "sin": gg.sin,
    "log": gg.log,
    "pow": lambda p: p**3,
    "matmul": lambda p: p @ made(p),
    "slice": lambda p: gg.sin(p[1:]),
    "row": lambda p: gg.sin(p.reshape(3, 1)[0]),
    "reshape": lambda p: gg.sin(p.reshape(3, 1)),
    "transpose": lambda p: gg.sin(p.reshape(3, 1).T),
    "expand_dims and squeeze": lambda p: gg.sin(gg.squeeze(gg.expand_dims(p, 0))),
    "broadcast_to": lambda p: gg.sin(gg.broadcast_to(p, (2, 3))),
    "flip": lambda p: gg.sin(gg.flip(p)),
    "view of a view": lambda p: gg.sin(p.reshape(1, 3)[0][1:]),
    "astype to its own": lambda p: gg.sin(p.astype("float64")),
    "detach": lambda p: p.detach() * made(p),
    "slice of detach": lambda p: p.detach()[1:] * made(p)[1:],
    "detach of a slice": lambda p: p[1:].detach() * made(p)[1:],
    "linear": lambda p: gg.linear(made(p).reshape(1, 3), p.reshape(1, 3)),
    "einsum": lambda p: gg.einsum("i,i->", p, made(p)),
    "einsum view": lambda p: gg.sin(gg.einsum("ij->ji", p.reshape(1, 3))),
    "diagonal": lambda p: gg.einsum("i,i->i", p, p),
    "where's condition": lambda p: gg.maximum(p, 0.1),
    "prod": gg.prod,
    "std": gg.std,
}


def made(p):
    return p * 1.0


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("use", USES)
def test_a_write_to_what_a_backward_pass_needs_is_an_error(use, write):
    p = leaf()
    loss = USES[use](p).sum()
    WRITES[write](p)
    with pytest.raises(VersionError, match="overwrote it since"):
        loss.backward()
    assert p.grad is None


# What keeps nothing of the leaf's memory: there the gradient stays right.
HARMLESS = {
    "p + p": (lambda p: p + p, 2.0),
    "times a number": (lambda p: p * 3, 3.0),
    "sum": (gg.sum, 1.0),
    "a copy": (lambda p: made(p) * 2, 2.0),
    "times a constant": (
        lambda p: p * gg.tensor([1.0, 2.0, 3.0], dtype="float64"),
        [1.0, 2.0, 3.0],
    ),
    "exp": (gg.exp, np.exp(X)),
    "tanh": (gg.tanh, 1 - np.tanh(X) ** 2),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("use", HARMLESS)
def test_a_write_to_what_nobody_needs_is_fine(use, write):
    p = leaf()
    f, slope = HARMLESS[use]
    loss = f(p).sum()
    WRITES[write](p)
    loss.backward()
    np.testing.assert_allclose(p.grad.numpy(), np.broadcast_to(slope, 3))


def test_the_error_names_both_places(line_of):
    p = leaf()
    loss = (p * p).sum()  # recorded
    with gg.no_grad():
        p[...] = 0.0  # written
    with pytest.raises(VersionError) as e:
        loss.backward()
    message = str(e.value)
    assert "multiply" in message
    assert line_of("written") in message
    assert line_of("recorded") in message
    assert "help: call backward() before the write, or compute the loss again" in message


def test_the_error_names_both_places_where_anomalies_are_watched(line_of):
    p = leaf()
    with gg.detect_anomaly():
        loss = gg.sin(p).sum()  # watched
    p.copy_(X)  # copied
    with pytest.raises(VersionError) as e:
        loss.backward()
    assert f"backward: sin, recorded at {line_of('watched')}, needs its argument 'x'" in str(
        e.value
    )
    assert f"copy_ at {line_of('copied')} overwrote it since" in str(e.value)


def test_the_last_writer_is_named(line_of):
    p = leaf()
    loss = (p * p).sum()
    p.copy_(X)
    p._written("Adam.step")  # the last
    with pytest.raises(VersionError, match=r"Adam\.step at ") as e:
        loss.backward()
    assert line_of("the last") in str(e.value)


def test_a_graph_made_after_the_write_is_right():
    p = leaf()
    old = (p * p).sum()
    p.copy_(2 * X)
    (p * p).sum().backward()
    np.testing.assert_allclose(p.grad.numpy(), 4 * X)
    with pytest.raises(VersionError):
        old.backward()


def test_a_write_to_one_leaf_leaves_others_alone():
    p, q = leaf(), leaf(2 * X)
    loss = (q * q + p).sum()
    p.copy_(X)
    loss.backward()
    np.testing.assert_allclose(q.grad.numpy(), 4 * X)


def test_a_write_between_two_passes():
    p = leaf()
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    p.copy_(X)
    with pytest.raises(VersionError):
        loss.backward()


def test_a_write_through_detach_is_noticed():
    p = leaf()
    loss = (p * p).sum()
    d = p.detach()
    d.copy_(np.zeros(3))
    if p.detach().numpy().any():  # d has got memory of its own: then the old graph is right
        loss.backward()
        np.testing.assert_allclose(p.grad.numpy(), 2 * X)
    else:
        with pytest.raises(VersionError):
            loss.backward()


def test_an_assignment_to_detach_never_gives_a_wrong_gradient():
    p = leaf()
    loss = (p * p).sum()
    d = p.detach()
    d[0] = 100.0
    np.testing.assert_array_equal(p.detach().numpy(), X)
    loss.backward()
    np.testing.assert_allclose(p.grad.numpy(), 2 * X)


def test_forward_mode_and_second_order_notice_too():
    p = leaf()

    def f(x):
        y = gg.sin(p) * x
        p.copy_(X + 1)
        return y.sum()

    np.testing.assert_allclose(gg.grad(f)(X), np.sin(X))  # keeps sin(p), which is fresh
    p.copy_(X)

    def g(x):
        y = p * x
        p.copy_(X + 1)
        return y.sum()

    with pytest.raises(VersionError):
        gg.grad(g)(X)
    with pytest.raises(VersionError):
        gg.jvp(g, (X,), (X,))


# What may be written, and how


def test_assignment_under_no_grad_writes_in_place():
    p = leaf()
    view = p.detach()
    with gg.no_grad():
        p[1:] = [5.0, 6.0]
    assert p.tolist() == [0.5, 5.0, 6.0]
    assert view.tolist() == [0.5, 5.0, 6.0]
    assert p.requires_grad
    assert p.is_leaf


def test_copy_broadcasts_and_converts():
    p = leaf(np.ones((2, 3)))
    assert p.copy_(gg.tensor([1, 2, 3])) is p
    assert p.tolist() == [[1.0, 2.0, 3.0]] * 2
    assert p.dtype == gg.float64


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (lambda p: p.copy_(np.ones(4)), ShapeError,
         r"copy_: \(4,\) cannot be broadcast to \(3,\)"),
        (lambda p: p.__setitem__(0, 1.0), GraphError,
         r"a leaf that requires a gradient is not assigned to\n  help: write t = t\.at"),
        (lambda p: (p * 2).copy_(X), GraphError, "copy_: a recorded operation made this tensor"),
        (lambda p: gg.no_grad()(lambda: p.__setitem__(5, 1.0))(), IndexRangeError, "out of bounds"),
        (lambda p: gg.no_grad()(lambda: p.__setitem__(..., np.ones(4)))(), ShapeError, "broadcast"),
    ],
)  # fmt: skip
def test_wrong_writes_say_what_is_wrong(write, error, message):
    p = leaf()
    with pytest.raises(error, match=message):
        write(p)
    assert p.tolist() == X.tolist()


def test_assignment_within_a_function_leaves_its_argument_as_it_was():
    t = gg.tensor(X)

    def f(x):
        with gg.no_grad():
            x[0] = 7.0
        return (x * x).sum()

    assert gg.grad(f)(t).tolist() == [14.0, -3.0, 4.0]
    np.testing.assert_array_equal(t.numpy(), X)


def test_writing_a_recorded_tensor_under_no_grad_is_refused():
    y = leaf() * 2
    with pytest.raises(GraphError, match="it cannot be changed in no_grad"), gg.no_grad():
        y[0] = 1.0


def right_or_refused(loss, leaf, wanted):
    """A gradient of the values at the time of the recording, or an error: nothing else."""
    try:
        loss.backward()
    except VersionError:
        assert leaf.grad is None
    else:
        np.testing.assert_allclose(leaf.grad.numpy(), wanted)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("view", [lambda c: c, lambda c: c.reshape(3, 1)[:, 0], gg.Tensor.detach])
def test_a_constant_that_becomes_a_parameter_after_it_was_recorded(view, write):
    c, w = gg.tensor(X), leaf(np.ones(3))
    loss = (w * view(c)).sum()
    c.requires_grad_()
    WRITES[write](c)
    right_or_refused(loss, w, X)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("second", WRITES)
@pytest.mark.parametrize("first", ["none", "p[0] = v", "copy_", "an optimizer"])
def test_writes_to_a_foreign_leaf(first, second):
    a = X.copy()
    x = gg.asarray(a).requires_grad_()
    if first == "an optimizer":  # which moves its parameters to memory of its own
        x._rebind(x._data.copy())
    elif first == "copy_":
        x.copy_(X + 1)
    elif first != "none":
        with gg.no_grad():
            x[0] = 3.0
    now = x.detach().numpy().copy()
    loss = (x * x).sum()
    if second == "an optimizer" and first != "an optimizer":
        x._rebind(x._data.copy())
    WRITES[second](x)
    right_or_refused(loss, x, 2 * now)


def test_a_write_to_a_foreign_leaf_leaves_the_array_alone():
    for write in (assign, assign_one, copy):
        a = X.copy()
        a.setflags(write=False)
        x = gg.asarray(a).requires_grad_()
        write(x)
        np.testing.assert_array_equal(a, X)
        assert x[0].item() == 7.0
        assert x.requires_grad


def test_a_parameter_that_becomes_a_constant_and_is_written():
    for write in (assign, copy, lambda p: p.__setitem__(0, 7.0)):
        p, q = leaf(), leaf(np.ones(3))
        loss = (p * q).sum()
        p.requires_grad_(False)
        write(p)
        right_or_refused(loss, q, X)


# Outside writes to foreign memory: never a wrong gradient.

FOREIGN = {
    "a * x": (lambda x, a: a * x, lambda x, a: a),
    "x * a": (lambda x, a: x * a, lambda x, a: a),
    "raw operand": (lambda x, a: x * (a.data if isinstance(a, gg.Tensor) else a), lambda x, a: a),
    "x / a": (lambda x, a: x / a, lambda x, a: 1 / a),
    "a / x": (lambda x, a: a / x, lambda x, a: -a / x**2),
    "x @ a": (lambda x, a: x @ a, lambda x, a: a),
    "x ** a": (lambda x, a: gg.pow(x, a), lambda x, a: a * x ** (a - 1)),
    "maximum": (gg.maximum, lambda x, a: (x > a).astype(float)),
    "atan2": (gg.atan2, lambda x, a: a / (a**2 + x**2)),
    "where": (lambda x, a: gg.where(a > 1.2, x * 3, x), lambda x, a: np.where(a > 1.2, 3.0, 1.0)),
    "slice": (lambda x, a: x[1:] * gg.asarray(a)[1:], lambda x, a: a * [0, 1, 1]),
    "reshape": (lambda x, a: x * gg.asarray(a).reshape(3, 1).reshape(3), lambda x, a: a),
    "broadcast": (lambda x, a: x * gg.broadcast_to(a, (2, 3)), lambda x, a: 2 * a),
    "transpose": (lambda x, a: x @ gg.asarray(a).reshape(1, 3).T, lambda x, a: a),
    "flip": (lambda x, a: x * gg.flip(a), lambda x, a: a[::-1].copy()),
    "linear": (lambda x, a: gg.linear(x, gg.asarray(a).reshape(1, 3)), lambda x, a: a),
    "einsum": (lambda x, a: gg.einsum("i,i->", x, a), lambda x, a: a),
    "einsum of three": (lambda x, a: gg.einsum("i,i,j->j", x, a, np.ones(2)), lambda x, a: 2 * a),
    "index": (lambda x, a: x[a.astype(int) if isinstance(a, np.ndarray) else a.astype("int64")],
              lambda x, a: np.bincount(a.astype(int), minlength=3).astype(float)),
    "take": (lambda x, a: gg.take(x, gg.asarray(a).astype("int64")),
             lambda x, a: np.bincount(a.astype(int), minlength=3).astype(float)),
    "masked_scale": (lambda x, a: gg.masked_scale(x, a > 1.2, 2.0),
                     lambda x, a: np.where(a > 1.2, 2.0, 0.0)),
    "detach": (lambda x, a: x * gg.asarray(a).detach(), lambda x, a: a),
    "concat": (lambda x, a: gg.concat([x, a]) * gg.concat([a, x]), lambda x, a: 2 * a),
}  # fmt: skip


@pytest.mark.parametrize("shared", [False, True], ids=["raw", "asarray"])
@pytest.mark.parametrize("name", FOREIGN)
def test_an_outside_write_does_not_change_a_gradient(name, shared):
    f, slope = FOREIGN[name]
    a = np.array([1.0, 1.5, 2.0])
    x = leaf(np.array([0.5, 1.7, 3.0]))
    expected = slope(x.detach().numpy().copy(), a.copy())
    loss = f(x, gg.asarray(a) if shared else a).sum()
    a[:] = 0.0
    loss.backward()
    np.testing.assert_allclose(x.grad.numpy(), expected)


def test_an_outside_write_to_an_index_array_does_not_change_a_gradient():
    for key in (
        np.array([0, 0, 2]),
        (slice(None), np.array([0, 0, 2])),
        np.array([True, False, True]),
    ):
        arrays = [
            k for k in (key if isinstance(key, tuple) else (key,)) if isinstance(k, np.ndarray)
        ]
        for write in (lambda x, key: x[key], lambda x, key: x.at[key].set(0.0),
                      lambda x, key: x.at[key].add(1.0)):  # fmt: skip
            x = leaf(np.ones((3, 3)))
            expected = gg.grad(lambda x, key=key, write=write: (write(x, key) * 2).sum())(x).numpy()
            loss = (write(x, key) * 2).sum()
            saved = [a.copy() for a in arrays]
            for a in arrays:
                a[...] = ~a if a.dtype == bool else 1
            loss.backward()
            for a, s in zip(arrays, saved, strict=True):
                a[...] = s
            np.testing.assert_allclose(x.grad.numpy(), expected)


def test_an_outside_write_to_labels_and_weights_does_not_change_a_gradient():
    x = leaf(np.linspace(0, 1, 6).reshape(2, 3))
    labels, weight = np.array([0, 2]), np.array([1.0, 2.0, 3.0])
    expected = gg.grad(lambda x: gg.softmax_cross_entropy(x, labels, weight)[0])(x).detach().numpy()
    loss = gg.softmax_cross_entropy(x, labels, weight)[0]
    labels[:], weight[:] = 1, 9.0
    loss.backward(create_graph=True)
    np.testing.assert_allclose(x.grad.detach().numpy(), expected)


def test_an_outside_write_to_an_argument_of_a_transform():
    a = np.array([1.0, 2.0, 3.0])
    _, pull = gg.vjp(lambda x: x**3, a)
    a[:] = 100.0
    np.testing.assert_allclose(pull(np.ones(3))[0], [3.0, 12.0, 27.0])
    a = np.array([1.0, 2.0])

    def f(x):
        y = (x**3).sum()
        a[:] = 50.0
        return y

    np.testing.assert_allclose(gg.grad(f)(a), [3.0, 12.0])


def test_an_outside_write_to_a_leaf_that_shares_foreign_memory():
    a = np.array([1.0, 2.0, 3.0])
    x = gg.asarray(a).requires_grad_()
    loss = (x**3).sum()
    a[:] = 100.0
    loss.backward()
    np.testing.assert_allclose(x.grad.numpy(), [3.0, 12.0, 27.0])


def test_an_outside_write_to_a_view_or_a_base_does_not_change_a_gradient():
    base = np.arange(1.0, 7.0)
    x = leaf(np.ones(3))
    early = base[::2]
    loss = (x * gg.asarray(base[::2])).sum()
    early[:] = 50.0
    base[:] = 60.0
    loss.backward()
    np.testing.assert_allclose(x.grad.numpy(), [1.0, 3.0, 5.0])


def test_an_outside_write_to_a_gradient_that_was_given():
    g = np.array([1.0, 2.0, 3.0])
    x = leaf()
    (x + 0.0).backward(g)
    g[:] = 9.0
    assert x.grad.tolist() == [1.0, 2.0, 3.0]
    _, pull = gg.vjp(lambda x: x, gg.tensor(X))
    g = np.array([1.0, 2.0, 3.0])
    (found,) = pull(g)
    g[:] = 9.0
    assert found.tolist() == [1.0, 2.0, 3.0]


def test_an_outside_write_does_not_change_second_derivatives():
    a = np.array([1.0, 2.0, 3.0])
    x = leaf()
    (gg.asarray(a) * x**2).sum().backward(create_graph=True)
    g, x.grad = x.grad.sum(), None
    a[:] = 0.0
    g.backward()
    np.testing.assert_allclose(x.grad.numpy(), [2.0, 4.0, 6.0])


def test_a_primitive_that_returns_its_argument_and_keeps_its_output(own_primitives):
    @gg.primitive
    def same_and_kept(xp, x, /):
        return x

    @same_and_kept.vjp("x")
    def same_and_kept_dx(g, y):
        return g * y

    @gg.primitive
    def second(xp, a, b, /):
        return b

    @second.vjp("a", "b")
    def second_d(g, y):
        return g * y

    a = np.array([1.0, 2.0, 3.0])
    x = gg.asarray(a).requires_grad_()
    loss = same_and_kept(x).sum()
    a[:] = 100.0
    loss.backward()
    assert x.grad.tolist() == [1.0, 2.0, 3.0]
    for chosen in (same_and_kept, lambda p: second(made(p), p)):
        p = leaf()
        loss = chosen(p).sum()
        p.copy_(np.zeros(3))
        with pytest.raises(VersionError, match="needs its output as it was then"):
            loss.backward()


def test_the_error_names_the_argument_among_many():
    p = leaf()
    loss = gg.einsum("i,i,i->", made(p), made(p), p)
    p.copy_(X)
    with pytest.raises(
        VersionError, match=r"contract, recorded at .*needs its argument 'operands\[2\]'"
    ):
        loss.backward()


def test_numpys_view_of_a_tensor_cannot_be_written(device):
    t = gg.tensor(X)
    for view in (t.data, t.numpy(), np.asarray(t)) if device.xp.on_host else (t.numpy(),):
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 1.0
