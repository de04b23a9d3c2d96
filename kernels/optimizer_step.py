"""optimizer_step: one launch updates all parameters of a group, whatever the rule.

Arrays    parameter and each state array (elements,) float32, flat; gradients float32, anywhere
Mapping   chunks of gradients over blocks, elements over threads, both strided: any grid is correct
Traffic   an element: SGD 12 bytes, 20 with momentum; Adam 28, 36 with amsgrad; RMSprop 20, and 8
          more with momentum and with centered each; Adagrad 20; bound by memory bandwidth
Used by   optim/flat.py on "cuda"; its reference is the `update` of the rule in optim/
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numba import cuda, float32
from numba.cuda import libdevice

from gpugrad.kernels.launch import launch, suits
from gpugrad.kernels.many_arrays import THREADS, ManyArrays, for_each_element

# What a rule does not use is not touched: a state array that it lacks is given as `parameter`.


@cuda.jit(device=True)
def _descent(p: Any, g: Any, weight_decay: Any, sign: Any) -> Any:
    g = sign * g
    return g if weight_decay == float32(0) else g + weight_decay * p


@cuda.jit(device=True)
def _sgd_element(gradient: Any, i: Any, place: Any, options: Any) -> None:
    parameter, velocity, lr, momentum, gain, weight_decay, sign, nesterov, first = options
    p = parameter[place]
    g = _descent(p, gradient[i], weight_decay, sign)
    if momentum != float32(0):
        v = g
        if not first:
            v = momentum * velocity[place] + gain * g
        velocity[place] = v
        g = g + momentum * v if nesterov else v
    parameter[place] = p - lr * g


@cuda.jit
def _sgd(
    chunks: Any,
    addresses: Any,
    parameter: Any,
    velocity: Any,
    lr: Any,
    momentum: Any,
    gain: Any,
    weight_decay: Any,
    sign: Any,
    nesterov: Any,
    first: Any,
) -> None:
    options = parameter, velocity, lr, momentum, gain, weight_decay, sign, nesterov, first
    for_each_element(chunks, addresses, _sgd_element, options)


@cuda.jit(device=True)
def _adam_element(gradient: Any, i: Any, place: Any, options: Any) -> None:
    (parameter, mean, square, largest, rate, keep, weight_decay, sign, beta1, new1, beta2, new2,
     correction, eps, amsgrad) = options  # fmt: skip
    p = keep * parameter[place]
    g = _descent(p, gradient[i], weight_decay, sign)
    m = beta1 * mean[place] + new1 * g
    v = beta2 * square[place] + new2 * g * g
    mean[place] = m
    square[place] = v
    if amsgrad:
        known = largest[place]
        if known >= v or known != known:  # NaN stays
            v = known
        largest[place] = v
    parameter[place] = p - m / (math.sqrt(v) * correction + eps) * rate


@cuda.jit
def _adam(
    chunks: Any,
    addresses: Any,
    parameter: Any,
    mean: Any,
    square: Any,
    largest: Any,
    rate: Any,
    keep: Any,
    weight_decay: Any,
    sign: Any,
    beta1: Any,
    new1: Any,
    beta2: Any,
    new2: Any,
    correction: Any,
    eps: Any,
    amsgrad: Any,
) -> None:
    options = (parameter, mean, square, largest, rate, keep, weight_decay, sign, beta1, new1, beta2,
               new2, correction, eps, amsgrad)  # fmt: skip
    for_each_element(chunks, addresses, _adam_element, options)


@cuda.jit(device=True)
def _rmsprop_element(gradient: Any, i: Any, place: Any, options: Any) -> None:
    (parameter, square, mean, buffer, lr, alpha, new, eps, weight_decay, sign, momentum,
     centered) = options  # fmt: skip
    p = parameter[place]
    g = _descent(p, gradient[i], weight_decay, sign)
    v = alpha * square[place] + new * g * g
    square[place] = v
    if centered:
        m = alpha * mean[place] + new * g
        mean[place] = m
        # Rounded before it is subtracted: fused, the difference could fall below 0 where v = m².
        v = v - libdevice.fmul_rn(m, m)
    step = g / (math.sqrt(v) + eps)
    if momentum != float32(0):
        step = momentum * buffer[place] + step
        buffer[place] = step
    parameter[place] = p - lr * step


@cuda.jit
def _rmsprop(
    chunks: Any,
    addresses: Any,
    parameter: Any,
    square: Any,
    mean: Any,
    buffer: Any,
    lr: Any,
    alpha: Any,
    new: Any,
    eps: Any,
    weight_decay: Any,
    sign: Any,
    momentum: Any,
    centered: Any,
) -> None:
    options = (parameter, square, mean, buffer, lr, alpha, new, eps, weight_decay, sign, momentum,
               centered)  # fmt: skip
    for_each_element(chunks, addresses, _rmsprop_element, options)


@cuda.jit(device=True)
def _adagrad_element(gradient: Any, i: Any, place: Any, options: Any) -> None:
    parameter, total, rate, eps, weight_decay, sign = options
    p = parameter[place]
    g = _descent(p, gradient[i], weight_decay, sign)
    s = total[place] + g * g
    total[place] = s
    parameter[place] = p - g / (math.sqrt(s) + eps) * rate


@cuda.jit
def _adagrad(
    chunks: Any,
    addresses: Any,
    parameter: Any,
    total: Any,
    rate: Any,
    eps: Any,
    weight_decay: Any,
    sign: Any,
) -> None:
    options = parameter, total, rate, eps, weight_decay, sign
    for_each_element(chunks, addresses, _adagrad_element, options)


Arguments = tuple[Any, list[str], list[float], list[bool]]  # kernel, states, numbers, conditions


def _sgd_arguments(step: int, options: Mapping[str, Any]) -> Arguments:
    momentum, gain = float(options["momentum"]), 1.0 - float(options["dampening"])
    numbers = [float(options["lr"]), momentum, gain, *_descent_arguments(options)]
    return _sgd, ["momentum_buffer"], numbers, [options["nesterov"], step == 1]


def _adam_arguments(step: int, options: Mapping[str, Any]) -> Arguments:
    lr, (beta1, beta2) = float(options["lr"]), map(float, options["betas"])
    weight_decay, sign = _descent_arguments(options)
    keep = 1.0
    if options["decoupled_weight_decay"]:
        weight_decay, keep = 0.0, 1.0 - lr * weight_decay
    rate, correction = lr / (1.0 - beta1**step), 1.0 / math.sqrt(1.0 - beta2**step)
    numbers = [rate, keep, weight_decay, sign, beta1, 1.0 - beta1, beta2, 1.0 - beta2, correction,
               float(options["eps"])]  # fmt: skip
    names = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]
    return _adam, names, numbers, [options["amsgrad"]]


def _rmsprop_arguments(step: int, options: Mapping[str, Any]) -> Arguments:
    alpha = float(options["alpha"])
    numbers = [float(options["lr"]), alpha, 1.0 - alpha, float(options["eps"])]
    numbers += [*_descent_arguments(options), float(options["momentum"])]
    names = ["square_avg", "grad_avg", "momentum_buffer"]
    return _rmsprop, names, numbers, [options["centered"]]


def _adagrad_arguments(step: int, options: Mapping[str, Any]) -> Arguments:
    rate = float(options["lr"]) / (1.0 + (step - 1) * float(options["lr_decay"]))
    return _adagrad, ["sum"], [rate, float(options["eps"]), *_descent_arguments(options)], []


def _descent_arguments(options: Mapping[str, Any]) -> tuple[float, float]:
    return float(options["weight_decay"]), -1.0 if options["maximize"] else 1.0


RULES = {
    "sgd": _sgd_arguments,
    "adam": _adam_arguments,
    "rmsprop": _rmsprop_arguments,
    "adagrad": _adagrad_arguments,
}


def optimizer_step(
    xp: Any,
    rule: str,
    tables: ManyArrays,
    parameter: Any,
    gradients: Sequence[Any],
    state: Mapping[str, Any],
    step: int,
    options: Mapping[str, Any],
) -> Any:
    """Update in place, as the rule's `update` would.

    Args:
        rule: "sgd", "adam" (AdamW too), "rmsprop" or "adagrad".
        tables: made of the bounds of each gradient's parameter in `parameter`, in the same order.
        parameter: (elements,) all parameters, end to end; `state` likewise, by the rule's names.
        gradients: one for each entry of the tables. A strided one is copied first.
        step: the number of this update, from 1; the same for all of them.
        options: the group's, as `update` takes them.
    Returns: None, or NotImplemented where the arrays do not suit.
    """
    gradients = [
        gradient if gradient.flags.c_contiguous else xp.ascontiguousarray(gradient)
        for gradient in gradients
    ]
    arrays = [parameter, *gradients]
    if not suits(*arrays) or any(array.dtype != np.float32 for array in arrays):
        return NotImplemented
    kernel, names, numbers, conditions = RULES[rule](step, options)
    launch(
        kernel,
        tables.blocks,
        THREADS,
        tables.chunks,
        tables.addresses(gradients),
        parameter,
        *[state.get(name, parameter) for name in names],
        *map(np.float32, numbers),
        *map(np.bool_, conditions),
    )
    return None
