"""Placement: which rows, or which parts, hold which expert. To add a policy, write one file and one line below.

An outside package adds one without touching moeram, by entry point (docs/placement.md).
"""

from __future__ import annotations

from moeram.errors import ConfigError
from moeram.placement.no_tiering import no_tiering
from moeram.placement.outside import find_policy, policy_names
from moeram.placement.parts import PART_POLICIES, PartBudget, PartInput, PartPlan, PartPolicy, part_budget
from moeram.placement.plan import Plan, RowBudget, bare_budget, row_budget
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
ROW_GROUP, PART_GROUP = "moeram.placement", "moeram.placement.parts"


def row_policy(name: str) -> PlacementPolicy:
    """Return the policy that places experts in rows; ConfigError if there is none or it does not load."""
    return find_policy(name, POLICIES, ROW_GROUP)


def part_policy(name: str) -> PartPolicy:
    """Return the policy that places experts on parts; ConfigError if there is none or it does not load."""
    return find_policy(name, PART_POLICIES, PART_GROUP)


def row_policy_names() -> tuple[str, ...]:
    """All names that `row_policy` knows; nothing is loaded."""
    return policy_names(POLICIES, ROW_GROUP)


def part_policy_names() -> tuple[str, ...]:
    """All names that `part_policy` knows; nothing is loaded."""
    return policy_names(PART_POLICIES, PART_GROUP)


def place_rows(name: str, given: PlacementInput) -> Plan:
    """Return the plan of a policy.

    Raises:
        ConfigError: no such policy, or it returned something else than a plan of the given budget.
    """
    plan = row_policy(name)(given)
    if not isinstance(plan, Plan) or plan.budget != given.budget:
        raise ConfigError(f"placement {name!r} returned {_what(plan)} instead of a Plan of the given budget")
    return plan


def place_on_parts(name: str, given: PartInput) -> PartPlan:
    """Return the plan of a policy; raises as `place_rows` does."""
    plan = part_policy(name)(given)
    if not isinstance(plan, PartPlan) or plan.budget != given.budget:
        raise ConfigError(f"placement {name!r} returned {_what(plan)} instead of a PartPlan of the given budget")
    return plan


def _what(plan: object) -> str:
    return "a plan of another budget" if isinstance(plan, Plan | PartPlan) else f"a {type(plan).__name__}"


__all__ = [
    "PART_POLICIES",
    "POLICIES",
    "PartBudget",
    "PartInput",
    "PartPlan",
    "PartPolicy",
    "PlacementInput",
    "PlacementPolicy",
    "Plan",
    "RowBudget",
    "bare_budget",
    "part_budget",
    "part_policy",
    "part_policy_names",
    "place_on_parts",
    "place_rows",
    "row_budget",
    "row_policy",
    "row_policy_names",
]
