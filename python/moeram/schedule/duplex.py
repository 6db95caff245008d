"""Duplex co-processing (sieve.md 11.1)."""

from __future__ import annotations

import numpy as np

from moeram.schedule.policy import Observation, Plan, Stateless
from moeram.schedule.prefix import prefixes


class Duplex(Stateless):
    """All experts on the GPU first; the least loaded ones go to the memory side while that makes the MoE layer faster.

    It compares expert times alone, from a table measured in advance: neither attention nor transfers count.
    """

    name = "duplex"

    def plan(self, observation: Observation) -> Plan:
        """Return the co-processing split of each decision."""
        family = prefixes(observation, observation.memory_ps)
        time = np.maximum(family.gpu_ps, family.memory_ps - observation.attention_ps[:, None])
        # From the right end (everything on the GPU) towards the left while it gets strictly faster.
        moved = family.activated.copy()
        row = np.arange(len(moved))
        going = moved > 0
        while going.any():
            going &= time[row, np.maximum(moved - 1, 0)] < time[row, moved]
            moved = moved - going
            going &= moved > 0
        return Plan(on_memory=family.on_memory(moved))
