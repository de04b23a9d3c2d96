"""suited_threads: one thread for small products, and nobody's choice overruled."""

from __future__ import annotations

import sys

import pytest

from gpugrad.train.threads import CHOSEN, suited_threads

pytestmark = pytest.mark.once

threadpoolctl = pytest.importorskip("threadpoolctl")


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    for name in CHOSEN:
        monkeypatch.delenv(name, raising=False)


def counts():
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info()
            if pool["user_api"] == "blas"]  # fmt: skip


def test_small_products_take_one_thread_and_the_rest_is_put_back():
    before = counts()
    with suited_threads(64, [64, 512, 256, 10]) as threads:
        assert threads == 1
        assert set(counts()) <= {1}
    assert counts() == before


def test_large_products_keep_all_threads():
    before = counts()
    with suited_threads(512, [784, 512, 10]) as threads:
        assert threads is None
        assert counts() == before


@pytest.mark.parametrize("name", CHOSEN)
def test_what_the_user_chose_stays(name, monkeypatch):
    monkeypatch.setenv(name, "2")
    with suited_threads(1, [2, 2]) as threads:
        assert threads is None


def test_without_threadpoolctl_nothing_changes(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with suited_threads(1, [2, 2]) as threads:
        assert threads is None
