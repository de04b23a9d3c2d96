"""One set of names for gpugrad and PyTorch, so that one program can be run with either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Library:
    """What a case needs of a library; both spell everything else in the same way.

    Attributes:
        tensor: a float64 or int64 tensor with the values of an array; requires_grad=False.
        numpy: the elements of a tensor as an array of its own.
        double: a module, with float64 parameters.
        load: give a module the values in a dict of arrays, as far as it has their names.
    """

    name: str
    nn: Any
    functional: Any
    init: Any
    optim: Any
    clip_grad_norm_: Callable[..., Any]
    clip_grad_value_: Callable[..., Any]
    tensor: Callable[..., Any]
    numpy: Callable[[Any], np.ndarray]
    double: Callable[[Any], Any]

    def load(self, module: Any, values: dict[str, np.ndarray]) -> None:
        known = module.state_dict()
        arrays = {name: self.tensor(values[name]) for name in known if name in values}
        module.load_state_dict({**known, **arrays})


def pytorch() -> Library:
    """PyTorch, on one thread."""
    import torch

    torch.set_num_threads(1)  # sums in one order, whatever the machine
    torch.manual_seed(0)
    return Library(
        name="pytorch",
        nn=torch.nn,
        functional=torch.nn.functional,
        init=torch.nn.init,
        optim=torch.optim,
        clip_grad_norm_=torch.nn.utils.clip_grad_norm_,
        clip_grad_value_=torch.nn.utils.clip_grad_value_,
        tensor=lambda array, requires_grad=False: torch.tensor(array, requires_grad=requires_grad),
        numpy=lambda tensor: tensor.detach().numpy().copy(),
        double=lambda module: module.double(),
    )


def gpugrad() -> Library:
    """gpugrad itself."""
    import gpugrad as gg
    from gpugrad import nn, optim

    return Library(
        name="gpugrad",
        nn=nn,
        functional=nn.functional,
        init=nn.init,
        optim=optim,
        clip_grad_norm_=optim.clip_grad_norm_,
        clip_grad_value_=optim.clip_grad_value_,
        tensor=lambda array, requires_grad=False: gg.tensor(array, requires_grad=requires_grad),
        numpy=lambda tensor: tensor.detach().numpy().copy(),
        double=lambda module: module.to(gg.float64),
    )
