"""Placements by expert id only, the same in every layer: the usual defaults of expert parallelism."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moeram.placement.parts.plan import PartPlan
from moeram.placement.parts.policy import PartInput


def round_robin(given: PartInput) -> PartPlan:
    """Expert e on part e mod parts; further slots stay empty."""
    return _by_id("round_robin", given, np.arange(given.budget.experts) % given.budget.parts)


def blocks(given: PartInput) -> PartPlan:
    """Successive experts together, ceil(experts / parts) on each part from the first on; further slots stay empty."""
    return _by_id("blocks", given, np.arange(given.budget.experts) // -(-given.budget.experts // given.budget.parts))


def _by_id(policy: str, given: PartInput, part: NDArray[np.int64]) -> PartPlan:
    budget = given.budget
    one_layer = np.full((budget.parts, budget.slots), -1, dtype=np.int32)
    for index in range(budget.parts):
        members = np.flatnonzero(part == index)
        one_layer[index, : len(members)] = members
    return PartPlan(policy=policy, budget=budget, expert=np.tile(one_layer, (budget.layers, 1, 1)))
