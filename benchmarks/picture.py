"""The training steps as a bar chart: each library's time over gpugrad's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Write the chart to `path`; needs matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    steps = results["steps"]
    names = [n for n in next(iter(steps.values()))["microseconds"]]
    figure, axes = plt.subplots(figsize=(10, 4.5), layout="constrained")
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        places = [x + (i - (len(names) - 1) / 2) * width for x in range(len(steps))]
        values = [row["microseconds"][name]["median"] for row in steps.values()]
        bars = axes.bar(places, values, width, label=name)
        ratios = [row["ratios"].get(name) for row in steps.values()]
        labels = [f"{ratio:.1f}" if ratio is not None else "" for ratio in ratios]
        axes.bar_label(bars, labels, fontsize=7, padding=1)
    axes.set_yscale("log")
    axes.set_ylabel("microseconds a training step")
    axes.set_xticks(range(len(steps)), [case.replace("@", "\nbatch ") for case in steps])
    axes.set_title("One training step; above each bar, its time over gpugrad's", fontsize=11)
    machine = results["machine"]
    axes.set_xlabel(f"{machine['processor']}, {machine['cores']} cores, {machine['date'][:10]}")
    axes.legend(ncols=len(names), fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
