"""The notebooks for Colab are what their scripts give, open there, and run on every device."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

if "CI" not in os.environ:  # where everything must be installed
    for package in ("ipykernel", "jupytext", "nbclient"):
        pytest.importorskip(package, reason="the extra `notebooks` is not installed")

from gpugrad import _address
from scripts import notebooks
from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

pytestmark = pytest.mark.once

ROOT = pathlib.Path(__file__).parents[1]
NAMES = ["train_on_a_gpu", "write_a_kernel"]
each = pytest.mark.parametrize("name", NAMES)


def committed(name):
    return json.loads((ROOT / "examples" / f"{name}.ipynb").read_text("utf-8"))


def text_of(cell):
    return "".join(cell["source"])


def link(name):
    owner_and_name = _address.repository().removeprefix("https://github.com/")
    return (
        f"https://colab.research.google.com/github/{owner_and_name}/blob/main/examples/{name}.ipynb"
    )


def run(arguments, simulated=False):
    """What a Python of its own prints, on the simulated device or on the CPU."""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "agg"}
    environment["GPUGRAD_SIMULATE_CUDA"] = "1" if simulated else ""
    found = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True, text=True, cwd=ROOT, check=False, env=environment,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return found.stdout


def execute(name, folder, simulated=False):
    """What the committed notebook prints, run by Jupyter, with a single epoch."""
    text = (ROOT / "examples" / f"{name}.ipynb").read_text("utf-8")
    shorter = folder / f"{name}.ipynb"
    shorter.write_text(text.replace("EPOCHS = 10", "EPOCHS = 1"), "utf-8")
    assert (shorter.read_text("utf-8") != text) == (name == "train_on_a_gpu")
    return run([ROOT / "scripts" / "notebooks.py", "--execute", shorter], simulated)


def epochs(printed):
    """The loss and the accuracy in percent of each epoch."""
    rows = re.findall(r"epoch +\d+: loss (\S+), held-out accuracy (\S+)%", printed)
    return [(float(loss), float(accuracy)) for loss, accuracy in rows]


@each
def test_the_notebook_is_what_its_script_gives(name):
    script = ROOT / "examples" / f"{name}.py"
    assert script in notebooks.SCRIPTS
    found = script.with_suffix(".ipynb").read_text("utf-8")
    assert found == notebooks.notebook(script), "run python scripts/notebooks.py"


def test_check_tells_of_a_stale_notebook_and_writing_mends_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "examples").mkdir()
    script = tmp_path / "examples" / "train_on_a_gpu.py"
    for file in (script, script.with_suffix(".ipynb"), tmp_path / "pyproject.toml"):
        shutil.copy(ROOT / file.relative_to(tmp_path), file)
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(notebooks, "SCRIPTS", [script])
    assert notebooks.main(["--check"]) == 0
    assert capsys.readouterr().out == ""

    script.write_text(script.read_text("utf-8").replace("EPOCHS = 10", "EPOCHS = 11"), "utf-8")
    before = script.with_suffix(".ipynb").read_text("utf-8")
    assert notebooks.main(["--check"]) == 1
    assert "examples/train_on_a_gpu.ipynb is not what its script gives" in capsys.readouterr().out
    assert script.with_suffix(".ipynb").read_text("utf-8") == before
    assert notebooks.main([]) == 0
    assert notebooks.main(["--check"]) == 0
    assert "EPOCHS = 11" in script.with_suffix(".ipynb").read_text("utf-8")


@each
def test_the_first_cell_opens_it_in_colab_and_so_does_the_readme(name):
    first = committed(name)["cells"][0]
    badge = "https://colab.research.google.com/assets/colab-badge.svg"
    assert (first["cell_type"], first["id"]) == ("markdown", "view-in-github")
    assert first["metadata"] == {"id": "view-in-github", "colab_type": "text"}
    assert re.fullmatch(r"\[!\[.+\]\((\S+)\)\]\((\S+)\)", text_of(first)).groups() == (
        badge,
        link(name),
    )
    assert f"({badge})]({link(name)})" in (ROOT / "README.md").read_text("utf-8")


@each
def test_it_asks_for_a_gpu_and_holds_no_output(name):
    book = committed(name)
    assert (book["nbformat"], book["metadata"]["accelerator"]) == (4, "GPU")
    assert book["metadata"]["colab"] == {"gpuType": "T4", "provenance": [], "toc_visible": True}
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [(cell["outputs"], cell["execution_count"]) for cell in code] == [([], None)] * len(code)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])


@each
def test_it_installs_gpugrad_and_upgrades_nothing(name):
    code = [cell for cell in committed(name)["cells"] if cell["cell_type"] == "code"]
    assert text_of(code[0]) == f"%pip install -q gpugrad@git+{_address.repository()}"
    assert code[0]["metadata"]["tags"] == ["skip-execution"]
    assert not any(re.search(r"^\s*[%!]", text_of(cell), re.MULTILINE) for cell in code[1:])


@each
def test_its_parts_stand_in_the_order_of_a_lesson(name):
    cells = [text_of(cell) for cell in committed(name)["cells"]]
    parts = re.findall(r"^#+ (.+)$", "\n".join(cells), re.MULTILINE)
    assert parts[1:4] == ["Install", "The device", "The data"]
    assert parts[-2:] == ["Exercises", "Timing"]


@pytest.mark.parametrize("simulated", [False, True], ids=["cpu", "simulated"])
def test_a_network_learns_in_the_notebook(simulated, tmp_path):
    printed = execute("train_on_a_gpu", tmp_path, simulated)
    assert ("Everything below runs on cuda:0, simulated" in printed) == simulated
    assert ("finds no GPU, so everything below runs on the CPU" in printed) != simulated
    assert "1,797 digits that come with gpugrad" in printed
    ((loss, accuracy),) = epochs(printed)
    assert loss < np.log(10)  # that of a network which has learnt nothing
    assert accuracy > 60
    assert "(no GPU to time beside it)" in printed


@pytest.mark.parametrize("simulated", [False, True], ids=["cpu", "simulated"])
def test_a_kernel_is_written_in_the_notebook(simulated, tmp_path):
    printed = execute("write_a_kernel", tmp_path, simulated)
    assert "hasty: a load of 4 bytes outside its allocation" in printed
    assert "0 bytes past the end of gate (4000 bytes" in printed
    assert float(re.search(r"^as the expression within (\S+)$", printed, re.M)[1]) < 1e-6
    assert "12 bytes an element\n250 sectors loaded, where 250 would do" in printed
    assert re.search(r"\| +out\[i\] = x\[i\] \* g", printed)  # the cell's source, line by line
    assert "colliding: a race on byte 0 of total" in printed
    assert " 0 bytes spilled" in printed
    assert "first and second derivatives agree with nudges" in printed
    slope, nudged = re.search(r"d/dgate at 0.5: (\S+), by a nudge (\S+)", printed).groups()
    assert float(slope) == pytest.approx(float(nudged), abs=1e-3)
    place, off = re.search(r"^on (\S+): as the expression within (\S+)$", printed, re.M).groups()
    assert place == ("cuda:0" if simulated else "cpu")
    assert (0 < float(off) < 1e-5) == simulated  # on the CPU it is the expression itself
    assert "There is no GPU here to time the kernel on." in printed


def test_the_digits_of_colab_are_taken_where_they_are(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 10
    images = rng.integers(0, 60, (300, 28, 28))
    for image, label in zip(images, labels, strict=True):
        image[:, 2 * label + 3 : 2 * label + 6] += 180
    table = np.column_stack([labels, images.reshape(300, -1)])
    np.savetxt(tmp_path / "mnist_train_small.csv", table, fmt="%d", delimiter=",")
    script = (ROOT / "examples" / "train_on_a_gpu.py").read_text("utf-8")
    assert '"/content/sample_data/mnist_train_small.csv"' in script
    here = tmp_path / "train.py"
    here.write_text(script.replace("/content/sample_data", tmp_path.as_posix()), "utf-8")
    printed = run([here])
    assert "300 digits of MNIST, from Colab's sample data" in printed
    assert len(epochs(printed)) == 10
    assert epochs(printed)[-1][1] > 90


@each
def test_the_script_is_plain_python(name):
    script = ROOT / "examples" / f"{name}.py"
    compile(script.read_text("utf-8"), script.name, "exec")
    if name == "write_a_kernel":
        assert "There is no GPU here to time the kernel on." in run([script])
