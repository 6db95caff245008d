"""Static placement: Algorithm 1 with the usage of all topics together, the same for every batch."""

from __future__ import annotations

from moeram.placement.plan import Plan
from moeram.placement.policy import PlacementInput
from moeram.placement.stratum import over_topics, place_ranked, rank_experts


def static_hot(given: PlacementInput) -> Plan:
    """Rank by what tokens of all topics use, each topic with the same weight."""
    return place_ranked("static_hot", rank_experts(over_topics(given.usage), given.budget.shared_experts), given.budget)
