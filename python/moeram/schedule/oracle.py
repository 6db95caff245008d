"""Exhaustive search for small cases: the bound that heuristics are held against."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from moeram.errors import CapacityError
from moeram.options import Options
from moeram.schedule.policy import Observation, Plan, Stateless, objective_ps


class OracleOptions(Options):
    """most_experts: refuse more activated experts than this; the search doubles with each."""

    most_experts: int = Field(16, ge=1, le=20)


class Oracle(Stateless):
    """The best of all subsets by max(T_comm, T_GPU, T_memory) with the table of times; of equal ones the first in binary order."""

    name = "oracle"

    def __init__(self, options: OracleOptions | None = None) -> None:
        self.options = options or OracleOptions()

    def plan(self, observation: Observation) -> Plan:
        """Return the best subset of each decision.

        Raises:
            CapacityError: more activated experts than the options allow.
        """
        used = np.flatnonzero(observation.activated.any(axis=0))
        if used.size > self.options.most_experts:
            raise CapacityError(
                f"the oracle tries all subsets: {used.size} experts have tokens, allowed: {self.options.most_experts}"
            )
        best_ps = np.full(len(observation.tokens), np.inf)
        best = np.zeros_like(observation.activated)
        for subset in range(1 << used.size):
            candidate = np.zeros(observation.tokens.shape[1], dtype=bool)
            candidate[used] = (subset >> np.arange(used.size)) & 1
            on_memory = observation.activated & candidate
            time_ps = objective_ps(observation, on_memory, observation.memory_ps)
            better = time_ps < best_ps
            best_ps[better], best[better] = time_ps[better], on_memory[better]
        return Plan(on_memory=best)
