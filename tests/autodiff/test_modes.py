"""no_grad, enable_grad, detect_anomaly, and what is per thread and context."""

from __future__ import annotations

import asyncio
import contextvars
import pathlib
import threading

import numpy as np
import pytest

import gpugrad as gg
from gpugrad.errors import AnomalyError, DeviceError, DtypeError

HERE = pathlib.Path(__file__)


def leaf(values=(1.0, 2.0)):
    return gg.tensor(values, dtype="float64", requires_grad=True)


def in_a_thread(f):
    """What f returns in a new thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(f()))
    thread.start()
    thread.join()
    return found[0]


def test_no_grad_records_nothing_and_ends():
    x = leaf()
    assert gg.is_grad_enabled()
    with gg.no_grad():
        assert not gg.is_grad_enabled()
        assert not (x * 2).requires_grad
        assert gg.tensor(1.0, requires_grad=True).requires_grad
    assert gg.is_grad_enabled()
    assert (x * 2).requires_grad


def test_enable_grad_inside_no_grad():
    x = leaf()
    with gg.no_grad():
        with gg.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad


def test_no_grad_ends_with_an_error_too():
    with pytest.raises(ZeroDivisionError), gg.no_grad():
        raise ZeroDivisionError
    assert gg.is_grad_enabled()


def test_both_are_decorators():
    x = leaf()

    @gg.no_grad()
    def plain(x):
        """Doubles."""
        return x * 2

    @gg.enable_grad()
    def recorded(x):
        return x * 2

    assert not plain(x).requires_grad
    assert not plain(x).requires_grad
    assert plain.__doc__ == "Doubles."
    with gg.no_grad():
        assert recorded(x).requires_grad


def test_a_decorated_function_may_call_itself():
    x = leaf()

    @gg.no_grad()
    def down(n):
        return x * 2 if n == 0 else down(n - 1)

    assert not down(3).requires_grad
    assert gg.is_grad_enabled()


def test_one_context_manager_may_be_entered_twice():
    off = gg.no_grad()
    with off:
        with off:
            assert not gg.is_grad_enabled()
        assert not gg.is_grad_enabled()
    assert gg.is_grad_enabled()


def test_no_grad_stays_in_its_thread():
    with gg.no_grad():
        assert in_a_thread(gg.is_grad_enabled)
        assert not gg.is_grad_enabled()
    entered, leave = threading.Event(), threading.Event()

    def inside():
        with gg.no_grad():
            entered.set()
            leave.wait(5)

    thread = threading.Thread(target=inside)
    thread.start()
    assert entered.wait(5)
    assert gg.is_grad_enabled()
    leave.set()
    thread.join()


def test_no_grad_stays_in_its_context():
    context = contextvars.copy_context()
    with gg.no_grad():
        assert context.run(gg.is_grad_enabled)
        assert not contextvars.copy_context().run(gg.is_grad_enabled)


def test_no_grad_stays_in_its_task():
    async def off():
        with gg.no_grad():
            await asyncio.sleep(0)
            return gg.is_grad_enabled()

    async def on():
        await asyncio.sleep(0)
        return gg.is_grad_enabled()

    async def both():
        return await asyncio.gather(off(), on(), off())

    assert asyncio.run(both()) == [False, True, False]


def test_the_default_dtype_stays_in_its_thread():
    gg.set_default_dtype("float64")
    try:
        assert gg.tensor(1.0).dtype == gg.float64
        assert in_a_thread(lambda: gg.tensor(1.0).dtype) == gg.float32
    finally:
        gg.set_default_dtype("float32")
    in_a_thread(lambda: gg.set_default_dtype("float16"))
    assert gg.tensor(1.0).dtype == gg.float32


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_the_default_dtype_must_be_floating(dtype):
    with pytest.raises(DtypeError, match=r"the default dtype must be floating\n  help: choose"):
        gg.set_default_dtype(dtype)
    assert gg.tensor(1.0).dtype == gg.float32


def test_the_default_device_is_a_context(device):
    with gg.default_device("cpu") as inner:
        assert inner == gg.device("cpu") == gg.tensor(1.0).device
        with gg.default_device(device):
            assert gg.tensor(1.0).device == device
        assert gg.zeros(2).device == gg.rand(2).device == inner
    assert gg.tensor(1.0).device == device
    with pytest.raises(DeviceError, match="cuda:99"), gg.default_device("cuda:99"):
        pass


def test_the_default_device_stays_set(device):
    with gg.default_device(device):
        gg.default_device("cpu")
        assert gg.zeros(1).device == gg.device("cpu")
    assert gg.zeros(1).device == device


def test_backward_in_another_thread():
    x = leaf()
    y = (x**2).sum()
    in_a_thread(y.backward)
    assert x.grad.tolist() == [2.0, 4.0]


def test_many_threads_differentiate_at_once():
    def work():
        x = leaf(np.linspace(0, 1, 50))
        for _ in range(20):
            x.grad = None
            gg.sin(x).sum().backward()
        return np.array(x.grad.numpy())

    found = []
    threads = [threading.Thread(target=lambda: found.append(work())) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 4
    for g in found:
        np.testing.assert_allclose(g, np.cos(np.linspace(0, 1, 50)))


# Anomalies


def line_of(text):
    """The number of the line of this file that ends with the comment `# text`."""
    lines = HERE.read_text(encoding="utf-8").splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith(f"# {text}"))


def test_detect_anomaly_names_the_operation_and_the_users_line():
    x = leaf([-1.0, 4.0])
    with np.errstate(invalid="ignore"), gg.detect_anomaly():
        y = gg.log(x)  # here the NaN is made
        loss = (y * 2).sum()
        with pytest.raises(AnomalyError) as e:
            gg.sqrt(loss).backward()
    # the forward value is NaN; the first gradient that is NaN is that of the square root
    assert "NaN" in str(e.value)
    assert str(HERE) in str(e.value)


def test_detect_anomaly_names_the_root_of_a_negative_number():
    x = leaf([-1.0, 4.0])
    with np.errstate(invalid="ignore"), gg.detect_anomaly():
        y = gg.sqrt(x)  # the culprit
        with pytest.raises(AnomalyError) as e:
            y.sum().backward()
    assert f"the gradient of sqrt, recorded at {HERE}:{line_of('the culprit')}, is NaN" in str(
        e.value
    )
    assert "help: look at that operation's arguments" in str(e.value)


def test_detect_anomaly_finds_a_nan_in_one_of_several_outputs():
    x = leaf(np.ones((2, 2)))
    with np.errstate(invalid="ignore", divide="ignore"), gg.detect_anomaly():
        normal, _, _ = gg.standardize(x, 0, 0.0)  # no spread
        with pytest.raises(AnomalyError) as e:
            normal.sum().backward()
    assert f"standardize, recorded at {HERE}:{line_of('no spread')}" in str(e.value)


def test_detect_anomaly_in_gg_grad():
    with (
        np.errstate(invalid="ignore"),
        gg.detect_anomaly(),
        pytest.raises(AnomalyError, match="acos"),
    ):
        gg.grad(lambda x: gg.acos(x).sum())(np.array([2.0]))


def test_detect_anomaly_lets_a_healthy_pass_through():
    x = leaf()
    with gg.detect_anomaly():
        gg.log(x).sum().backward()
    assert x.grad.tolist() == [1.0, 0.5]


def test_detect_anomaly_lets_an_infinite_gradient_pass():
    x = leaf([0.0, 4.0])
    with gg.detect_anomaly():
        gg.sqrt(x).sum().backward()
    assert x.grad.tolist() == [np.inf, 0.25]


def test_without_detect_anomaly_a_nan_passes():
    x = leaf([-1.0, 4.0])
    with np.errstate(invalid="ignore"):
        gg.sqrt(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [np.nan, 0.25])


def test_detect_anomaly_keeps_recording_off_where_it_was():
    with gg.no_grad(), gg.detect_anomaly():
        assert not gg.is_grad_enabled()
    with gg.detect_anomaly(), gg.no_grad():
        assert not (leaf() * 2).requires_grad
