"""How the defaults of `gpugrad train` were chosen: by validation accuracy, seeds from 100 up.

python scripts/choose_defaults.py [--data digits|moons|mnist] [--root FOLDER] [--seeds 8]

Each row is a change of the present defaults. Held-out data is split off and never looked at; a
fifth of the rest is validation here, so that a difference of a fraction of a percent can be seen.
"""

from __future__ import annotations

import argparse
import statistics
import time

from gpugrad.data.labelled import Dataset
from gpugrad.random import Generator
from gpugrad.train import ShiftImages, fit
from gpugrad.train.build import (
    HELD_OUT,
    as_tensors,
    build_model,
    build_optimizer,
    build_schedule,
    load_whole,
)
from gpugrad.train.settings import Settings

VALIDATION = 0.2
CHANGES: list[dict[str, object]] = [
    {},
    {"epochs": 40},
    {"epochs": 160},
    {"dropout": 0.0},
    {"dropout": 0.2},
    {"dropout": 0.4},
    {"lr": 1.5e-3},
    {"lr": 6e-3},
    {"hidden": (128, 64)},
    {"hidden": (256, 128)},
    {"schedule": "cosine"},
    {"augment": False},
]


def validation_accuracy(settings: Settings, whole: Dataset, seed: int) -> float:
    """Of one training, after its last epoch."""
    rest = whole if whole.test is not None else whole.split(HELD_OUT, seed=seed)[0]
    train, validation = rest.split(VALIDATION, seed=seed)
    generator = Generator(seed)
    model = build_model(settings, train.inputs, train.outputs, generator)
    optimizer = build_optimizer(settings, model.parameters())
    batches = -(-len(train) // settings.batch_size)
    scheduler, every = build_schedule(settings, optimizer, batches)
    shape = train.image_shape
    history = fit(
        model,
        as_tensors(train, settings.dtype),
        optimizer=optimizer,
        scheduler=scheduler,
        scheduler_every=every,
        validation=as_tensors(validation, settings.dtype),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        augment=ShiftImages(shape) if settings.augment and shape else None,
        generator=generator,
        progress=False,
    )
    return 100 * history.records[-1]["val_accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits", choices=["digits", "moons", "mnist"])
    parser.add_argument("--root", help="the folder of MNIST's files")
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    for change in CHANGES:
        if options.data == "moons" and "augment" in change:
            continue
        settings = Settings.of(data=options.data, root=options.root, **change)
        whole = load_whole(settings)
        begun = time.perf_counter()
        found = [
            validation_accuracy(settings, whole, seed) for seed in range(100, 100 + options.seeds)
        ]
        seconds = (time.perf_counter() - begun) / options.seeds
        print(
            f"mean {statistics.mean(found):.2f} %  least {min(found):.2f} %  "
            f"{seconds:.1f} s each  {change or 'the defaults'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
