"""load_csv: the schema it decides, and what it prepares from which rows."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gpugrad.data import load_csv
from gpugrad.errors import DataError

pytestmark = pytest.mark.once

Write = Callable[[str], Path]

PEOPLE = """\
age,city,height,likes
31,Oslo,1.70,tea
25,Rome,1.82,coffee
40,Oslo,1.65,tea
19,Bonn,1.75,coffee
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_text(text: str) -> Path:
        path = tmp_path / "people.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write_text


def numbered(count: int, targets: str = "01") -> str:
    """A table of `count` rows: a number, and a target that goes round `targets`."""
    lines = [f"{i * i % 17},{targets[i % len(targets)]}" for i in range(count)]
    return "\n".join(["x,y", *lines, ""])


# The schema


def test_numbers_categories_and_classes(write):
    people = load_csv(write(PEOPLE), target="likes")
    names = ("age", "city=Bonn", "city=Oslo", "city=Rome", "height")
    assert people.feature_names == names
    assert (people.classes, people.task) == (("coffee", "tea"), "classification")
    assert (people.labels.tolist(), people.labels.dtype) == ([1, 0, 1, 0], np.int64)
    assert people.features.numpy()[:, 1:4].tolist() == [[0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert people.features.dtype == np.float32
    assert (people.inputs, people.outputs, people.name) == (5, 2, "people.csv")


def test_numbers_are_standardised(write):
    ages = load_csv(write(PEOPLE), target="likes").features.numpy()[:, 0]
    raw = np.array([31, 25, 40, 19])
    np.testing.assert_allclose(ages, (raw - raw.mean()) / raw.std(), rtol=1e-6)


def test_a_constant_column_becomes_zero(write):
    table = "x,c,y\n1,0.1,a\n2,0.1,b\n3,0.1,a\n"
    assert load_csv(write(table), "y").features.numpy()[:, 1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("text", ["x;y\n1,5;a\n2,5;b\n", "x\ty\n1,5\ta\n2,5\tb\n"])
def test_the_delimiter_is_the_commonest_in_the_header(write, text):
    assert load_csv(write(text), "y").feature_names == ("x=1,5", "x=2,5")


def test_the_delimiter_may_be_named(write):
    assert load_csv(write("a:x,y\n1:2\n3:5\n4:7\n"), "a", delimiter=":").feature_names == ("x,y",)


def test_quotes_blank_lines_spaces_and_a_byte_order_mark(write):
    text = '\ufeffname , y\n\n"Oslo, ""N""", a\n\n "Rome",b \n'
    assert load_csv(write(text), "y").feature_names == ('name=Oslo, "N"', "name=Rome")


def test_a_gzipped_table(tmp_path):
    (tmp_path / "people.csv.gz").write_bytes(gzip.compress(PEOPLE.encode()))
    assert len(load_csv(str(tmp_path / "people.csv.gz"), "likes")) == 4


def test_categorical_makes_categories_of_numbers(write):
    table = "zip,y\n10,a\n20,b\n10,a\n"
    assert load_csv(write(table), "y", categorical=["zip"]).feature_names == ("zip=10", "zip=20")


def test_drop_leaves_columns_out(write):
    people = load_csv(write(PEOPLE), "likes", drop=["city", "age"])
    assert people.feature_names == ("height",)


# The task


@pytest.mark.parametrize(
    ("targets", "task"),
    [
        ("01", "classification"),
        ("0123456789", "classification"),
        ("ab", "classification"),
    ],
)
def test_few_whole_numbers_or_text_are_classes(write, targets, task):
    table = load_csv(write(numbered(40, targets)), "y")
    assert (table.task, table.classes) == (task, tuple(targets))


def test_other_numbers_are_values(write):
    rows = "\n".join(f"{i},{i * 1.5}" for i in range(10))
    table = load_csv(write(f"x,y\n{rows}\n"), "y")
    assert (table.task, table.classes, table.outputs) == ("regression", (), 1)
    assert table.targets.tolist() == [i * 1.5 for i in range(10)]


def test_many_whole_numbers_are_values(write):
    rows = "\n".join(f"{i % 7},{i % 21}" for i in range(84))
    assert load_csv(write(f"x,y\n{rows}\n"), "y").task == "regression"


def test_whole_numbers_with_fewer_than_two_rows_each_are_values(write):
    assert load_csv(write("x,y\n1,1\n2,2\n3,3\n4,4\n5,1\n"), "y").task == "regression"


def test_the_task_may_be_named(write):
    assert load_csv(write(numbered(10)), "y", task="regression").task == "regression"
    halves = "x,y\n1,0.5\n2,1\n3,0.5\n4,1.0\n"
    table = load_csv(write(halves), "y", task="classification")
    assert (table.classes, table.targets.tolist()) == (("0.5", "1"), [0, 1, 0, 1])


def test_number_classes_are_in_numeric_order_and_one_class_however_written(write):
    table = load_csv(write("x,y\n1,10\n2,9\n3,10.0\n4,9\n5,-1\n6,-1\n"), "y")
    assert (table.classes, table.targets.tolist()) == (("-1", "9", "10"), [2, 1, 2, 1, 0, 0])


def test_regression_targets_are_learned_standardised_and_restored(write):
    rows = "\n".join(f"{i},{100 + i * 1.5}" for i in range(10))
    table = load_csv(write(f"x,y\n{rows}\n"), "y")
    labels = table.labels.numpy()
    assert labels.dtype == np.float32
    assert (abs(labels.mean()) < 1e-6, labels.std()) == (True, pytest.approx(1, abs=1e-6))
    np.testing.assert_allclose(table.preparation.restore_targets(labels), table.targets, rtol=1e-6)


# The training split's statistics only


def test_split_standardises_with_the_training_part_alone(write):
    table = load_csv(write(numbered(40)), "y")
    train, held_out = table.split(0.25, seed=2)
    raw = train.rows["x"]
    np.testing.assert_allclose(train.features.numpy()[:, 0].mean(), 0, atol=1e-6)
    np.testing.assert_allclose(train.features.numpy()[:, 0].std(), 1, atol=1e-6)
    expected = (held_out.rows["x"] - raw.mean()) / raw.std()
    np.testing.assert_allclose(held_out.features.numpy()[:, 0], expected, rtol=1e-5, atol=1e-6)
    assert held_out.preparation is train.preparation
    assert train.preparation != table.preparation


def test_a_held_out_outlier_does_not_reach_the_training_statistics(write):
    text = numbered(40).splitlines()
    table = load_csv(write("\n".join(text)), "y")
    _, held_out = table.split(0.25, seed=2)
    line = int(held_out.rows.lines[0])
    text[line - 1] = "1e9," + text[line - 1].split(",")[1]
    other = load_csv(write("\n".join(text)), "y")
    assert other.split(0.25, seed=2)[0].preparation == table.split(0.25, seed=2)[0].preparation


def test_regression_targets_are_standardised_with_the_training_part(write):
    rows = "\n".join(f"{i},{i * 1.5}" for i in range(30))
    train, held_out = load_csv(write(f"x,y\n{rows}\n"), "y").split(0.2, seed=0)
    assert train.preparation.target_mean == pytest.approx(train.targets.mean())
    np.testing.assert_allclose(
        train.preparation.restore_targets(held_out.labels.numpy()), held_out.targets, atol=1e-5
    )


def test_a_category_seen_only_in_the_held_out_part_keeps_its_input(write):
    rows = "".join(f"{'rare' if i == 7 else 'often'},{i % 2}\n" for i in range(20))
    table = load_csv(write(f"c,y\n{rows}"), "y")
    for seed in range(8):
        train, held_out = table.split(0.5, seed=seed)
        assert train.feature_names == ("c=often", "c=rare")
        assert train.features.numpy().sum() + held_out.features.numpy().sum() == 20


# Missing values

GAPS = "age,city,y\n10,Oslo,a\nNA,?,b\n30,Oslo,a\n,Rome,b\nnan,Rome,a\n50,Oslo,b\n"


def test_missing_values_are_refused_by_column_and_line(write):
    message = (
        r"people\.csv: values are missing\n"
        r"  column 'age': lines 3, 5, 6\n"
        r"  column 'city': line 3\n"
        r'  help: .*missing="impute"'
    )
    with pytest.raises(DataError, match=message):
        load_csv(write(GAPS), "y")


def test_missing_values_are_imputed_on_request(write):
    table = load_csv(write(GAPS), "y", missing="impute")
    ages = np.array([10, 30, 30, 30, 30, 50])
    np.testing.assert_allclose(
        table.features.numpy()[:, 0], (ages - ages.mean()) / ages.std(), rtol=1e-5, atol=1e-7
    )
    assert table.features.numpy()[:, 1].tolist() == [1, 1, 1, 0, 0, 1]


def test_values_are_imputed_from_the_training_part(write):
    rows = "".join(f"{'' if i % 5 == 0 else i},{i % 2}\n" for i in range(40))
    train, _ = load_csv(write(f"x,y\n{rows}"), "y", missing="impute").split(0.5, seed=1)
    present = train.rows["x"][~np.isnan(train.rows["x"])]
    assert train.preparation.columns[0].fill == np.median(present)


def test_a_missing_target_is_an_error_even_when_imputing(write):
    with pytest.raises(DataError, match=r"target column 'y' has no value in lines 2, 4"):
        load_csv(write("x,y\n1,\n2,a\n3,NA\n4,b\n"), "y", missing="impute")


def test_a_column_without_any_value(write):
    with pytest.raises(DataError, match=r"column 'x' has no value in any row\n.*drop=\['x'\]"):
        load_csv(write("x,z,y\n,1,a\nNA,2,b\n"), "y", missing="impute")


def test_many_missing_lines_are_counted_not_listed(write):
    rows = "".join(f"{'' if i % 2 else i},{i % 3}\n" for i in range(60))
    with pytest.raises(
        DataError, match=r"column 'x': lines 3, 5, 7, 9, 11, 13, 15, 17 and 22 more"
    ):
        load_csv(write(f"x,y\n{rows}"), "y")
