"""Policies of outside packages: found by entry point, refused with one clear message each."""

from __future__ import annotations

import numpy as np
import pytest

import moeram
from moeram.errors import ConfigError
from moeram.placement import (
    POLICIES,
    PartBudget,
    PartInput,
    PlacementInput,
    bare_budget,
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
def install(tmp_path, monkeypatch):
    """Make a distribution with the given entry points, as pip would leave it."""

    def make(name, rows="", parts="", source=SOURCE):
        folder = tmp_path / name
        info = folder / f"{name}-1.5.dist-info"
        info.mkdir(parents=True)
        (folder / f"{name}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[moeram.placement]\n{rows}\n[moeram.placement.parts]\n{parts}\n")
        monkeypatch.syspath_prepend(str(folder))

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


def test_name_clashes_are_refused(install):
    install("taker", rows="static_hot = taker:reverse\nmine = taker:reverse")
    with pytest.raises(ConfigError, match="'static_hot' is one of moeram's own, but package taker 1.5 takes the same"):
        place_rows("static_hot", rows_input())
    install("second", rows="mine = second:reverse")
    with pytest.raises(ConfigError, match="'mine': package (taker|second) 1.5 and package (taker|second) 1.5 take"):
        place_rows("mine", rows_input())


def test_one_that_returns_something_else(install):
    install("careless", rows="nothing = careless:nothing", parts="nothing = careless:nothing")
    with pytest.raises(ConfigError, match="'nothing' returned a NoneType instead of a Plan of the given budget"):
        place_rows("nothing", rows_input())
    with pytest.raises(ConfigError, match="'nothing' returned a NoneType instead of a PartPlan"):
        place_on_parts("nothing", parts_input())
