"""Longest processing time first with replicas (Graham 1969), at most one replica of an expert on a part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moeram.placement.parts.packing import replicate
from moeram.placement.parts.plan import PartBudget, PartPlan
from moeram.placement.parts.policy import PartInput


def lpt(given: PartInput) -> PartPlan:
    """Experts by falling load per replica, each to the least loaded parts with room, its replicas on different ones.

    Replicas: as in EPLB each extra slot goes to the expert with the largest load per replica, but to no expert beyond one
    replica per part. An expert that finds fewer parts with room than it has replicas drops the rest (their slots stay
    empty). Ties go to the lower expert and the lower part.
    """
    budget = given.budget
    usage = np.asarray(given.usage, dtype=np.float64)
    chosen = replicate(usage, budget.all_slots)
    count = np.stack([np.bincount(row, minlength=budget.experts) for row in chosen])
    layers = [
        _one_layer(load, _at_most_one_per_part(load, row, budget), budget)
        for load, row in zip(usage, count, strict=True)
    ]
    return PartPlan(policy="lpt", budget=budget, expert=np.stack(layers))


def _at_most_one_per_part(load: NDArray[np.float64], count: NDArray[np.int64], budget: PartBudget) -> NDArray[np.int64]:
    """Cut replicas beyond one per part and hand them on, one by one, to the largest load per replica below the limit."""
    spare = int(np.clip(count - budget.parts, 0, None).sum())
    count = np.minimum(count, budget.parts)
    for _ in range(spare):
        open_to_more = count < budget.parts
        if not open_to_more.any():
            break
        count[np.where(open_to_more, load / count, -1.0).argmax()] += 1
    return count


def _one_layer(load: NDArray[np.float64], count: NDArray[np.int64], budget: PartBudget) -> NDArray[np.int32]:
    share = load / count
    total = np.zeros(budget.parts)
    filled = np.zeros(budget.parts, dtype=np.int64)
    slots = np.full((budget.parts, budget.slots), -1, dtype=np.int32)
    unplaced = budget.experts
    for expert in np.argsort(-share, kind="stable"):
        unplaced -= 1
        free = int(budget.all_slots - filled.sum())
        copies = min(int(count[expert]), int((filled < budget.slots).sum()), free - unplaced)
        parts = np.argsort(np.where(filled < budget.slots, total, np.inf), kind="stable")[:copies]
        slots[parts, filled[parts]] = expert
        filled[parts] += 1
        total[parts] += load[expert] / copies
    return slots
