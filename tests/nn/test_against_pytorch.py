"""Layers, losses, functions and initialisers give PyTorch's numbers, recorded and live."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reference import layers
from tests.reference.layers import CASES, DEFAULTS, GAINS, INITIALISERS, Case
from tests.reference.library import gpugrad, pytorch


@pytest.fixture(scope="module")
def recorded():
    with np.load(layers.FILE, allow_pickle=False) as file:
        return dict(file)


def part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def assert_same(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].shape == array.shape, name
        np.testing.assert_allclose(actual[name], array, rtol=1e-11, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_numbers_are_those_pytorch_recorded(case: Case, recorded):
    given = part(recorded, f"{case}/given/")
    assert_same(layers.evaluate(gpugrad(), case, given), part(recorded, f"{case}/gives/"))


def test_everything_that_pytorch_has_too_has_a_case():
    from gpugrad.nn import __all__ as names
    from gpugrad.nn.functional import __all__ as functions

    own = {"HingeLoss", "MLP", "Module", "ModuleList", "Parameter", "functional", "init"}
    wanted = {*names, *(f"F.{name}" for name in functions)} - own - {"F.hinge_loss"}
    assert wanted <= {case.name.split()[0] for case in CASES}


@pytest.mark.parametrize("name", INITIALISERS)
def test_initialiser_has_the_recorded_spread(name: str, recorded):
    actual = layers.statistics(layers.filled(gpugrad(), name))
    np.testing.assert_allclose(actual, recorded[f"init/{name}"], rtol=0.02, atol=0.005)


@pytest.mark.parametrize("name", DEFAULTS)
def test_new_layer_has_the_recorded_spread(name: str, recorded):
    library = gpugrad()
    state = library.double(DEFAULTS[name](library.nn)).state_dict()
    expected = part(recorded, f"default/{name}/")
    assert state.keys() == expected.keys()
    for key, tensor in state.items():
        actual = layers.statistics(library.numpy(tensor))
        np.testing.assert_allclose(actual, expected[key], rtol=0.1, atol=0.01, err_msg=key)


@pytest.mark.parametrize("name", GAINS)
def test_gain_is_the_recorded_one(name: str, recorded):
    actual = gpugrad().init.calculate_gain(*GAINS[name])
    assert actual == pytest.approx(recorded[f"gain/{name}"].item())


@pytest.mark.reference
@pytest.mark.parametrize("case", CASES, ids=str)
def test_numbers_are_those_of_pytorch_now(case: Case, recorded):
    pytest.importorskip("torch", reason="the extra `reference` is not installed")
    given = part(recorded, f"{case}/given/")
    assert_same(layers.evaluate(gpugrad(), case, given), layers.evaluate(pytorch(), case, given))
