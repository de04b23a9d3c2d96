"""Pictures of a run: learning curves, confusion matrix, misread images, predicted against true.

Drawn straight to PNG files, without pyplot and its global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpugrad.errors import FileError, OptionError

MISREAD_SHOWN = 40
NAMED_CLASSES = 30  # more than these, and the cells of a confusion matrix hold no numbers


def require_matplotlib() -> None:
    """Raise unless pictures can be drawn.

    Raises:
        OptionError: naming the command that installs Matplotlib.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        from gpugrad._address import install_command

        raise OptionError(
            f"pictures need the package matplotlib\n  help: {install_command('train')}"
        ) from None


def learning_curves(records: Sequence[Mapping[str, float]], path: Path) -> None:
    """Loss by epoch, training and validation, and beside it the metrics that are shares."""
    names = [name for name in records[-1] if name.endswith(("accuracy", "r2"))] if records else []
    figure = _figure(10 if names else 5.5, 4)
    axes = figure.subplots(1, 2 if names else 1, squeeze=False)[0]
    epochs = [record["epoch"] for record in records]
    for name, label in (("loss", "training"), ("val_loss", "validation")):
        if records and name in records[-1]:
            axes[0].plot(epochs, [record[name] for record in records], label=label)
    axes[0].set(xlabel="epoch", ylabel="loss", yscale="log")
    if records:
        axes[0].legend()
    for name in names:
        label = "validation" if name.startswith("val_") else "training"
        axes[1].plot(epochs, [record[name] for record in records], label=label)
        axes[1].set(xlabel="epoch", ylabel=name.removeprefix("val_"))
        axes[1].legend()
    _write(figure, path)


def confusion_matrix(
    truth: NDArray[Any], predicted: NDArray[Any], classes: Sequence[str], path: Path
) -> None:
    """How many examples of each class (row) were taken for which (column)."""
    count = len(classes)
    matrix = np.zeros((count, count), np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    side = float(np.clip(0.55 * count, 3.5, 14))
    figure = _figure(side + 1, side)
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="taken for", ylabel="is")
    if count <= NAMED_CLASSES:
        axes.set_xticks(range(count), [_short(name) for name in classes], rotation=90)
        axes.set_yticks(range(count), [_short(name) for name in classes])
        for row, column in np.argwhere(matrix):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour)
    _write(figure, path)


def misread_images(
    images: NDArray[Any],
    truth: NDArray[Any],
    predicted: NDArray[Any],
    classes: Sequence[str],
    shape: tuple[int, int],
    path: Path,
) -> None:
    """The images that were taken for something else, with what for; the first 40 of them.

    Args:
        images: (n, height * width), of all examples; dark is 0.
        truth, predicted: (n,) class numbers.
    """
    wrong = np.flatnonzero(truth != predicted)
    shown = wrong[:MISREAD_SHOWN]
    columns = min(max(len(shown), 1), 8)
    rows = max(-(-len(shown) // columns), 1)
    figure = _figure(max(1.3 * columns, 4), 1.6 * rows + 0.6)
    title = f"{len(wrong)} of {len(truth)} misread"
    if len(shown) < len(wrong):
        title += f", the first {len(shown)}"
    figure.suptitle(title)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, index in zip(grid.flat, shown, strict=False):
        axes.imshow(images[index].reshape(shape), cmap="gray_r")
        right, taken = classes[truth[index]], classes[predicted[index]]
        axes.set_title(f"{_short(right)} as {_short(taken)}", fontsize=9)
    _write(figure, path)


def predicted_against_true(truth: NDArray[Any], predicted: NDArray[Any], path: Path) -> None:
    """A point for each example of a regression, and the line on which it should be."""
    figure = _figure(5, 5)
    axes = figure.subplots()
    low, high = float(min(truth.min(), predicted.min())), float(max(truth.max(), predicted.max()))
    axes.plot([low, high], [low, high], color="gray", linewidth=1)
    axes.scatter(truth, predicted, s=12, alpha=0.6)
    axes.set(xlabel="true", ylabel="predicted")
    _write(figure, path)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _write(figure: Any, path: Path) -> None:
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise FileError(f"{path}: cannot write the picture: {error.strerror or error}") from None


def _short(name: str) -> str:
    return name if len(name) <= 12 else f"{name[:11]}…"
