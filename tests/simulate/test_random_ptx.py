"""The simulator beside an interpreter that takes one thread at a time, on random programs."""

from __future__ import annotations

import random

import numpy as np
import pytest

from gpugrad.simulate.device import Device
from gpugrad.simulate.machine import machine
from tests.simulate.one_thread import launched
from tests.simulate.random_ptx import CELLS, WORDS, Writer


@pytest.mark.parametrize("meeting", [False, True], ids=["some return early", "all meet"])
@pytest.mark.parametrize("group", range(8))
def test_random_programs(group, meeting, monkeypatch):
    for seed in range(10 * group, 10 * group + 10):
        rng = random.Random(seed)
        ptx = Writer(rng, meeting).program()
        grid, block = rng.choice((1, 2, 5)), rng.choice((1, 7, 32, 40, 96))
        monkeypatch.setattr(machine, "CHUNK", rng.choice((1, 100, 1 << 15)))
        count = WORDS * grid * block
        own = [rng.choice((k, rng.getrandbits(32), rng.getrandbits(3))) for k in range(count)]

        device = Device(cc=(8, 0), checks=rng.random() < 0.7)
        pointers = []
        for words in (own, [0] * len(CELLS)):
            pointers.append(device.allocate(4 * len(words)))
            device.copy_to(pointers[-1], np.array(words, np.uint32))
        device.launch(device.load(ptx).entries["k"], grid, block, pointers)
        found = [
            device.copy_from(p, np.zeros(n, np.uint32))
            for p, n in zip(pointers, (count, 4), strict=True)
        ]

        memory = {pointers[0] + 4 * k: word for k, word in enumerate(own)}
        memory |= {pointers[1] + 4 * k: 0 for k in range(len(CELLS))}
        launched(ptx, memory, pointers, grid, block, rng)
        assert np.concatenate(found).tolist() == list(memory.values()), f"seed {seed}"
