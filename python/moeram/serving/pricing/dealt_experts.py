"""Whole experts dealt out to GPUs, and dealt anew by what they were used for (expert-parallel load balancing)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class DealtExperts:
    """Which GPU holds which expert of each layer, as many on each; at first in order of their ids.

    every_steps: after so many steps the experts are dealt anew by their tokens in them: the most used first, each to the GPU with fewest
    tokens that has room, of equal ones to where it lies. A layer whose fullest GPU would not be relieved stays. None: never.
    """

    def __init__(self, layers: int, experts: int, gpus: int, every_steps: int | None) -> None:
        self._gpus, self._every, self._steps = gpus, every_steps, 0
        self._gpu_of = np.tile(np.repeat(np.arange(gpus), experts // gpus), (layers, 1))
        self._used = np.zeros((layers, experts), dtype=np.int64)
        self._order = np.argsort(self._gpu_of, axis=1, kind="stable")

    def shares(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the tokens [layers, experts] of each GPU's experts [layers, GPUs, experts / GPUs]."""
        if self._every is not None:
            counts = np.take_along_axis(counts, self._order, axis=1)
        return counts.reshape(len(counts), self._gpus, -1)

    def step(self, counts: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Take the tokens [layers, experts] of a step; return the experts that move from GPU (row) to GPU (column), if it is time."""
        if self._every is None:
            return None
        self._used += counts
        self._steps += 1
        if self._steps < self._every:
            return None
        moved = np.zeros((self._gpus, self._gpus), dtype=np.int64)
        for layer, used in enumerate(self._used):
            before = self._gpu_of[layer]
            after = _deal(used, before, self._gpus)
            if _fullest(used, after, self._gpus) < _fullest(used, before, self._gpus):
                np.add.at(moved, (before, after), before != after)
                self._gpu_of[layer] = after
        self._order = np.argsort(self._gpu_of, axis=1, kind="stable")
        self._used[:] = self._steps = 0
        return moved


def _deal(used: NDArray[np.int64], before: NDArray[np.int64], gpus: int) -> NDArray[np.int64]:
    room, load = np.full(gpus, len(used) // gpus), np.zeros(gpus, dtype=np.int64)
    after = np.empty_like(before)
    for expert in np.argsort(-used, kind="stable"):
        here = np.arange(gpus) == before[expert]
        # Sorted by load, then by not being here; without room last.
        gpu = np.lexsort((~here, load, room == 0))[0]
        after[expert] = gpu
        room[gpu] -= 1
        load[gpu] += used[expert]
    return after


def _fullest(used: NDArray[np.int64], gpu_of: NDArray[np.int64], gpus: int) -> int:
    return int(np.bincount(gpu_of, weights=used, minlength=gpus).max())
