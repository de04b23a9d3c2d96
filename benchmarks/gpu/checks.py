"""Section `checks`: what must hold on a device, each found by trying it.

memory     after 1,000 steps no more is in use than before
streams    two models train on two streams in turns, and each as it does alone
exhausted  an array too large for the device raises OutOfDeviceMemory, and the next product is right
bits       the same seed gives the same bits, of a training with dropout and of every kernel
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpugrad as gg
from benchmarks.gpu import kernel_cases
from gpugrad.nn import functional as F

SIZES, BATCH = (64, 32, 10), 32
WARM_UP = 10  # steps, after which the optimizer has its state and all the tables that it keeps
STREAMED = 1e-5  # relative: cuBLAS promises its bits to one stream only


@dataclass(frozen=True)
class Check:
    """What was tried, whether it held, and what was seen."""

    name: str
    held: bool
    seen: str


class Training:
    """A small model with dropout and its batch, from a seed."""

    def __init__(self, seed: int = 0) -> None:
        gg.manual_seed(seed)
        host = np.random.default_rng(seed)
        with gg.default_device("cuda"):
            self.model = gg.nn.MLP(list(SIZES), activation="relu", dropout=0.1)
            self.x = gg.tensor(host.standard_normal((BATCH, SIZES[0]), dtype=np.float32))
            self.labels = gg.tensor(host.integers(0, SIZES[-1], BATCH))
        self.optimizer = gg.optim.Adam(self.model.parameters(), lr=1e-3)

    def step(self) -> None:
        self.optimizer.zero_grad()
        F.cross_entropy(self.model(self.x), self.labels).backward()
        self.optimizer.step()

    def parameters(self) -> list[np.ndarray[Any, Any]]:
        """Copies on the host, which waits for them."""
        return [parameter.detach().numpy() for parameter in self.model.parameters()]


def memory_is_returned(steps: int) -> Check:
    training = Training()
    for _ in range(WARM_UP):
        training.step()
    gc.collect()
    before = gg.cuda.memory_allocated()
    for _ in range(steps):
        training.step()
    gc.collect()
    after = gg.cuda.memory_allocated()
    seen = f"{before:,} bytes in use before, {after:,} after"
    return Check(f"memory returned after {steps:,} steps", after <= before, seen)


def streams_do_not_disturb_each_other(steps: int) -> Check:
    alone = []
    for seed in (1, 2):
        training = Training(seed)
        gg.manual_seed(seed)
        for _ in range(steps):
            training.step()
        alone.append(training.parameters())
    trainings = [Training(seed) for seed in (1, 2)]
    states = []
    for seed in (1, 2):
        gg.manual_seed(seed)
        states.append(gg.random.default_generator().state_dict())
    gg.cuda.synchronize()
    streams = [gg.cuda.Stream(non_blocking=True) for _ in trainings]
    for _ in range(steps):
        for number, (stream, training) in enumerate(zip(streams, trainings, strict=True)):
            gg.random.default_generator().load_state_dict(states[number])
            with stream:
                training.step()
            states[number] = gg.random.default_generator().state_dict()
    gg.cuda.synchronize()
    pairs = [
        (a, b)
        for own, training in zip(alone, trainings, strict=True)
        for a, b in zip(own, training.parameters(), strict=True)
    ]
    furthest = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs)
    seen = f"parameters differ by {furthest:.1e} of the largest after {steps} steps"
    return Check("two streams", furthest <= STREAMED, seen)


def exhausted_memory_is_recovered() -> Check:
    name = "out of memory and recovered"
    side = math.isqrt(gg.device("cuda").properties.total_bytes // 2) + 1  # twice what there is
    try:
        gg.zeros((side, 1), device="cuda") + gg.zeros((1, side), device="cuda")
    except gg.errors.OutOfDeviceMemory as error:
        seen = str(error).splitlines()[0]
    else:
        return Check(name, False, f"({side}, {side}) float32 was given")
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    product = (gg.tensor(a, device="cuda") @ gg.tensor(a.T, device="cuda")).numpy()
    return Check(name, bool((product == a @ a.T).all()), seen)


def training_repeats(steps: int) -> Check:
    ends = []
    for _ in range(2):
        training = Training(3)
        for _ in range(steps):
            training.step()
        ends.append([p.tobytes() for p in training.parameters()])
    return Check("bits repeated, training", ends[0] == ends[1], f"after {steps} steps, twice")


def kernels_repeat(elements: int) -> Check:
    from gpugrad.cuda.backend import backend

    gpu = backend()
    differing = []
    for case in kernel_cases.CASES:
        results = []
        for _ in range(2):
            device = kernel_cases.Device(gpu.module, gpu.put, np.random.default_rng(0))
            result = case.make(device, elements // kernel_cases.COLUMNS)()
            results.append([gpu.get(array).tobytes() for array in _arrays(result)])
        if results[0] != results[1]:
            differing.append(case.name)
    seen = ", ".join(differing) or f"{len(kernel_cases.CASES)} kernels, {elements:,} elements"
    return Check("bits repeated, kernels", not differing, seen)


def _arrays(result: Any) -> list[Any]:
    """The arrays of what a wrapper returned; an optimizer returns none."""
    if isinstance(result, (tuple, list)):
        return [array for item in result for array in _arrays(item)]
    return [] if result is None else [result]


def measure(small: bool) -> list[Check]:
    """Try each; one that raises has not held."""
    steps, elements = (5, 1 << 12) if small else (1000, 1 << 20)
    tried: dict[str, Callable[[], Check]] = {
        "memory": lambda: memory_is_returned(steps),
        "streams": lambda: streams_do_not_disturb_each_other(min(steps, 100)),
        "bits, training": lambda: training_repeats(min(steps, 100)),
        "bits, kernels": lambda: kernels_repeat(elements),
    }
    found = [_tried(name, check) for name, check in tried.items()]
    with _little_memory() if small else nullcontext():
        return [*found, _tried("out of memory", exhausted_memory_is_recovered)]


@contextmanager
def _little_memory() -> Iterator[None]:
    """A simulated device with a MiB to spare: what is too much for it, the host must have."""
    from gpugrad.cuda.simulated.memory import POOL

    before, POOL.total = POOL.total, POOL.used + (1 << 20)
    try:
        yield
    finally:
        POOL.total = before


def _tried(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:
        return Check(name, False, f"{type(error).__name__}: {error}")
