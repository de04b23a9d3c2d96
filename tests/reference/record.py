"""Records what PyTorch computes, for the tests that compare gpugrad with it without PyTorch.

    python -m tests.reference.record

writes `trajectories.npz` and `layers.npz` here: NumPy's format, no pickles.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from tests.reference import layers, trajectories
from tests.reference.library import Library, pytorch


def record_trajectories(library: Library) -> dict[str, np.ndarray]:
    """Every run, and a check that each is stable: a nudge of 1e-13 must not grow past 1e-10."""
    values = trajectories.start()
    weights = [name for name in values if "." in name]
    nudged = {**values, **{name: values[name] * (1 + 1e-13) for name in weights}}
    arrays = {f"start/{name}": array for name, array in values.items()}
    for run in trajectories.RUNS:
        result = trajectories.train(library, run, values)
        other = trajectories.train(library, run, nudged)
        growth = np.abs(other["state"] - result["state"]).max()
        if not growth < 1e-10:
            raise SystemExit(f"{run}: a nudge of 1e-13 grows to {growth:.1e}: choose a smaller lr")
        kept = ("state", "loss", "lr", "momentum") if run.schedule else ("state", "loss")
        arrays.update({f"{run}/{name}": result[name] for name in kept})
    return arrays


def main() -> None:
    """Write the files and print their sizes."""
    warnings.simplefilter("ignore")
    library = pytorch()
    for path, arrays in (
        (trajectories.FILE, record_trajectories(library)),
        (layers.FILE, layers.record(library)),
    ):
        np.savez_compressed(path, allow_pickle=False, **arrays)
        print(f"{path.name}: {len(arrays)} arrays, {Path(path).stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
