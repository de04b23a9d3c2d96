"""Preparation: saved as JSON, restored, and applied to rows that were not there at training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gpugrad.data import Dataset, Preparation, load_csv, load_digits
from gpugrad.data.preparation import ScaledPreparation
from gpugrad.errors import DataError, StateError

pytestmark = pytest.mark.once

HOUSES = """\
rooms,kind,area,price
3,flat,70.5,210.5
5,house,140,495.25
2,flat,48,150
4,house,,330
6,farm,260,410.75
"""


@pytest.fixture
def houses(tmp_path: Path) -> Dataset:
    path = tmp_path / "houses.csv"
    path.write_text(HOUSES)
    return load_csv(path, "price", missing="impute")


@pytest.fixture
def strict(tmp_path: Path) -> Preparation:
    """A preparation that refuses missing values."""
    path = tmp_path / "strict.csv"
    path.write_text(HOUSES.replace("4,house,,", "4,house,120,"))
    return load_csv(path, "price").preparation


# Saved and restored


@pytest.mark.parametrize("which", ["houses", "digits"])
def test_json_and_back_gives_the_same_preparation(which, houses):
    preparation = {"houses": houses, "digits": load_digits()}[which].preparation
    restored = Preparation.from_dict(json.loads(json.dumps(preparation.to_dict())))
    assert restored == preparation
    assert restored.feature_names == preparation.feature_names
    assert restored.image_shape == preparation.image_shape


def test_a_restored_preparation_gives_the_same_bits(houses, tmp_path):
    restored = Preparation.from_dict(json.loads(json.dumps(houses.preparation.to_dict())))
    again = restored.read(tmp_path / "houses.csv")
    assert again.dtype == np.float32
    assert np.array_equal(again, houses.features.numpy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "other"}, r"unknown kind 'other'\n  kinds: 'scaled', 'table'"),
        ({"extra": 1}, r"state of kind 'scaled' does not fit(.|\n)*extra"),
        ({"divisor": None}, None),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change, message):
    state = load_digits().preparation.to_dict()
    if message is None:
        del state["image_shape"]
        message = r"problem: KeyError\('image_shape'\)"
    with pytest.raises(StateError, match=message):
        Preparation.from_dict({**state, **change})


# Applied to a new table


def test_columns_are_found_by_name_and_others_ignored(houses, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("note;area;kind;rooms\nold;70.5;flat;3\n")
    np.testing.assert_array_equal(houses.preparation.read(path), houses.features.numpy()[:1])


def test_a_mapping_of_columns_is_transformed(houses):
    rows = {"kind": ["flat", "house"], "rooms": [3, 4], "area": [70.5, None]}
    np.testing.assert_array_equal(
        houses.preparation.transform(rows), houses.features.numpy()[[0, 3]]
    )


def test_a_missing_column_is_named(houses, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("area,kind\n70.5,flat\n")
    with pytest.raises(
        DataError, match=r"new\.csv: .*no column 'rooms'\n  columns: 'area', 'kind'"
    ):
        houses.preparation.read(path)
    with pytest.raises(DataError, match=r"no column 'rooms'\n  columns: 'area'"):
        houses.preparation.transform({"area": [1.0]})


def test_an_unknown_category_is_named_with_its_line(houses, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("rooms,kind,area\n3,flat,70\n9,castle,999\n")
    message = r"'kind' holds a category.*: 'castle' \(line 3\)\n  known: 'farm', 'flat', 'house'"
    with pytest.raises(DataError, match=message):
        houses.preparation.read(path)
    with pytest.raises(DataError, match=r"'tent' \(row 1\)"):
        houses.preparation.transform({"rooms": [1, 1], "kind": ["flat", "tent"], "area": [1, 1]})


def test_text_in_a_numeric_column_of_a_new_table(houses, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("rooms,kind,area\nmany,flat,70\n")
    with pytest.raises(DataError, match=r"column 'rooms' holds text(.|\n)*line 2: 'many'"):
        houses.preparation.read(path)
    with pytest.raises(DataError, match=r"column 'rooms' holds text where numbers belong"):
        houses.preparation.transform({"rooms": ["many"], "kind": ["flat"], "area": [1]})


def test_missing_values_of_a_new_table(houses, strict, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("rooms,kind,area\n3,,\n")
    assert np.isfinite(houses.preparation.read(path)).all()
    with pytest.raises(
        DataError, match=r"missing\n  column 'kind': line 2\n  column 'area': line 2"
    ):
        strict.read(path)


def test_columns_of_different_length_are_refused(houses):
    with pytest.raises(DataError, match=r"columns differ in length\n  lengths: .*'rooms': 2"):
        houses.preparation.transform({"rooms": [1, 2], "kind": ["flat"], "area": [1]})


def test_a_bare_array_is_refused_for_a_table(houses):
    with pytest.raises(DataError, match=r"mapping from column names to values is expected, not nd"):
        houses.preparation.transform(np.zeros((2, 3)))


# Scaled numbers

PIXELS = ScaledPreparation(("a", "b"), 16.0, ("dark", "bright"))


@pytest.mark.parametrize(
    "text", ["16,8\n0,4\n", "a,b\n16,8\n0,4\n", "b,id,a\n8,x,16\n4,y,0\n", "16;8\n0;4\n"]
)
def test_numbers_are_read_with_or_without_a_header(tmp_path, text):
    path = tmp_path / "pixels.csv"
    path.write_text(text)
    assert PIXELS.read(path).tolist() == [[1.0, 0.5], [0.0, 0.25]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("16,8\n0\n", "line 2 has 1 cells where 2 are expected"),
        ("c,d\n16,8\n", r"line 1 holds text where numbers belong(.|\n)*names 'a', 'b'"),
        ("16,nan\n", "line 1 has a missing or infinite number"),
        ("", "the file is empty"),
        ("a,b\n", "no rows"),
    ],
)
def test_files_that_are_no_pixels(tmp_path, text, message):
    (tmp_path / "pixels.csv").write_text(text)
    with pytest.raises(DataError, match=rf"pixels\.csv: (.|\n)*{message}"):
        PIXELS.read(tmp_path / "pixels.csv")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((3, 5)), r"rows of 2 numbers are expected, not an array of shape \(3, 5\)"),
        (np.zeros(()), "not an array of shape"),
        (np.array([["1", "2"]]), "numbers are expected, not <U1"),
    ],
)
def test_arrays_that_do_not_fit(rows, message):
    with pytest.raises(DataError, match=message):
        PIXELS.transform(rows)


def test_images_are_flattened():
    images = np.full((3, 1, 2), 4, np.uint8)
    assert PIXELS.transform(images).tolist() == [[0.25, 0.25]] * 3


def test_with_preparation_applies_another_splits_statistics(houses):
    train, held_out = houses.split(0.4, seed=0)
    inner = train.subset([0, 1])
    inner = inner.with_preparation(train.preparation.fit(inner.rows, inner.targets))
    again = held_out.with_preparation(inner.preparation)
    assert not np.array_equal(again.features.numpy(), held_out.features.numpy())
    assert np.array_equal(again.features.numpy(), inner.preparation.transform(held_out.rows))
