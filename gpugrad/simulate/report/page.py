"""A report as a page for the browser: one file that needs no other."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from gpugrad.errors import FileError

if TYPE_CHECKING:
    from gpugrad.simulate.report.findings import Finding
    from gpugrad.simulate.report.lines import Line, Lines
    from gpugrad.simulate.report.report import Report

STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --dim: #5f6670; --ground: #fff; --rule: #d9dde3;
  --bar: #bcd7f5; --note: #fff3cd; --edge: #b7791f; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e6ea; --dim: #9aa3ae; --ground: #16181c;
  --rule: #353a42; --bar: #234a75; --note: #3b3216; --edge: #e0a93b; } }
body { margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: var(--text);
  background: var(--ground); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
a { color: inherit; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .1rem .6rem; text-align: left; font-weight: normal; }
thead th { color: var(--dim); border-bottom: 1px solid var(--rule); white-space: nowrap; }
.number { text-align: right; white-space: nowrap; }
td.number { background: linear-gradient(to left, var(--bar) var(--share, 0%), transparent 0); }
.source { overflow-x: auto; font-size: .85rem; }
.source td { font-family: ui-monospace, monospace; }
.source td.text { white-space: pre; }
.source tr.found { background: var(--note); }
.source tr.found td.text { border-left: 3px solid var(--edge); }
.source tr:target { outline: 2px solid var(--edge); }
.findings li { margin: .4rem 0; }
""".strip()


def page(report: Report) -> str:
    """The page of a report, as HTML."""
    lines = report.lines()
    summary = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>\n'
        for name, text in report.summary()
        if name != "instructions"
    )
    found = _findings(report.findings, lines)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(report.kernel)}: profile</title>
<style>
{STYLE}
</style>
</head>
<body>
<h1>{escape(report.title())}</h1>
<table>
{summary}</table>
<h2>Findings</h2>
{found}
<h2>Source</h2>
<p>Bars show each line's share of its column. Figures are counts, not times.</p>
{_source(lines)}
<h2>Instructions</h2>
{_instructions(report.instructions)}
</body>
</html>
"""


def write(path: str | Path, text: str) -> None:
    """Write a file aside and rename it, so that `path` holds a whole file, the old or the new one.

    Raises:
        FileError: the file cannot be written.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise FileError(
            f"{path}: cannot write the file: {error.strerror or error}\n"
            "  help: the folder must exist and be writable"
        ) from None


def _findings(findings: list[Finding], lines: Lines) -> str:
    if not findings:
        return "<p>None.</p>"
    rows = {found: number for number, line in enumerate(lines) for found in line.findings}
    items = []
    for found in findings:
        place = f"line {found.line}" if found.line else "no source line"
        if found in rows:
            place = f'<a href="#row{rows[found]}">{place}</a>'
        items.append(f"<li>{place}: <b>{escape(found.kind)}</b>: {escape(found.text)}</li>\n")
    return f'<ul class="findings">\n{"".join(items)}</ul>'


def _source(lines: Lines) -> str:
    columns = lines.columns()
    headings = "".join(
        f'<th scope="col" class="number" title="{escape(meaning)}">{escape(heading)}</th>'
        for heading, _, meaning in columns
    )
    names = [name for _, name, _ in columns]
    totals = {name: sum(getattr(line.figures, name) for line in lines) for name in names}
    rows, file = [], lines[0].file
    for number, line in enumerate(lines):
        if line.file != file:
            file = line.file
            rows.append(f'<tr><th colspan="{len(names) + 2}">in {escape(file)}</th></tr>\n')
        rows.append(_row(number, line, totals))
    return (
        f'<div class="source"><table>\n<caption>{escape(lines[0].file)}</caption>\n'
        f'<thead><tr><th scope="col" class="number">line</th>{headings}'
        f'<th scope="col">source</th></tr></thead>\n<tbody>\n{"".join(rows)}</tbody></table></div>'
    )


def _row(number: int, line: Line, totals: dict[str, int]) -> str:
    cells = "".join(_cell(getattr(line.figures, name), total) for name, total in totals.items())
    notes = "\n".join(f"{found.kind}: {found.text}" for found in line.findings)
    found = f' class="found" title="{escape(notes)}"' if notes else ""
    return (
        f'<tr id="row{number}"{found}><th scope="row" class="number">{line.number or ""}</th>'
        f'{cells}<td class="text">{escape(line.text)}</td></tr>\n'
    )


def _cell(value: int, total: int) -> str:
    if not value:
        return '<td class="number"></td>'
    return f'<td class="number" style="--share: {value / total:.1%}">{value:,}</td>'


def _instructions(instructions: dict[str, int]) -> str:
    total = instructions["total"]
    rows = "".join(
        f'<tr><th scope="row">{escape(kind)}</th>{_cell(count, total)}</tr>\n'
        for kind, count in instructions.items()
    )
    return f"<table>\n{rows}</table>"
