"""PIMoE as the authors of Sieve re-implement it (sieve.md 3.6), in both readings of its channels (sieve.md 9, X13)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError
from moeram.options import Options
from moeram.schedule.policy import Observation, Plan, Stateless, Times
from moeram.schedule.prefix import PrefixPlan


class PimoeOptions(Options):
    """layout: "tensor" (X13a: every expert over all units, isolates the policy) or "expert" (X13b: one unit per expert)."""

    layout: Literal["tensor", "expert"] = "tensor"


class Pimoe(Stateless):
    """All experts on the memory side first; then the most popular one of the busiest unit moves to the GPU, until the GPU's
    expert time exceeds the memory side's. The move that exceeds it stays.

    It sees neither attention queued on the memory side nor transfers, nor the GPU's other work.
    """

    name = "pimoe"

    def __init__(self, options: PimoeOptions | None = None) -> None:
        self.options = options or PimoeOptions()

    def plan(self, observation: Observation) -> Plan:
        """Return the re-assignment of each decision."""
        if self.options.layout == "tensor":
            return PrefixPlan(observation, observation.groups.many_to_gpu(observation.costs.tables))
        if observation.unit_of_expert is None:
            raise ConfigError("pimoe with layout 'expert' needs a memory side whose units hold one expert each")
        unit_of_expert, units = observation.unit_of_expert, observation.memory_units
        on_memory = observation.activated.copy()
        going = on_memory.any(axis=1)
        row = np.arange(len(going))
        while going.any():
            load = unit_times(observation, on_memory, unit_of_expert, units)
            gpu = _expert_gpu_ps(observation, observation.activated & ~on_memory)
            going &= (gpu <= load.max(axis=1)) & on_memory.any(axis=1)
            busiest = np.argmax(load, axis=1)
            candidates = on_memory & (unit_of_expert[None, :] == busiest[:, None])
            most_popular = np.argmax(np.where(candidates, observation.tokens, -1), axis=1)
            on_memory[row[going], most_popular[going]] = False
        return Plan(on_memory=on_memory)


def unit_times(
    observation: Observation, on_memory: NDArray[np.bool_], unit_of_expert: NDArray[np.int64], units: int
) -> Times:
    """Return how long each unit [n, units] computes; an expert on one of `units` units has 1 / units of the lanes."""
    times = np.where(on_memory, observation.memory_ps, 0.0) * units
    return times @ (unit_of_expert[:, None] == np.arange(units)).astype(float)


def _expert_gpu_ps(observation: Observation, on_gpu: NDArray[np.bool_]) -> Times:
    memory = np.where(on_gpu, observation.gpu_memory_ps, 0).sum(axis=1)
    return np.maximum(memory, np.where(on_gpu, observation.gpu_compute_ps, 0).sum(axis=1))
