"""The README's Python runs as written and prints what the README says it prints."""

from __future__ import annotations

import code
import contextlib
import io
import pathlib
import re

import pytest

pytestmark = pytest.mark.once

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL)


def test_every_python_block_is_followed_by_what_it_prints():
    assert len(EXAMPLES) == README.count("```python") >= 1


@pytest.mark.parametrize(("code", "printed"), EXAMPLES, ids=lambda block: block.split("\n")[0])
def test_block_prints_what_the_readme_says(code, printed):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    assert output.getvalue() == printed


def test_the_first_block_is_ten_lines():
    lines = [line for line in EXAMPLES[0][0].splitlines() if line.strip()]
    assert len(lines) == 10


@pytest.mark.parametrize(("program", "printed"), EXAMPLES, ids=lambda block: block.split("\n")[0])
def test_the_code_can_be_pasted_into_python(program, printed, capsys):
    console = code.InteractiveConsole({})  # reads line by line, as Python's prompt did up to 3.12
    for line in program.splitlines():
        console.push(line)
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out == printed
