"""Placement policies side by side on one routing source: hit rate, balance, pairs across units, bytes moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError, did_you_mean
from moeram.model import MoEModel
from moeram.placement import (
    PartBudget,
    PartInput,
    PartPlan,
    PlacementInput,
    Plan,
    RowBudget,
    bare_budget,
    part_budget,
    part_policy_names,
    place_on_parts,
    place_rows,
    row_policy_names,
)
from moeram.placement.pairs import count_pairs, draw_tokens
from moeram.placement.parts import NEED_PAIRS
from moeram.placement.parts.milp import Bound, solve
from moeram.placement.stratum import over_topics
from moeram.routing import RoutingSource

BOUND = "milp"


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What to compare.

    parts: numbers of parts for the policies that place on parts. replicas: further copies per layer. nodes, groups: see
    PartBudget. policies: names, None means all (the bound only if it is asked for). plans: "topic" makes one plan for each
    topic, "all" one for all topics together. requests: by topic, of one batch of several topics, instead of `plans`.
    bound: solve for the best possible balance too. seed: of random policies and of the tokens that pairs are counted on.
    """

    parts: tuple[int, ...] = (2, 4, 8)
    replicas: int = 0
    nodes: int = 1
    groups: int = 1
    policies: tuple[str, ...] | None = None
    plans: str = "topic"
    requests: dict[str, float] | None = None
    bound: bool = False
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Score:
    """One policy; means over the plans, and None where a figure has no value.

    kind: "rows" or "parts". hit_rate: share of the held-out selections that meet a hot expert. balance: largest over mean
    load of a part, mean over layers. cross_pairs: share of the pairs of experts of a token that no part holds together.
    moved_bytes: weights of routed experts that move when the plan changes from that of the topic before (the first follows
    the last). above_bound: how much more the fullest part carries than the smallest possible, on the selections that
    rankings see, summed over layers: 0.02 is 2 % more.
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


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Scores of all policies and the sentences that belong to them."""

    model: str
    topics: tuple[str, ...]
    scores: tuple[Score, ...]
    notes: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class _Case:
    """One plan to make: what rankings see and what scores it. requests: of each topic, one topic alone or several."""

    topic: int
    requests: tuple[float, ...]
    ranking: NDArray[np.float64]
    held_out: NDArray[np.float64]
    scored: NDArray[np.float64]
    learn_pairs: NDArray[np.floating] | None
    score_pairs: NDArray[np.floating] | None


def compare(
    source: RoutingSource, model: MoEModel, options: CompareOptions | None = None, *, budget: RowBudget | None = None
) -> Comparison:
    """Make all plans and score them.

    Args:
        budget: rows for the policies that place in rows; None: one row per expert, which changes no figure here.

    Raises:
        MoeramError: an option is wrong, a policy is missing or fails to load, or something does not fit.
    """
    options = options or CompareOptions()
    if not model.moe_layers:
        raise ConfigError(f"{model.name} has no experts to place")
    row_names, part_names = _names(options)
    cases = _cases(source, options)
    rows = budget or bare_budget(
        layers=len(source.layers), experts=source.experts, top_k=source.top_k, shared_experts=model.shared_experts
    )
    scores = [_score_rows(name, source, cases, rows, model, options) for name in row_names]
    for parts in options.parts if part_names else ():
        on_parts = part_budget(model, parts, replicas=options.replicas, nodes=options.nodes, groups=options.groups)
        scores += _score_parts(part_names, cases, on_parts, model, options)
    return Comparison(
        model=model.name,
        topics=tuple(source.topics),
        scores=tuple(scores),
        notes=(*source.notes, *_notes(source, cases, options, rows)),
    )


def _names(options: CompareOptions) -> tuple[list[str], list[str]]:
    rows, parts = row_policy_names(), part_policy_names()
    for name in options.policies or ():
        if name not in (*rows, *parts):
            raise ConfigError(f"no placement {name!r}{did_you_mean(name, (*rows, *parts))}")
    wanted = options.policies or (*rows, *(name for name in parts if name != BOUND))
    if options.bound and BOUND not in wanted:
        wanted = (*wanted, BOUND)
    return [name for name in rows if name in wanted], [name for name in parts if name in wanted]


def _cases(source: RoutingSource, options: CompareOptions) -> list[_Case]:
    count = len(source.topics)
    if options.requests is not None:
        unknown = [topic for topic in options.requests if topic not in source.topics]
        if unknown:
            raise ConfigError(f"no topic {unknown[0]!r} in this routing{did_you_mean(unknown[0], source.topics)}")
        return [_case(source, tuple(float(options.requests.get(topic, 0)) for topic in source.topics), options.seed)]
    if options.plans == "all":
        return [_case(source, (1.0,) * count, options.seed)]
    if options.plans != "topic":
        raise ConfigError(f"plans: given {options.plans!r}{did_you_mean(options.plans, ('topic', 'all'))}")
    return [_case(source, tuple(map(float, np.arange(count) == topic)), options.seed) for topic in range(count)]


def _case(source: RoutingSource, requests: tuple[float, ...], seed: int) -> _Case:
    held_out = over_topics(source.held_out_usage(), requests)
    experts = source.experts
    scored, learn, score = np.zeros_like(held_out), 0.0, 0.0
    for topic in np.flatnonzero(requests):
        tokens = draw_tokens(source, int(topic), seed)
        if tokens is None:
            scored, learn, score = held_out, None, None
            break
        weight = requests[topic] / len(tokens.learn)
        learn = learn + weight * count_pairs(tokens.learn, experts)
        score = score + weight * count_pairs(tokens.score, experts)
        scored = scored + weight * np.stack(
            [np.bincount(tokens.score[:, layer].ravel(), minlength=experts) for layer in range(len(source.layers))]
        )
    return _Case(
        topic=int(np.argmax(requests)),
        requests=requests,
        ranking=over_topics(source.ranking_usage(), requests),
        held_out=held_out,
        scored=scored,
        learn_pairs=learn,
        score_pairs=score,
    )


def _score_rows(
    name: str, source: RoutingSource, cases: list[_Case], budget: RowBudget, model: MoEModel, options: CompareOptions
) -> Score:
    usage = source.ranking_usage()
    plans = [
        place_rows(
            name,
            PlacementInput(usage=usage, topic=case.topic, budget=budget, seed=options.seed, requests=case.requests),
        )
        for case in cases
    ]

    def hit_rate(plan: Plan, case: _Case) -> float:
        if plan.hot is None:
            return float("nan")
        return float(case.held_out[plan.hot[:, : budget.experts]].sum() / case.held_out.sum())

    def moved(plan: Plan, previous: Plan) -> int:
        routed = slice(budget.experts)
        return int((plan.first_row[:, routed] != previous.first_row[:, routed]).sum())

    return Score(
        policy=name,
        kind="rows",
        parts=None,
        slots=None,
        hit_rate=_mean([hit_rate(plan, case) for plan, case in zip(plans, cases, strict=True)]),
        balance=1.0,
        cross_pairs=0.0 if source.top_k > 1 else None,
        moved_bytes=_moved([moved(*pair) for pair in _changes(plans)], model),
        above_bound=None,
    )


def _score_parts(
    names: Sequence[str], cases: list[_Case], budget: PartBudget, model: MoEModel, options: CompareOptions
) -> list[Score]:
    given = [PartInput(usage=case.ranking, budget=budget, pairs=case.learn_pairs, seed=options.seed) for case in cases]
    bounds = [solve(one) for one in given] if options.bound or BOUND in names else None
    scores = []
    for name in names:
        if name in NEED_PAIRS and not options.policies and any(case.learn_pairs is None for case in cases):
            continue
        if name == BOUND:
            plans = [bound.plan for bound in bounds]
        else:
            plans = [place_on_parts(name, one) for one in given]
        scores.append(_score_plans(name, plans, cases, bounds, model))
    return scores


def _score_plans(
    name: str, plans: list[PartPlan], cases: list[_Case], bounds: list[Bound] | None, model: MoEModel
) -> Score:
    above = None
    if bounds is not None:
        above = _mean(
            [
                plan.load(case.ranking).max(axis=1).sum() / bound.lower_bound.sum() - 1
                for plan, case, bound in zip(plans, cases, bounds, strict=True)
            ]
        )
    budget = plans[0].budget
    pairs_known = all(case.score_pairs is not None for case in cases)
    return Score(
        policy=name,
        kind="parts",
        parts=budget.parts,
        slots=budget.slots,
        hit_rate=None,
        balance=_mean([plan.balance(case.scored) for plan, case in zip(plans, cases, strict=True)]),
        cross_pairs=_mean([plan.cross_pairs(case.score_pairs) for plan, case in zip(plans, cases, strict=True)])
        if pairs_known
        else None,
        moved_bytes=_moved([plan.moved_copies(previous) for plan, previous in _changes(plans)], model),
        above_bound=above,
    )


def _changes(plans: list[Any]) -> list[tuple[Any, Any]]:
    """Each plan with the one before it, the first with the last; none where there is only one plan."""
    return [(plan, plans[index - 1]) for index, plan in enumerate(plans)] if len(plans) > 1 else []


def _moved(copies: list[int], model: MoEModel) -> float | None:
    return float(np.mean(copies)) * model.expert_bytes if copies else None


def _mean(values: Any) -> float | None:
    """Mean of what has a value, None if nothing has."""
    known = np.asarray(values, dtype=np.float64).ravel()
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else None


def _notes(source: RoutingSource, cases: list[_Case], options: CompareOptions, rows: RowBudget) -> list[str]:
    share = rows.hot_count / rows.expert_count
    ranked = (
        f"hit rate: of the held-out selections, plans rank by the other half; {rows.hot_count} of {rows.expert_count} "
        f"experts are hot ({share:.1%}), which chance alone would hit as often"
    )
    notes = [
        ranked,
        "rows: every expert lies in all banks of all units, so the units carry the same load and no pair is apart",
    ]
    if any(case.score_pairs is None for case in cases):
        notes.append(
            "co-activation is not known for this routing: no cross-unit pairs, no co-activation-aware policies; balance on "
            "the held-out selections"
        )
    else:
        notes.append(
            "balance and cross-unit pairs: on one half of the held-out tokens; co-activation-aware policies learn pairs "
            "from the other half"
        )
    if len(cases) == 1:
        notes.append("one plan: no bytes move")
    if options.bound:
        notes.append("above bound: against the proven lower bound of the MILP, on the selections that rankings see")
    return notes
