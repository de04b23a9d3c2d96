"""What the graph keeps, when it lets go, how deep it may be, and what is not computed at all."""

from __future__ import annotations

import contextlib
import tracemalloc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

import gpugrad as gg

pytestmark = pytest.mark.usefixtures("no_gc")


def leaf(shape=(3, 3)):
    return gg.tensor(np.linspace(0.2, 0.9, int(np.prod(shape))).reshape(shape), requires_grad=True)


def made(x):
    """A recorded tensor with memory of its own."""
    return x * 1.5


def is_kept(recorded: list, operation) -> list[bool]:
    """Whether the arrays of the recorded arguments, and of the result, outlive their tensors.

    The operation's result is dropped as a tensor; only what the graph itself keeps stays.
    """
    result = operation(*recorded)
    arrays = [weakref.ref(t._data) for t in [*recorded, result]]
    end = result.sum()  # a sum keeps only a shape
    recorded.clear()
    del result
    kept = [a() is not None for a in arrays]
    assert end.requires_grad
    return kept


ONE = {  # operation: does it keep (its argument, its result)?
    "exp": (gg.exp, [False, True]),
    "log": (gg.log, [True, False]),
    "sin": (gg.sin, [True, False]),
    "tanh": (gg.tanh, [False, True]),
    "sqrt": (gg.sqrt, [False, True]),
    "sigmoid": (gg.sigmoid, [False, True]),
    "relu": (gg.relu, [False, True]),
    "negative": (gg.negative, [False, False]),
    "times a number": (lambda x: x * 3, [False, False]),
    "plus a number": (lambda x: x + 3, [False, False]),
    "sum": (lambda x: x.sum(axis=0), [False, False]),
    "mean": (lambda x: x.mean(axis=0), [False, False]),
    "flip": (gg.flip, [False, False]),
    "slice with a copy": (lambda x: x[np.array([0, 1])], [False, False]),
    "concat": (lambda x: gg.concat([x, gg.ones((1, 3))]), [False, False]),
    "astype": (lambda x: x.astype("float32"), [False, False]),
    "softmax": (gg.softmax, [False, True]),
    "log_softmax": (gg.log_softmax, [False, True]),
    "square": (gg.square, [True, False]),
    "cumulative_sum": (lambda x: gg.cumulative_sum(x, axis=0), [False, False]),
}


@pytest.mark.parametrize("name", ONE)
def test_a_node_keeps_exactly_what_its_rule_names(name):
    operation, wanted = ONE[name]
    assert is_kept([made(leaf())], operation) == wanted


TWO = {
    "add": (gg.add, [False, False, False]),
    "subtract": (gg.subtract, [False, False, False]),
    "multiply": (gg.multiply, [True, True, False]),
    "divide": (gg.divide, [False, True, True]),
    "matmul": (gg.matmul, [True, True, False]),
    "maximum": (gg.maximum, [True, True, False]),
    "concat": (lambda a, b: gg.concat([a, b]), [False, False, False]),
    "where": (lambda a, b: gg.where(np.eye(3) > 0, a, b), [False, False, False]),
    "linear relu": (lambda x, w: gg.linear(x, w, activation="relu"), [True, True, True]),
}


@pytest.mark.parametrize("name", TWO)
def test_with_two_tracked_arguments(name):
    operation, wanted = TWO[name]
    x = leaf()
    assert is_kept([made(x), made(x)], operation) == wanted


@pytest.mark.parametrize(
    ("operation", "first", "second"),
    [
        (gg.multiply, [False, True, False], [True, False, False]),
        (gg.matmul, [False, True, False], [True, False, False]),
        (lambda x, w: gg.linear(x, w, activation="relu"), [False, True, True], [True, False, True]),
        (gg.divide, [False, True, False], [False, True, True]),
    ],
)
def test_with_one_tracked_argument_only_what_its_rule_names(operation, first, second):
    """A product keeps the factor of a tracked one, not the tracked one itself."""
    constant = gg.ones((3, 3), "float64") * 2
    assert is_kept([made(leaf()), constant + 0], operation) == first
    assert is_kept([constant + 0, made(leaf())], operation) == second


def test_nothing_is_kept_of_constants_or_under_no_grad():
    a = gg.ones(3) * 2
    ref = weakref.ref(a._data)
    y = gg.exp(a * 1)
    assert y._node is None
    del a
    assert ref() is None
    with gg.no_grad():
        assert gg.exp(leaf())._node is None


# Freeing


def test_a_graph_nobody_holds_is_freed_at_once():
    x = leaf()
    a = gg.exp(x)
    b = gg.sin(a @ a)
    refs = [weakref.ref(t._data) for t in (a, b)]
    del a, b
    assert [r() for r in refs] == [None, None]


def test_backward_frees_what_was_kept_though_the_result_lives():
    x = leaf()
    a = gg.exp(x)
    loss = (a * a).sum()
    ref = weakref.ref(a._data)
    del a
    assert ref() is not None
    loss.backward()
    assert ref() is None
    assert loss.item() > 0


def test_retain_graph_keeps_it():
    x = leaf()
    a = gg.exp(x)
    loss = (a * a).sum()
    ref = weakref.ref(a._data)
    del a
    loss.backward(retain_graph=True)
    assert ref() is not None
    loss.backward()
    assert ref() is None


def test_backward_frees_as_it_walks():
    x = leaf()
    first = gg.exp(x)
    second = gg.exp(first)
    third = gg.exp(second)
    refs = {"second": weakref.ref(second._data), "third": weakref.ref(third._data)}
    seen = []
    first.register_hook(
        lambda g: seen.append([name for name, r in refs.items() if r() is not None])
    )
    loss = third.sum()
    del second, third
    assert all(r() is not None for r in refs.values())
    loss.backward()
    assert seen == [[]]  # when the pass arrives at `first`, the others are gone


class Memory:
    """What is in use on a device, and at most since `reset_peak`, in bytes."""

    def __init__(self, device):
        self.on_host = device.xp.on_host

    def reset_peak(self):
        tracemalloc.reset_peak() if self.on_host else gg.cuda.reset_peak_memory_stats()

    @property
    def now(self):
        return tracemalloc.get_traced_memory()[0] if self.on_host else gg.cuda.memory_allocated()

    @property
    def peak(self):
        if self.on_host:
            return tracemalloc.get_traced_memory()[1]
        return gg.cuda.max_memory_allocated()


@pytest.fixture
def memory(device) -> Iterator[Memory]:
    tracemalloc.start()
    yield Memory(device)
    tracemalloc.stop()


def test_a_backward_pass_needs_little_more_memory_than_the_forward_pass(memory):
    x = gg.tensor(np.ones(50_000), requires_grad=True)
    size, before = x.data.nbytes, memory.now
    y = x
    for _ in range(40):
        y = gg.sin(y)
    loss = y.sum()
    del y
    held = memory.now
    assert held - before >= 39 * size
    memory.reset_peak()
    loss.backward()
    assert memory.peak - held < 6 * size
    assert memory.now - before < 3 * size


def test_a_cotangent_is_freed_where_it_is_used_up(memory):
    width = 200
    weights = [gg.tensor(np.eye(width) * 0.9, requires_grad=True) for _ in range(3)]
    x = gg.tensor(np.ones((width, width)))
    y = x
    for weight in weights:
        y = gg.linear(y, weight, None, "relu")
    loss = y.sum()
    del y
    held = memory.now
    memory.reset_peak()
    loss.backward()
    # 2.3 arrays; 3 while anything else still refers to what a pull has taken.
    assert memory.peak - held < 2.5 * x.data.nbytes


def grad_of(x):
    return gg.grad(lambda x: (gg.exp(x) @ x).sum())(x)


def failing(x):
    with contextlib.suppress(ZeroDivisionError):
        gg.grad(lambda x: gg.exp(x).sum() * (1 / 0))(x)


TRANSFORMS = {
    "grad": grad_of,
    "value_and_grad": lambda x: gg.value_and_grad(lambda x: gg.exp(x).sum())(x),
    "grad of grad": lambda x: gg.grad(lambda x: grad_of(x).sum())(x),
    "vjp": lambda x: gg.vjp(gg.exp, x)[1](x),
    "jvp": lambda x: gg.jvp(gg.exp, (x,), (x,)),
    "jvp of a transposed rule": lambda x: gg.jvp(gg.softmax, (x,), (x,)),
    "jvp over grad": lambda x: gg.jvp(grad_of, (x,), (x,)),
    "hvp": lambda x: gg.hvp(lambda x: gg.exp(x).sum(), x, x),
    "jacobian": lambda x: gg.jacobian(gg.softmax)(x[0]),
    "hessian": lambda x: gg.hessian(lambda x: (x**3).sum())(x[0]),
    "several outputs": lambda x: gg.grad(lambda x: gg.standardize(x, 0, 1.0)[0].sum())(x),
    "an error inside": lambda x: failing(x),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_leaves_nothing_behind(name):
    x = gg.tensor(np.linspace(0.1, 1, 9).reshape(3, 3))
    ref = weakref.ref(x._data)
    TRANSFORMS[name](x)
    del x
    assert ref() is None


@pytest.mark.parametrize("transform", [gg.grad, lambda f: lambda x: gg.jvp(f, (x,), (x,))[1]])
def test_intermediate_values_are_freed_though_the_derivative_lives(transform):
    refs = []

    def f(x):
        y = gg.exp(x)
        refs.append(weakref.ref(y._data))
        return (y * x).sum()

    g = transform(f)(gg.tensor(np.ones(4)))
    assert refs[0]() is None
    assert not g.requires_grad


def test_a_second_derivative_frees_its_graph_too():
    refs = []

    def f(x):
        y = gg.exp(x)
        refs.append(weakref.ref(y._data))
        return (y * x).sum()

    g = gg.grad(lambda x: gg.grad(f)(x).sum())(gg.tensor(np.ones(4)))
    assert refs[0]() is None
    assert g.shape == (4,)


def test_a_leaf_with_its_gradient_is_freed():
    x = leaf()
    gg.exp(x).sum().backward()
    refs = [weakref.ref(x._data), weakref.ref(x.grad._data), weakref.ref(x)]
    del x
    assert [r() for r in refs] == [None] * 3


def test_a_leaf_with_a_hook_and_a_retained_gradient_is_freed():
    x = leaf()
    x.register_hook(lambda g: None)
    y = gg.exp(x)
    y.retain_grad()
    y.sum().backward()
    refs = [weakref.ref(x._data), weakref.ref(y._data), weakref.ref(y.grad._data)]
    del x, y
    assert [r() for r in refs] == [None] * 3


def test_a_failed_backward_leaves_nothing_behind():
    x = leaf()
    y = gg.exp(x)
    ref = weakref.ref(y._data)
    y.register_hook(lambda g: 1 / 0)
    with contextlib.suppress(ZeroDivisionError):
        y.sum().backward()
    del y
    assert ref() is None


# Depth

# Far beyond what Python recurses; a simulated device takes its time for each operation.
DEEP = 10_000 if gg.cuda.is_simulated() else 100_000


def test_a_chain_of_very_many_operations():
    x = gg.tensor(1.0, dtype="float64", requires_grad=True)
    y = x
    for _ in range(DEEP):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1.0
    assert y.item() == DEEP + 1.0
    del y  # a chain whose nodes are still linked


def test_a_chain_of_very_many_operations_that_keep_values():
    x = gg.tensor(1.0, dtype="float64", requires_grad=True)
    y = x
    for _ in range(DEEP):
        y = y * y
    y.backward(retain_graph=True)
    ref = weakref.ref(y._data)
    del y  # with everything it kept
    assert ref() is None


def test_a_long_chain_that_is_never_differentiated():
    y = gg.tensor(1.0, requires_grad=True)
    for _ in range(DEEP):
        y = gg.sin(y)
    del y


def test_a_deep_chain_with_shared_parts():
    # each value is used twice: 2**n paths, n operations
    x = gg.tensor(1.0, dtype="float64", requires_grad=True)
    y = x
    for _ in range(1000):
        y = (y + y) * 0.5
    y.backward()
    assert x.grad.item() == 1.0


def test_deep_forward_mode_and_second_order():
    def f(x):
        for _ in range(5_000):
            x = x * 1.0001
        return x * x

    c = 1.0001**5000
    one = gg.tensor(1.0, dtype="float64")
    assert gg.jvp(f, (one,), (one,))[1].item() == pytest.approx(2 * c * c)
    assert gg.grad(gg.grad(f))(one).item() == pytest.approx(2 * c * c)
    assert gg.hvp(f, one, one).item() == pytest.approx(2 * c * c)


def test_a_wide_sum():
    xs = [gg.tensor(float(k), requires_grad=True) for k in range(2_000)]
    gg.stack(xs).sum().backward()
    assert {x.grad.item() for x in xs} == {1.0}


# What nobody needs is not computed


@pytest.fixture
def products(monkeypatch, device):
    """The shapes of every product of two matrices."""
    shapes = []

    def counted(original):
        def product(a, b, *args, **kwargs):
            if a.ndim > 1 and b.ndim > 1:
                shapes.append((a.shape, b.shape))
            return original(a, b, *args, **kwargs)

        return product

    for name in ("matmul", "dot"):
        monkeypatch.setattr(device.xp, name, counted(getattr(device.xp, name)))
    return shapes


def two_layers(x, w1, w2):
    return (gg.tanh(x @ w1) @ w2).sum()


def arguments():
    return gg.ones((5, 4)), gg.ones((4, 3)), gg.ones((3, 2))


def test_a_step_of_two_layers_takes_five_products_not_six(products):
    x, w1, w2 = arguments()
    loss = two_layers(x, w1.requires_grad_(), w2.requires_grad_())
    assert len(products) == 2
    loss.backward()
    assert len(products) == 5


def test_two_fused_layers_take_five_products(products):
    x, w1, w2 = gg.ones((5, 4)), gg.ones((3, 4)).requires_grad_(), gg.ones((2, 3)).requires_grad_()
    b = gg.zeros(3).requires_grad_()
    gg.linear(gg.linear(x, w1, b, "relu"), w2).sum().backward()
    assert len(products) == 5


@pytest.mark.parametrize(
    ("argnums", "count"), [(0, 4), (1, 4), (2, 3), ((1, 2), 5), ((0, 1, 2), 6)]
)
def test_gg_grad_computes_only_what_it_was_asked_for(products, argnums, count):
    gg.grad(two_layers, argnums)(*arguments())
    assert len(products) == count


def test_gg_grad_leaves_out_leaves_in_the_closure(products):
    x, w1, w2 = arguments()
    w1.requires_grad_()
    gg.grad(lambda w2: two_layers(x, w1, w2))(w2)
    assert len(products) == 3
    assert w1.grad is None


def test_a_frozen_layer_costs_no_product_but_passes_gradients_on(products):
    x, w1, w2 = arguments()
    loss = two_layers(x, w1.requires_grad_(), w2)
    loss.backward()
    assert len(products) == 2 + 2  # to the first layer's output, and to w1


def test_forward_mode_pushes_only_what_moves(products):
    x, w1, w2 = arguments()
    gg.jvp(lambda w2: two_layers(x, w1, w2), (w2,), (w2,))
    assert len(products) == 2 + 1


def test_a_part_that_the_output_does_not_use_costs_nothing(products):
    x, w1, w2 = arguments()
    w1.requires_grad_()
    h = x @ w1
    unused = h @ w2  # noqa: F841
    h.sum().backward()
    assert len(products) == 2 + 1
