"""Differentiation: the backward pass, forward mode, and the functions made of them."""

from gpugrad.autodiff.check import check_grad
from gpugrad.autodiff.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

__all__ = ["check_grad", "grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]
