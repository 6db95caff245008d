"""Cold first: Algorithm 1 the wrong way round, for batches whose hot experts are bound by the multipliers.

An expert with many tokens takes as long in a slow row as in a fast one (stratum.md 9, U8: 8 ns per row and token against a row cycle
of at most 55.15 ns), so that a fast row is of use to experts with few tokens only.
"""

from __future__ import annotations

from moeram.placement.plan import Plan
from moeram.placement.policy import PlacementInput
from moeram.placement.stratum import place_ranked
from moeram.placement.topic_aware import topic_order


def cold_first(given: PlacementInput) -> Plan:
    """Rank as `topic_aware` does and give the fastest rows to the last of the ranking."""
    return place_ranked("cold_first", topic_order(given)[::-1], given.budget)
