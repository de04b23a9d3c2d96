"""What every optimizer shares: groups, the flat buffer, skipping, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
from gpugrad import nn, optim
from gpugrad.errors import GraphError, OptionError, VersionError
from tests.numeric import host
from tests.optim.kinds import KINDS, every_kind, give_gradients, leaves, make, values


def root(array):
    while array.base is not None:
        array = array.base
    return array


# The flat buffer


@every_kind
def test_parameters_share_one_array_before_and_after_a_step(kind):
    tensors = leaves((3, 4), (4,), (), (0, 2), (5, 1))
    before = values(tensors)
    optimizer = make(kind, tensors)
    for tensor, array in zip(tensors, before, strict=True):
        np.testing.assert_array_equal(host(tensor), array)
    base = root(tensors[0]._data)
    give_gradients(tensors)
    optimizer.step()
    assert all(root(tensor._data) is base for tensor in tensors if tensor.size)
    assert base.size == sum(tensor.size for tensor in tensors)


def test_each_group_and_dtype_has_its_array():
    a, b = leaves((3,), (4,))
    c, d = leaves((3,), (4,), dtype="float32")
    make("Adam", [{"params": [a, c]}, {"params": [b, d]}])
    assert len({id(root(tensor._data)) for tensor in (a, b, c, d)}) == 4


@every_kind
@pytest.mark.parametrize("sizes", [((3, 4), (4,)), ((300, 200), (7,), (50_000,), (3,), (2, 9_000))])
def test_flat_step_equals_the_steps_of_single_arrays(kind, sizes):
    together, alone = leaves(*sizes), leaves(*sizes)
    one = make(kind, together)
    many = [make(kind, [tensor]) for tensor in alone]
    for seed in range(3):
        give_gradients(together, seed)
        give_gradients(alone, seed)
        one.step()
        for optimizer in many:
            optimizer.step()
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_array_equal(host(a), host(b))


@every_kind
def test_gradients_may_be_strided_and_read_only(kind):
    plain, strided = leaves((40, 500), (3, 4)), leaves((40, 500), (3, 4))
    give_gradients(plain)
    for a, b in zip(plain, strided, strict=True):
        array = np.ascontiguousarray(a.grad.numpy().T)
        array.flags.writeable = False
        b.grad = gg.asarray(array).T
        assert not b.grad._data.flags.c_contiguous
    make(kind, plain).step()
    make(kind, strided).step()
    for a, b in zip(plain, strided, strict=True):
        np.testing.assert_array_equal(host(a), host(b))


@every_kind
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype_is_kept(kind, dtype):
    tensors = leaves((3, 4), (4,), dtype=dtype)
    optimizer = make(kind, tensors, lr=np.float64(0.1))
    for seed in range(2):
        give_gradients(tensors, seed)
        optimizer.step()
    assert all(tensor.dtype == dtype for tensor in tensors)
    for entry in optimizer.state_dict()["state"].values():
        assert {t.dtype for name, t in entry.items() if name != "step"} == {np.dtype(dtype)}


def test_float32_is_computed_in_float32():
    lr, momentum = np.float32(0.1), np.float32(0.9)
    (w,) = leaves((1000,), dtype="float32")
    start = host(w).copy()
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
    velocity = np.zeros_like(start)
    for seed in range(3):
        give_gradients([w], seed)
        optimizer.step()
        velocity = w.grad.numpy() if seed == 0 else momentum * velocity + w.grad.numpy()
        start = start - lr * velocity
    np.testing.assert_array_equal(host(w), start)


# Parameters without a gradient


@every_kind
def test_a_parameter_without_gradient_is_left_alone(kind):
    a, b, c = leaves((3,), (4,), (5,))
    other = leaves((3,), (4,), (5,))
    optimizer = make(kind, [a, b, c])
    separate = [make(kind, [tensor]) for tensor in other]
    for seed, present in enumerate([(0, 1, 2), (0, 2), (1,), (), (0, 1, 2), (1, 2), (0, 1, 2)]):
        optimizer.zero_grad()
        give_gradients([(a, b, c)[i] for i in present], seed)
        give_gradients([other[i] for i in present], seed)
        before = values([a, b, c])
        optimizer.step()
        for i in present:
            separate[i].step()
        for i in {0, 1, 2} - set(present):
            np.testing.assert_array_equal(values([a, b, c])[i], before[i])
    for mine, theirs in zip((a, b, c), other, strict=True):
        np.testing.assert_array_equal(host(mine), host(theirs))
    steps = [entry.get("step") for entry in optimizer.state_dict()["state"].values()]
    assert kind == "SGD" or [step.item() for step in steps] == [4, 5, 5]


def test_runs_of_sgd_grow_together_again():
    tensors = leaves((3,), (4,), (5,))
    sgd, adam = make("SGD", tensors), make("Adam", tensors)
    for present in (tensors[:1], tensors, tensors):
        for optimizer in (sgd, adam):
            optimizer.zero_grad()
            give_gradients(present)
            optimizer.step()
    assert [len(optimizer._laid[0][0]._runs) for optimizer in (sgd, adam)] == [1, 2]


def test_a_frozen_parameter_waits_until_it_requires_a_gradient():
    a, b = leaves((3,), (4,))
    b.requires_grad_(False)
    optimizer = optim.SGD([a, b], lr=0.1)
    before = host(b).copy()
    give_gradients([a])
    optimizer.step()
    np.testing.assert_array_equal(host(b), before)
    b.requires_grad_()
    (b * b).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(host(b), before * 0.8)


def test_tied_parameters_count_once():
    a, b = leaves((3,), (4,))
    optimizer = optim.SGD([a, b, a], lr=1.0)
    assert [id(t) for t in optimizer.param_groups[0]["params"]] == [id(a), id(b)]
    named = optim.SGD([("first", a), ("second", b), ("again", a)], lr=1.0)
    assert named.param_groups[0]["param_names"] == ["first", "second"]
    before = host(a).copy()
    (a.sum() + a.sum() + b.sum()).backward()
    optimizer.step()
    np.testing.assert_allclose(host(a), before - 2.0)


# Whoever else holds the parameters


@every_kind
def test_two_optimizers_over_the_same_parameters_both_work(kind):
    tensors, copies = leaves((3, 4), (4,), (5,)), leaves((3, 4), (4,), (5,))
    first, second = make(kind, tensors), make(kind, [tensors[2], tensors[0]], lr=0.3)
    alone_first = make(kind, copies)
    alone_second = make(kind, [copies[2], copies[0]], lr=0.3)
    for seed in range(3):
        for one, two, all_of in ((first, second, tensors), (alone_first, alone_second, copies)):
            give_gradients(all_of, seed)
            one.step()
            if all_of is copies:  # the reference: parameters moved to memory of their own
                for tensor in copies:
                    tensor._rebind(tensor._data.copy())
            give_gradients(all_of, seed + 10)
            two.step()
    for a, b in zip(tensors, copies, strict=True):
        np.testing.assert_array_equal(host(a), host(b))


def test_a_second_optimizer_takes_over_the_flat_array():
    tensors = leaves((3, 4), (4,), (5,))
    first = optim.SGD(tensors, lr=0.1)
    places = [tensor._data for tensor in tensors]
    second = optim.Adam(tensors[1:], lr=0.1)
    assert all(tensor._data is place for tensor, place in zip(tensors, places, strict=True))
    before = values(tensors)
    give_gradients(tensors)
    second.step()
    first.step()
    assert all((host(t) != b).all() for t, b in zip(tensors, before, strict=True))


def test_memory_of_a_numpy_array_is_not_written():
    array = np.ones(6)
    a, b = gg.asarray(array[:3]).requires_grad_(), gg.asarray(array[3:]).requires_grad_()
    optimizer = optim.SGD([a, b], lr=0.5)
    (a.sum() + b.sum()).backward()
    optimizer.step()
    assert a.tolist() == b.tolist() == [0.5] * 3
    np.testing.assert_array_equal(array, np.ones(6))


def test_a_parameter_from_a_numpy_array_has_versions():
    w = gg.asarray(np.ones(3)).requires_grad_()
    optimizer = optim.SGD([w], lr=0.5)
    loss = (w * w).sum()
    w.grad = gg.ones(3, dtype="float64")
    optimizer.step()
    with pytest.raises(VersionError, match=r"SGD\.step"):
        loss.backward()


def test_in_place_writes_keep_the_link():
    (w,) = leaves((3,))
    optimizer = optim.SGD([w], lr=0.5)
    w.copy_(np.array([1.0, 2.0, 3.0]))
    w.sum().backward()
    optimizer.step()
    assert w.tolist() == [0.5, 1.5, 2.5]


def test_a_detached_view_follows_the_parameter():
    (w,) = leaves((3,))
    optimizer = optim.SGD([w], lr=0.5)
    view = w.detach()
    give_gradients([w])
    optimizer.step()
    np.testing.assert_array_equal(view.numpy(), host(w))


def test_groups_may_be_edited():
    a, b = leaves((3,), (4,))
    optimizer = optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.25}], lr=0.5)
    before = values([a, b])
    del optimizer.param_groups[0]
    give_gradients([a, b])
    optimizer.step()
    np.testing.assert_array_equal(host(a), before[0])
    np.testing.assert_allclose(host(b), before[1] - 0.25 * b.grad.numpy())
    optimizer.param_groups[0]["params"] = [a]
    optimizer.step()
    np.testing.assert_allclose(host(a), before[0] - 0.25 * a.grad.numpy())


@every_kind
def test_a_model_that_changed_its_dtype_is_followed(kind):
    model = nn.Linear(3, 2)
    tensors = list(model.parameters())
    optimizer = make(kind, tensors)
    give_gradients(tensors)
    optimizer.step()
    narrow = optimizer.state_dict()["state"]
    twin = [gg.tensor(host(tensor), dtype="float64", requires_grad=True) for tensor in tensors]
    other = make(kind, twin)
    other.load_state_dict(optimizer.state_dict())
    model.to(gg.float64)
    for seed in range(2):
        give_gradients(tensors, seed)
        give_gradients(twin, seed)
        optimizer.step()
        other.step()
    for a, b in zip(tensors, twin, strict=True):
        assert a.dtype == "float64"
        np.testing.assert_array_equal(host(a), host(b))
    wide = optimizer.state_dict()["state"]
    assert narrow[0].keys() == wide[0].keys()
    assert {t.dtype for t in wide[0].values()} == {np.dtype("float64")}


def test_a_model_that_loaded_its_state_is_followed():
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    places = [parameter._data for parameter in model.parameters()]
    model.load_state_dict({"weight": np.ones((2, 3)), "bias": np.ones(2)})
    model(gg.ones((1, 3))).sum().backward()
    optimizer.step()
    assert all(p._data is place for p, place in zip(model.parameters(), places, strict=True))
    assert model.weight.tolist() == [[0.0] * 3] * 2
    assert model.bias.tolist() == [0.0] * 2


# Versions


@every_kind
def test_a_graph_from_before_the_step_is_stale(kind):
    (w,) = leaves((3,))
    optimizer = make(kind, [w])
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(VersionError, match=rf"{kind}\.step at .*test_optimizer\.py:\d+"):
        loss.backward()


def test_a_graph_of_parameters_without_gradient_stays_good():
    a, b = leaves((3,), (3,))
    optimizer = optim.SGD([a, b], lr=0.1)
    later = (b * b).sum()
    (a * a).sum().backward()
    optimizer.step()
    later.backward()
    np.testing.assert_allclose(b.grad.numpy(), 2 * host(b))


# Steps and gradients


def test_closure_is_called_and_its_value_returned():
    (w,) = leaves((3,))
    optimizer = optim.SGD([w], lr=0.1)
    assert optimizer.step() is None

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with gg.no_grad():
        first = optimizer.step(closure).item()
        assert optimizer.step(closure).item() < first


def test_zero_grad_forgets_or_zeroes():
    a, b = leaves((3,), (4,))
    optimizer = optim.SGD([a, b], lr=0.1)
    give_gradients([a])
    optimizer.zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0.0] * 3
    assert b.grad is None
    optimizer.zero_grad()
    assert a.grad is None


def test_maximize_climbs():
    (w,) = leaves((3,))
    before = host(w).copy()
    optimizer = optim.SGD([w], lr=0.1, maximize=True)
    w.sum().backward()
    optimizer.step()
    np.testing.assert_allclose(host(w), before + 0.1)


def test_momentum_switched_on_later_starts_from_the_gradient():
    (w,) = leaves((3,))
    optimizer = optim.SGD([w], lr=1.0, dampening=0.5)
    give_gradients([w])
    optimizer.step()
    optimizer.param_groups[0]["momentum"] = 0.9
    before = host(w).copy()
    optimizer.step()
    np.testing.assert_allclose(host(w), before - w.grad.numpy())


# Groups and names


def test_groups_take_their_own_options_and_named_parameters():
    a, b = leaves((3,), (4,))
    optimizer = optim.SGD([("first", a), ("second", b)], lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["first", "second"]
    (c,) = leaves((2,))
    optimizer.add_param_group({"params": c, "lr": 0.7})
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.7]
    give_gradients([a, b, c])
    before = host(c).copy()
    optimizer.step()
    np.testing.assert_allclose(host(c), before - 0.7 * c.grad.numpy())


def test_repr_lists_the_options():
    text = repr(optim.SGD(leaves((3,)), lr=0.1))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n    lr: 0.1\n")


# Refusals


def test_bad_parameters_are_refused():
    (a,) = leaves((3,))
    with pytest.raises(OptionError, match="list of parameters is empty"):
        optim.SGD([])
    with pytest.raises(OptionError, match="group with no parameters"):
        optim.SGD([{"params": []}])
    with pytest.raises(OptionError, match=r"expected an iterable.*float64 \(3,\)"):
        optim.SGD(a)
    with pytest.raises(OptionError, match="number 1 is str"):
        optim.SGD([a, "b"])
    with pytest.raises(OptionError, match="set of parameters has no order"):
        optim.SGD([{"params": {a}}])
    with pytest.raises(OptionError, match="must be a dict with 'params'"):
        optim.SGD([{"weights": [a]}])
    with pytest.raises(OptionError, match="in two groups, 0 and 1"):
        optim.SGD([{"params": [a]}, {"params": [a]}])
    with pytest.raises(OptionError, match=r"number 1 is not floating\n  tensor: int64 \(2,\)"):
        optim.SGD([a, gg.tensor([1, 2])])
    with pytest.raises(GraphError, match="number 0 is no leaf"):
        optim.SGD([a * 2])
    with pytest.raises(GraphError, match="none of the 1 tensors requires a gradient"):
        optim.SGD([gg.tensor([1.0])])


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        *((kind, {"lr": lr}, r"lr must be a number >= 0") for kind in KINDS for lr in (-1, "fast")),
        *((kind, {"lr": float("nan")}, r"\(lr=nan\)") for kind in KINDS),
        *((kind, {"weight_decay": -0.1}, "weight_decay must be") for kind in KINDS),
        ("SGD", {"momentum": -0.1}, "momentum must be"),
        ("SGD", {"dampening": "x"}, "dampening must be"),
        ("SGD", {"nesterov": True}, "requires a momentum above 0 and zero dampening"),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "zero dampening"),
        *(
            (kind, {"betas": betas}, r"betas must be two numbers in \[0, 1\)")
            for kind in ("Adam", "AdamW")
            for betas in [(1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), (0.9,), 0.9, (0.9, "x")]
        ),
        *(
            (kind, {"eps": -1e-8}, "eps must be")
            for kind in ("Adam", "AdamW", "RMSprop", "Adagrad")
        ),
        ("RMSprop", {"alpha": -0.1}, "alpha must be"),
        ("RMSprop", {"alpha": 1.1}, "alpha must be"),
        ("RMSprop", {"momentum": -0.1}, "momentum must be"),
        ("Adagrad", {"lr_decay": -0.1}, "lr_decay must be"),
        ("Adagrad", {"initial_accumulator_value": -0.1}, "initial_accumulator_value must be"),
    ],
)
def test_impossible_options_are_refused(kind, options, message):
    with pytest.raises(OptionError, match=message):
        getattr(optim, kind)(leaves((3,)), **options)
    group = {"params": leaves((3,)), **options}
    with pytest.raises(OptionError, match=message):
        getattr(optim, kind)([{"params": leaves((2,))}, group])


def test_options_are_those_of_the_documentation():
    (w,) = leaves((1,))
    given = {name: getattr(optim, name)([w]).defaults for name in KINDS}
    assert given["SGD"] == {
        "lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False,
        "maximize": False,
    }  # fmt: skip
    adam = {
        "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False,
        "maximize": False, "decoupled_weight_decay": False,
    }  # fmt: skip
    assert given["Adam"] == adam
    assert given["AdamW"] == {**adam, "weight_decay": 1e-2, "decoupled_weight_decay": True}
    assert given["RMSprop"] == {
        "lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0, "momentum": 0,
        "centered": False, "maximize": False,
    }  # fmt: skip
    assert given["Adagrad"] == {
        "lr": 1e-2, "lr_decay": 0, "eps": 1e-10, "weight_decay": 0,
        "initial_accumulator_value": 0, "maximize": False,
    }  # fmt: skip
