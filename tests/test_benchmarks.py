"""The benchmarks run and say what they should; how fast anything is, no test asserts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import machine, peers, targets
from benchmarks.__main__ import main
from benchmarks.cases import CASES, parse
from benchmarks.processes import BenchmarkError, ratios, rotated
from benchmarks.steps import agree

pytestmark = pytest.mark.once

CASE = "2-16-16-2@100"


def test_a_quick_run_writes_the_machine_the_losses_and_the_ratios(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    assert main(["--quick", "--peers", "numpy", "--cases", "2-16-16-2", "--json", str(file)]) == 0
    results = json.loads(file.read_text())
    for fact in ("processor", "cores", "system", "python", "blas", "thread_settings"):
        assert results["machine"][fact]
    assert list(results["libraries"]) == ["gpugrad", "numpy"]
    step = results["steps"][CASE]
    ours, theirs = step["first_losses"]["gpugrad"], step["first_losses"]["numpy"]
    assert len(ours) == 5
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert set(step["ratios"]) == {"gpugrad", "numpy"}
    assert results["memory"][CASE]["bytes"]["gpugrad"] > 0
    assert "gpugrad" in results["operations"]["matmul"]["training"]["over_numpy"]
    assert results["epoch"]["data"] in ("synthetic", "MNIST")
    assert set(results["imports"]["ratios"]) == {"gpugrad", "numpy"}
    assert any("numpy by hand" in target["what"] for target in results["targets"])
    printed = capsys.readouterr().out
    assert "a training step: microseconds" in printed
    assert CASE in printed


def test_a_missing_peer_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "installed", lambda name: name == "numpy")
    arguments = ["--quick", "--peers", "numpy,mygrad", "--cases", CASE, "--sections", "steps"]
    assert main(arguments) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "not installed" in line]
    assert [line.split()[0] for line in lines] == ["gpugrad", "mygrad"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--peers", "chainer"], "no peer 'chainer'"),
        (["--sections", "lunch"], "no section 'lunch'"),
        (["--cases", "2-x"], "no case '2-x'"),
        (["--rounds", "0"], "--rounds must be at least 1"),
        (["--sections", "memory", "--picture", "p.png"], "--picture draws the section steps"),
    ],
)
def test_impossible_options_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err


def test_libraries_that_train_differently_are_an_error() -> None:
    with pytest.raises(BenchmarkError, match="b and a do not train alike in a case"):
        agree({"a": [1.0, 0.9], "b": [1.0, 0.91]}, "a case")


def test_a_busy_machine_is_noticed() -> None:
    assert machine.busy({"load_before": 3.7, "cores": 2}) is not None
    assert machine.busy({"load_before": 0.3, "cores": 2}) is None
    assert machine.busy({"load_before": None, "cores": 2}) is None


def test_cases_are_written_as_sizes_at_batch() -> None:
    assert parse("784-128-10") is CASES[2]
    assert str(parse("3-4-2@7")) == "3-4-2@7"


def test_libraries_take_turns_to_begin() -> None:
    assert [rotated("ABC", turn)[0] for turn in range(4)] == ["A", "B", "C", "A"]


def test_targets_name_the_worst_case() -> None:
    row = {"gpugrad": 1.0, "torch": 2.0, "numpy": 0.5}
    steps = {CASE: {"ratios": row}, "64-32-10@32": {"ratios": {**row, "torch": 0.8}}}
    found = {target.what: target for target in targets.check({"steps": steps})}
    assert not found["torch / gpugrad, worst case 64-32-10@32"].met
    assert found[f"gpugrad / numpy by hand, {CASE}"].found == pytest.approx(2.0)
    assert ratios({"torch": 3.0, "gpugrad": 2.0}) == {"torch": 1.5, "gpugrad": 1.0}
