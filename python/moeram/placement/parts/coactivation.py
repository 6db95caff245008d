"""Co-activation-aware placement: swaps between parts that bring pairs of experts together, or apart, within a load limit.

Together: fewer parts per token, less traffic between units. Apart: the experts of a token run at the same time on
different units (insight I5 of "Orders in Chaos", arXiv 2510.05497). Start: LPT with replicas. Then, in a layer, the swap
of two slots that changes the affinity inside parts most, until no swap helps (Kernighan and Lin 1970, swaps only).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError
from moeram.placement.parts.lpt import lpt
from moeram.placement.parts.plan import PartBudget, PartPlan
from moeram.placement.parts.policy import PartInput

LOAD_SLACK = 0.1  # a part may carry 10 % more than the mean, or as much as the fullest part of LPT if that is more
_MOST_ROUNDS = 1000


def coactivation_together(given: PartInput) -> PartPlan:
    """Bring pairs that tokens use together onto one part."""
    return _swapped("coactivation_together", given, 1.0)


def coactivation_apart(given: PartInput) -> PartPlan:
    """Spread pairs that tokens use together over different parts."""
    return _swapped("coactivation_apart", given, -1.0)


def _swapped(policy: str, given: PartInput, sign: float) -> PartPlan:
    if given.pairs is None:
        raise ConfigError(
            f"placement {policy} needs co-activation (which experts a token uses together); counts per expert do not hold "
            "it, token traces do"
        )
    start = lpt(given)
    share = np.asarray(given.usage, dtype=np.float64) / start.replicas
    expert = start.expert.copy()
    for layer in range(given.budget.layers):
        affinity = sign * np.asarray(given.pairs[layer], dtype=np.float64)
        replicas = start.replicas[layer]
        expert[layer] = _swap_layer(expert[layer], share[layer], affinity / np.outer(replicas, replicas), given.budget)
    return PartPlan(policy=policy, budget=given.budget, expert=expert)


def _swap_layer(
    slots: NDArray[np.int32], share: NDArray[np.float64], affinity: NDArray[np.float64], budget: PartBudget
) -> NDArray[np.int32]:
    """Slots [parts, slots] of one layer after all swaps; an empty slot is an item without load and affinity."""
    empty = budget.experts
    items = np.where(slots < 0, empty, slots).ravel()
    weight = np.append(share, 0.0)
    between = np.pad(affinity, ((0, 1), (0, 1)))
    np.fill_diagonal(between, 0.0)
    total = weight[items].reshape(slots.shape).sum(axis=1)
    limit = max(float(total.max()), (1 + LOAD_SLACK) * float(total.mean())) * (1 + 1e-12)
    for _ in range(_MOST_ROUNDS):
        swaps = _best_swaps(_gains(items, weight, between, limit, budget), budget)
        if not swaps:
            break
        for first, second in swaps:
            items[[first, second]] = items[[second, first]]
    return np.where(items == empty, -1, items).astype(np.int32).reshape(slots.shape)


def _gains(
    items: NDArray[np.int32],
    weight: NDArray[np.float64],
    between: NDArray[np.float64],
    limit: float,
    budget: PartBudget,
) -> NDArray[np.float64]:
    """Growth of the affinity inside parts by swapping slots i and j, [slots of all parts] squared; -inf if forbidden."""
    parts, count = budget.parts, len(items)
    part = np.repeat(np.arange(parts), budget.slots)
    pair = between[items][:, items]
    to_part = pair.reshape(count, parts, budget.slots).sum(axis=2)
    change = to_part[:, part] - to_part[np.arange(count), part][:, None]
    gain = change + change.T - 2 * pair
    load = weight[items]
    total = load.reshape(parts, budget.slots).sum(axis=1)[part]
    after = total[:, None] - load[:, None] + load[None, :]
    held = np.zeros((budget.experts + 1, parts), dtype=bool)
    held[items, part] = True
    held[budget.experts] = False
    twice = held[items][:, part]
    gain[(after > limit) | (after.T > limit) | twice | twice.T] = -np.inf
    return gain


def _best_swaps(gain: NDArray[np.float64], budget: PartBudget) -> list[tuple[int, int]]:
    """Best swap of each pair of parts, the largest first, no part twice: such swaps do not change each other's gain."""
    parts, slots = budget.parts, budget.slots
    blocks = gain.reshape(parts, slots, parts, slots).transpose(0, 2, 1, 3).reshape(parts, parts, -1)
    best = np.triu(np.maximum(blocks.max(axis=2), 0.0), k=1)
    scale = float(np.abs(gain[np.isfinite(gain)]).max(initial=0.0))
    chosen = []
    while best.max() > 1e-12 * scale:
        first, second = np.unravel_index(int(best.argmax()), best.shape)
        slot = int(blocks[first, second].argmax())
        chosen.append((int(first) * slots + slot // slots, int(second) * slots + slot % slots))
        best[[first, second], :] = 0.0
        best[:, [first, second]] = 0.0
    return chosen
