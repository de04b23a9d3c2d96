"""Layers: their shapes, what they draw, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
import gpugrad.nn.functional as F
from gpugrad import nn
from gpugrad.errors import DtypeError, IndexRangeError, OptionError, ShapeError


def generator(seed: int = 0) -> gg.Generator:
    return gg.Generator(seed)


def real(*shape: int, seed: int = 1) -> gg.Tensor:
    return gg.randn(*shape, generator=gg.Generator(seed), dtype="float64")


# Linear


def test_linear_begins_uniform_within_its_bound():
    layer = nn.Linear(100, 200, generator=generator())
    bound = 1 / np.sqrt(100)
    for values in (layer.weight.detach().numpy(), layer.bias.detach().numpy()):
        assert abs(values).max() <= bound
        assert abs(values).max() > 0.95 * bound
        assert abs(values.mean()) < 0.1 * bound
    same = nn.Linear(100, 200, generator=generator())
    other = nn.Linear(100, 200, generator=generator(1))
    assert same.weight.tolist() == layer.weight.tolist() != other.weight.tolist()


def test_linear_draws_from_the_default_generator():
    gg.manual_seed(5)
    first = nn.Linear(2, 2)
    second = nn.Linear(2, 2)
    gg.manual_seed(5)
    assert nn.Linear(2, 2).weight.tolist() == first.weight.tolist() != second.weight.tolist()


def test_linear_dtypes_and_bias():
    assert nn.Linear(2, 2, dtype="float64").bias.dtype == gg.float64
    assert nn.Linear(2, 2, bias=False).bias is None
    with pytest.raises(DtypeError, match="a layer's parameters are floating, not int64"):
        nn.Linear(2, 2, dtype=gg.int64)
    assert nn.Linear(2, 3)(np.ones((4, 2), np.float32)).shape == (4, 3)


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "3"])
def test_sizes_are_positive_integers(size):
    with pytest.raises(OptionError, match=r"Linear: in_features=.* must be a positive integer"):
        nn.Linear(size, 2)


def test_linear_with_wrong_features():
    with pytest.raises(ShapeError, match=r"x has 3 features but the layer takes 2"):
        nn.Linear(2, 2)(gg.ones((4, 3)))


# MLP


@pytest.mark.parametrize(
    "activation",
    ["relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "sigmoid", "tanh", None],
)
def test_mlp_is_the_sequence_of_its_layers(activation):
    model = nn.MLP([3, 5, 4, 2], activation, generator=generator(), dtype="float64")
    x = real(6, 3)
    y = x
    for k, layer in enumerate(model.layers):
        y = layer(y)
        if k < 2 and activation is not None:
            y = getattr(F, activation)(y)
    np.testing.assert_allclose(model(x).tolist(), y.tolist(), rtol=1e-14)
    gg.check_grad(lambda x: model(x), x + 0.01)


def test_mlp_takes_functions_and_modules():
    x = real(6, 3)
    doubled = nn.MLP([3, 4, 1], lambda z: z * 2.0, generator=generator(), dtype="float64")
    plain = nn.MLP([3, 4, 1], None, generator=generator(), dtype="float64")
    bias = plain.layers[1].bias
    np.testing.assert_allclose((doubled(x) - bias).tolist(), ((plain(x) - bias) * 2.0).tolist())
    norm = nn.MLP([3, 4, 1], nn.LayerNorm(4))
    assert "activation.weight" in norm.state_dict()
    assert norm(gg.ones((6, 3))).shape == (6, 1)


def test_mlp_dropout_drops_while_training_only():
    model = nn.MLP([3, 50, 2], dropout=0.5, generator=generator())
    x = gg.ones((4, 3))
    assert model(x).tolist() != model(x).tolist()
    model.eval()
    assert model(x).tolist() == model(x).tolist()
    model.dropout.train()  # Monte Carlo dropout
    assert model(x).tolist() != model(x).tolist()
    again = nn.MLP([3, 50, 2], dropout=0.5, generator=generator())
    first = nn.MLP([3, 50, 2], dropout=0.5, generator=generator())(x)
    assert again(x).tolist() == first.tolist()


def test_mlp_without_bias_and_its_picture():
    model = nn.MLP([3, 4, 2], bias=False, dropout=0.25)
    assert list(model.state_dict()) == ["layers.0.weight", "layers.1.weight"]
    assert repr(model) == (
        "MLP(\n  activation='relu'\n  (layers): ModuleList(\n"
        "    (0): Linear(in_features=3, out_features=4, bias=False)\n"
        "    (1): Linear(in_features=4, out_features=2, bias=False)\n  )\n"
        "  (dropout): Dropout(p=0.25)\n)"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([3],), r"MLP\(sizes=\[3\]\): at least two sizes"),
        ((3,), r"MLP\(sizes=3\): at least two sizes"),
        (([3, 0, 1],), r"MLP: sizes\[1\]=0 must be a positive integer"),
        (([3, 1], "swish"), r"MLP\(activation='swish'\): unknown activation\n  help: one of relu"),
        (([3, 1], "relu", 1.5), r"Dropout\(p=1.5\): p must lie in \[0, 1\]"),
    ],
)
def test_mlp_refuses(arguments, message):
    with pytest.raises(OptionError, match=message):
        nn.MLP(*arguments)


# Containers


def test_sequential_is_a_list_of_modules():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    model.append(nn.Linear(3, 1)).insert(1, nn.Identity())
    assert [type(module).__name__ for module in model] == ["Linear", "Identity", "ReLU", "Linear"]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "3.weight", "3.bias"]
    assert len(model) == 4
    assert isinstance(model[-1], nn.Linear)
    assert isinstance(model[1:3], nn.Sequential)
    assert list(model[1:3]) == [model[1], model[2]]
    model[2] = nn.Tanh()
    del model[1]
    assert [type(module).__name__ for module in model] == ["Linear", "Tanh", "Linear"]
    assert model(gg.ones((5, 2))).shape == (5, 1)
    with pytest.raises(IndexRangeError, match=r"Sequential\[3\]: there are 3 modules"):
        model[3]
    with pytest.raises(DtypeError, match=r"expected modules, not Primitive\n  help: nn.ReLU\(\)"):
        nn.Sequential(nn.Linear(2, 2), F.relu)


def test_sequential_with_names():
    model = nn.Sequential({"first": nn.Linear(2, 3), "second": nn.Linear(3, 1)})
    assert next(iter(model.state_dict())) == "first.weight"
    assert model.second is model[1]
    assert model(gg.ones((5, 2))).shape == (5, 1)


def test_module_list_holds_and_slices():
    modules = nn.ModuleList([nn.Linear(1, 1)])
    modules.extend([nn.ReLU(), nn.Tanh()])
    assert len(modules) == 3
    assert isinstance(modules[:2], nn.ModuleList)
    assert len(modules[:2]) == 2
    assert [name for name, _ in modules.named_children()] == ["0", "1", "2"]


# Dropout


def test_dropout_keeps_the_expectation():
    x = F.dropout(gg.ones(100_000), 0.2, generator=generator())
    assert set(np.unique(x.numpy())) == {0.0, np.float32(1.25)}
    assert x.mean().item() == pytest.approx(1.0, abs=0.01)


def test_dropout_passes_the_gradient_of_what_it_kept():
    x = gg.ones(1000)
    x.requires_grad_()
    y = nn.Dropout(0.5, generator=generator())(x)
    y.sum().backward()
    assert x.grad.tolist() == y.detach().tolist()


def test_dropout_at_its_ends():
    x = gg.tensor([1.0, np.inf])
    assert F.dropout(x, 1.0).tolist() == [0.0, 0.0]
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 0.5, training=False) is x
    with pytest.raises(OptionError, match=r"dropout: p=-0.1 must lie in \[0, 1\]"):
        F.dropout(x, -0.1)


# Normalisation


def test_batch_norm_moves_its_running_statistics():
    norm = nn.BatchNorm1d(2, momentum=0.25, dtype="float64")
    first, second = real(8, 2), real(5, 2, seed=3)
    norm(first), norm(second)
    mean, var = np.zeros(2), np.ones(2)
    for batch in (first.numpy(), second.numpy()):
        mean = 0.75 * mean + 0.25 * batch.mean(0)
        var = 0.75 * var + 0.25 * batch.var(0, ddof=1)
    np.testing.assert_allclose(norm.running_mean.numpy(), mean, rtol=1e-14)
    np.testing.assert_allclose(norm.running_var.numpy(), var, rtol=1e-14)
    assert norm.num_batches_tracked.item() == 2
    norm.eval()
    expected = (first.numpy() - mean) / np.sqrt(var + norm.eps)
    np.testing.assert_allclose(norm(first).tolist(), expected)
    assert norm.num_batches_tracked.item() == 2
    norm.reset_running_stats()
    assert norm.running_var.tolist() == [1.0, 1.0]
    assert norm.num_batches_tracked.item() == 0


def test_batch_norm_without_momentum_averages_all_batches():
    norm = nn.BatchNorm1d(2, momentum=None, dtype="float64")
    batches = [real(4, 2, seed=k) for k in range(3)]
    for batch in batches:
        norm(batch)
    wanted = np.mean([batch.numpy().mean(0) for batch in batches], axis=0)
    np.testing.assert_allclose(norm.running_mean.numpy(), wanted, rtol=1e-14)


def test_batch_norm_never_writes_a_statistic_in_place():
    norm = nn.BatchNorm1d(2)
    before = norm.state_dict()["running_mean"]
    norm(gg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert before.tolist() == [0.0, 0.0]
    assert norm.running_mean.tolist() != [0.0, 0.0]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 2)])
def test_batch_norm_gradients(training, shape):
    norm = nn.BatchNorm1d(3, dtype="float64").train(training)
    weight, bias = real(3, seed=2), real(3, seed=4)
    mean, var = norm.running_mean, norm.running_var

    def f(x, weight, bias):
        return F.batch_norm(x, mean, var, weight, bias, training)

    gg.check_grad(f, real(*shape), weight, bias, order=2, rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 2), r"training needs more than one value for each channel\n  input: float32 \(1, 2\)"),
        ((4, 3), r"BatchNorm1d: the input is \(N, 2\) or \(N, 2, L\)\n  input: float32 \(4, 3\)"),
        ((2,), r"BatchNorm1d: the input is \(N, 2\) or \(N, 2, L\)"),
        ((2, 2, 2, 2), r"BatchNorm1d: the input is \(N, 2\) or \(N, 2, L\)"),
    ],
)
def test_batch_norm_refuses_shapes(shape, message):
    with pytest.raises(ShapeError, match=message):
        nn.BatchNorm1d(2)(gg.ones(shape))
    with pytest.raises(OptionError, match="without training=True it needs running statistics"):
        F.batch_norm(gg.ones((2, 2)), None, None)


def test_batch_norm_counts_only_batches_it_could_take():
    norm = nn.BatchNorm1d(2)
    with pytest.raises(ShapeError):
        norm(gg.ones((1, 2)))
    assert norm.num_batches_tracked.item() == 0


def test_layer_norm_gradients_and_shapes():
    weight, bias = real(2, 3, seed=2), real(2, 3, seed=4)

    def f(x, weight, bias):
        return F.layer_norm(x, (2, 3), weight, bias)

    gg.check_grad(f, real(4, 2, 3), weight, bias, order=2, rtol=1e-4)
    with pytest.raises(ShapeError, match=r"the input's last axes must be \(2, 3\)"):
        nn.LayerNorm((2, 3))(gg.ones((4, 3)))
    with pytest.raises(ShapeError, match=r"layer_norm: weight is \(2,\), but must be \(3,\)"):
        F.layer_norm(gg.ones((4, 3)), 3, gg.ones(2))


# Embedding


def test_embedding_adds_the_gradients_of_equal_indices():
    layer = nn.Embedding(4, 2, padding_idx=-1, generator=generator())
    assert layer.padding_idx == 3
    assert layer.weight[3].tolist() == [0.0, 0.0]
    y = layer(gg.tensor([[0, 2], [2, 3]]))
    assert y.shape == (2, 2, 2)
    y.sum().backward()
    assert layer.weight.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [2.0, 2.0], [0.0, 0.0]]


def test_embedding_padding_counts_from_the_end():
    weight = gg.ones((4, 2))
    weight.requires_grad_()
    F.embedding(gg.tensor([0, 3]), weight, padding_idx=-1).sum().backward()
    assert weight.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([0, 4], r"take.*out of (bounds|range)"),
        ([0, -1], r"embedding: (the|an) index (-1 )?is negative"),
        ([0.0, 1.0], r"indices must be integers, not float32"),
    ],
)
def test_embedding_refuses_indices(index, message, looking):
    with pytest.raises(IndexRangeError, match=message), looking():
        nn.Embedding(4, 2)(gg.tensor(index))


def test_embedding_refuses_a_padding_row_it_has_not():
    with pytest.raises(OptionError, match="padding_idx=4 is none of the 4 rows"):
        nn.Embedding(4, 2, padding_idx=4)


# Shapes and activations


def test_flatten():
    x = gg.ones((2, 3, 4))
    assert nn.Flatten()(x).shape == (2, 12)
    assert nn.Flatten(0)(x).shape == (24,)
    assert nn.Flatten(0, 1)(x).shape == (6, 4)
    assert nn.Flatten()(gg.ones((0, 3, 4))).shape == (0, 12)
    with pytest.raises(ShapeError, match=r"Flatten: no axes from 1 to -1\n  x: float32 \(3,\)"):
        nn.Flatten()(gg.ones(3))
    with pytest.raises(ShapeError, match=r"Flatten: no axes from 0 to 3"):
        nn.Flatten(0, 3)(x)
    assert nn.Identity(1, what=2)(x) is x


@pytest.mark.parametrize("layer", [nn.Softmax(), nn.LogSoftmax()])
def test_softmax_wants_to_know_its_axis(layer):
    with pytest.raises(OptionError, match="say along which axis"):
        layer(gg.ones((2, 3)))


def test_models_written_for_pytorch_may_say_inplace():
    x = gg.tensor([-1.0, 2.0])
    for layer in (
        nn.ReLU(inplace=True),
        nn.SiLU(True),
        nn.ELU(inplace=True),
        nn.LeakyReLU(0.1, True),
    ):
        layer(x)
    nn.Dropout(0.5, True)(x)
    assert x.tolist() == [-1.0, 2.0]


def test_norms_of_large_float16_numbers():
    """Squares of 1000 do not fit in float16; what they are normalised to does."""
    x = np.array([[1000.0, 3000.0, -2000.0, 500.0]], np.float16)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean()) / wide.std()
    layer = F.layer_norm(x, 4)
    batch = F.batch_norm(x.T, None, None, training=True)
    assert layer.dtype == batch.dtype == gg.float16
    np.testing.assert_allclose(layer.numpy(), expected, atol=2e-3)
    np.testing.assert_allclose(batch.numpy().T, expected, atol=2e-3)
