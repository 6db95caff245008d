"""Policies of outside packages: found by entry point, refused with one clear message each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import moeram
from moeram.errors import CapacityError, ConfigError, PolicyError
from moeram.placement import (
    POLICIES,
    PartBudget,
    PartInput,
    PlacementInput,
    Plan,
    bare_budget,
    name_clashes,
    part_policy_names,
    place_on_parts,
    place_rows,
    row_policy_names,
)

SOURCE = """
import numpy as np
from moeram.placement import PartPlan
from moeram.placement.stratum import place_ranked

def reverse(given):
    return place_ranked("reverse", np.arange(given.budget.expert_count)[::-1], given.budget)

def all_on_first(given):
    budget = given.budget
    expert = np.full((budget.layers, budget.parts, budget.slots), -1, dtype=np.int32)
    expert[:, 0] = np.arange(budget.experts)
    return PartPlan(policy="all_on_first", budget=budget, expert=expert)

def nothing(given):
    return None

a_number = 7
"""


@pytest.fixture
def install(install_package):
    def make(name, rows="", parts="", source=SOURCE):
        install_package(name, source, f"[moeram.placement]\n{rows}\n[moeram.placement.parts]\n{parts}\n")

    return make


def rows_input():
    budget = bare_budget(layers=2, experts=4, top_k=1)
    return PlacementInput(usage=np.ones((1, 2, 4)), topic=0, budget=budget, seed=0)


def parts_input():
    return PartInput(usage=np.ones((1, 4)), budget=PartBudget(layers=1, experts=4, parts=2, slots=4))


def test_outside_policies_are_found_and_used(install):
    install("placed_elsewhere", rows="reverse = placed_elsewhere:reverse", parts="one = placed_elsewhere:all_on_first")
    assert row_policy_names() == (*POLICIES, "reverse")
    assert part_policy_names()[-1] == "one"
    assert place_rows("reverse", rows_input()).first_row[1, 3] == 0
    assert place_on_parts("one", parts_input()).load(np.ones((1, 4))).tolist() == [[4.0, 0.0]]


def test_an_experiment_takes_an_outside_policy(install, fake_core):
    install("placed_there", rows="reverse = placed_there:reverse")
    record = moeram.run("quickstart", batch=[1], samples=1, placements=["reverse", "no_tiering"])
    assert record["points"]["placement"].tolist() == ["reverse", "no_tiering"]


def test_one_that_does_not_load(install):
    install("broken_one", rows="broken = broken_one:missing\nnumber = broken_one:a_number")
    with pytest.raises(
        ConfigError, match="'broken' of package broken_one 1.5 cannot be loaded from 'broken_one:missing'"
    ):
        place_rows("broken", rows_input())
    with pytest.raises(ConfigError, match="'number' of package broken_one 1.5: 'broken_one:a_number' is no function"):
        place_rows("number", rows_input())
    assert place_rows("topic_aware", rows_input()).policy == "topic_aware"


def test_one_whose_module_raises(install):
    install("raising", rows="raises = raising:policy", source="raise RuntimeError('no licence')")
    with pytest.raises(
        ConfigError, match="'raises' of package raising 1.5 cannot be loaded .* RuntimeError: no licence"
    ):
        moeram.run("quickstart", placements=["raises"])


def test_own_names_stay_our_own_and_two_outside_packages_clash(install, fake_core):
    install("taker", rows="static_hot = taker:nothing\nmine = taker:reverse")
    assert place_rows("static_hot", rows_input()).policy == "static_hot"
    clash = "placement 'static_hot' of package taker 1.5 is left out: the name is one of moeram's own"
    assert name_clashes() == (clash,)
    record = moeram.run("quickstart", batch=[1], samples=1, placements=["static_hot"])
    assert clash in record.notes
    install("second", rows="mine = second:reverse")
    with pytest.raises(PolicyError, match="'mine': package (taker|second) 1.5 and package (taker|second) 1.5 take"):
        place_rows("mine", rows_input())


def test_one_that_returns_something_else(install):
    install("careless", rows="nothing = careless:nothing", parts="nothing = careless:nothing")
    with pytest.raises(
        ConfigError, match="'nothing' of package careless 1.5 failed: it returned a NoneType instead of a Plan"
    ):
        place_rows("nothing", rows_input())
    with pytest.raises(
        ConfigError, match="'nothing' of package careless 1.5 failed: it returned a NoneType instead of a Part"
    ):
        place_on_parts("nothing", parts_input())


NONSENSE = """
import sys
import numpy as np
from dataclasses import replace
from moeram.placement import PartPlan, Plan, POLICIES, PART_POLICIES

class LaxPlan(Plan):
    def __post_init__(self): pass

class LaxParts(PartPlan):
    def __post_init__(self): pass

def good(given): return POLICIES["static_hot"](given)
def lax(given, **changes):
    plan = good(given)
    fields = dict(policy="x", budget=plan.budget, first_row=plan.first_row, hot=plan.hot)
    return LaxPlan(**{**fields, **changes})
def parts(given, expert): return LaxParts(policy="x", budget=given.budget, expert=expert)

def raises(given): return {}["no such key"]
def leaves(given): sys.exit("bye")
def writes(given): given.usage[:] = 0; return good(given)
def missing_rows(given): return lax(given, first_row=good(given).first_row * float("nan"))
def listed(given): return lax(given, first_row=good(given).first_row.tolist())
def overlapping(given): return lax(given, first_row=good(given).first_row * 0)
def outside(given): return lax(given, first_row=good(given).first_row + 1)
def all_hot(given): return lax(given, hot=np.ones_like(good(given).hot))
def wrong_hot(given): return lax(given, hot=good(given).first_row >= given.budget.phi - given.budget.hot_count)
def numbered_hot(given): return lax(given, hot=good(given).hot.astype(int))
def budgeted(given): return lax(given, budget=replace(given.budget, phi=10**6))
def part_raises(given): raise ValueError("first line\\nsecond line" + "x" * 5000)
def part_lost(given): return parts(given, np.zeros((1, 2, 4), dtype=int))
def part_floats(given): return parts(given, np.zeros((1, 2, 4)))
def part_range(given): return parts(given, np.full((1, 2, 4), 4))
def part_slots(given): return parts(given, np.zeros((1, 2, 9), dtype=int))
"""
ROW_FAULTS = {
    "raises": "KeyError: 'no such key'",
    "leaves": "SystemExit: bye",
    "writes": "ValueError: assignment destination is read-only",
    "missing_rows": "first rows are an array of float64, allowed: a numpy array of whole numbers",
    "listed": "first rows are a list, allowed: a numpy array of whole numbers",
    "overlapping": "experts overlap or leave rows 0 to 7",
    "outside": "experts overlap or leave rows 0 to 7",
    "all_hot": "8 experts are hot, allowed: 2",
    "wrong_hot": "a hot expert lies above one that is not hot",
    "numbered_hot": "hot flags are an array of int64, allowed: a numpy array of booleans",
    "budgeted": "it returned a plan of another budget instead of a Plan of the given budget",
}
PART_FAULTS = {
    "part_raises": "ValueError: first line$",
    "part_lost": "expert 1 of layer index 0 is on no part",
    "part_floats": "slots are an array of float64, allowed: a numpy array of whole numbers",
    "part_range": r"expert ids must lie in 0\.\.3",
    "part_slots": r"slots of shape \(1, 2, 9\), the budget has \(1, 2, 4\)",
}


@pytest.mark.parametrize(("name", "cause"), [*ROW_FAULTS.items(), *PART_FAULTS.items()])
def test_nonsense_is_one_message_with_its_cause(install, name, cause):
    """Also from plans of a subclass that checks nothing."""
    line = f"{name} = nonsense:{name}"
    install("nonsense", **{"rows" if name in ROW_FAULTS else "parts": line}, source=NONSENSE)
    place, given = (place_rows, rows_input()) if name in ROW_FAULTS else (place_on_parts, parts_input())
    with pytest.raises(PolicyError, match=f"^placement '{name}' of package nonsense 1.5 failed: .*{cause}") as error:
        place(name, given)
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 500


def test_rows_kept_for_other_data_stay_free():
    """Two experts of two rows in rows 0 to 9: hot rows 0-1, KV reserve 2-4, other data 5-6, the rest free."""
    budget = replace(bare_budget(layers=1, experts=2, top_k=1), rows_per_expert=2, phi=10, rows=10, kv_rows=3)
    budget = replace(budget, non_nmp_first_row=5, non_nmp_rows=2)
    for row, free in ((1, False), (2, False), (4, False), (5, False), (6, False), (7, True), (8, True), (9, False)):
        first_row = np.array([[0, row]])
        if free:
            Plan(policy="mine", budget=budget, first_row=first_row, hot=None)
        else:
            with pytest.raises(CapacityError):
                Plan(policy="mine", budget=budget, first_row=first_row, hot=None)
