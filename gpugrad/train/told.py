"""A run in a line: what came of it, and the command that repeats it."""

from __future__ import annotations

import shlex

from gpugrad.train.settings import DEFAULTS, Settings


def result_line(result: dict[str, float]) -> str:
    """
    >>> result_line({"accuracy": 0.975, "right": 351, "of": 360})
    'held-out accuracy 97.50 % (351 of 360)'
    """
    if "accuracy" in result:
        share = 100 * result["accuracy"]
        return f"held-out accuracy {share:.2f} % ({result['right']} of {result['of']})"
    return f"held-out R² {result['r2']:.4f}, RMSE {result['rmse']:.4g} ({result['of']} rows)"


def command(settings: Settings) -> str:
    """The shell command that repeats a run with these settings.

    >>> command(Settings.of(data="moons", lr=0.1, seed=3))
    'gpugrad train --data moons --lr 0.1 --seed 3'
    """
    usual = {**Settings.of().to_dict(), **DEFAULTS[settings.data]}
    words = ["gpugrad", "train", "--data", settings.data]
    for name, value in settings.to_dict().items():
        default = usual[name]
        if name == "data" or value == (list(default) if isinstance(default, tuple) else default):
            continue
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(option if value else f"--no-{name}")
        elif name == "hidden":
            words += [option, ",".join(map(str, value)) or "none"]
        elif isinstance(value, list):
            for item in value:
                words += [option, str(item)]
        else:
            words += [option, str(value)]
    return shlex.join(words)
