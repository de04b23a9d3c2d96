"""Saving, loading and copying optimizers."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import gpugrad as gg
from gpugrad import nn, optim
from gpugrad.errors import StateError
from tests.numeric import host
from tests.optim.kinds import KINDS, every_kind, give_gradients, leaves, make

SHAPES = ((3, 4), (4,), ())


def run(optimizer, tensors, seeds) -> None:
    for seed in seeds:
        give_gradients(tensors, seed)
        optimizer.step()


def assert_equal(tensors, others) -> None:
    for a, b in zip(tensors, others, strict=True):
        np.testing.assert_array_equal(host(a), host(b))


@every_kind
def test_a_loaded_optimizer_goes_on_with_the_same_bits(kind):
    tensors = leaves(*SHAPES, dtype="float32")
    optimizer = make(kind, tensors)
    run(optimizer, tensors, range(3))
    resumed = [gg.tensor(t, requires_grad=True) for t in tensors]
    other = getattr(optim, kind)(resumed)
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["lr"] == KINDS[kind]["lr"]
    run(optimizer, tensors, range(3, 6))
    run(other, resumed, range(3, 6))
    assert_equal(tensors, resumed)


@every_kind
def test_loading_keeps_the_flat_array(kind):
    tensors = leaves(*SHAPES)
    optimizer = make(kind, tensors)
    run(optimizer, tensors, range(2))
    places, before = [t._data for t in tensors], [host(t).copy() for t in tensors]
    optimizer.load_state_dict(optimizer.state_dict())
    for tensor, place, array in zip(tensors, places, before, strict=True):
        assert tensor.device.xp.may_share_memory(tensor._data, place)
        np.testing.assert_array_equal(host(tensor), array)


def test_state_has_pytorchs_layout():
    a, b, c = leaves((3,), (4,), (5,))
    optimizer = optim.Adam([{"params": [a, b]}, {"params": [c], "lr": 0.5}])
    give_gradients([b, c])
    optimizer.step()
    saved = optimizer.state_dict()
    assert set(saved) == {"state", "param_groups"}
    assert [group["params"] for group in saved["param_groups"]] == [[0, 1], [2]]
    assert saved["param_groups"][1]["lr"] == 0.5
    assert set(saved["state"]) == {1, 2}
    assert set(saved["state"][1]) == {"step", "exp_avg", "exp_avg_sq"}
    assert saved["state"][1]["step"].item() == 1
    assert saved["state"][1]["exp_avg"].shape == (4,)
    assert set(optimizer.state) == {b, c}
    sgd = optim.SGD([a, b])
    sgd.step()
    assert sgd.state_dict()["state"] == {}


def test_saved_state_does_not_follow_later_steps():
    (w,) = leaves((3,))
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
    run(optimizer, [w], [0])
    saved = optimizer.state_dict()["state"][0]["momentum_buffer"]
    before = saved.tolist()
    run(optimizer, [w], [1])
    assert saved.tolist() == before


def test_state_with_lists_for_tuples_and_names_for_numbers_is_taken():
    (w,) = leaves((3,))
    optimizer = optim.Adam([w])
    run(optimizer, [w], [0])
    saved = optimizer.state_dict()
    saved["state"] = {str(index): entry for index, entry in saved["state"].items()}
    saved["param_groups"][0]["betas"] = [0.8, 0.9]
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.9)
    assert optimizer.state_dict()["state"][0]["step"].item() == 1


def test_state_is_cast_to_the_parameters_dtype():
    (w,) = leaves((3,))
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
    run(optimizer, [w], [0])
    (narrow,) = leaves((3,), dtype="float32")
    other = optim.SGD([narrow], momentum=0.9)
    other.load_state_dict(optimizer.state_dict())
    assert other.state_dict()["state"][0]["momentum_buffer"].dtype == "float32"


def mismatch(change, kind: str = "Adam") -> str:
    """The message for a state that `change` has spoilt; the optimizer must stay as it was."""
    tensors = leaves((3,), (4,))
    optimizer = make(kind, tensors)
    run(optimizer, tensors, range(2))
    saved = optimizer.state_dict()
    change(saved)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(StateError) as caught:
        optimizer.load_state_dict(saved)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert after["state"].keys() == before["state"].keys()
    return str(caught.value)


def test_every_mismatch_is_named():
    def spoil(saved):
        del saved["state"][0]["exp_avg"]
        saved["state"][0]["velocity"] = gg.tensor([1.0])
        saved["state"][1]["exp_avg_sq"] = gg.tensor([1.0, 2.0])
        saved["state"][7] = {}

    assert mismatch(spoil) == (
        "Adam.load_state_dict: the state does not fit\n"
        "  missing: state[0]['exp_avg']\n"
        "  extra: state[0]['velocity']\n"
        "  state[1]['exp_avg_sq']: (2,) saved, the parameter is (4,)\n"
        "  extra: state[7]"
    )


def test_missing_parts_are_named():
    assert "missing: param_groups" in mismatch(lambda saved: saved.pop("param_groups"))
    message = mismatch(lambda saved: saved["param_groups"].append({"params": []}))
    assert "param_groups: 2 saved, the optimizer has 1" in message
    message = mismatch(lambda saved: saved["param_groups"][0]["params"].pop())
    assert "param_groups[0]['params']: 1 saved, the optimizer has 2" in message


def test_what_is_no_state_is_refused():
    with pytest.raises(StateError, match=r"SGD\.load_state_dict: expected a dict, not NoneType"):
        make("SGD", leaves((3,))).load_state_dict(None)


def test_the_state_of_another_optimizer_is_refused():
    tensors = leaves((3,), (4,))
    sgd = make("SGD", tensors)
    run(sgd, tensors, [0])
    with pytest.raises(StateError) as caught:
        make("Adam", tensors).load_state_dict(sgd.state_dict())
    assert "missing: param_groups[0]['betas']" in str(caught.value)
    assert "extra: param_groups[0]['nesterov']" in str(caught.value)


# Copies


@every_kind
@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_a_copy_with_its_parameters_lives_on_its_own(kind, way):
    tensors = leaves(*SHAPES)
    optimizer = make(kind, tensors)
    run(optimizer, tensors, range(2))
    pair = (tensors, optimizer)
    others, other = copy.deepcopy(pair) if way == "deepcopy" else pickle.loads(pickle.dumps(pair))
    assert all(t is u for t, u in zip(other.param_groups[0]["params"], others, strict=True))
    for a, b in zip(tensors, others, strict=True):
        assert not a.device.xp.may_share_memory(a._data, b._data)
    before = [host(t).copy() for t in tensors]
    run(other, others, range(2, 5))
    for tensor, array in zip(tensors, before, strict=True):
        np.testing.assert_array_equal(host(tensor), array)
    run(optimizer, tensors, range(2, 5))
    assert_equal(tensors, others)


@every_kind
def test_a_copied_model_is_trained_by_the_optimizer_copied_with_it(kind):
    model = nn.MLP([4, 3, 2], "tanh")  # no unit of it can be dead, whatever is drawn
    optimizer = make(kind, model.parameters())

    def train(net, steps: optim.Optimizer) -> None:
        steps.zero_grad()
        nn.CrossEntropyLoss()(net(gg.ones((5, 4))), gg.tensor([0, 1, 0, 1, 0])).backward()
        steps.step()

    train(model, optimizer)
    for _ in range(2):
        twin, other = copy.deepcopy((model, optimizer))
        train(twin, other)
        assert all(
            (host(a) != host(b)).any()
            for a, b in zip(model.parameters(), twin.parameters(), strict=True)
        )
        train(model, optimizer)
        assert_equal(model.parameters(), twin.parameters())
    file_like = pickle.loads(pickle.dumps({"model": model, "optimizer": optimizer}))
    train(file_like["model"], file_like["optimizer"])
    train(model, optimizer)
    assert_equal(model.parameters(), file_like["model"].parameters())


@every_kind
def test_state_goes_through_a_file(kind, tmp_path):
    pytest.importorskip("safetensors", reason="the extra `train` is not installed")
    from gpugrad.saving import load, save

    tensors = leaves(*SHAPES, dtype="float32")
    optimizer = make(kind, tensors)
    run(optimizer, tensors, range(3))
    save({"optimizer": optimizer.state_dict()}, tmp_path / "state.safetensors")
    resumed = [gg.tensor(tensor, requires_grad=True) for tensor in tensors]
    other = getattr(optim, kind)(resumed)
    other.load_state_dict(load(tmp_path / "state.safetensors")["optimizer"])
    run(optimizer, tensors, range(3, 5))
    run(other, resumed, range(3, 5))
    assert_equal(tensors, resumed)


@pytest.mark.reference
@every_kind
def test_what_pytorch_saved_is_taken(kind):
    torch = pytest.importorskip("torch", reason="the extra `reference` is not installed")
    tensors = leaves(*SHAPES)
    theirs = [torch.tensor(host(t).copy(), requires_grad=True) for t in tensors]
    other = getattr(torch.optim, kind)(theirs, **KINDS[kind])
    for seed in range(3):
        give_gradients(tensors, seed)
        for tensor, mine in zip(theirs, tensors, strict=True):
            tensor.grad = torch.tensor(host(mine.grad).copy())
        if seed == 2:
            resumed = [gg.tensor(t.detach().numpy(), requires_grad=True) for t in theirs]
            optimizer = getattr(optim, kind)(resumed)
            optimizer.load_state_dict(other.state_dict())
        other.step()
    give_gradients(resumed, 2)
    optimizer.step()
    for tensor, mine in zip(theirs, resumed, strict=True):
        np.testing.assert_allclose(host(mine), tensor.detach().numpy(), rtol=1e-12)
