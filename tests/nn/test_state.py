"""load_state_dict: what it writes where, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
from gpugrad import nn
from gpugrad.errors import StateError, VersionError


def model_and_twin() -> tuple[nn.Module, nn.Module]:
    def make(seed: int) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 3, generator=gg.Generator(seed)), nn.BatchNorm1d(3))

    return make(1), make(2)


def test_state_goes_round():
    model, twin = model_and_twin()
    x = gg.tensor([[1.0, 2.0], [3.0, 5.0], [0.0, 1.0]])
    model(x)
    result = twin.load_state_dict(model.state_dict())
    assert result == ([], [])
    for key, tensor in model.state_dict().items():
        assert twin.state_dict()[key].tolist() == tensor.tolist(), key
    assert twin[1].num_batches_tracked.item() == 1
    assert twin.eval()(x).tolist() == model.eval()(x).tolist()


def test_state_is_detached_and_shares_memory():
    model = nn.Linear(2, 1)
    state = model.state_dict()
    assert not state["weight"].requires_grad
    nn.init.constant_(model.weight, 7.0)
    assert state["weight"].tolist() == [[7.0, 7.0]]
    assert model.state_dict(keep_vars=True)["weight"] is model.weight
    assert list(model.state_dict(prefix="net.")) == ["net.weight", "net.bias"]


def test_parameters_are_written_in_place():
    model = nn.Linear(2, 1)
    optimizer = gg.optim.SGD(model.parameters(), lr=1.0)
    memory = model.weight._data
    model.load_state_dict({"weight": np.array([[5.0, 6.0]]), "bias": gg.tensor([1.0])})
    assert model.weight._data is memory
    assert model.weight.dtype == gg.float32
    model(gg.tensor([[1.0, 2.0]])).sum().backward()
    optimizer.step()
    assert model.weight.tolist() == [[4.0, 4.0]]
    assert model.weight._data is memory


def test_a_graph_recorded_before_is_stale():
    model = nn.Linear(2, 2)
    x = gg.ones((1, 2))
    x.requires_grad_()
    loss = model(x).sum()
    model.load_state_dict(model.state_dict())
    with pytest.raises(VersionError, match=r"needs its argument 'weight'.*load_state_dict at"):
        loss.backward()


def test_a_frozen_parameter_is_watched_too():
    model = nn.Linear(2, 2).requires_grad_(False)
    x = gg.ones((1, 2))
    x.requires_grad_()
    loss = model(x).sum()
    model.load_state_dict({"weight": np.zeros((2, 2)), "bias": np.zeros(2)})
    with pytest.raises(VersionError, match="load_state_dict at"):
        loss.backward()


def test_a_parameter_frozen_from_the_start_is_written_in_place():
    model = nn.Module()
    model.scale = nn.Parameter([1.0], requires_grad=False)
    memory = model.scale._data
    model.load_state_dict({"scale": [2.0]})
    assert model.scale._data is memory
    assert model.scale.tolist() == [2.0]


def test_buffers_get_new_memory():
    _, model = model_and_twin()
    model.eval()
    x = gg.ones((1, 2))
    x.requires_grad_()
    y = model(x).sum()
    before = model[1].running_var.detach()
    state = {key: tensor + 1 for key, tensor in model.state_dict().items() if "running" in key}
    model.load_state_dict(state, strict=False)
    assert before.tolist() == [1.0] * 3
    assert model[1].running_var.tolist() == [2.0] * 3
    y.backward()  # the graph kept the values it was computed from


def test_tied_parameters_load_through_either_name():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    model.load_state_dict({"1.weight": np.eye(2)}, strict=False)
    assert model[0].weight.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_mismatch_names_every_key_and_changes_nothing():
    model, _ = model_and_twin()
    before = model.state_dict()["0.weight"].tolist()
    state = dict(model.state_dict())
    state["0.weight"] = np.zeros((3, 2))
    state["0.bias"] = np.zeros(4)
    state["1.weight"] = "a string"
    del state["1.running_mean"], state["1.bias"]
    state |= {"2.weight": np.zeros(1), "other": np.zeros(1)}
    with pytest.raises(StateError) as caught:
        model.load_state_dict(state)
    assert str(caught.value) == (
        "Sequential.load_state_dict: the state does not fit\n"
        "  missing: 1.bias\n"
        "  missing: 1.running_mean\n"
        "  extra: 2.weight\n"
        "  extra: other\n"
        "  wrong shape: 0.bias is (4,) in the state, (3,) here\n"
        "  no tensor: 1.weight is str\n"
        "  help: strict=False passes over missing and extra keys"
    )
    assert model.state_dict()["0.weight"].tolist() == before


def test_not_strict_reports_but_still_checks_shapes():
    model = nn.Linear(2, 1)
    result = model.load_state_dict({"weight": np.ones((1, 2)), "extra": 1.0}, strict=False)
    assert result.missing_keys == ["bias"]
    assert result.unexpected_keys == ["extra"]
    assert model.weight.tolist() == [[1.0, 1.0]]
    with pytest.raises(StateError, match=r"wrong shape: weight is \(2,\) in the state, \(1, 2\)"):
        model.load_state_dict({"weight": np.ones(2)}, strict=False)


def test_state_must_be_a_dict():
    with pytest.raises(StateError, match=r"expected a dict of tensors by name, not Linear"):
        nn.Linear(1, 1).load_state_dict(nn.Linear(1, 1))
