"""Placement policies side by side on one routing source: hit rate, balance, pairs across units, bytes moved."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from moeram.errors import ConfigError, PolicyError, did_you_mean
from moeram.hardware import System
from moeram.model import MoEModel
from moeram.placement import (
    PartBudget,
    PartInput,
    PlacementInput,
    RowBudget,
    bare_budget,
    name_clashes,
    part_budget,
    part_policy,
    part_policy_names,
    place_on_parts,
    place_rows,
    row_policy,
    row_policy_names,
)
from moeram.placement.cases import Case, make_cases
from moeram.placement.parts import NEED_PAIRS
from moeram.placement.parts.milp import RELATIVE_GAP, RELATIVE_GAP_WITH_REPLICAS, Bound, solve
from moeram.placement.saved import SavedPlan
from moeram.placement.scores import Score, SwapScore, moved_bytes, score_parts, score_rows, swap_score
from moeram.routing import RoutingSource

Progress = Callable[[int, int, str], None]
BOUND = "milp"


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What to compare.

    parts: numbers of parts for the policies that place on parts. replicas: further copies per layer. nodes, groups: see
    PartBudget. policies: names, None means all (the bound only if it is asked for). plans: "topic" makes one plan for each
    topic, "all" one for all topics together. requests: by topic, of one batch of several topics, instead of `plans`.
    bound: solve for the best possible balance too, in at most bound_seconds for all plans together. seed: of random policies and of the tokens that pairs are counted on.
    """

    parts: tuple[int, ...] = (2, 4, 8)
    replicas: int = 0
    nodes: int = 1
    groups: int = 1
    policies: tuple[str, ...] | None = None
    plans: str = "topic"
    requests: dict[str, float] | None = None
    bound: bool = False
    bound_seconds: float = 120.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Scores of all policies and the sentences that belong to them.

    failures: one message for each outside policy (and number of parts) that failed; it has no score there. skipped: one
    for each installed policy that was left out because it cannot be used. plans: every plan, to be written to a file.
    """

    model: str
    topics: tuple[str, ...]
    scores: tuple[Score, ...]
    notes: tuple[str, ...]
    failures: tuple[str, ...]
    skipped: tuple[str, ...]
    plans: tuple[SavedPlan, ...] = field(repr=False)

    def plain(self) -> dict[str, Any]:
        """Return plain values for JSON, without the plans."""
        return {
            "model": self.model,
            "topics": list(self.topics),
            "scores": [asdict(score) for score in self.scores],
            "notes": list(self.notes),
            "failures": list(self.failures),
            "skipped": list(self.skipped),
        }


def compare(
    source: RoutingSource,
    model: MoEModel,
    options: CompareOptions | None = None,
    *,
    budget: RowBudget | None = None,
    system: System | None = None,
    previous: Sequence[SavedPlan] = (),
    progress: Progress | None = None,
) -> Comparison:
    """Make all plans and score them.

    Args:
        budget: rows for the policies that place in rows; None: one row per expert, which changes no figure here.
        system: price the rows' moves on it; needs its budget.
        previous: what lies in memory now; bytes move from there instead of from the plan of the topic before.
        progress: called as progress(done, total, label) after each piece of work.

    Raises:
        MoeramError: an option is wrong, a policy is missing, one that was asked for does not load, or something does not
            fit. An outside policy that fails later is one of `failures`.
    """
    options = options or CompareOptions()
    if not model.moe_layers:
        raise ConfigError(f"{model.name} has no experts to place")
    if not options.bound_seconds > 0:
        raise ConfigError(f"bound_seconds: given {options.bound_seconds:g}, allowed: more than 0")
    if system is not None and budget is None:
        raise ConfigError(f"moves of rows on {system.name} need its row budget")
    names = _names(options)
    cases = make_cases(source, options.plans, options.requests, options.seed)
    rows = budget or bare_budget(
        layers=len(source.layers), experts=source.experts, top_k=source.top_k, shared_experts=model.shared_experts
    )
    work = _Work(source, model, options, cases, tuple(previous), system, names, progress)
    for name in names.rows:
        work.place_in_rows(name, rows)
    on_parts = [
        part_budget(model, parts, replicas=options.replicas, nodes=options.nodes, groups=options.groups)
        for parts in (options.parts if names.parts else ())
    ]
    for index, part in enumerate(on_parts):
        work.place_on_parts(part, len(on_parts) - index)
    if previous and work.scores and all(score.moved_bytes is None for score in work.scores):
        raise ConfigError("the previous placement is of other parts or rows than all plans of this comparison")
    return Comparison(
        model=model.name,
        topics=tuple(source.topics),
        scores=tuple(work.scores),
        notes=(*source.notes, *_notes(work, rows)),
        failures=tuple(work.failures),
        skipped=names.skipped,
        plans=tuple(work.plans),
    )


@dataclass(frozen=True, kw_only=True)
class _Names:
    rows: tuple[str, ...]
    parts: tuple[str, ...]
    skipped: tuple[str, ...]


def _names(options: CompareOptions) -> _Names:
    """The policies to compare: those asked for, or all that load."""
    rows, parts = row_policy_names(), part_policy_names()
    for name in options.policies or ():
        if name not in (*rows, *parts):
            raise ConfigError(f"no placement {name!r}{did_you_mean(name, (*rows, *parts))}")
    wanted = options.policies or (*rows, *(name for name in parts if name != BOUND))
    if options.bound and BOUND not in wanted:
        wanted = (*wanted, BOUND)
    skipped = list(name_clashes())

    def usable(name: str, find: Callable[[str], Any]) -> bool:
        try:
            find(name)
        except PolicyError as error:
            if options.policies:
                raise
            skipped.append(f"{error}; left out")
            return False
        return True

    return _Names(
        rows=tuple(name for name in rows if name in wanted and usable(name, row_policy)),
        parts=tuple(name for name in parts if name in wanted and usable(name, part_policy)),
        skipped=tuple(skipped),
    )


class _Work:
    """The plans made so far, their scores, and what failed."""

    def __init__(
        self,
        source: RoutingSource,
        model: MoEModel,
        options: CompareOptions,
        cases: list[Case],
        previous: tuple[SavedPlan, ...],
        system: System | None,
        names: _Names,
        progress: Progress | None,
    ) -> None:
        self.source, self.model, self.options, self.cases, self.previous = source, model, options, cases, previous
        self.system, self.names, self.progress = system, names, progress
        self.bounding = options.bound or BOUND in names.parts
        self.end = time.monotonic() + options.bound_seconds
        self.scores: list[Score] = []
        self.plans: list[SavedPlan] = []
        self.failures: list[str] = []
        solved = len(cases) * len(source.layers) if self.bounding else 0
        self.done, self.total = 0, len(names.rows) + (len(names.parts) + solved) * len(options.parts)

    def place_in_rows(self, name: str, budget: RowBudget) -> None:
        usage = self.source.ranking_usage()
        given = [
            PlacementInput(
                usage=usage,
                topic=case.topic,
                budget=budget,
                seed=self.options.seed,
                requests=case.requests,
                held_out=self.source.held_out_usage(),
            )
            for case in self.cases
        ]
        plans = self._made(name, lambda: [place_rows(name, one) for one in given], "")
        if plans:
            self.scores.append(score_rows(name, plans, self.cases, self.model, self._moved(plans), self._swap(plans)))
        self._report(name)

    def place_on_parts(self, budget: PartBudget, sizes_left: int) -> None:
        seed = self.options.seed
        given = [PartInput(usage=case.ranking, budget=budget, pairs=case.learn_pairs, seed=seed) for case in self.cases]
        bounds = self._bounds(given, sizes_left) if self.bounding else None
        where = f", {budget.parts} parts"
        for name in self.names.parts:
            if name in NEED_PAIRS and not self.options.policies and any(one.pairs is None for one in given):
                plans = None
            elif name == BOUND:
                plans = self._made(name, lambda: [bound.plan for bound in bounds], where)
            else:
                plans = self._made(name, lambda name=name: [place_on_parts(name, one) for one in given], where)
            if plans:
                self.scores.append(score_parts(name, plans, self.cases, bounds, self._moved(plans)))
            self._report(f"{name}{where}")

    def _bounds(self, given: list[PartInput], sizes_left: int) -> list[Bound]:
        found = []
        for index, one in enumerate(given):
            left = (self.end - time.monotonic()) / (sizes_left * len(given) - index)
            label = f"bound, {one.budget.parts} parts, {self.cases[index].label}"
            self._report(label, 0)
            found.append(solve(one, seconds=left, progress=lambda _, label=label: self._report(label)))
        return found

    def _made(self, name: str, make: Callable[[], list[Any]], where: str) -> list[Any] | None:
        try:
            plans = make()
        except PolicyError as error:
            self.failures.append(f"{error}{where and f' ({where[2:]})'}")
            return None
        self.plans += [SavedPlan(batch=case.label, plan=plan) for case, plan in zip(self.cases, plans, strict=True)]
        return plans

    def _moved(self, plans: list[Any]) -> float | None:
        return moved_bytes(plans, self.cases, self.model, self.previous)

    def _swap(self, plans: list[Any]) -> SwapScore | None:
        return None if self.system is None else swap_score(plans, self.cases, self.system, self.previous)

    def _report(self, label: str, steps: int = 1) -> None:
        self.done += steps
        if self.progress:
            self.progress(self.done, self.total, label)


def _notes(work: _Work, rows: RowBudget) -> list[str]:
    cases = work.cases
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
    if work.previous:
        notes.append("moved: from the previous placement; a policy without a plan of its size there has no value")
    elif len(cases) == 1:
        notes.append("one plan: no bytes move")
    if work.bounding:
        notes.append(_bound_note(work))
    return notes


def _bound_note(work: _Work) -> str:
    scores = [score for score in work.scores if score.policy == BOUND]
    proven, layers = (sum(getattr(score, name) for score in scores) for name in ("proven_layers", "bound_layers"))
    gap = (
        RELATIVE_GAP_WITH_REPLICAS
        if work.options.replicas or any(score.slots * score.parts > work.source.experts for score in scores)
        else RELATIVE_GAP
    )
    known = "above bound: over the proven lower bound of the MILP, on the selections that rankings see"
    if proven == layers:
        return f"{known}; its plan is proven optimal (within {gap:.4%}) in all {layers} layers"
    return (
        f"{known}; its plan is proven optimal (within {gap:.4%}) in {proven} of {layers} layers, elsewhere it is the best found "
        f"in the {work.options.bound_seconds:g} s given for all, and the true optimum lies between the bound and it"
    )
