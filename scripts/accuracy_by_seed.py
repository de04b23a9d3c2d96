"""Held-out accuracy of `gpugrad train` by seed: python scripts/accuracy_by_seed.py --help."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from gpugrad.train.experiment import start
from gpugrad.train.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits", choices=["digits", "moons", "mnist"])
    parser.add_argument("--root", help="the folder of MNIST's files")
    parser.add_argument("--seeds", type=int, default=20, help="how many, from 0")
    options = parser.parse_args()
    print("seed   held-out accuracy   validation accuracy   seconds")
    held_out, validation = [], []
    for seed in range(options.seeds):
        settings = Settings.of(data=options.data, root=options.root, seed=seed)
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            outcome = start(settings, Path(folder) / "run", progress=False, say=lambda line: None)
        result = outcome.result
        held_out.append(100 * result["accuracy"])
        validation.append(100 * outcome.history.records[-1]["val_accuracy"])
        print(
            f"{seed:4}   {held_out[-1]:.2f} % ({result['right']} of {result['of']})   "
            f"{validation[-1]:.2f} %   {time.perf_counter() - begun:.1f}",
            flush=True,
        )
    print(f"held out: mean {statistics.mean(held_out):.2f} %, least {min(held_out):.2f} %")
    print(f"validation: mean {statistics.mean(validation):.2f} %")


if __name__ == "__main__":
    main()
