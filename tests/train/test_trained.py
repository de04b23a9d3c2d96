"""gg.train.load: the model of a run with its preparation; and the pictures of a run."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import DataError, FileError, OptionError, StateError
from gpugrad.train import Settings, pictures
from gpugrad.train.build import load_parts
from gpugrad.train.experiment import evaluate_run, start

# Files, pictures and tables; a run on a (simulated) GPU is one of tests/test_cli_device.py.
pytestmark = pytest.mark.once


def silent(line):
    pass


def train(folder, **given):
    return start(Settings.of(**given), folder, progress=False, say=silent)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return train(tmp_path_factory.mktemp("digits"), hidden=[48], epochs=8, seed=5)


@pytest.fixture(scope="module")
def fruit(tmp_path_factory):
    """A run on a table with a category, whose numbers are far from standardised."""
    rng = np.random.default_rng(3)
    grams = rng.normal(150, 20, 200)
    colour = rng.choice(["green", "red"], 200)
    kind = np.where((grams > 150) ^ (colour == "red"), "apple", "plum")
    rows = "\n".join(map(",".join, zip(grams.astype(str), colour, kind, strict=True)))
    path = tmp_path_factory.mktemp("table") / "fruit.csv"
    path.write_text("grams,colour,fruit\n" + rows + "\n")
    folder = tmp_path_factory.mktemp("fruit")
    train(folder, data="csv", file=str(path), target="fruit", epochs=60, hidden=[24])
    return folder


def test_the_model_comes_back_with_its_figures(digits):
    trained = gg.train.load(digits.folder)
    held_out = load_parts(trained.settings).held_out
    answers = trained.predict(held_out.rows)
    assert (answers.astype(int) == held_out.targets).sum() == digits.result["right"]
    assert evaluate_run(digits.folder) == digits.result
    assert not trained.model.training
    assert trained.classes == tuple("0123456789")
    assert trained.preparation.image_shape == (8, 8)


def test_probabilities_add_up_to_one(digits):
    trained = gg.train.load(str(digits.folder))
    rows = gg.data.load_digits().rows[:20]
    shares = trained.probabilities(rows)
    assert shares.shape == (20, 10)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-12)
    names = np.array(trained.classes)[shares.argmax(axis=1)]
    assert names.tolist() == trained.predict(rows).tolist()


def test_a_table_is_standardised_and_encoded_as_in_training(fruit):
    trained = gg.train.load(fruit)
    assert trained.classes == ("apple", "plum")
    found = trained.predict({"grams": [190.0, 110.0, 190.0], "colour": ["green", "green", "red"]})
    assert found.tolist() == ["apple", "plum", "plum"]
    with pytest.raises(DataError, match="a category that the model does not know: 'blue'"):
        trained.predict({"grams": [1.0], "colour": ["blue"]})
    with pytest.raises(DataError, match="no column 'colour'"):
        trained.predict({"grams": [1.0]})


def test_the_statistics_are_those_of_the_training_part(fruit):
    trained = gg.train.load(fruit)
    parts = load_parts(trained.settings)
    grams = parts.train.rows["grams"]
    (column, _) = trained.preparation.columns
    assert column.mean == pytest.approx(grams.mean())
    assert column.std == pytest.approx(grams.std())


def test_the_parts_do_not_overlap_and_follow_the_seed():
    first, again, other = (load_parts(Settings.of(seed=seed)) for seed in (1, 1, 2))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    assert first.sizes() == {"train": 1293, "validation": 144, "held_out": 360}
    rows = [tuple(row) for part in (first.train, first.validation, first.held_out)
            for row in part.rows]  # fmt: skip
    everything = [tuple(row) for row in gg.data.load_digits().rows]
    assert sorted(rows) == sorted(everything)
    counts = np.bincount(first.held_out.targets)
    assert counts.min() >= 35


def test_regression_has_no_probabilities(tmp_path):
    path = tmp_path / "line.csv"
    path.write_text("x,y\n" + "".join(f"{x},{2 * x + 0.5}\n" for x in range(60)))
    outcome = train(tmp_path / "run", data="csv", file=str(path), target="y", epochs=2)
    trained = gg.train.load(outcome.folder)
    assert trained.predict({"x": [1.0, 2.0]}).shape == (2,)
    with pytest.raises(StateError, match=r"one of regression\n  help: use predict"):
        trained.probabilities({"x": [1.0]})


def test_loading_what_is_no_run(tmp_path):
    with pytest.raises(FileError, match=r"there is no run here: config.json is missing\n  help"):
        gg.train.load(tmp_path)


def test_a_model_of_another_network_is_refused(digits, tmp_path):
    for path in digits.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    gg.save(gg.nn.Linear(3, 4).state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(StateError, match=r"layers\.0\.weight"):
        gg.train.load(tmp_path)
    gg.save([1, 2], tmp_path / "model.safetensors")
    with pytest.raises(FileError, match="the file holds no model"):
        gg.train.load(tmp_path)


# Pictures


@pytest.mark.parametrize("classes", [2, 10, 40])
def test_confusion_matrices_of_any_size(classes, tmp_path):
    truth = np.arange(200) % classes
    names = [f"a class with a long name, {number}" for number in range(classes)]
    pictures.confusion_matrix(truth, truth[::-1], names, tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 1000


@pytest.mark.parametrize("wrong", [0, 1, 100])
def test_misread_images_of_any_number(wrong, tmp_path):
    truth = np.zeros(120, int)
    predicted = np.where(np.arange(120) < wrong, 1, 0)
    pictures.misread_images(
        np.zeros((120, 64)), truth, predicted, ("zero", "one"), (8, 8), tmp_path / "m.png"
    )
    assert (tmp_path / "m.png").stat().st_size > 1000


def test_learning_curves_of_nothing_and_of_little(tmp_path):
    pictures.learning_curves([], tmp_path / "none.png")
    pictures.learning_curves([{"epoch": 1, "loss": 0.5}], tmp_path / "one.png")
    assert (tmp_path / "one.png").exists()


def test_pictures_leave_pyplot_alone(tmp_path):
    code = (
        "import sys; from gpugrad.train.pictures import learning_curves as draw;"
        f"draw([{{'epoch': 1, 'loss': 0.5}}], {str(tmp_path / 'x.png')!r});"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_a_picture_that_cannot_be_written(tmp_path):
    with pytest.raises(FileError, match="cannot write the picture: No such file"):
        pictures.learning_curves([], tmp_path / "no" / "x.png")


def test_a_folder_in_use_is_refused(digits):
    with pytest.raises(OptionError, match="the folder holds a run already"):
        train(digits.folder)
