"""Optimizers with PyTorch's names, defaults and numbers, their schedules, and gradient clipping."""

from gpugrad.optim import lr_scheduler
from gpugrad.optim.adagrad import Adagrad
from gpugrad.optim.adam import Adam
from gpugrad.optim.adamw import AdamW
from gpugrad.optim.clip import clip_grad_norm_, clip_grad_value_
from gpugrad.optim.optimizer import Optimizer
from gpugrad.optim.rmsprop import RMSprop
from gpugrad.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm_",
    "clip_grad_value_",
    "lr_scheduler",
]
