"""Write the notebooks of `examples/` from their scripts, and run them.

    python scripts/notebooks.py              # write each notebook beside its script
    python scripts/notebooks.py --check      # say which ones are not what their script gives
    python scripts/notebooks.py --execute FILE.ipynb ...

The scripts are plain Python that jupytext reads: cells begin with `# %%`. A notebook has in
addition what only Colab needs: the badge, the kind of runtime, and the address to install from.
It needs the extra `notebooks`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = [ROOT / "examples" / f"{name}.py" for name in ("train_on_a_gpu", "write_a_kernel")]
BRANCH = "main"
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
# gpugrad has no release on PyPI: as in `gpugrad._address`, it is installed from the repository.
INSTALL = "%pip install -q gpugrad"
METADATA = {
    "accelerator": "GPU",
    "colab": {"gpuType": "T4", "provenance": [], "toc_visible": True},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_TIMEOUT = 300  # seconds; far more than any cell takes, so that one that hangs is noticed


def address() -> str:
    """The repository's, from `[project.urls]` in `pyproject.toml`, which need not be installed."""
    found = re.search(
        r'^Repository = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )
    if found is None:
        raise LookupError("pyproject.toml names no Repository")
    return found[1]


def badge(script: Path) -> str:
    """Markdown of the badge that opens the script's notebook in Colab."""
    repository = address().removeprefix("https://github.com/")
    path = script.relative_to(ROOT).with_suffix(".ipynb").as_posix()
    link = f"https://colab.research.google.com/github/{repository}/blob/{BRANCH}/{path}"
    return f"[![Open in Colab]({BADGE})]({link})"


def notebook(script: Path) -> str:
    """The text of the script's notebook, without outputs; one script, one text."""
    book = jupytext.read(script, fmt="py:percent")
    cells = [
        nbformat.v4.new_markdown_cell(
            badge(script), metadata={"id": "view-in-github", "colab_type": "text"}
        ),
        *book.cells,
    ]
    for number, cell in enumerate(cells):
        cell["id"] = cell.metadata.get("id", f"cell-{number}")  # jupytext draws one at random
        if cell.source == INSTALL:
            cell.source += f"@git+{address()}"
    made = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    nbformat.validate(made)
    return str(nbformat.writes(made)) + "\n"


def execute(path: Path) -> list[str]:
    """Run a notebook in a Jupyter kernel of this Python; return what its cells print.

    Cells with the tag `skip-execution` are left out: gpugrad is installed already.
    """
    from nbclient import NotebookClient

    book: Any = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=CELL_TIMEOUT, kernel_name="python3").execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    return [output["text"] for output in outputs if output["output_type"] == "stream"]


def main(arguments: list[str]) -> int:
    """What the first argument says; the exit status."""
    if arguments[:1] == ["--execute"]:
        for name in arguments[1:]:
            print(*execute(Path(name)), sep="", end="")
        return 0
    checking, stale = arguments == ["--check"], 0
    for script in SCRIPTS:
        target, text = script.with_suffix(".ipynb"), notebook(script)
        if target.exists() and target.read_text("utf-8") == text:
            continue
        stale += 1
        if not checking:
            target.write_text(text, "utf-8")
        told = "is not what its script gives: run python scripts/notebooks.py"
        print(target.relative_to(ROOT).as_posix(), told if checking else "written")
    return 1 if stale and checking else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
