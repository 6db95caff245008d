"""The figures of one policy: hit rate, balance, pairs across units, bytes moved, distance from the bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeram.hardware import RowSwap, System, row_swap
from moeram.model import MoEModel
from moeram.placement.cases import Case
from moeram.placement.parts.milp import Bound
from moeram.placement.parts.plan import PartPlan
from moeram.placement.plan import Plan
from moeram.placement.saved import SavedPlan, previous_of


@dataclass(frozen=True, kw_only=True)
class Score:
    """One policy; means over the plans, and None where a figure has no value.

    kind: "rows" or "parts". hit_rate: share of the held-out selections that meet a hot expert. balance: largest over mean
    load of a part, mean over layers. cross_pairs: share of the pairs of experts of a token that no part holds together.
    moved_bytes: weights of routed experts that move: from the previous placement if there is one, else from the plan of
    the topic before (the first follows the last). above_bound: how much more the fullest part carries than the proven
    lower bound, on the selections that rankings see, summed over layers: 0.02 is 2 % more. bound_layers: layers of all
    plans that the bound was sought for; proven_layers: those where the solver proved its plan optimal, elsewhere the best
    plan may lie anywhere between the bound and the solver's. swap: of the plans in rows, on a system that was named.
    """

    policy: str
    kind: str
    parts: int | None
    slots: int | None
    hit_rate: float | None
    balance: float | None
    cross_pairs: float | None
    moved_bytes: float | None
    above_bound: float | None
    bound_layers: int | None
    proven_layers: int | None
    swap: SwapScore | None = None


@dataclass(frozen=True, kw_only=True)
class SwapScore:
    """What moving the rows takes, mean over the same changes of plan as moved_bytes.

    experts, rows: moved, of each bank. energy_mj: all banks of all chips; energy_one_bank_mj: one bank (stratum.md 3.5).
    """

    experts: float
    rows: float
    time_ms: float
    energy_mj: float
    energy_one_bank_mj: float


def score_rows(
    name: str,
    plans: Sequence[Plan],
    cases: Sequence[Case],
    model: MoEModel,
    moved: float | None,
    swap: SwapScore | None,
) -> Score:
    """Score a policy that places in rows; `moved` and `swap` as `moved_bytes` and `swap_score` return them."""
    return Score(
        policy=name,
        kind="rows",
        parts=None,
        slots=None,
        hit_rate=mean([_hit_rate(plan, case) for plan, case in zip(plans, cases, strict=True)]),
        balance=1.0,
        cross_pairs=0.0 if model.top_k > 1 else None,
        moved_bytes=moved,
        above_bound=None,
        bound_layers=None,
        proven_layers=None,
        swap=swap,
    )


def score_parts(
    name: str, plans: Sequence[PartPlan], cases: Sequence[Case], bounds: Sequence[Bound] | None, moved: float | None
) -> Score:
    """Score a policy that places on parts; bounds: of each case, if they were sought."""
    budget = plans[0].budget
    pairs_known = all(case.score_pairs is not None for case in cases)
    return Score(
        policy=name,
        kind="parts",
        parts=budget.parts,
        slots=budget.slots,
        hit_rate=None,
        balance=mean([plan.balance(case.scored) for plan, case in zip(plans, cases, strict=True)]),
        cross_pairs=mean([plan.cross_pairs(case.score_pairs) for plan, case in zip(plans, cases, strict=True)])
        if pairs_known
        else None,
        moved_bytes=moved,
        above_bound=None if bounds is None else _above(plans, cases, bounds),
        bound_layers=None if bounds is None else sum(bound.proven.size for bound in bounds),
        proven_layers=None if bounds is None else sum(int(bound.proven.sum()) for bound in bounds),
    )


def moved_bytes(
    plans: Sequence[Any], cases: Sequence[Case], model: MoEModel, previous: Sequence[SavedPlan]
) -> float | None:
    """Mean over plans; None where nothing is known that they replace."""
    before = _replaced(plans, cases, previous)
    if before is None:
        return None
    return float(np.mean([_moved(plan, old) for plan, old in zip(plans, before, strict=True)])) * model.expert_bytes


def swap_score(
    plans: Sequence[Plan], cases: Sequence[Case], system: System, previous: Sequence[SavedPlan]
) -> SwapScore | None:
    """Mean over plans of what their rows' moves take; None where nothing is known that they replace, or it has other rows."""
    before = _replaced(plans, cases, previous)
    if before is None or any(old.budget.rows_per_expert != plans[0].budget.rows_per_expert for old in before):
        return None
    swaps: list[RowSwap] = [
        row_swap(old.first_row, plan.first_row, plan.budget.rows_per_expert, system)
        for plan, old in zip(plans, before, strict=True)
    ]

    def of(figure: str) -> float:
        return float(np.mean([getattr(swap, figure) for swap in swaps]))

    return SwapScore(
        experts=of("moved_experts"),
        rows=of("moved_rows"),
        time_ms=of("time_ps") * 1e-9,
        energy_mj=of("energy_pj") * 1e-9,
        energy_one_bank_mj=of("energy_one_bank_pj") * 1e-9,
    )


def _replaced(plans: Sequence[Any], cases: Sequence[Case], previous: Sequence[SavedPlan]) -> list[Any] | None:
    """What each plan replaces."""
    if previous:
        before = [previous_of(previous, plan, case.label) for plan, case in zip(plans, cases, strict=True)]
    else:
        before = [plans[index - 1] if len(plans) > 1 else None for index in range(len(plans))]
    return None if any(old is None for old in before) else before


def _moved(plan: Plan | PartPlan, previous: Any) -> int:
    if isinstance(plan, PartPlan):
        return plan.moved_copies(previous)
    routed = slice(plan.budget.experts)
    return int((plan.first_row[:, routed] != previous.first_row[:, routed]).sum())


def _hit_rate(plan: Plan, case: Case) -> float:
    if plan.hot is None:
        return float("nan")
    return float(case.held_out[plan.hot[:, : plan.budget.experts]].sum() / case.held_out.sum())


def _above(plans: Sequence[PartPlan], cases: Sequence[Case], bounds: Sequence[Bound]) -> float | None:
    return mean(
        [
            plan.load(case.ranking).max(axis=1).sum() / bound.lower_bound.sum() - 1
            for plan, case, bound in zip(plans, cases, bounds, strict=True)
        ]
    )


def mean(values: Any) -> float | None:
    """Mean of what has a value, None if nothing has."""
    known = np.asarray(values, dtype=np.float64).ravel()
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else None
