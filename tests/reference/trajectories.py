"""The training runs that gpugrad repeats: 100 float64 steps of a small MLP, in either library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.reference.library import Library

FILE = Path(__file__).with_name("trajectories.npz")
STEPS = 100
CHECKPOINTS = (1, 2, 10, STEPS)
BATCHES, BATCH, FEATURES, CLASSES = 10, 16, 6, 3


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        optimizer, options: the class by name, and its keyword arguments.
        head: options of a second parameter group, the last layer; None for one group.
        skip: how often a parameter has no gradient: {name: n} for every n-th step (0: never has).
        clip: called with the library and the parameters before each step.
        schedule: makes a scheduler from the `lr_scheduler` module and the optimizer.
    """

    name: str
    optimizer: str
    options: dict[str, Any]
    head: dict[str, Any] | None = None
    skip: dict[str, int] = field(default_factory=dict)
    clip: Callable[[Library, list[Any]], Any] | None = None
    schedule: Callable[[Any, Any], Any] | None = None

    def __str__(self) -> str:
        return self.name


SKIP = {"4.weight": 3, "1.bias": 2, "6.bias": 0}

OPTIMIZERS = [
    Run("sgd", "SGD", {"lr": 0.1}),
    Run("sgd defaults", "SGD", {}),
    Run("sgd momentum", "SGD", {"lr": 0.05, "momentum": 0.9}),
    Run("sgd dampening", "SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    Run("sgd nesterov", "SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    Run("sgd decay", "SGD", {"lr": 0.1, "weight_decay": 0.02}),
    Run("sgd momentum decay", "SGD", {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.02}),
    Run("sgd maximize", "SGD", {"lr": 0.005, "momentum": 0.5, "maximize": True}),
    Run("sgd groups", "SGD", {"lr": 0.05, "momentum": 0.9}, head={"lr": 0.2, "momentum": 0.0}),
    Run("sgd skip", "SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.02}, skip=SKIP),
    Run(
        "sgd skip dampening",
        "SGD",
        {"lr": 0.05, "momentum": 0.9, "dampening": 0.5},
        skip={**SKIP, "0.weight": 4},
    ),
    Run(
        "sgd clip norm",
        "SGD",
        {"lr": 0.2, "momentum": 0.5},
        clip=lambda library, ps: library.clip_grad_norm_(ps, 0.3),
    ),
    Run(
        "sgd clip norm inf",
        "SGD",
        {"lr": 0.2, "momentum": 0.5},
        clip=lambda library, ps: library.clip_grad_norm_(ps, 0.05, norm_type=float("inf")),
    ),
    Run(
        "sgd clip norm 1",
        "SGD",
        {"lr": 0.2},
        clip=lambda library, ps: library.clip_grad_norm_(ps, 2.0, norm_type=1.0),
    ),
    Run(
        "sgd clip value",
        "SGD",
        {"lr": 0.2},
        clip=lambda library, ps: library.clip_grad_value_(ps, 0.02),
    ),
    Run("adam", "Adam", {"lr": 0.01}),
    Run("adam defaults", "Adam", {}),
    Run("adam betas", "Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6}),
    Run("adam decay", "Adam", {"lr": 0.01, "weight_decay": 0.02}),
    Run("adam amsgrad", "Adam", {"lr": 0.01, "amsgrad": True, "betas": (0.9, 0.9)}),
    Run("adam maximize", "Adam", {"lr": 0.003, "maximize": True, "weight_decay": 0.1}),
    Run("adam groups", "Adam", {"lr": 0.003}, head={"lr": 0.02, "weight_decay": 0.1}),
    Run("adam skip", "Adam", {"lr": 0.01}, skip=SKIP),
    Run("adamw", "AdamW", {"lr": 0.01}),
    Run("adamw decay", "AdamW", {"lr": 0.01, "weight_decay": 0.3}),
    Run("adamw amsgrad", "AdamW", {"lr": 0.01, "amsgrad": True, "betas": (0.9, 0.9)}),
    Run("adamw maximize", "AdamW", {"lr": 0.003, "maximize": True, "weight_decay": 0.5}),
    Run("adamw skip", "AdamW", {"lr": 0.01, "weight_decay": 0.1}, skip=SKIP),
    Run("rmsprop", "RMSprop", {"lr": 0.005}),
    Run("rmsprop defaults", "RMSprop", {}),
    Run("rmsprop alpha", "RMSprop", {"lr": 0.005, "alpha": 0.9, "eps": 1e-5}),
    Run("rmsprop centered", "RMSprop", {"lr": 0.003, "centered": True}),
    Run("rmsprop momentum", "RMSprop", {"lr": 0.003, "momentum": 0.8}),
    Run(
        "rmsprop everything",
        "RMSprop",
        {"lr": 0.002, "momentum": 0.7, "centered": True, "weight_decay": 0.05},
    ),
    Run("rmsprop maximize", "RMSprop", {"lr": 0.002, "maximize": True, "weight_decay": 0.1}),
    Run("rmsprop skip", "RMSprop", {"lr": 0.003, "momentum": 0.5, "centered": True}, skip=SKIP),
    Run("adagrad", "Adagrad", {"lr": 0.1}),
    Run("adagrad defaults", "Adagrad", {}),
    Run("adagrad lr_decay", "Adagrad", {"lr": 0.1, "lr_decay": 0.05}),
    Run("adagrad decay", "Adagrad", {"lr": 0.1, "weight_decay": 0.05}),
    Run(
        "adagrad initial",
        "Adagrad",
        {"lr": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-6},
    ),
    Run("adagrad maximize", "Adagrad", {"lr": 0.02, "maximize": True, "weight_decay": 0.1}),
    Run("adagrad skip", "Adagrad", {"lr": 0.1, "lr_decay": 0.02}, skip=SKIP),
]

# lambda s, o: the module of schedulers, and the optimizer
SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda epoch: 1 / (1 + 0.1 * epoch)),
    "LambdaLR groups": lambda s, o: s.LambdaLR(
        o, [lambda epoch: 0.97**epoch, lambda epoch: 0.5 + 0.5 / (epoch + 1)]
    ),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda e: 0.9 if e % 3 else 1.1),
    "StepLR": lambda s, o: s.StepLR(o, 7, 0.7),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [30, 3, 9, 9], 0.3),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.25, 9),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.2, 0.8, 20),
    "LinearLR to 0": lambda s, o: s.LinearLR(o, 1.0, 0.0, 50),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.97),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 60, 2.0),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 13, 0.01),
    "CosineAnnealingLR to 0": lambda s, o: s.CosineAnnealingLR(o, 40),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 2, 0.001),
    "CosineAnnealingWarmRestarts equal": lambda s, o: s.CosineAnnealingWarmRestarts(o, 7),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 6, 9),
    "CyclicLR groups": lambda s, o: s.CyclicLR(o, [0.01, 0.02], [0.1, 0.05], 5),
    "CyclicLR triangular2": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 6, mode="triangular2"),
    "CyclicLR exp_range": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 6, mode="exp_range", gamma=0.97),
    "CyclicLR scale_fn": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 6, scale_fn=lambda x: 1 / x),
    "CyclicLR scale_fn iterations": lambda s, o: s.CyclicLR(
        o, 0.01, 0.1, 6, scale_fn=lambda x: 1 / (x + 1), scale_mode="iterations",
        cycle_momentum=False,
    ),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=STEPS + 1),
    "OneCycleLR linear": lambda s, o: s.OneCycleLR(
        o, [0.1, 0.05], total_steps=STEPS + 1, anneal_strategy="linear", pct_start=0.1,
        base_momentum=0.7, max_momentum=0.8,
    ),
    "OneCycleLR three phases": lambda s, o: s.OneCycleLR(
        o, 0.1, epochs=21, steps_per_epoch=5, three_phase=True, div_factor=5.0,
    ),
    "ReduceLROnPlateau": lambda s, o: s.ReduceLROnPlateau(
        o, factor=0.5, patience=1, cooldown=2, min_lr=[0.01, 0.001]
    ),
    "ReduceLROnPlateau abs": lambda s, o: s.ReduceLROnPlateau(
        o, "max", factor=0.8, patience=0, threshold=0.1, threshold_mode="abs"
    ),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler(
        [s.ConstantLR(o, 0.3, 20), s.ExponentialLR(o, 0.98), s.CosineAnnealingLR(o, 20, 0.001)]
    ),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, 1.0, 10), s.CosineAnnealingLR(o, 30), s.StepLR(o, 4, 0.8)], [10, 50]
    ),
    "SequentialLR restarts": lambda s, o: s.SequentialLR(
        o,
        [
            s.ExponentialLR(o, 0.9),
            s.CosineAnnealingWarmRestarts(o, 5),
            s.MultiplicativeLR(o, lambda epoch: 0.98),
        ],
        [10, 50],
    ),
}  # fmt: skip

SCHEDULED = [
    Run(
        f"schedule {name}",
        "SGD",
        {"lr": 0.08, "momentum": 0.85},
        head={"lr": 0.03},
        schedule=schedule,
    )
    for name, schedule in SCHEDULES.items()
] + [
    Run(f"schedule {name} adam", "Adam", {"lr": 0.01}, head={"lr": 0.005}, schedule=SCHEDULES[name])
    for name in ("CyclicLR", "OneCycleLR", "OneCycleLR three phases")
]

RUNS = OPTIMIZERS + SCHEDULED


def start() -> dict[str, np.ndarray]:
    """The weights and batches that every run starts from (recorded: generators may change)."""
    draw = np.random.Generator(np.random.Philox(2026))
    labels = draw.integers(CLASSES, size=(BATCHES, BATCH))
    centres = draw.normal(size=(CLASSES, FEATURES))
    return {
        "inputs": centres[labels] + draw.normal(size=(BATCHES, BATCH, FEATURES)),
        "labels": labels.astype(np.int64),
        "0.weight": draw.normal(size=(8, FEATURES)) / np.sqrt(FEATURES),
        "1.weight": 1.0 + 0.1 * draw.normal(size=8),
        "1.bias": 0.1 * draw.normal(size=8),
        "3.weight": draw.normal(size=(5, 8)) / np.sqrt(8),
        "4.weight": 1.0 + 0.1 * draw.normal(size=5),
        "4.bias": 0.1 * draw.normal(size=5),
        "6.weight": draw.normal(size=(CLASSES, 5)) / np.sqrt(5),
        "6.bias": 0.1 * draw.normal(size=CLASSES),
    }


def model(library: Library) -> Any:
    """Two hidden layers with BatchNorm; a Linear before one has no bias (its gradient is noise)."""
    nn = library.nn
    return nn.Sequential(
        nn.Linear(FEATURES, 8, bias=False),
        nn.BatchNorm1d(8),
        nn.Tanh(),
        nn.Linear(8, 5, bias=False),
        nn.BatchNorm1d(5),
        nn.ReLU(),
        nn.Linear(5, CLASSES),
    )


def train(library: Library, run: Run, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Train for STEPS steps.

    Returns: "state": (checkpoints, n) all parameters and running statistics; "loss": (STEPS,);
        "lr" and "momentum": (STEPS, groups), as each step used them.
    """
    net = library.double(model(library))
    library.load(net, values)
    named = dict(net.named_parameters())
    optimizer = _optimizer(library, run, named)
    schedule = run.schedule(library.optim.lr_scheduler, optimizer) if run.schedule else None
    loss_of = library.nn.CrossEntropyLoss()
    record: dict[str, list[Any]] = {"state": [], "loss": [], "lr": [], "momentum": []}
    for step in range(STEPS):
        inputs = library.tensor(values["inputs"][step % BATCHES])
        labels = library.tensor(values["labels"][step % BATCHES])
        loss = loss_of(net(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        for name, every in run.skip.items():
            if every == 0 or step % every == 0:
                named[name].grad = None
        if run.clip:
            run.clip(library, list(named.values()))
        groups = optimizer.param_groups
        record["lr"].append([group["lr"] for group in groups])
        record["momentum"].append([_momentum(group) for group in groups])
        optimizer.step()
        record["loss"].append(loss.item())
        if schedule is not None:
            by_metric = type(schedule).__name__ == "ReduceLROnPlateau"
            schedule.step(*[loss.item()] * by_metric)
        if step + 1 in CHECKPOINTS:
            record["state"].append(_flat(library, net))
    return {name: np.array(rows) for name, rows in record.items()}


def _optimizer(library: Library, run: Run, named: dict[str, Any]) -> Any:
    make = getattr(library.optim, run.optimizer)
    if run.head is None:
        return make(list(named.values()), **run.options)
    body = [tensor for name, tensor in named.items() if not name.startswith("6.")]
    head = [tensor for name, tensor in named.items() if name.startswith("6.")]
    return make([{"params": body}, {"params": head, **run.head}], **run.options)


def _momentum(group: dict[str, Any]) -> float:
    return float(group["betas"][0] if "betas" in group else group.get("momentum", 0.0))


def names_and_shapes() -> list[tuple[str, tuple[int, ...]]]:
    """What a row of "state" holds, in order."""
    shapes = {name: array.shape for name, array in start().items() if "." in name}
    for layer, width in (("1", 8), ("4", 5)):
        shapes[f"{layer}.running_mean"] = shapes[f"{layer}.running_var"] = (width,)
    return sorted(shapes.items())


def _flat(library: Library, net: Any) -> np.ndarray:
    state = net.state_dict()
    return np.concatenate([library.numpy(state[name]).ravel() for name, _ in names_and_shapes()])
