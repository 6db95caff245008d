"""Topic-aware placement: Algorithm 1 with the usage of the batch's topic."""

from __future__ import annotations

from moeram.placement.plan import Plan
from moeram.placement.policy import PlacementInput
from moeram.placement.stratum import place_ranked, rank_experts


def topic_aware(given: PlacementInput) -> Plan:
    """Rank by what tokens of this topic use."""
    return place_ranked(
        "topic_aware", rank_experts(given.usage[given.topic], given.budget.shared_experts), given.budget
    )
