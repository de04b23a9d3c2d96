"""What of the host meets tensors of a GPU: nested lists, NumPy scalars, indices; what is refused.

On the CPU the same tests say that the device makes no difference.
"""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
import gpugrad.nn.functional as F
from gpugrad.errors import DeviceError, IndexRangeError

X = np.array([1.0, 2.0, 4.0], np.float32)


@pytest.fixture
def x(device):
    """A tensor of the device, in a block where the host is the default."""
    made = gg.tensor(X)
    with gg.default_device("cpu"):
        yield made


# Lists of tensors


@pytest.mark.parametrize("make", [gg.tensor, gg.asarray])
def test_a_list_of_tensors_makes_one_where_they_are(make, x, device):
    for nested, wanted in (
        ([x[0], x[1]], [1, 2]),
        ([[x[1], x[0]], (x[0], x[2])], [[2, 1], [1, 4]]),
    ):
        made = make(nested)
        assert made.device == device
        assert made.dtype == gg.float32
        assert made.tolist() == wanted
    assert make([x[0]], device="cpu").device == gg.device("cpu")
    assert make([1.0, 2.0]).device == gg.device("cpu")


def test_a_list_of_tensors_of_different_devices_is_refused(x, device):
    if device.xp.on_host:
        pytest.skip("needs a second device")
    mixed = [x[0], gg.tensor(2.0)]
    with pytest.raises(
        DeviceError, match=r"on different devices, cuda:0 and cpu\n  help: .*cuda:0"
    ):
        gg.tensor(mixed)
    assert gg.tensor(mixed, device="cpu").tolist() == [1, 2]
