"""The repository's set-up: what is written in two places agrees, and links lead somewhere."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from importlib import metadata

import pytest

from gpugrad import _address

pytestmark = pytest.mark.once

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def table(name: str) -> str:
    """The text of one table of pyproject.toml (Python 3.10 has no tomllib)."""
    return read("pyproject.toml").split(f"\n[{name}]\n")[1].split("\n[")[0]


def test_every_package_is_listed():
    folders = {path.parent for path in (ROOT / "gpugrad").rglob("__init__.py")}
    packages = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    kernels = {path.parent for path in (ROOT / "kernels").rglob("__init__.py")}
    packages |= {".".join(("gpugrad", *folder.relative_to(ROOT).parts)) for folder in kernels}
    assert set(re.findall(r'"(.+?)"', table("tool.setuptools"))) == packages


def test_kernels_are_a_part_of_gpugrad():
    import gpugrad.kernels

    assert pathlib.Path(gpugrad.kernels.__file__).parent.name == "kernels"


def test_import_loads_numpy_and_nothing_heavy():
    heavy = ["cupy", "matplotlib", "numba", "pandas", "rich", "safetensors", "scipy", "sklearn"]
    code = f"import sys, gpugrad; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_lowest_versions_are_the_lower_bounds():
    bounds = table("project") + table("project.optional-dependencies")
    lowest = dict(re.findall(r"^([\w-]+)==([\d.]+)$", read(".ci/lowest.txt"), re.MULTILINE))
    assert "numpy" in lowest
    for name, version in lowest.items():
        written = re.search(rf'"{name}(?:\[\w+\])?>=([\d.]+)"', bounds)
        assert written, f"pyproject.toml gives {name} no lower bound"
        assert version in (written[1], f"{written[1]}.0")


def test_core_needs_numpy_only():
    needed = metadata.requires("gpugrad") or []
    assert [line for line in needed if "extra ==" not in line] == ["numpy>=2.0"]


def test_test_extra_needs_no_pytorch():
    extras = dict(
        re.findall(r"^(\w+) = (\[.*?\])", table("project.optional-dependencies"), re.M | re.S)
    )
    for extra in ("train", "tensorboard", "test"):
        assert "torch" not in extras[extra]


def test_lint_and_pre_commit_use_the_same_versions():
    hooks = read(".pre-commit-config.yaml")
    for tool, repository in (("ruff", "ruff-pre-commit"), ("mypy", "mirrors-mypy")):
        pinned = re.search(rf'"{tool}==([\d.]+)"', table("project.optional-dependencies"))
        assert pinned
        assert re.search(rf"{repository}\n\s+rev: v{re.escape(pinned[1])}\n", hooks)


def test_version_is_the_same_everywhere():
    version = metadata.version("gpugrad")
    assert f'version = "{version}"' in table("project")
    assert f"version: {version}\n" in read("CITATION.cff")


@pytest.mark.parametrize("name", [".ci/run", ".github/workflows/tests.yml"])
def test_continuous_integration_runs_the_commands_of_the_readme(name):
    assert ".ci/readme train" in read(name)
    assert ".ci/readme test" in read(name)


@pytest.mark.skipif(sys.platform == "win32", reason="the scripts need bash")
@pytest.mark.parametrize("name", ["run", "readme"])
def test_scripts_are_executable_and_parse(name):
    script = ROOT / ".ci" / name
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_address_is_written_once():
    address = _address.repository()
    listed = subprocess.run(
        ["git", "grep", "-lF", address], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode == 128:
        pytest.skip("not a git checkout")
    notebooks = [f"examples/{name}.ipynb" for name in ("train_on_a_gpu", "write_a_kernel")]
    assert listed.stdout.split() == [*notebooks, "pyproject.toml"]  # those are written from it


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("https://github.com/someone/gpugrad",
         "gpugrad[train] @ git+https://github.com/someone/gpugrad"),
        ("https://example.org/OWNER/gpugrad", ".[train]"),  # the placeholder: nothing is there
    ],
)  # fmt: skip
def test_help_installs_from_the_repository_or_else_from_a_clone(address, what, monkeypatch):
    monkeypatch.setattr(_address, "repository", lambda: address)
    assert _address.install_command("train") == f"pip install '{what}'"


def test_a_gpu_comes_with_the_command_that_examines_it():
    extras = dict(re.findall(r"^(\w+) = \[(.+?)^\]", table("project.optional-dependencies"),
                             re.MULTILINE | re.DOTALL))  # fmt: skip
    needed = set(re.findall(r'"(?:rich|typer)>=[\d.]+"', extras["train"]))
    assert len(needed) == 2
    for extra in ("cuda12", "cuda13"):
        assert needed <= set(re.findall(r'"[^"]+"', extras[extra]))


def test_the_doctor_needs_no_more_than_that_of_the_command_line():
    code = (
        "import sys\n"
        "for name in ('matplotlib', 'pooch', 'safetensors', 'threadpoolctl'):\n"
        "    sys.modules[name] = None\n"
        "from gpugrad.cli import main\n"
        "sys.exit(main(['doctor']))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr == ""
    assert run.stdout.splitlines()[-1].startswith("Device cuda ")


def test_documents_never_install_by_bare_name():
    for document in DOCUMENTS:
        assert not re.search(r"pip install '?gpugrad\b", document.read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_files_named_in_documents_exist(document):
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    named = re.findall(
        r"`((?:gpugrad|kernels|tests|examples|benchmarks|docs|scripts)/[\w/.]*)`", text
    )
    missing = [target for target in targets if not (document.parent / target).exists()]
    missing += [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_the_map_names_every_module():
    described = read("docs/architecture.md")
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("not a git checkout")
    paths = [line.split("/") for line in tracked.stdout.splitlines() if "/" in line]
    names = {f"{path[0]}/" for path in paths}
    names |= {path[1] + "/" * (len(path) > 2) for path in paths if path[0] == "gpugrad"}
    assert [name for name in sorted(names) if f"`{name}`" not in described] == []
