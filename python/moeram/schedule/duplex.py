"""Duplex co-processing (sieve.md 11.1)."""

from __future__ import annotations

from moeram.schedule.policy import Observation, Plan, Stateless
from moeram.schedule.prefix import PrefixPlan


class Duplex(Stateless):
    """All experts on the GPU first; the least loaded ones go to the memory side while that makes the MoE layer faster.

    It compares expert times alone, from a table measured in advance: neither attention nor transfers count.
    """

    name = "duplex"

    def plan(self, observation: Observation) -> Plan:
        """Return the co-processing split of each decision."""
        return PrefixPlan(observation, observation.groups.few_to_memory(observation.costs.tables, observation.rows))
