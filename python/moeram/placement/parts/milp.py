"""The bound: the smallest possible load of the fullest part, by mixed-integer programming (HiGHS through scipy).

Layers are independent. In a layer, z[e, c] = 1 if expert e has c replicas, w[e, c, p] = how many of them part p holds:

    minimise T   with   sum_c z[e, c] = 1            sum_p w[e, c, p] = c z[e, c]
                        sum_ec w[e, c, p] <= slots    sum_ec w[e, c, p] u_e / c <= T

T >= total / parts (a valid cut), and T is at most the fullest part of LPT. Replicas share an expert's load u_e evenly, as
in every plan, and two of them may share a part, so no plan of the same budget is below T.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moeram.errors import CapacityError, EngineError, MoeramError
from moeram.placement.parts.lpt import lpt
from moeram.placement.parts.plan import PartBudget, PartPlan
from moeram.placement.parts.policy import PartInput

MOST_VARIABLES = 4000  # of one layer; 16 experts on 4 parts with 4 replicas have 401
SECONDS_PER_LAYER = 60.0
# "Proven optimal" means that no plan is better by more than this share. Replicas leave so many nearly equal plans that the
# solver needs minutes to hours for the last 0.1 %.
RELATIVE_GAP = 1e-6
RELATIVE_GAP_WITH_REPLICAS = 2e-3


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The best plan and what is proven: in each layer no plan's fullest part carries less than lower_bound [layers].

    relative_gap: of the solver. proven: whether the plan is within that gap of lower_bound, by layer.
    """

    plan: PartPlan
    lower_bound: NDArray[np.float64]
    proven: NDArray[np.bool_]
    relative_gap: float


def milp(given: PartInput) -> PartPlan:
    """Return the plan whose fullest part carries least, in each layer.

    Raises:
        MoeramError: scipy is missing.
        CapacityError: the problem is too large to solve to proven optimality.
        EngineError: optimality was not proven in time.
    """
    seconds = SECONDS_PER_LAYER * given.budget.layers
    bound = solve(given, seconds=seconds)
    if not bound.proven.all():
        layer = int(np.flatnonzero(~bound.proven)[0])
        raise EngineError(
            f"placement milp: layer index {layer} was not solved to proven optimality within {seconds:g} s for all layers; "
            "take fewer experts, parts or replicas"
        )
    return bound.plan


def solve(given: PartInput, *, seconds: float, progress: Callable[[int], None] | None = None) -> Bound:
    """Solve every layer in at most `seconds` together, with the best plan found where that is not enough.

    Each layer may take its share of the time left; what it does not need goes to those after it. A layer without any time
    keeps the plan of LPT and the trivial bound.

    Args:
        progress: called with the number of layers done after each.

    Raises:
        MoeramError: scipy is missing.
        CapacityError: the problem is too large.
    """
    try:
        import scipy.optimize  # noqa: F401
    except ImportError as error:
        raise MoeramError("placement milp needs scipy; install it with: pip install 'moeram[milp]'") from error
    budget = given.budget
    variables = _Variables(budget)
    if variables.count > MOST_VARIABLES:
        raise CapacityError(
            f"placement milp: {budget.experts} experts on {budget.parts} parts of {budget.slots} slots need "
            f"{variables.count} variables a layer, allowed: {MOST_VARIABLES}; it is meant for up to 16 experts on 4 parts"
        )
    start = lpt(given)
    usage = np.asarray(given.usage, dtype=np.float64)
    fullest = start.load(usage).max(axis=1)
    end, solved = time.monotonic() + seconds, []
    for layer in range(budget.layers):
        share = (end - time.monotonic()) / (budget.layers - layer)
        solved.append(_solve_layer(usage[layer], start.expert[layer], float(fullest[layer]), variables, share))
        if progress:
            progress(layer + 1)
    expert, lower, proven = (np.stack(column) for column in zip(*solved, strict=True))
    return Bound(
        plan=PartPlan(policy="milp", budget=budget, expert=expert),
        lower_bound=lower,
        proven=proven,
        relative_gap=variables.gap,
    )


class _Variables:
    """Where z[e, c], w[e, c, p] and T stand in the vector of variables; c counts from 1."""

    def __init__(self, budget: PartBudget) -> None:
        self.budget = budget
        self.most = budget.all_slots - budget.experts + 1
        shape = (budget.experts, self.most, budget.parts)
        self.z = np.arange(budget.experts * self.most).reshape(shape[:2])
        self.w = self.z.size + np.arange(self.z.size * budget.parts).reshape(shape)
        self.t = self.z.size + self.w.size
        self.count = self.t + 1
        self.copies = np.arange(1, self.most + 1)
        self.gap = RELATIVE_GAP if self.most == 1 else RELATIVE_GAP_WITH_REPLICAS


def _solve_layer(
    usage: NDArray[np.float64], start: NDArray[np.int32], fullest: float, variables: _Variables, seconds: float
) -> tuple[NDArray[np.int32], np.float64, np.bool_]:
    from scipy.optimize import Bounds
    from scipy.optimize import milp as solve_milp

    mean = usage.sum() / variables.budget.parts
    largest = usage.max() / variables.most  # some replica of the heaviest expert lies somewhere
    if fullest <= max(mean, largest) * (1 + variables.gap):
        return start, np.float64(max(mean, largest)), np.bool_(True)
    if seconds <= 0:
        return start, np.float64(max(mean, largest)), np.bool_(False)
    scale = 1.0 / mean
    cost = np.zeros(variables.count)
    cost[variables.t] = 1.0
    low, high = np.zeros(variables.count), np.ones(variables.count)
    high[variables.w] = variables.copies[None, :, None]
    low[variables.t], high[variables.t] = max(1.0, largest * scale), fullest * scale
    whole = np.ones(variables.count)
    whole[variables.t] = 0
    result = solve_milp(
        cost,
        integrality=whole,
        bounds=Bounds(low, high),
        constraints=_constraints(usage * scale, variables),
        options={"time_limit": seconds, "mip_rel_gap": variables.gap},
    )
    if result.x is None:
        known = low[variables.t] if result.mip_dual_bound is None else max(low[variables.t], result.mip_dual_bound)
        return start, np.float64(known / scale), np.bool_(False)
    slots = _slots(np.rint(result.x[variables.w]).astype(np.int64), variables.budget)
    found = _fullest(usage, slots)
    lower = min(max(float(result.mip_dual_bound), low[variables.t]) / scale, found)
    if found > fullest:
        slots, found = start, fullest
    return slots, np.float64(lower), np.bool_(found <= lower * (1 + variables.gap) * (1 + 1e-9))


def _constraints(usage: NDArray[np.float64], variables: _Variables) -> list[object]:
    from scipy.optimize import LinearConstraint
    from scipy.sparse import lil_matrix

    budget, copies = variables.budget, variables.copies
    one = lil_matrix((budget.experts, variables.count))
    linked = lil_matrix((variables.z.size, variables.count))
    room = lil_matrix((budget.parts, variables.count))
    load = lil_matrix((budget.parts, variables.count))
    for expert in range(budget.experts):
        one[expert, variables.z[expert]] = 1
        for index, count in enumerate(copies):
            row = variables.z[expert, index]
            linked[row, variables.w[expert, index]] = 1
            linked[row, row] = -count
    for part in range(budget.parts):
        room[part, variables.w[:, :, part].ravel()] = 1
        load[part, variables.w[:, :, part].ravel()] = (usage[:, None] / copies).ravel()
        load[part, variables.t] = -1
    return [
        LinearConstraint(one.tocsr(), 1, 1),
        LinearConstraint(linked.tocsr(), 0, 0),
        LinearConstraint(room.tocsr(), 0, budget.slots),
        LinearConstraint(load.tocsr(), -np.inf, 0),
    ]


def _slots(held: NDArray[np.int64], budget: PartBudget) -> NDArray[np.int32]:
    """Slots [parts, slots] from w [experts, copies, parts]."""
    slots = np.full((budget.parts, budget.slots), -1, dtype=np.int32)
    per_part = held.sum(axis=1)
    for part in range(budget.parts):
        members = np.repeat(np.arange(budget.experts), per_part[:, part])
        slots[part, : len(members)] = members
    return slots


def _fullest(usage: NDArray[np.float64], slots: NDArray[np.int32]) -> float:
    replicas = np.bincount(slots[slots >= 0], minlength=len(usage))
    share = np.append(usage / np.maximum(replicas, 1), 0.0)
    return float(share[slots].sum(axis=1).max())
