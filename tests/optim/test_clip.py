"""clip_grad_norm_ and clip_grad_value_."""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
from gpugrad import optim
from gpugrad.errors import AnomalyError, OptionError


def with_gradients(*arrays) -> list[gg.Tensor]:
    tensors = []
    for array in arrays:
        array = np.asarray(array)
        tensor = gg.tensor(np.zeros_like(array), requires_grad=True)
        tensor.grad = gg.tensor(array)
        tensors.append(tensor)
    return tensors


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0, np.inf])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_norm_is_that_of_all_elements(order, limit):
    arrays = [np.arange(6.0).reshape(2, 3), np.array(-4.0), np.array([1.0, 2.0])]
    everything = np.concatenate([array.ravel() for array in arrays])
    norm = np.linalg.norm(everything, order)
    tensors = with_gradients(*arrays)
    total = optim.clip_grad_norm_(tensors, limit, norm_type=order)
    assert total.shape == ()
    assert total.item() == pytest.approx(norm)
    factor = min(1.0, limit / (norm + 1e-6))
    for tensor, array in zip(tensors, arrays, strict=True):
        np.testing.assert_allclose(tensor.grad.numpy(), array * factor)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype_is_kept(dtype):
    tensors = with_gradients(np.full(3, 200.0, dtype), np.array(300.0, dtype))
    total = optim.clip_grad_norm_(tensors, 1.0)
    assert total.dtype == dtype
    assert total.item() == pytest.approx(np.sqrt(3 * 200**2 + 300**2), rel=1e-3)
    assert [tensor.grad.dtype for tensor in tensors] == [np.dtype(dtype)] * 2
    optim.clip_grad_value_(tensors, 0.25)
    assert [tensor.grad.dtype for tensor in tensors] == [np.dtype(dtype)] * 2


def test_arrays_that_were_there_are_not_written():
    (w,) = with_gradients(np.array([3.0, 4.0]))
    before = w.grad
    optim.clip_grad_norm_(w, 1.0)
    optim.clip_grad_value_(w, 0.1)
    assert before.tolist() == [3.0, 4.0]
    assert w.grad.tolist() == pytest.approx([0.1, 0.1])


def test_parameters_without_gradient_and_repeated_ones():
    a, b = with_gradients(np.array([3.0]), np.array([4.0]))
    b.grad = None
    assert optim.clip_grad_norm_([a, b, a], 1.5).item() == 3.0
    assert a.grad.item() == pytest.approx(1.5)
    assert b.grad is None
    assert optim.clip_grad_norm_([b], 1.0).item() == 0.0


def test_a_norm_that_is_not_finite():
    tensors = with_gradients(np.array([1.0, np.inf]))
    with pytest.raises(AnomalyError, match=r"norm of order 2\.0 of the gradients is inf"):
        optim.clip_grad_norm_(tensors, 1.0, error_if_nonfinite=True)
    assert tensors[0].grad.tolist() == [1.0, np.inf]
    assert optim.clip_grad_norm_(tensors, 1.0).item() == np.inf


def test_impossible_settings_are_refused():
    tensors = with_gradients(np.array([1.0]))
    with pytest.raises(OptionError, match="max_norm must be a number >= 0"):
        optim.clip_grad_norm_(tensors, -1.0)
    with pytest.raises(OptionError, match="norm_type must be a number above 0"):
        optim.clip_grad_norm_(tensors, 1.0, norm_type=0)
    with pytest.raises(OptionError, match="clip_value must be a number >= 0"):
        optim.clip_grad_value_(tensors, -1.0)
    with pytest.raises(OptionError, match="number 0 is str"):
        optim.clip_grad_norm_(["w"], 1.0)
