"""Placement on parts (expert parallelism). To add a policy, write one file and one line below."""

from __future__ import annotations

from moeram.placement.parts.coactivation import coactivation_apart, coactivation_together
from moeram.placement.parts.eplb import eplb, eplb_global
from moeram.placement.parts.fixed import blocks, round_robin
from moeram.placement.parts.lpt import lpt
from moeram.placement.parts.milp import milp
from moeram.placement.parts.plan import PartBudget, PartPlan, part_budget
from moeram.placement.parts.policy import PartInput, PartPolicy

PART_POLICIES: dict[str, PartPolicy] = {
    "blocks": blocks,
    "coactivation_apart": coactivation_apart,
    "coactivation_together": coactivation_together,
    "eplb": eplb,
    "eplb_global": eplb_global,
    "lpt": lpt,
    "milp": milp,
    "round_robin": round_robin,
}
NEED_PAIRS = frozenset({"coactivation_apart", "coactivation_together"})  # of no use where only counts are known

__all__ = ["NEED_PAIRS", "PART_POLICIES", "PartBudget", "PartInput", "PartPlan", "PartPolicy", "part_budget"]
