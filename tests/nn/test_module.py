"""Module: what it finds among its attributes, its modes, its copies and its picture."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import gpugrad as gg
from gpugrad import nn
from gpugrad.errors import DeviceError, DtypeError, OptionError


class Everything(nn.Module):
    """Parameters and modules as attributes, in lists, tuples, dicts, and in those of those."""

    def __init__(self):
        self.first = nn.Linear(2, 2)
        self.scale = nn.Parameter([1.0])
        self.blocks = [nn.Linear(2, 1, bias=False), "not a module", nn.Linear(1, 2)]
        self.heads = {"a": nn.Linear(2, 3, bias=False), "b": (nn.Parameter([2.0]),)}
        self.constant = gg.tensor([3.0], requires_grad=True)


NAMES = [
    "scale",
    "heads.b.0",
    "first.weight",
    "first.bias",
    "blocks.0.weight",
    "blocks.2.weight",
    "blocks.2.bias",
    "heads.a.weight",
]


class Tied(nn.Module):
    def __init__(self):
        self.encoder = nn.Linear(3, 3, bias=False)
        self.decoder = nn.Linear(3, 3, bias=False)
        self.decoder.weight = self.encoder.weight
        self.again = self.encoder

    def forward(self, x):
        return self.decoder(self.encoder(x))


def small_mlp() -> nn.MLP:
    return nn.MLP([3, 4, 2], activation="tanh", generator=gg.Generator(0))


def test_parameters_are_named_by_the_way_to_them():
    model = Everything()
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert dict(model.named_parameters())["blocks.2.bias"] is model.blocks[2].bias
    assert [name for name, _ in model.named_parameters("net", recurse=False)] == [
        "net.scale",
        "net.heads.b.0",
    ]
    assert list(model.state_dict()) == NAMES


def test_modules_come_before_what_they_hold():
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU(), nn.Tanh()))
    assert [name for name, _ in model.named_modules()] == ["", "0", "1", "1.0", "1.1"]
    assert [name for name, _ in Everything().named_children()] == [
        "first",
        "blocks.0",
        "blocks.2",
        "heads.a",
    ]
    assert next(iter(model.modules())) is model
    assert list(model.children()) == [model[0], model[1]]


def test_no_base_constructor_needs_to_be_called():
    class Bare(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter([1.0])

    assert Bare().training
    assert len(list(Bare().parameters())) == 1


def test_tied_parameters_count_once_and_both_names_are_state():
    model = Tied()
    assert [name for name, _ in model.named_parameters()] == ["encoder.weight"]
    assert list(model.state_dict()) == ["encoder.weight", "decoder.weight", "again.weight"]
    assert len(list(model.named_parameters(remove_duplicate=False))) == 3
    x = gg.ones((1, 3))
    model(x).sum().backward()
    once = model.encoder.weight.grad
    weight = model.encoder.weight.detach().numpy()
    # d sum(W W x) / dW = 1 (W x)' + W' 1 x'
    wanted = np.ones((3, 1)) @ (weight @ np.ones((3, 1))).T + (
        weight.T @ np.ones((3, 1))
    ) @ np.ones((1, 3))
    np.testing.assert_allclose(once.numpy(), wanted, rtol=1e-6)


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match=r"Everything must define forward\(\)"):
        Everything()(1.0)


def test_call_passes_everything_on():
    class Sum(nn.Module):
        def forward(self, *args, **options):
            return args, options

    assert Sum()(1, 2, three=3) == ((1, 2), {"three": 3})


# Buffers


def test_buffers_are_state_but_no_parameters():
    model = nn.Module()
    model.register_buffer("mean", gg.tensor([1.0]))
    model.register_buffer("scratch", gg.tensor([2.0]), persistent=False)
    model.register_buffer("absent", None)
    assert list(model.parameters()) == []
    assert [name for name, _ in model.named_buffers()] == ["mean", "scratch"]
    assert list(model.state_dict()) == ["mean"]
    assert nn.Module()._buffer_names == {}
    model.mean = gg.tensor([5.0])  # assigning replaces it
    assert model.state_dict()["mean"].tolist() == [5.0]


@pytest.mark.parametrize("name", ["", "a.b", 3])
def test_buffer_name_must_be_one(name):
    with pytest.raises(OptionError, match=r"a name is a string, not empty, without dots"):
        nn.Module().register_buffer(name, None)


def test_register_refuses_names_in_use_and_other_kinds():
    model = nn.Linear(2, 2)
    with pytest.raises(OptionError, match=r"register_buffer\('weight'\): Linear already has"):
        model.register_buffer("weight", gg.ones(2))
    with pytest.raises(OptionError, match=r"register_buffer\('forward'\): Linear already has"):
        model.register_buffer("forward", gg.ones(2))
    with pytest.raises(DtypeError, match="expected a Tensor or None, not ndarray"):
        model.register_buffer("mask", np.ones(2))
    model.register_parameter("extra", nn.Parameter([1.0]))
    model.add_module("child", nn.ReLU())
    assert "extra" in dict(model.named_parameters())
    assert list(model.children()) == [model.child]


# Modes


def test_train_and_eval_reach_everything():
    model = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.BatchNorm1d(2)))
    assert model.eval() is model
    assert [module.training for module in model.modules()] == [False] * 4
    assert model.train() is model
    assert all(module.training for module in model.modules())
    with pytest.raises(OptionError, match=r"train\(mode='yes'\): mode is True or False"):
        model.train("yes")


def test_requires_grad_freezes_and_thaws():
    model = small_mlp()
    assert model.requires_grad_(False) is model
    assert not any(p.requires_grad for p in model.parameters())
    assert not model(gg.ones((1, 3))).requires_grad
    model.requires_grad_()
    assert all(p.requires_grad for p in model.parameters())


def test_zero_grad():
    model = small_mlp()
    model.layers[1].requires_grad_(False)
    model(gg.ones((1, 3))).sum().backward()
    model.zero_grad(set_to_none=False)
    assert model.layers[0].weight.grad.tolist() == [[0.0] * 3] * 4
    model.zero_grad()
    assert [p.grad for p in model.parameters()] == [None] * 4


def test_apply_calls_those_below_first():
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh()))
    seen = []
    assert model.apply(lambda module: seen.append(type(module).__name__)) is model
    assert seen == ["ReLU", "Tanh", "Sequential", "Sequential"]


# Devices and dtypes


def test_to_converts_what_is_floating_and_keeps_the_objects(device):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    parameters = list(model.parameters())
    model(gg.tensor([[1.0, 2.0], [3.0, 5.0]])).sum().backward()
    assert model.to(gg.float64) is model
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert {p.dtype for p in parameters} == {p.grad.dtype for p in parameters} == {gg.float64}
    assert model[1].running_mean.dtype == gg.float64
    assert model[1].num_batches_tracked.dtype == gg.int64
    model.zero_grad()
    model(gg.tensor([[1.0, 2.0], [3.0, 5.0]], dtype="float64")).sum().backward()
    assert parameters[0].grad.dtype == gg.float64
    assert model.half()[0].weight.dtype == gg.float16
    assert model.float()[0].weight.dtype == gg.float32
    assert model.double()[0].weight.dtype == gg.float64
    assert model.to(device, dtype="float32")[0].weight.dtype == gg.float32
    assert model.to(gg.zeros(1, dtype="float64"))[0].weight.dtype == gg.float64
    assert model.cpu() is model
    assert {t.device for t in model.state_dict().values()} == {gg.device("cpu")}
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))


def test_to_moves_all_that_a_model_has_and_its_optimizer_follows(device):
    model = nn.Sequential(nn.Linear(2, 3, device="cpu"), nn.BatchNorm1d(3, device="cpu"))
    optimizer = gg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    twin = copy.deepcopy(model)
    exact = gg.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    x = np.array([[1.0, 2.0], [3.0, 5.0], [0.0, 1.0]], np.float32)
    for step in range(3):
        place = "cpu" if step == 0 else device
        model.to(place)
        for net, where, update in ((model, place, optimizer), (twin, "cpu", exact)):
            update.zero_grad()
            (net(gg.tensor(x, device=where)) ** 3).mean().backward()
            update.step()
    assert {t.device for t in model.state_dict().values()} == {device}
    assert {p.grad.device for p in model.parameters()} == {device}
    for key, tensor in twin.state_dict().items():
        np.testing.assert_allclose(
            model.state_dict()[key].numpy(), tensor.numpy(), rtol=1e-5, atol=1e-6, err_msg=key
        )


def test_to_leaves_a_recorded_graph_right():
    layer = nn.Linear(2, 1, bias=False)
    layer.load_state_dict({"weight": np.array([[2.0, 3.0]])})
    loss = (layer(gg.tensor([[1.0, 2.0]])) ** 2).sum()
    layer.to(gg.float64)
    loss.backward()
    assert layer.weight.grad.tolist() == [[16.0, 32.0]]
    assert layer.weight.grad.dtype == gg.float64


def test_to_refuses_what_no_model_has():
    with pytest.raises(DtypeError, match=r"Linear.to\(int64\): a model's dtype is floating"):
        nn.Linear(1, 1).to(gg.int64)


@pytest.mark.once
@pytest.mark.skipif(gg.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(DeviceError, match=r"no NVIDIA driver|CuPy"):
        nn.Linear(1, 1).cuda()


def test_to_keeps_the_link_to_the_optimizer():
    model = small_mlp()
    optimizer = gg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    twin = copy.deepcopy(model).double()
    exact = gg.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    x = gg.randn(8, 3, generator=gg.Generator(1))
    for step in range(4):
        if step == 2:
            model.to(gg.float64)
        for net, update in ((model, optimizer), (twin, exact)):
            update.zero_grad()
            (net(x) ** 2).mean().backward()
            update.step()
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        assert a.dtype == gg.float64
        np.testing.assert_allclose(a.tolist(), b.tolist(), rtol=1e-5, atol=1e-6)


# Copies


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_equal_and_apart(copied):
    model = nn.Sequential(small_mlp(), nn.BatchNorm1d(2), nn.Dropout(0.5))
    x = gg.randn(5, 3, generator=gg.Generator(1))
    model(x).sum().backward()
    model.eval()
    twin = copied(model)
    assert not twin.training
    assert twin(x).tolist() == model(x).tolist()
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        assert type(b) is nn.Parameter
        assert b.requires_grad
        assert b.grad.tolist() == a.grad.tolist()
        assert b.device == a.device
        assert not a.device.xp.may_share_memory(a.data, b.data)
    gg.nn.init.zeros_(twin[0].layers[0].weight)
    assert model[0].layers[0].weight.detach().numpy().any()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_stay_tied(copied):
    twin = copied(Tied())
    assert twin.encoder.weight is twin.decoder.weight
    assert twin.again is twin.encoder
    assert len(list(twin.parameters())) == 1


def test_a_frozen_parameter_is_copied_frozen():
    parameter = nn.Parameter([1.0], requires_grad=False)
    twin = copy.deepcopy(parameter)
    assert type(twin) is nn.Parameter
    assert not twin.requires_grad


# Parameter


def test_parameter_copies_what_it_is_given():
    array = np.array([1.0, 2.0])
    parameter = nn.Parameter(array)
    array[0] = 9.0
    assert parameter.tolist() == [1.0, 2.0]
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert repr(parameter) == (
        "Parameter containing:\ntensor([1., 2.], dtype=float64, requires_grad=True)"
    )


def test_integer_parameters_are_frozen_or_refused():
    assert not nn.Parameter([1, 2], requires_grad=False).requires_grad
    with pytest.raises(DtypeError, match="only floating tensors have gradients"):
        nn.Parameter([1, 2])


# repr


def test_repr_is_nested_and_shows_settings():
    class Net(nn.Module):
        def __init__(self):
            self.body = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
            self.head = nn.Linear(3, 1, bias=False)

    assert repr(Net()) == (
        "Net(\n"
        "  (body): Sequential(\n"
        "    (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "    (1): ReLU()\n"
        "  )\n"
        "  (head): Linear(in_features=3, out_features=1, bias=False)\n"
        ")"
    )
    assert repr(nn.Sequential()) == "Sequential()"
    assert repr(nn.BatchNorm1d(3)) == (
        "BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)"
    )


def test_modules_in_a_set_are_refused():
    class Net(nn.Module):
        def __init__(self):
            self.names = {"a", "b"}
            self.parts = [{nn.Linear(1, 1)}]

    with pytest.raises(OptionError, match=r"parts\.0: modules and parameters in a set have no"):
        list(Net().parameters())


def test_a_parameter_is_replaced_by_a_parameter_only():
    layer = nn.Linear(2, 1)
    with pytest.raises(DtypeError, match=r"Linear\.bias is a parameter, .*\n  help: nn\.Parameter"):
        layer.bias = gg.tensor([1.0])
    assert len(list(layer.parameters())) == 2
    layer.bias = nn.Parameter(gg.tensor([1.0]))
    assert layer.bias.item() == 1.0
    layer.bias = None
    assert len(list(layer.parameters())) == 1
