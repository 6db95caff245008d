"""Topic-aware placement: Algorithm 1 with the usage of the batch's topic, or of its topics together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moeram.placement.plan import Plan
from moeram.placement.policy import PlacementInput
from moeram.placement.stratum import over_topics, place_ranked, rank_experts


def topic_aware(given: PlacementInput) -> Plan:
    """Rank by what tokens of this topic use; in a batch of several topics by the request-weighted mean of their tables."""
    return place_ranked("topic_aware", topic_order(given), given.budget)


def topic_order(given: PlacementInput) -> NDArray[np.int64]:
    """Return all experts, the most used ones of the batch's topics first, as `rank_experts` does."""
    mixed = given.requests is not None
    frequency = over_topics(given.usage, given.requests) if mixed else given.usage[given.topic]
    return rank_experts(frequency, given.budget.shared_experts)
