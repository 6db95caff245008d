"""Placement: which rows, or which parts, hold which expert. To add a policy, write one file and one line below.

An outside package adds one without touching moeram, by entry point (docs/placement.md).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.errors import CapacityError
from moeram.placement.cold_first import cold_first
from moeram.placement.no_tiering import no_tiering
from moeram.placement.oracle_topic import oracle_topic
from moeram.placement.outside import call_outside, clashes, find_policy, policy_names
from moeram.placement.parts import PART_POLICIES, PartBudget, PartInput, PartPlan, PartPolicy, part_budget
from moeram.placement.plan import Plan, RowBudget, bare_budget, row_budget
from moeram.placement.policy import PlacementInput, PlacementPolicy
from moeram.placement.random_rows import random_rows
from moeram.placement.static_hot import static_hot
from moeram.placement.topic_aware import topic_aware
from moeram.routing.source import read_only

POLICIES: dict[str, PlacementPolicy] = {
    "no_tiering": no_tiering,
    "random_rows": random_rows,
    "static_hot": static_hot,
    "topic_aware": topic_aware,
    "cold_first": cold_first,
    "oracle_topic": oracle_topic,
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


def name_clashes() -> tuple[str, ...]:
    """Sentences on outside policies that take a name of moeram's own; those are left out."""
    return (*clashes(POLICIES, ROW_GROUP), *clashes(PART_POLICIES, PART_GROUP))


def place_rows(name: str, given: PlacementInput) -> Plan:
    """Return the plan of a policy.

    An outside policy sees read-only arrays, and its plan is made anew, so that every rule is checked here (`Plan`).

    Raises:
        ConfigError: no such policy.
        PolicyError: an outside policy fails, or returns something else than a sound plan of the given budget.
    """
    policy = row_policy(name)
    if name in POLICIES:
        return policy(given)

    def place() -> Plan:
        plan = _checked(policy(replace(given, usage=_locked(given.usage), held_out=None)), Plan, given.budget)
        return Plan(
            policy=name,
            budget=given.budget,
            first_row=_copied(plan.first_row),
            hot=_copied(plan.hot),
            slowest_tier_everywhere=plan.slowest_tier_everywhere is True,
        )

    return call_outside(name, ROW_GROUP, place)


def place_on_parts(name: str, given: PartInput) -> PartPlan:
    """Return the plan of a policy; raises, and treats outside policies, as `place_rows` does."""
    policy = part_policy(name)
    if name in PART_POLICIES:
        return policy(given)

    def place() -> PartPlan:
        locked = replace(given, usage=_locked(given.usage), pairs=_locked(given.pairs))
        plan = _checked(policy(locked), PartPlan, given.budget)
        return PartPlan(policy=name, budget=given.budget, expert=_copied(plan.expert))

    return call_outside(name, PART_GROUP, place)


def _checked(plan: Any, kind: type, budget: RowBudget | PartBudget) -> Any:
    if not isinstance(plan, kind) or plan.budget != budget:
        what = "a plan of another budget" if isinstance(plan, Plan | PartPlan) else f"a {type(plan).__name__}"
        raise CapacityError(f"it returned {what} instead of a {kind.__name__} of the given budget")
    return plan


def _locked(array: NDArray[Any] | None) -> NDArray[Any] | None:
    return None if array is None else read_only(array.view())


def _copied(array: Any) -> Any:
    return array.copy() if isinstance(array, np.ndarray) else array


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
    "name_clashes",
    "part_budget",
    "part_policy",
    "part_policy_names",
    "place_on_parts",
    "place_rows",
    "row_budget",
    "row_policy",
    "row_policy_names",
]
