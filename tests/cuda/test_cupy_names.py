"""The list of CuPy's names is CuPy's, and what rules call is in it or stands in for it."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from gpugrad.cuda.simulated.module import MODULE
from gpugrad.cuda.simulated.names import cupy_names
from gpugrad.namespace import CUDA_STAND_INS, PRIMITIVES

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "gpugrad").rglob("*.py"), *(ROOT / "kernels").glob("*.py")]
OWN = {"on_host", "module"}  # what a namespace has beside functions


def installed_cupy():
    """CuPy of the version that the list was written from; it needs no GPU to be imported."""
    cupy = pytest.importorskip("cupy", exc_type=ImportError)
    if cupy.__version__ != cupy_names()["cupy"]:
        pytest.skip(f"the list is of CuPy {cupy_names()['cupy']}, here is {cupy.__version__}")
    return cupy


@pytest.mark.filterwarnings("ignore")  # CuPy's, of names that it will drop
def test_the_list_is_what_cupy_offers():
    installed_cupy()
    spec = importlib.util.spec_from_file_location("cupy_names", ROOT / "scripts" / "cupy_names.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.offered() == cupy_names()


def is_namespace(node: ast.expr) -> bool:
    """Whether an expression is `xp`, or `something.xp`."""
    return getattr(node, "id", getattr(node, "attr", "")) == "xp"


def names_of_rules() -> set[str]:
    """Every NAME of `xp.NAME` in the library and its kernels."""
    return {
        node.attr
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and is_namespace(node.value)
    } - OWN


def test_the_search_finds_the_names_of_rules():
    assert {"sum", "matmul", "where", "chain", "take", "empty_like"} <= names_of_rules()
    assert len(names_of_rules()) > 100


def is_there(name: str, module: Any) -> bool:
    return name in CUDA_STAND_INS or hasattr(module, name) or name in PRIMITIVES


@pytest.mark.parametrize("name", sorted(names_of_rules()))
def test_a_name_that_a_rule_uses_is_there_on_a_gpu(name):
    """Those of the array API standard among them: from CuPy, or from what stands in for it."""
    assert is_there(name, MODULE)


@pytest.mark.filterwarnings("ignore")
def test_a_name_that_a_rule_uses_is_there_with_cupy_itself():
    cupy = installed_cupy()
    assert [name for name in sorted(names_of_rules()) if not is_there(name, cupy)] == []


def test_a_name_that_nobody_has_is_missed():
    assert not is_there("unheard_of", MODULE)
