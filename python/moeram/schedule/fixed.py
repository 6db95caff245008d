"""Policies that never look at loads."""

from __future__ import annotations

from moeram.schedule.policy import Observation, Plan, Stateless, UniformPlan


class GpuOnly(Stateless):
    """Everything on the GPU, attention too (sieve.md 0.1, I5)."""

    name = "gpu_only"

    def plan(self, observation: Observation) -> Plan:
        """Return a plan without the memory side."""
        return UniformPlan(observation, on_memory=False, attention_on_memory=False)


class NoExperts(Stateless):
    """All experts on the GPU, attention on the memory side (NoExp of sieve.md 8: NeuPIMs, PAISE)."""

    name = "no_experts"

    def plan(self, observation: Observation) -> Plan:
        """Return a plan with attention alone on the memory side."""
        return UniformPlan(observation, on_memory=False)


class AttAcc(NoExperts):
    """AttAcc's rule (sieve.md 11.3): attention near memory, every fully connected layer on the GPU.

    Its choice is that of NoExperts; its head-level pipelining is a matter of how a step overlaps, not of who computes.
    """

    name = "attacc"


class AllExperts(Stateless):
    """All experts on the memory side (AllExp of sieve.md 8; Stratum)."""

    name = "all_experts"

    def plan(self, observation: Observation) -> Plan:
        """Return a plan with every activated expert on the memory side."""
        return UniformPlan(observation, on_memory=True)
