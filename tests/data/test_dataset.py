"""TensorDataset: rows of several tensors, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from gpugrad.data import TensorDataset
from gpugrad.errors import DataError, GraphError
from gpugrad.making import tensor
from gpugrad.tensor import Tensor


@pytest.fixture
def data() -> TensorDataset:
    return TensorDataset(np.arange(12.0).reshape(4, 3), np.array([3, 2, 1, 0]))


def test_length_is_the_number_of_rows(data):
    assert len(data) == 4


@pytest.mark.parametrize("index", [2, -1, slice(1, 3), np.array([3, 0, 0])])
def test_indexing_gives_a_tuple_of_the_same_rows_of_each_tensor(data, index):
    x, y = data[index]
    assert isinstance(x, Tensor)
    np.testing.assert_array_equal(x.numpy(), np.arange(12.0).reshape(4, 3)[index])
    np.testing.assert_array_equal(y.numpy(), np.array([3, 2, 1, 0])[index])


def test_iteration_gives_each_row_once(data):
    assert [int(y.item()) for _, y in data] == [3, 2, 1, 0]


def test_an_index_past_the_end_is_an_index_error(data):
    with pytest.raises(IndexError):
        data[4]


def test_tensors_and_arrays_may_be_mixed_and_keep_their_dtypes():
    data = TensorDataset(tensor([[1.0], [2.0]]), np.array([0, 1], dtype=np.uint8))
    assert [t.dtype.name for t in data.tensors] == ["float32", "uint8"]


def test_an_array_is_shared_where_the_device_can(device):
    array = np.zeros((2, 2), np.float32)
    data = TensorDataset(array)
    array[1] = 7
    assert data[1][0].tolist() == ([7.0, 7.0] if device.kind == "cpu" else [0.0, 0.0])


def test_different_lengths_are_named():
    with pytest.raises(DataError, match=r"differ in length: 4, 3\n  0: float64 \(4, 2\)\n  1: in"):
        TensorDataset(np.zeros((4, 2)), np.zeros(3, np.int64))


def test_no_tensors_are_refused():
    with pytest.raises(DataError, match="at least one tensor"):
        TensorDataset()


def test_a_tensor_without_axes_is_refused():
    with pytest.raises(DataError, match=r"needs a first axis.*\n.*\n  1: int64 \(\)"):
        TensorDataset(np.zeros(3), np.array(1))


def test_a_tensor_that_requires_a_gradient_is_refused_with_the_remedy():
    with pytest.raises(GraphError, match=r"batches are constants(.|\n)*t\.detach\(\)"):
        TensorDataset(tensor([1.0], requires_grad=True))
