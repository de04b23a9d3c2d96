"""The programs in docs/simulate.md run, and print what stands below them."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

DOCUMENT = (pathlib.Path(__file__).parents[2] / "docs" / "simulate.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


def test_the_programs_print_what_the_document_says(tmp_path):
    (tmp_path / "scale.py").write_text("\n".join(PROGRAMS))
    done = subprocess.run(
        [sys.executable, "scale.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = re.search(r"```text\n(.*?)```", DOCUMENT, re.DOTALL)[1]
    assert done.stdout.replace(f"{tmp_path}/", "").startswith(printed)
    assert "out[i] = x[i] * np.float32(2)" in done.stdout
    assert (tmp_path / "scale.html").read_text().startswith("<!DOCTYPE html>")
