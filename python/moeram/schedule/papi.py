"""PAPI's threshold (sieve.md 11.4)."""

from __future__ import annotations

from pydantic import Field

from moeram.options import Options
from moeram.schedule.policy import Observation, Plan, Stateless, UniformPlan


class PapiOptions(Options):
    """alpha: RLP x TLP above which fully connected layers go to the GPU; 3 in an unofficial reproduction (sieve.md 11.4)."""

    alpha: float = Field(3, ge=0)


class Papi(Stateless):
    """All experts to the GPU when requests x tokens per request exceeds alpha, else all to the memory side."""

    name = "papi"

    def __init__(self, options: PapiOptions | None = None) -> None:
        self.options = options or PapiOptions()

    def plan(self, observation: Observation) -> Plan:
        """Return a plan for the batch as a whole."""
        on_gpu = observation.requests * observation.tokens_per_request > self.options.alpha
        return UniformPlan(observation, on_memory=not on_gpu)
