"""Reports: sums by kind and by line, findings at their thresholds, the printed source, the page."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from gpugrad.errors import FileError, OptionError
from gpugrad.simulate.report.counts import Counts
from gpugrad.simulate.report.findings import Finding, same_value
from gpugrad.simulate.report.report import Report

SOURCE = """\
import math
import numba.cuda


@numba.cuda.jit
def kernel(x, out):
    i = numba.cuda.grid(1)
    # nothing on this line < & >

    out[i] = helper(x[i])
    out[i] += math.sin(x[i])


def helper(x):
    return x * 2.0
"""
FIRST, LAST, READ, SINE, HELPER = 5, 11, 10, 11, 15  # lines of it
N = 256
THREAD = np.arange(N)
WARP = THREAD // 32


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "kernels.py"
    path.write_text(SOURCE)
    return str(path)


def make(*instructions, float32=True, source=None, places=None, given=()):
    """A report of (opcode, line, calls): `calls` are names of methods of Counts and arguments."""
    counts = Counts(len(instructions))
    for pc, (_, _, *calls) in enumerate(instructions):
        counts.executed(pc, N, N // 32)
        for name, *arguments in calls:
            getattr(counts, name)(pc, *arguments)
    opcodes = [opcode for opcode, _, *_ in instructions]
    if places is None:
        places = [line and (source or "kernels.py", line) for _, line, *_ in instructions]
    first = (source, FIRST) if source else None
    return Report("kernel", (1, 1, 1), (N, 1, 1), (7, 5), counts, opcodes, places, given, float32,
                  first)  # fmt: skip


def load(address, size=4, warp=WARP, opcode="ld.global.f32", line=READ, kind="load"):
    return (opcode, line, ("memory", warp, np.asarray(address), size, kind))


def store(address, **options):
    return load(address, opcode="st.global.f32", kind="store", **options)


def shared(address, size=4, warp=WARP, line=READ):
    return ("ld.shared.f32", line, ("shared", warp, np.asarray(address), size, "load"))


def kinds(report):
    return [(finding.kind, finding.line) for finding in report.findings]


# Sums


def test_attributes_are_sums_over_the_instructions():
    report = make(
        load(THREAD * 4), store(THREAD * 64), shared(THREAD % 32 * 128), ("add.f32", SINE),
        ("add.f32", SINE), ("mov.u32", SINE),
        load(THREAD * 0, opcode="atom.global.add.f32", kind="atomic"),
    )  # fmt: skip
    assert (report.kernel, report.grid, report.block) == ("kernel", (1, 1, 1), (N, 1, 1))
    assert (report.loaded_bytes, report.stored_bytes) == (2 * 4 * N, 2 * 4 * N)
    assert (report.load_sectors, report.ideal_load_sectors) == (N // 8 + 8, N // 8 + 8)
    assert (report.store_sectors, report.ideal_store_sectors) == (N + 8, N // 8 + 8)
    assert (report.bank_conflicts, report.atomic_collisions) == (31 * 8, 31 * 8)
    assert report.instructions == {
        "float32": 2 * N, "global load": N, "global store": N, "shared load": N, "move": N,
        "atomic": N, "total": 7 * N,
    }  # fmt: skip
    assert next(iter(report.instructions)) == "float32"
    assert [*report.instructions][-1] == "total"
    assert report.idle_lanes == 0


def test_kinds_that_were_not_executed_are_not_listed():
    report = Report("kernel", (1,), (32,), (7, 5), Counts(1), ["add.f32"], [None])
    assert report.instructions == {"total": 0}


def test_idle_lanes():
    report = make(("bra", READ))
    report.counts.executed(0, 8, 8)
    assert report.idle_lanes == 31 * 8
    assert "idle lanes         248, 48.4% of the lanes of the warps at work" in str(report)


# Uncoalesced accesses


@pytest.mark.parametrize(
    ("address", "size", "ratio"),
    [
        (THREAD * 4000, 4, 8),
        (THREAD * 16, 4, 4),
        (THREAD * 4000, 8, 4),
        (THREAD * 100, 1, 32),
        (THREAD % 16 * 4096 + THREAD // 16 * 4, 4, 4),
        (np.random.default_rng(0).permutation(1 << 16)[:N] * 4, 4, 8),
    ],
    ids=["column", "every fourth", "column of float64", "bytes", "transposed tile", "gather"],
)
def test_uncoalesced_accesses(address, size, ratio):
    for instruction, verb in (
        (load(address, size), "loads"),
        (store(address, size=size), "stores"),
    ):
        report = make(instruction)
        assert kinds(report) == [("uncoalesced", READ)]
        text = report.findings[0].text
        assert re.match(rf"{verb} touch [\d,]+ sectors of 32 bytes where \d+ could do", text)
        assert float(re.search(r"([\d.]+) times as many", text)[1]) == pytest.approx(ratio, abs=0.1)


def test_an_uncoalesced_access_is_told_by_its_stride():
    stride, gather, atomic = (
        make(instruction).findings[0].text
        for instruction in (
            load(THREAD * 4000),
            load(np.random.default_rng(0).permutation(1 << 16)[:N] * 4),
            load(THREAD * 64, opcode="red.global.add.f32", kind="atomic"),
        )
    )
    assert "neighbouring threads are 4,000 bytes apart; let neighbouring threads take" in stride
    assert "no common stride" in gather
    assert atomic.startswith("atomics touch 256 sectors of 32 bytes where 32 could do, 8.0 times")


MANY = np.arange(4096)
HALO = MANY[MANY % 8 == 0]
COALESCED = {
    "consecutive": load(MANY * 4, warp=MANY // 32),
    "off by one": load(MANY * 4 + 4, warp=MANY // 32),
    "backwards": load(-MANY * 4 + 65536, warp=MANY // 32),
    "every other": load(MANY * 8, warp=MANY // 32),
    "one of x, y, z": load(MANY * 12, warp=MANY // 32),
    "broadcast": load(MANY * 0, warp=MANY // 32),
    "eight rows of a product": load(MANY // 8 * 4096, warp=MANY // 32),
    "a lane of each warp": load(MANY * 4096, warp=MANY),
    "a column of a halo": load(HALO * 4096, warp=HALO // 32),
    "two warps only": load(MANY[:64] * 4096, warp=MANY[:64] // 32),
    "complex128": load(MANY * 160, size=16, warp=MANY // 32),
}


@pytest.mark.parametrize("name", COALESCED)
def test_accesses_that_are_no_finding(name):
    assert make(COALESCED[name]).findings == []


def test_three_warps_are_enough():
    assert kinds(make(load(THREAD[:96] * 4096, warp=WARP[:96]))) == [("uncoalesced", READ)]


def test_a_loop_of_one_warp_is_enough():
    column = ("memory", WARP[:32], THREAD[:32] * 4096, 4, "load")
    assert kinds(make(("ld.global.f32", READ, *[column] * 3))) == [("uncoalesced", READ)]


def test_an_unrolled_line_is_one_finding_and_loads_are_told_from_stores():
    column = THREAD * 4096
    report = make(load(column), load(column), store(THREAD * 4), store(column), load(THREAD * 4))
    loads, stores = report.findings
    assert loads.text.startswith("loads touch 512 sectors of 32 bytes where 64 could do")
    assert stores.text.startswith("stores touch 256 sectors of 32 bytes where 32 could do")


# Bank conflicts


@pytest.mark.parametrize("ways", [4, 8, 16, 32])
def test_conflicts_from_four_ways_on_are_found_even_in_one_warp(ways):
    report = make(shared(THREAD[:32] * 4 * ways, warp=WARP[:32], line=SINE))
    assert kinds(report) == [("bank conflict", SINE)]
    text = report.findings[0].text
    assert f"takes up to {ways} passes ({ways}-way, always)" in text
    assert "pad the rows by one element" in text


def test_smaller_conflicts_are_not():
    random = np.random.default_rng(0).integers(0, 8192, 32 * N) * 4
    report = make(
        shared(THREAD * 4), shared(THREAD * 8), shared(THREAD * 132), shared(THREAD * 0),
        shared(THREAD * 8, size=8), shared(random, warp=np.arange(32 * N) // 32),
    )  # fmt: skip
    figures = report.counts.at[5]
    assert 3.3 < 1 + figures.bank_conflicts / figures.shared_requests < 3.7
    assert report.findings == []


def test_conflicts_of_a_mean_are_told():
    report = make((*shared(THREAD * 128), *shared(THREAD * 4)[2:]))
    assert "up to 32 passes (32-way, 16.5 on average)" in report.findings[0].text


# float64


def test_float64_is_found_by_the_opcodes_executed_or_not():
    counts = Counts(4)
    opcodes = ["add.f32", "cvt.f64.f32", "mul.f64", "cvt.rn.f32.f64"]
    places = [("kernels.py", line) for line in (7, 8, 8, 9)]
    options = {"counts": counts, "opcodes": opcodes, "places": places}  # line 9 only converts
    report = Report("kernel", (1,), (32,), (7, 5), **options, float32=True)
    assert kinds(report) == [("float64", 8)]
    assert report.findings[0].text.startswith(
        "float64 (cvt.f64.f32, mul.f64), executed 0 times, though no argument"
    )
    assert "write float32(0.1)" in report.findings[0].text
    assert Report("kernel", (1,), (32,), (7, 5), **options).findings == []


def test_float64_comparisons_are_found_and_moves_are_not():
    assert kinds(make(("setp.gt.f64", READ))) == [("float64", READ)]
    assert kinds(make(("mov.f64", READ), ("ld.param.f64", READ), ("selp.f64", READ))) == []


def test_conversions_alone_are_found_where_nothing_else_is():
    assert kinds(make(("cvt.f64.f32", READ))) == [("float64", READ)]
    assert kinds(make(("cvt.f64.f32", READ), ("add.f64", SINE))) == [("float64", SINE)]


def test_what_print_converts_is_no_finding():
    printing = [("cvt.f64.f32", READ), ("call.vprintf", READ)]
    assert kinds(make(*printing)) == []
    assert kinds(make(*printing, ("cvt.f64.f32", SINE))) == [("float64", SINE)]
    assert kinds(make(*printing, ("mul.f64", READ))) == [("float64", READ)]


def test_the_reduction_of_libdevice_is_no_finding(source):
    names = ("cvt.rn.f64.s64", "mul.f64", "cvt.rn.f32.f64")
    at = {line: [(name, line) for name in names] for line in (READ, SINE)}
    assert kinds(make(*at[SINE], source=source)) == []
    assert kinds(make(*at[READ], source=source)) == [("float64", READ)]
    assert kinds(make(*at[SINE], ("add.f64", SINE), source=source)) == [("float64", SINE)]
    idle = make(*at[READ], source=source)
    idle.counts = Counts(3)  # executed nowhere: an argument was never so large
    assert kinds(idle) == []
    product = Report("kernel", (1,), (32,), (7, 5), Counts(1), ["mul.f64"], [None], float32=True)
    assert kinds(product) == [("float64", None)]


# Findings in general


def test_findings_are_sorted_and_name_their_file(source):
    given = [
        Finding("other", 12, "elsewhere.", "helpers.py"),
        Finding("given", None, "of the kernel."),
        Finding("same value", 11, "said.", source),
    ]
    report = make(("add.f64", HELPER), load(THREAD * 64), source=source, given=given)
    assert kinds(report) == [
        ("given", None), ("uncoalesced", READ), ("same value", 11), ("float64", HELPER),
        ("other", 12),
    ]  # fmt: skip
    texts = [str(finding) for finding in report.findings]
    assert texts[0] == "no source line: given: of the kernel."
    assert texts[2] == "kernels.py, line 11: same value: said."
    assert str(Finding("kind", 3, "text.")) == "line 3: kind: text."


def test_same_values_are_told_once():
    places = [("k.py", 3), ("k.py", 4), ("k.py", 4), None]
    found = same_value([(0, 0), (1, 0), (0, 1), (0, 2), (3, 3)], places)
    assert [(each.kind, each.line, each.file) for each in found] == [
        ("same value", 3, "k.py"), ("same value", 4, "k.py"), ("same value", None, ""),
    ]  # fmt: skip
    assert "here:" in found[0].text
    assert "here (and line 3):" in found[1].text


# The annotated source


def test_lines_show_the_whole_kernel_and_sum_to_the_total(source):
    report = make(
        load(THREAD * 4), store(THREAD * 4, line=SINE), ("mul.f32", HELPER), ("ret", None),
        ("bra", None), source=source,
    )  # fmt: skip
    report.places[4] = (source, 0)  # as compilers write for what no line made
    lines = report.lines()
    assert [line.number for line in lines] == [*range(FIRST, LAST + 1), HELPER, None]
    assert [line.text for line in lines[:-1]] == [
        *SOURCE.splitlines()[FIRST - 1 : LAST], "    return x * 2.0",
    ]  # fmt: skip
    assert {line.file for line in lines} == {source}
    assert sum(line.figures.instructions for line in lines) == report.instructions["total"]
    by_number = {line.number: line.figures for line in lines}
    assert by_number[READ].loaded_bytes == by_number[SINE].stored_bytes == 4 * N
    assert by_number[None].instructions == 2 * N
    assert by_number[FIRST].instructions == 0


def test_printed_lines_are_aligned_and_leave_out_what_is_zero(source):
    report = make(load(THREAD * 4000), ("add.f32", SINE), source=source)
    text = str(report.lines())
    head, *rows = text.splitlines()
    assert head.split() == ["line", "instructions", "loaded", "sectors", "fewest", "|", "source"]
    assert {row.index("|") for row in rows} == {head.index("|")}
    assert rows[READ - FIRST].split("|") == [
        "!    10           256   1,024      256      32  ", "     out[i] = helper(x[i])",
    ]  # fmt: skip
    assert rows[4].split() == ["9", "|"]


def test_lines_of_other_files(source, tmp_path):
    other = tmp_path / "other.py"
    other.write_text("a\nb\nc\n")
    places = [(source, READ), (str(other), 2)]
    lines = make(("add.f32", 0), ("add.f32", 0), source=source, places=places).lines()
    assert [(line.file, line.number) for line in lines[-2:]] == [(source, LAST), (str(other), 2)]
    assert str(lines).splitlines()[-2:] == [f"in {other}:", "     2           256  | b"]


def test_without_the_first_line_the_instructions_bound_the_source(source):
    lines = make(("add.f32", 0), ("add.f32", 0), places=[(source, 7), (source, READ)]).lines()
    assert [line.number for line in lines] == [7, 8, 9, READ]


def test_a_finding_elsewhere_shows_its_line(source):
    finding = Finding("given", HELPER, "said.", source)
    lines = make(("add.f32", READ), source=source, given=[finding]).lines()
    assert [line.number for line in lines] == [*range(FIRST, LAST + 1), HELPER]
    assert lines[-1].findings == (finding,)


@pytest.mark.parametrize("text", ["(\n" * 20, "x = {\n" * 20, "", ")\n" * 20, "  x\n y\n" * 9])
def test_sources_that_have_changed_since(text, tmp_path):
    path = tmp_path / "kernels.py"
    path.write_text(text)
    lines = make(("add.f32", 6), ("add.f32", 8), source=str(path)).lines()
    assert {6, 8} <= {line.number for line in lines}


def test_sources_that_cannot_be_read():
    report = make(("add.f32", 3), ("add.f32", 5), source="/nowhere/kernels.py")
    assert [(line.number, line.text) for line in report.lines()] == [(3, ""), (4, ""), (5, "")]
    nothing = make(("add.f32", None))
    assert [line.text for line in nothing.lines()] == ["(from no source line)"]
    assert nothing.html()


def test_a_kernel_without_instructions():
    report = Report("kernel", (1,), (32,), (9, 0), Counts(0), [], [])
    assert report.instructions == {"total": 0}
    assert str(report.lines()).endswith("(from no source line)")
    assert "0.0%" in str(report)


def test_the_summary(source):
    text = str(make(load(THREAD * 4000), store(THREAD * 4), ("add.f32", SINE), source=source))
    lines = text.splitlines()
    assert lines[0] == "kernel: grid 1, block 256, compute capability 7.5"
    assert "instructions       768: global load 256, global store 256, float32 256" in lines[1]
    assert lines[3].split(maxsplit=1)[1] == (
        "1,024 bytes in 256 sectors of 32 bytes where 32 could do, 8.0 times as many"
    )
    assert lines[4].endswith("1,024 bytes in 32 sectors of 32 bytes")
    assert lines[-2:-1] == ["findings"]
    assert repr(make(("bra", 1))) == (
        "<Report of kernel: grid 1, block 256, compute capability 7.5; findings: 0>"
    )


# Sums of reports


def test_reports_of_one_kernel_add(source):
    given = [Finding("same value", READ, "said.", source)]
    one = make(load(THREAD * 4000), source=source, given=given)
    two = make(load(THREAD * 4), source=source, given=given)
    both = one + two
    assert both.loaded_bytes == 2 * 4 * N
    assert both.load_sectors == N + N // 8
    assert both.instructions == {"global load": 2 * N, "total": 2 * N}
    assert both.title().endswith("capability 7.5, 2 launches")
    assert kinds(both) == [("same value", READ), ("uncoalesced", READ)]
    assert (both + one).launches == 3
    assert (one.loaded_bytes, two.load_sectors) == (4 * N, N // 8)


def test_reports_of_other_kernels_do_not_add():
    with pytest.raises(OptionError, match="differ in their opcodes: only launches of one compiled"):
        make(("add.f32", 1)) + make(("add.f64", 1))
    with pytest.raises(TypeError):
        make(("add.f32", 1)) + 1


# The page


class Reader(HTMLParser):
    """Checks that tags close in order, and collects text, attributes and identities."""

    EMPTY = ("meta",)

    def __init__(self, page):
        super().__init__()
        self.open, self.attributes, self.texts = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.attributes += attributes
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page(source):
    given = [Finding("given", None, "a < b & c")]
    report = make(load(THREAD * 4000), ("mul.f64", HELPER), source=source, given=given)
    page = report.html()
    read = Reader(page)
    text = "".join(read.texts)
    for line in report.lines():
        assert line.text in text
    for finding in report.findings:
        assert finding.text in text
    assert "256 sectors of 32 bytes where 32 could do, 8.0 times as many" in text
    assert 'class="found"' in page
    links = [value for name, value in read.attributes if name == "href"]
    marks = {value for name, value in read.attributes if name == "id"}
    assert len(links) == 2
    assert {link.removeprefix("#") for link in links} <= marks
    assert "<td" in page
    assert "&lt; &amp; &gt;" in page


def test_the_page_needs_no_other_file_and_reads_in_the_dark(source):
    page = make(load(THREAD * 4), source=source).html()
    assert not re.search(
        r"https?:|//|<script|<link|<img|src=|url\(|@import", page.replace(source, "")
    )
    assert "color-scheme: light dark" in page
    assert "prefers-color-scheme: dark" in page
    assert "<p>None.</p>" in page


def test_the_page_is_written_whole_or_not_at_all(source, tmp_path, monkeypatch):
    report = make(load(THREAD * 4), source=source)
    path = tmp_path / "page.html"
    report.write_html(str(path))
    assert path.read_text(encoding="utf-8") == report.html()
    path.write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(FileError, match=r"page\.html: cannot write the file: No space left"):
        report.write_html(path)
    assert path.read_text() == "old"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["kernels.py", "page.html"]
    with pytest.raises(FileError, match="No such file"):
        report.write_html(tmp_path / "missing" / "page.html")
