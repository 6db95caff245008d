"""Placement: which rows hold which expert. To add a policy, write one file and one line below."""

from __future__ import annotations

from moeram.placement.no_tiering import no_tiering
from moeram.placement.plan import Plan, RowBudget, row_budget
from moeram.placement.policy import PlacementInput, PlacementPolicy
from moeram.placement.random_rows import random_rows
from moeram.placement.static_hot import static_hot
from moeram.placement.topic_aware import topic_aware

POLICIES: dict[str, PlacementPolicy] = {
    "no_tiering": no_tiering,
    "random_rows": random_rows,
    "static_hot": static_hot,
    "topic_aware": topic_aware,
}

__all__ = ["POLICIES", "PlacementInput", "PlacementPolicy", "Plan", "RowBudget", "row_budget"]
