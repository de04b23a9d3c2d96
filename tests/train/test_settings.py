"""Settings: defaults by data set, JSON, and what is refused."""

from __future__ import annotations

import json

import pytest

from gpugrad.errors import DeviceError, OptionError
from gpugrad.train import Settings
from gpugrad.train.settings import DATA
from gpugrad.train.told import command

pytestmark = pytest.mark.once

CSV = {"data": "csv", "file": "t.csv", "target": "y"}


@pytest.mark.parametrize("data", DATA)
def test_settings_survive_json(data):
    settings = Settings.of(**(CSV if data == "csv" else {"data": data}), seed=3, hidden=[7, 8])
    assert Settings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert settings.hidden == (7, 8)


def test_what_is_not_given_is_the_default_of_the_data():
    assert Settings.of().data == "digits"
    assert Settings.of(augment=None).augment
    assert not Settings.of(data="moons").augment
    assert not Settings.of(augment=False).augment


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": "cats"}, "data='cats': choose one of digits, moons, mnist, csv"),
        ({"activation": "step"}, "activation='step': choose one of relu"),
        ({"optimizer": "lbfgs"}, "optimizer='lbfgs': choose one of sgd"),
        ({"schedule": "steep"}, "schedule='steep': choose one of constant"),
        ({"dtype": "float16"}, "dtype='float16': choose one of float32, float64"),
        ({"hidden": [8, 0]}, "hidden=0: must be a whole number, at least 1"),
        ({"batch_size": -1}, "batch_size=-1: must be"),
        ({"epochs": 0}, "epochs=0: must be"),
        ({"patience": -1}, "patience=-1: must be a whole number, at least 0"),
        ({"seed": -1}, "seed=-1: must be"),
        ({"seed": 2**64}, "must be below"),
        ({"lr": 0.0}, "lr=0.0: must be a number above 0"),
        ({"lr": float("inf")}, "lr=inf"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1: must be a number at least 0"),
        ({"dropout": 1.0}, "dropout=1.0: must be a number at least 0 and below 1"),
        ({"data": "csv"}, "data='csv' needs file=..., the table"),
        ({"data": "csv", "file": "x"}, "needs target=..., the column"),
        ({"file": "x"}, "file=... belongs to data='csv', not to data='digits'"),
        ({"missing": "impute"}, "missing=... belongs to data='csv'"),
        ({"root": "x"}, "root=... belongs to data='mnist'"),
        ({**CSV, "missing": "drop"}, "missing='drop': choose one of error, impute"),
        ({**CSV, "task": "ranking"}, "task='ranking': choose one of classification"),
        ({"data": "moons", "augment": True}, "augment=True moves images, and data='moons' has"),
        ({"momentum": 0.9}, "unknown setting 'momentum'"),
    ],
    ids=str,
)
def test_impossible_settings(given, message):
    with pytest.raises(OptionError, match=message):
        Settings.of(**given)


def test_a_device_that_is_not_there():
    with pytest.raises(DeviceError, match=r"device\('cuda:99'\): "):
        Settings.of(device="cuda:99")


def test_a_config_with_missing_settings_is_refused():
    with pytest.raises(OptionError, match=r"Settings\.from_dict: .*missing"):
        Settings.from_dict({"data": "digits"})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "gpugrad train --data digits"),
        ({"augment": False, "hidden": ()}, "--hidden none --no-augment"),
        ({**CSV, "drop": ["a b", "c"]}, "--file t.csv --target y --drop 'a b' --drop c"),
        ({"batch_size": 5, "lr": 1e-4}, "--lr 0.0001 --batch-size 5"),
    ],
)
def test_the_command_that_repeats_a_run(given, words):
    assert words in command(Settings.of(**given))
