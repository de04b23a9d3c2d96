"""The cache of compiled kernels: what is found again, what is not, and what a hit costs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from numba import cuda  # noqa: E402
from numba.cuda import types  # noqa: E402

from gpugrad.cuda import cache, compiler, sources  # noqa: E402
from gpugrad.simulate import CompileError  # noqa: E402
from tests.kernels.launched import root, unknown  # noqa: E402

pytestmark = pytest.mark.once
VECTOR = (types.Array(types.float32, 1, "C"),)

HELPER = """
from numba import cuda, float32
FACTOR = {factor}
TABLE = (1.0, {entry})
@cuda.jit(device=True)
def helped(x):
    return x * float32(FACTOR) + float32({inside})
"""
USER = """
import helping
from numba import cuda, float32
def outer(offset):
    @cuda.jit{told}
    def kernel(x):
        i = cuda.grid(1)
        if i < x.size:
            x[i] = helping.helped(x[i]) + float32(offset) + float32(helping.TABLE[1])
    return kernel
kernel = outer({offset})
"""
BEFORE = {"factor": 2, "entry": 3.0, "inside": 4, "offset": 5, "told": ""}
# Compiles the kernel of the file user.py and says which code it got, and what was loaded for it.
RUN = """
import sys
from user import kernel
import gpugrad.cuda.compiler as compiler
from numba.cuda import types
made = []
real = compiler.build
def build(*given):
    made.append(given[-1])
    return real(*given)
compiler.build = compiler.frontend.build = build
code = compiler.compiled(kernel, (types.Array(types.float32, 1, "C"),), {cc}, "{output}")
import hashlib, pathlib
maps = pathlib.Path("/proc/self/maps")
libraries = maps.read_text() if maps.exists() else ""
print(hashlib.sha256(code.code).hexdigest(), code.entry, bool(made), "libnvvm" in libraries)
"""


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("GPUGRAD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


@pytest.fixture
def project(tmp_path):
    """A function that compiles the kernel of two files in a fresh process."""

    def run(output="cubin", cc=(7, 5), before="", **changed):
        told = BEFORE | changed
        (tmp_path / "helping.py").write_text(HELPER.format(**told))
        (tmp_path / "user.py").write_text(before + USER.format(**told))
        code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; " + "sys.dont_write_bytecode = 1\n"
        code += textwrap.dedent(RUN).format(cc=cc, output=output)
        found = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stderr
        digest, entry, compiled, nvvm = found.stdout.split()
        assert compiled == "True" or nvvm == "False"
        return digest, entry, compiled == "True"

    return run


@pytest.mark.parametrize("output", ["cubin", "ptx"])
def test_another_process_finds_the_code(project, output):
    digest, entry, compiled = project(output)
    assert compiled
    assert project(output) == (digest, entry, False)


@pytest.mark.slow
def test_a_change_anywhere_in_what_it_reaches_compiles_again(project):
    first = project()
    changes = [
        {"factor": 3}, {"entry": 3.5}, {"inside": 5}, {"offset": 6}, {"cc": (8, 0)},
        {"told": "(fastmath=True)"}, {"told": "(max_registers=32)"},
    ]  # fmt: skip
    for changed in changes:
        digest, _, compiled = project(**changed)
        assert compiled, changed
        assert "told" in changed or digest != first[0], changed
    assert project() == (*first[:2], False)  # what was there is still there


def test_moved_lines_matter_to_what_names_them(project):
    project("ptx"), project("cubin")
    assert project("ptx", before="\n\n")[2]
    assert not project("cubin", before="\n\n")[2]


@pytest.mark.parametrize("damage", [b"", b"x" * 50, None], ids=["empty", "garbage", "cut"])
def test_a_corrupt_file_is_written_again(folder, damage):
    before = compiler.compiled(root, VECTOR, (7, 5), "cubin")
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    damaged = whole[: len(whole) // 2] if damage is None else damage
    file.write_bytes(damaged)
    again = compiler.compiled(root, VECTOR, (7, 5), "cubin")
    assert again.code[:4] == before.code[:4] == b"\x7fELF"
    assert again.entry.encode() in again.code
    assert file.read_bytes() != damaged
    assert cache.read(file.name) is not None
    assert list(folder.iterdir()) == [file]  # nothing is left aside


def test_a_folder_that_cannot_be_written_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPUGRAD_CACHE", str(tmp_path / "file"))
    assert compiler.compiled(root, VECTOR, (7, 5), "ptx").code.startswith(b"//")


def test_where_the_folder_is(monkeypatch, tmp_path):
    assert cache.folder() == tmp_path / "cache" / "kernels"
    monkeypatch.delenv("GPUGRAD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.folder() == Path("/somewhere/gpugrad/kernels")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == Path.home() / ".cache" / "gpugrad" / "kernels"


@pytest.mark.parametrize("part", ["numba", "numba-cuda", "llvmlite", "nvidia-nvjitlink-cu12"])
def test_another_version_of_a_compiler_is_another_file(monkeypatch, part):
    before = sources.digest(root, lines=False)
    real = sources._version
    monkeypatch.setattr(sources, "_version", lambda name: "0" if name == part else real(name))
    sources.environment.cache_clear()
    try:
        assert sources.digest(root, lines=False) != before
    finally:
        sources.environment.cache_clear()
    monkeypatch.undo()
    assert sources.digest(root, lines=False) == before


def test_a_global_that_changes_afterwards_is_not_kept(folder):
    """Numba has the first value in what it compiled before, so neither can be trusted."""
    scope: dict = {}
    exec(
        "from numba import cuda\nSCALE = 2\n@cuda.jit\ndef k(x):\n    x[0] = SCALE\n",
        scope,
    )
    compiler.compiled(scope["k"], VECTOR, (7, 5), "ptx")
    assert len(list(folder.iterdir())) == 1
    scope["SCALE"] = 3
    compiler.compiled(scope["k"], VECTOR, (8, 0), "ptx")
    assert len(list(folder.iterdir())) == 1


def test_what_cannot_be_described_is_not_kept(folder):
    class Odd:
        pass

    odd = Odd()

    @cuda.jit
    def kernel(x):
        if x.size < 0:
            isinstance(odd, int)

    with pytest.raises(sources.UnknownSourceError, match="Odd"):
        sources.digest(kernel, lines=False)
    with pytest.raises(CompileError):
        compiler.compiled(kernel, VECTOR, (7, 5), "ptx")
    assert not folder.exists()


def test_a_kernel_that_does_not_compile_leaves_nothing(folder):
    with pytest.raises(CompileError, match=r"launched\.py:\d+\n    x\[i\] = np\.exp"):
        compiler.compiled(unknown, VECTOR, (7, 5), "cubin")
    assert not folder.exists()
