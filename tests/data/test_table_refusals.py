"""load_csv: every table that it refuses, by what the error says."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gpugrad.data import load_csv
from gpugrad.errors import DataError, FileError, OptionError

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


def test_text_where_numbers_belong(write):
    message = (
        r"column 'age' holds text where numbers belong\n"
        r"  line 3: 'forty'\n"
        r"  help: correct these cells, or write categorical=\['age'\]"
    )
    with pytest.raises(DataError, match=message):
        load_csv(write("age,y\n31,a\nforty,b\n19,a\n"), "y")


def test_an_infinite_number(write):
    with pytest.raises(DataError, match=r"line 2: 'inf'"):
        load_csv(write("age,y\ninf,a\n3,b\n19,a\n"), "y")


def test_many_cells_of_text_are_counted(write):
    rows = "".join(f"{i if i % 2 else 'x'},{i % 3}\n" for i in range(20))
    with pytest.raises(DataError, match=r"line 10: 'x'\n  and 5 more"):
        load_csv(write(f"n,y\n{rows}"), "y")


def test_a_column_that_is_mostly_text_is_a_category(write):
    table = load_csv(write("size,y\nS,a\nM,b\n38,a\n"), "y")
    assert table.feature_names == ("size=38", "size=M", "size=S")


def test_text_in_a_numeric_target(write):
    with pytest.raises(DataError, match=r"column 'y' holds text(.|\n)*line 3: 'x'(.|\n)*task="):
        load_csv(write("x,y\n1,1.5\n2,x\n3,2.5\n"), "y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1,a\n2\n3,b\n", "line 3 has 1 cells where 2 are expected"),
        ("x,y\n1,a\n\n2,b,c\n", "line 4 has 3 cells where 2 are expected"),
        ('x,y\n"1\n2",a\n2,b,c\n', "line 4 has 3 cells where 2 are expected"),
        ("x,y,\n1,a,\n", r"no name to column 3\n  header: 'x', 'y', ''"),
        ("x,y,x,y\n1,a,2,b\n", r"names a column twice: 'x', 'y'"),
        ("", "the file is empty"),
        ("x,y\n", r"has a header but no rows\n  columns: 'x', 'y'"),
        ("y\na\nb\n", "no input column beside the target 'y'"),
        ("x,y\n1,a\n2,a\n", r"holds one class only, 'a', in all 2 rows"),
        ("x,y\n1,3\n2,3.0\n", r"holds one class only, '3', in all 2 rows"),
    ],
)
def test_tables_that_cannot_be_used(write, text, message):
    with pytest.raises(DataError, match=rf"people\.csv: (.|\n)*{message}"):
        load_csv(write(text), "y")


def test_one_value_only_in_regression(write):
    with pytest.raises(DataError, match=r"holds one value only, '2.5', in all 2 rows"):
        load_csv(write("x,y\n1,2.5\n2,2.5\n"), "y")


@pytest.mark.parametrize(
    "options", [{"target": "Likes"}, {"categorical": ["Likes"]}, {"drop": ["Likes"]}]
)
def test_a_missing_column_lists_those_there_are(write, options):
    message = r"no column 'Likes'\n  columns: 'age', 'city', 'height', 'likes'\n  help: .*capitals"
    with pytest.raises(DataError, match=message):
        load_csv(write(PEOPLE), **{"target": "likes", **options})


def test_a_column_of_names_is_no_category(write):
    rows = "".join(f"name{i},{i % 2}\n" for i in range(60))
    with pytest.raises(DataError, match=r"60 different texts in 60 rows(.|\n)*drop=\['who'\]"):
        load_csv(write(f"who,y\n{rows}"), "y")


def test_a_target_with_a_class_for_each_row(write):
    rows = "".join(f"{i},name{i}\n" for i in range(30))
    with pytest.raises(DataError, match="holds 30 classes in 30 rows: too few examples of each"):
        load_csv(write(f"x,y\n{rows}"), "y")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match=r"absent\.csv: there is no such file\n  looked in: "):
        load_csv(tmp_path / "absent.csv", "y")


def test_a_folder(tmp_path):
    with pytest.raises(FileError, match="cannot read the file"):
        load_csv(tmp_path, "y")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x,y\n1,\xff\xfe\n", r"not a text file in UTF-8 \(.* at byte \d+\)"),
        (b'x,y\n1,a\n"2,b\n', "line 3 cannot be read as a table row"),
    ],
)
def test_a_file_that_is_no_table(tmp_path, content, message):
    (tmp_path / "people.csv").write_bytes(content)
    with pytest.raises(FileError, match=rf"people\.csv: .*{message}"):
        load_csv(tmp_path / "people.csv", "y")


@pytest.mark.parametrize("content", [b"x,y\n1,a\n", gzip.compress(PEOPLE.encode() * 50)[:-20]])
def test_a_broken_gzip_file(tmp_path, content):
    (tmp_path / "people.csv.gz").write_bytes(content)
    with pytest.raises(FileError, match=r"people\.csv\.gz: "):
        load_csv(tmp_path / "people.csv.gz", "y")


def test_a_delimiter_of_two_characters_is_refused(write):
    with pytest.raises(OptionError, match="delimiter='::' must be one character"):
        load_csv(write(PEOPLE), "likes", delimiter="::")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "ranking"}, "task='ranking' is none of 'classification', 'regression'"),
        ({"missing": "drop"}, "missing='drop' is none of 'error', 'impute'"),
    ],
)
def test_impossible_options(write, options, message):
    with pytest.raises(OptionError, match=re.escape(message)):
        load_csv(write(PEOPLE), "likes", **options)
