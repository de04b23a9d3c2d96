"""One table of layers, losses, functions and initialisers whose numbers PyTorch defines.

Each case is built from PyTorch's names, runs in either library, and gives its output, the
gradients of a weighted sum of it, and the buffers afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.reference.library import Library

FILE = Path(__file__).with_name("layers.npz")
Draw = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Case:
    """One computation.

    Attributes:
        make: from a library, a module or a function.
        inputs: what it is called with; floats require a gradient.
        targets: further arguments, which require none.
        train: the mode of a module.
        calls: how often it is called, with the inputs times 1, 2, ...; the last call counts.
    """

    name: str
    make: Callable[[Library], Any]
    inputs: tuple[Draw, ...]
    targets: tuple[Draw, ...] = ()
    train: bool = True
    calls: int = 1

    def __str__(self) -> str:
        return self.name


def real(*shape: int) -> Draw:
    """Normal numbers, none so small that a kink at 0 is near."""
    return lambda draw: (lambda x: x + 0.05 * np.sign(x))(draw.normal(size=shape))


def classes(count: int, *shape: int, ignored: int | None = None) -> Draw:
    """Labels below `count`; the first one is `ignored`, if given."""

    def labels(draw: np.random.Generator) -> np.ndarray:
        array = draw.integers(count, size=shape).astype(np.int64)
        if ignored is not None:
            array.reshape(-1)[0] = ignored
        return array

    return labels


def shares(*shape: int) -> Draw:
    """Probabilities along axis 1."""

    def probabilities(draw: np.random.Generator) -> np.ndarray:
        array = draw.random(shape)
        return array / array.sum(axis=1, keepdims=True)

    return probabilities


def bits(*shape: int) -> Draw:
    """Zeros and ones, as floats."""
    return lambda draw: draw.integers(2, size=shape).astype(np.float64)


def _weight(library: Library, *values: float) -> Any:
    return library.tensor(np.array(values))


def _log_softmax(library: Library, loss: Any) -> Callable[..., Any]:
    return lambda x, y: loss(library.functional.log_softmax(x, 1), y)


X = (real(4, 3),)
LAYERS = [
    Case("Linear", lambda lib: lib.nn.Linear(3, 5), X),
    Case("Linear without bias", lambda lib: lib.nn.Linear(3, 5, bias=False), X),
    Case("Linear vector", lambda lib: lib.nn.Linear(3, 5), (real(3),)),
    Case("Linear 3-d", lambda lib: lib.nn.Linear(3, 5), (real(2, 4, 3),)),
    Case("ReLU", lambda lib: lib.nn.ReLU(), X),
    Case("LeakyReLU", lambda lib: lib.nn.LeakyReLU(), X),
    Case("LeakyReLU 0.2", lambda lib: lib.nn.LeakyReLU(0.2), X),
    Case("Tanh", lambda lib: lib.nn.Tanh(), X),
    Case("Sigmoid", lambda lib: lib.nn.Sigmoid(), X),
    Case("GELU", lambda lib: lib.nn.GELU(), X),
    Case("GELU tanh", lambda lib: lib.nn.GELU(approximate="tanh"), X),
    Case("SiLU", lambda lib: lib.nn.SiLU(), X),
    Case("ELU", lambda lib: lib.nn.ELU(), X),
    Case("ELU 1.3", lambda lib: lib.nn.ELU(1.3), X),
    Case("Softplus", lambda lib: lib.nn.Softplus(), X),
    Case("Softplus threshold", lambda lib: lib.nn.Softplus(beta=2.0, threshold=1.0), (real(9, 3),)),
    Case("Softmax", lambda lib: lib.nn.Softmax(dim=-1), X),
    Case("Softmax dim 1 of 3", lambda lib: lib.nn.Softmax(dim=1), (real(2, 3, 4),)),
    Case("LogSoftmax", lambda lib: lib.nn.LogSoftmax(dim=1), X),
    Case("Dropout 0", lambda lib: lib.nn.Dropout(0.0), X),
    Case("Dropout 1", lambda lib: lib.nn.Dropout(1.0), X),
    Case("Dropout eval", lambda lib: lib.nn.Dropout(0.7), X, train=False),
    Case("Flatten", lambda lib: lib.nn.Flatten(), (real(2, 3, 4),)),
    Case("Flatten part", lambda lib: lib.nn.Flatten(0, 1), (real(2, 3, 4),)),
    Case("Identity", lambda lib: lib.nn.Identity(), X),
    Case("LayerNorm", lambda lib: lib.nn.LayerNorm(3), X),
    Case("LayerNorm two axes", lambda lib: lib.nn.LayerNorm((3, 4), eps=1e-3), (real(2, 3, 4),)),
    Case("LayerNorm plain", lambda lib: lib.nn.LayerNorm(3, elementwise_affine=False), X),
    Case("LayerNorm no bias", lambda lib: lib.nn.LayerNorm(3, bias=False), X),
    Case("BatchNorm1d", lambda lib: lib.nn.BatchNorm1d(3), X),
    Case(
        "BatchNorm1d twice", lambda lib: lib.nn.BatchNorm1d(3, momentum=0.3, eps=1e-3), X, calls=2
    ),
    Case("BatchNorm1d average", lambda lib: lib.nn.BatchNorm1d(3, momentum=None), X, calls=3),
    Case("BatchNorm1d 3-d", lambda lib: lib.nn.BatchNorm1d(3), (real(4, 3, 5),)),
    Case("BatchNorm1d eval", lambda lib: lib.nn.BatchNorm1d(3), X, train=False),
    Case("BatchNorm1d 3-d eval", lambda lib: lib.nn.BatchNorm1d(3), (real(4, 3, 5),), train=False),
    Case("BatchNorm1d plain", lambda lib: lib.nn.BatchNorm1d(3, affine=False), X),
    Case("BatchNorm1d stateless", lambda lib: lib.nn.BatchNorm1d(3, track_running_stats=False), X),
    Case("Embedding", lambda lib: lib.nn.Embedding(7, 3), (classes(7, 4, 2),)),
    Case(
        "Embedding padding", lambda lib: lib.nn.Embedding(7, 3, padding_idx=2), (classes(7, 9, 2),)
    ),
    Case(
        "Sequential",
        lambda lib: lib.nn.Sequential(
            lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.GELU(), lib.nn.Linear(4, 2)
        ),
        X,
    ),
]

REDUCTIONS = ("mean", "sum", "none")
LOSSES = [
    *(
        Case(
            f"{name} {how}",
            lambda lib, n=name, h=how: getattr(lib.nn, n)(reduction=h),
            (real(4, 3), real(4, 3)),
        )
        for name in ("MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss")
        for how in REDUCTIONS
    ),
    Case("SmoothL1Loss beta", lambda lib: lib.nn.SmoothL1Loss(beta=0.3), (real(4, 3), real(4, 3))),
    Case("HuberLoss delta", lambda lib: lib.nn.HuberLoss(delta=0.3), (real(4, 3), real(4, 3))),
    *(
        Case(
            f"CrossEntropyLoss {how}{' weight' * weighted}"
            f"{'' if ignored is None else f' ignore {ignored}'}{' smooth' * bool(smooth)}",
            lambda lib, h=how, w=weighted, i=ignored, s=smooth: lib.nn.CrossEntropyLoss(
                weight=_weight(lib, 0.5, 2.0, 1.5) if w else None,
                ignore_index=-100 if i is None else i,
                reduction=h,
                label_smoothing=s,
            ),
            (real(6, 3),),
            (classes(3, 6, ignored=ignored),),
        )
        for how in REDUCTIONS
        for weighted in (False, True)
        for ignored in (None, -100, 1)
        for smooth in (0.0, 0.2)
    ),
    *(
        Case(
            f"CrossEntropyLoss shares {how}{' weight' * weighted}{' smooth' * bool(smooth)}",
            lambda lib, h=how, w=weighted, s=smooth: lib.nn.CrossEntropyLoss(
                weight=_weight(lib, 0.5, 2.0, 1.5) if w else None, reduction=h, label_smoothing=s
            ),
            (real(6, 3),),
            (shares(6, 3),),
        )
        for how in REDUCTIONS
        for weighted in (False, True)
        for smooth in (0.0, 0.2)
    ),
    *(
        Case(
            f"NLLLoss {how}{' weight' * weighted}",
            lambda lib, h=how, w=weighted: _log_softmax(
                lib,
                lib.nn.NLLLoss(
                    weight=_weight(lib, 0.5, 2.0, 1.5) if w else None, ignore_index=1, reduction=h
                ),
            ),
            (real(6, 3),),
            (classes(3, 6, ignored=1),),
        )
        for how in REDUCTIONS
        for weighted in (False, True)
    ),
    *(
        Case(
            f"BCEWithLogitsLoss {how}{' weight' * weighted}",
            lambda lib, h=how, w=weighted: lib.nn.BCEWithLogitsLoss(
                weight=_weight(lib, 0.5, 2.0, 1.5) if w else None,
                pos_weight=_weight(lib, 3.0, 0.2, 1.0) if w else None,
                reduction=h,
            ),
            (real(6, 3),),
            (bits(6, 3),),
        )
        for how in REDUCTIONS
        for weighted in (False, True)
    ),
    *(
        Case(
            f"MultiMarginLoss {how} {p}{' weight' * weighted}",
            lambda lib, h=how, p=p, w=weighted: lib.nn.MultiMarginLoss(
                p=p, margin=0.8, weight=_weight(lib, 0.5, 2.0, 1.5) if w else None, reduction=h
            ),
            (real(6, 3),),
            (classes(3, 6),),
        )
        for how in REDUCTIONS
        for p in (1, 2)
        for weighted in (False, True)
    ),
]


def _functional(name: str, *arguments: Any, **options: Any) -> Callable[[Library], Any]:
    return lambda lib: lambda *xs: getattr(lib.functional, name)(*xs, *arguments, **options)


FUNCTIONS = [
    *(
        Case(f"F.{name}", _functional(name), X)
        for name in ("relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "softplus")
    ),
    Case("F.leaky_relu 0.3", _functional("leaky_relu", 0.3), X),
    Case("F.gelu tanh", _functional("gelu", approximate="tanh"), X),
    Case("F.softplus 3", _functional("softplus", beta=3.0), X),
    Case("F.elu 0.5", _functional("elu", alpha=0.5), X),
    Case("F.softmax", _functional("softmax", dim=0), X),
    Case("F.log_softmax", _functional("log_softmax", dim=1), X),
    Case("F.linear", _functional("linear"), (real(4, 3), real(5, 3), real(5))),
    Case("F.linear without bias", _functional("linear"), (real(4, 3), real(5, 3))),
    Case("F.batch_norm", _functional("batch_norm", None, None, training=True, eps=1e-3), X),
    Case("F.dropout", _functional("dropout", 0.0), X),
    Case("F.logsigmoid", _functional("logsigmoid"), X),
    Case("F.layer_norm", _functional("layer_norm", (3,)), X),
    Case("F.embedding", _functional("embedding"), (classes(7, 4), real(7, 3))),
    Case("F.mse_loss", _functional("mse_loss"), (real(4, 3), real(4, 3))),
    Case("F.l1_loss", _functional("l1_loss", reduction="sum"), (real(4, 3), real(4, 3))),
    Case("F.smooth_l1_loss", _functional("smooth_l1_loss"), (real(4, 3), real(4, 3))),
    Case("F.multi_margin_loss", _functional("multi_margin_loss"), X, (classes(3, 4),)),
    Case("F.huber_loss", _functional("huber_loss", delta=0.5), (real(4, 3), real(4, 3))),
    Case(
        "F.cross_entropy",
        _functional("cross_entropy", label_smoothing=0.1),
        X,
        (classes(3, 4),),
    ),
    Case(
        "F.nll_loss",
        lambda lib: _log_softmax(lib, lib.functional.nll_loss),
        X,
        (classes(3, 4),),
    ),
    Case(
        "F.binary_cross_entropy_with_logits",
        _functional("binary_cross_entropy_with_logits"),
        X,
        (bits(4, 3),),
    ),
]

CASES = LAYERS + LOSSES + FUNCTIONS
assert len({case.name for case in CASES}) == len(CASES), "a name is taken twice"

# Called with an (n, m) tensor that they fill: spread and largest element are compared.
INITIALISERS: dict[str, Callable[[Any, Any], Any]] = {
    "uniform_": lambda init, t: init.uniform_(t, -0.3, 0.5),
    "normal_": lambda init, t: init.normal_(t, 0.2, 0.5),
    "trunc_normal_": lambda init, t: init.trunc_normal_(t, std=0.5, a=-1.0, b=0.7),
    "xavier_uniform_": lambda init, t: init.xavier_uniform_(t, gain=1.5),
    "xavier_normal_": lambda init, t: init.xavier_normal_(t),
    "kaiming_uniform_": lambda init, t: init.kaiming_uniform_(t, a=math.sqrt(5)),
    "kaiming_uniform_ fan_out": lambda init, t: init.kaiming_uniform_(
        t, mode="fan_out", nonlinearity="relu"
    ),
    "kaiming_normal_": lambda init, t: init.kaiming_normal_(t, nonlinearity="tanh"),
    "orthogonal_": lambda init, t: init.orthogonal_(t, gain=2.0),
    "constant_": lambda init, t: init.constant_(t, 0.25),
    "ones_": lambda init, t: init.ones_(t),
    "zeros_": lambda init, t: init.zeros_(t),
    "eye_": lambda init, t: init.eye_(t),
}
SHAPE = (400, 300)
DEFAULTS: dict[str, Callable[[Any], Any]] = {
    "Linear": lambda nn: nn.Linear(300, 400),
    "Embedding": lambda nn: nn.Embedding(400, 300),
    "BatchNorm1d": lambda nn: nn.BatchNorm1d(300),
    "LayerNorm": lambda nn: nn.LayerNorm(300),
}
GAINS: dict[str, tuple[Any, ...]] = {
    "linear": ("linear",),
    "sigmoid": ("sigmoid",),
    "tanh": ("tanh",),
    "relu": ("relu",),
    "leaky_relu": ("leaky_relu",),
    "leaky_relu 0.3": ("leaky_relu", 0.3),
    "selu": ("selu",),
}


def statistics(array: np.ndarray) -> np.ndarray:
    """Mean, spread, and the elements at 1 % and 99 % of the order (the extremes are chance)."""
    return np.array([array.mean(), array.std(), *np.quantile(array, [0.01, 0.99])])


def filled(library: Library, name: str) -> np.ndarray:
    """What an initialiser makes of zeros."""
    tensor = library.tensor(np.zeros(SHAPE))
    INITIALISERS[name](library.init, tensor)
    return library.numpy(tensor)


def evaluate(library: Library, case: Case, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a case on the recorded arrays.

    Returns: "out"; "grad 0", ... of the inputs; "grad weight", ... of the parameters; "after
        running_mean", ... the buffers.
    """
    function = case.make(library)
    is_module = hasattr(function, "state_dict") and hasattr(function, "train")
    if is_module:
        function = library.double(function).train(case.train)
        library.load(function, {k[6:]: v for k, v in given.items() if k.startswith("start ")})
    targets = [library.tensor(given[f"target {i}"]) for i in range(len(case.targets))]
    for call in range(case.calls):
        if is_module:
            function.zero_grad()
        inputs = []
        for i in range(len(case.inputs)):
            array = given[f"input {i}"]
            floating = array.dtype.kind == "f"
            inputs.append(
                library.tensor(array * (call + 1) if floating else array, requires_grad=floating)
            )
        out = function(*inputs, *targets)
        (out * library.tensor(given["weights"])).sum().backward()
    results = {"out": library.numpy(out)}
    for i, tensor in enumerate(inputs):
        if tensor.grad is not None:
            results[f"grad {i}"] = library.numpy(tensor.grad)
    if is_module:
        for name, parameter in function.named_parameters():
            results[f"grad {name}"] = library.numpy(parameter.grad)
        for name, buffer in function.named_buffers():
            if case not in LOSSES:
                results[f"after {name}"] = library.numpy(buffer).astype(np.float64)
    return results


def drawn(library: Library, case: Case, seed: int) -> dict[str, np.ndarray]:
    """Arrays for a case: inputs, targets, parameters, and the weights of the sum."""
    draw = np.random.Generator(np.random.Philox(seed))
    inputs = {f"input {i}": make(draw) for i, make in enumerate(case.inputs)}
    targets = {f"target {i}": make(draw) for i, make in enumerate(case.targets)}
    given = inputs | targets
    function = case.make(library)
    if hasattr(function, "state_dict"):
        function = library.double(function).train(case.train)
        for name, tensor in function.state_dict().items():
            values = draw.normal(size=tuple(tensor.shape))
            # A loss keeps its class weights in its state: those stay as the case has them.
            if tensor.ndim and case not in LOSSES:
                given[f"start {name}"] = np.abs(values) + 0.5 if "var" in name else values
    out = function(*map(library.tensor, inputs.values()), *map(library.tensor, targets.values()))
    given["weights"] = draw.normal(size=tuple(out.shape))
    return given


def record(library: Library) -> dict[str, np.ndarray]:
    """Everything in the tables, as `library` computes it."""
    arrays: dict[str, np.ndarray] = {}
    for seed, case in enumerate(CASES):
        given = drawn(library, case, seed)
        results = evaluate(library, case, given)
        arrays |= {f"{case}/given/{name}": array for name, array in given.items()}
        arrays |= {f"{case}/gives/{name}": array for name, array in results.items()}
    for name in INITIALISERS:
        arrays[f"init/{name}"] = statistics(filled(library, name))
    for name, make in DEFAULTS.items():
        for key, tensor in library.double(make(library.nn)).state_dict().items():
            arrays[f"default/{name}/{key}"] = statistics(library.numpy(tensor).astype(np.float64))
    for name, arguments in GAINS.items():
        arrays[f"gain/{name}"] = np.array(library.init.calculate_gain(*arguments))
    return arrays
