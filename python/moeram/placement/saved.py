"""Plans in a file (JSON): what a comparison made, or the placement that a user runs now.

{"format": "moeram placement", "version": 1, "model": NAME, "plans": [PLAN, ...]}, each PLAN with policy, batch (a label),
budget, and what it says: "expert" [layers][parts][slots] on parts (-1: an empty slot), or "first_row" and "hot"
[layers][experts + shared] in rows. Every rule of the plans holds for those of a file too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from moeram.errors import ConfigError, MoeramError
from moeram.files import whole_file
from moeram.model import MoEModel
from moeram.options import Options, build, tree_of
from moeram.placement.parts.plan import PartBudget, PartPlan
from moeram.placement.plan import Plan, RowBudget
from moeram.routing.readers.files import read_json

FORMAT, VERSION = "moeram placement", 1


@dataclass(frozen=True, kw_only=True)
class SavedPlan:
    """A plan and the batch it was made for: a topic, "all topics", or requests by topic."""

    batch: str
    plan: Plan | PartPlan


class _PartBudget(Options):
    layers: int
    experts: int
    parts: int
    slots: int
    nodes: int = 1
    groups: int = 1


_Count = Annotated[int, Field(ge=0)]


class _RowBudget(Options):
    rows: _Count
    rows_per_expert: Annotated[int, Field(ge=1)]
    layers: _Count
    experts: _Count
    shared_experts: _Count
    top_k: _Count
    phi: _Count
    kv_rows: _Count
    non_nmp_first_row: _Count
    non_nmp_rows: _Count
    result_rows: _Count


class _PartPlan(Options):
    policy: str
    batch: str = ""
    kind: Literal["parts"]
    budget: _PartBudget
    expert: Any


class _RowPlan(Options):
    policy: str
    batch: str = ""
    kind: Literal["rows"]
    budget: _RowBudget
    first_row: Any
    hot: Any = None
    slowest_tier_everywhere: bool = False


class _File(Options):
    format: Literal["moeram placement"]
    version: Literal[1]
    model: str
    plans: tuple[dict[str, Any], ...]


def write_plans(path: Path, model: MoEModel, plans: Sequence[SavedPlan]) -> None:
    """Write a file that `read_plans` reads, whole or not at all.

    Raises:
        ConfigError: it cannot be written.
    """
    content = {"format": FORMAT, "version": VERSION, "model": model.name, "plans": [_plain(saved) for saved in plans]}
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content) + "\n", encoding="utf-8")


def read_plans(path: Path, model: MoEModel) -> tuple[SavedPlan, ...]:
    """Return the plans of a file, checked as those of a policy are.

    Raises:
        MoeramError: the file is missing or no such file, a key is unknown, it is of another model, or a plan breaks a rule;
            names the file and the plan.
    """
    try:
        content = read_json(path)
    except ValueError as error:  # a number too long to read
        raise ConfigError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected an object with format, version, model and plans")
    file = build(_File, tree_of(content, str(path)))
    if file.model != model.name:
        raise ConfigError(f"{path}: made for model {file.model!r}, not for {model.name!r}")
    plans = tuple(_plan(entry, f"{path}: plans[{index}]", model) for index, entry in enumerate(file.plans))
    if not plans:
        raise ConfigError(f"{path}: holds no plan")
    known: dict[tuple[Any, ...], int] = {}
    for index, saved in enumerate(plans):
        key = (saved.plan.policy, saved.batch, _size(saved.plan))
        if key in known:
            raise ConfigError(f"{path}: plans[{index}] has the policy, batch and size of plans[{known[key]}]")
        known[key] = index
    return plans


def previous_of(saved: Sequence[SavedPlan], plan: Plan | PartPlan, batch: str) -> Plan | PartPlan | None:
    """Return the plan that `plan` replaces: the only one of its size, else that of the same policy and batch, else None."""
    same = [one for one in saved if _size(one.plan) == _size(plan)]
    if len(same) == 1:
        return same[0].plan
    return next((one.plan for one in same if (one.plan.policy, one.batch) == (plan.policy, batch)), None)


def _size(plan: Plan | PartPlan) -> Any:
    """What must agree for two plans to be compared; slots may differ."""
    budget = plan.budget
    return (budget.layers, budget.experts, budget.parts) if isinstance(plan, PartPlan) else budget


def _plain(saved: SavedPlan) -> dict[str, Any]:
    plan = saved.plan
    head = {"policy": plan.policy, "batch": saved.batch}
    if isinstance(plan, PartPlan):
        return {**head, "kind": "parts", "budget": asdict(plan.budget), "expert": plan.expert.tolist()}
    return {
        **head,
        "kind": "rows",
        "budget": asdict(plan.budget),
        "first_row": plan.first_row.tolist(),
        "hot": None if plan.hot is None else plan.hot.tolist(),
        "slowest_tier_everywhere": plan.slowest_tier_everywhere,
    }


def _plan(entry: dict[str, Any], place: str, model: MoEModel) -> SavedPlan:
    on_parts = entry.get("kind") != "rows"
    given = build(_PartPlan if on_parts else _RowPlan, tree_of(entry, place))
    shape = (len(model.moe_layers), model.experts)
    if (given.budget.layers, given.budget.experts) != shape:
        raise ConfigError(
            f"{place}: {given.budget.layers} layers of {given.budget.experts} experts, {model.name} has {shape[0]} of {shape[1]}"
        )
    try:
        if on_parts:
            budget = PartBudget(**given.budget.model_dump())
            plan = PartPlan(policy=given.policy, budget=budget, expert=_array(given.expert))
        else:
            plan = Plan(
                policy=given.policy,
                budget=RowBudget(**given.budget.model_dump()),
                first_row=_array(given.first_row),
                hot=None if given.hot is None else _array(given.hot),
                slowest_tier_everywhere=given.slowest_tier_everywhere,
            )
    except MoeramError as error:
        raise type(error)(f"{place}: {error}") from None
    return SavedPlan(batch=given.batch, plan=plan)


def _array(values: Any) -> NDArray[Any]:
    try:
        return np.array(values)
    except ValueError:
        raise ConfigError("its lists have unequal lengths") from None
