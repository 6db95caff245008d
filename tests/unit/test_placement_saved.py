"""Plans in a file: round trip, bytes moved from what lies in memory now, and complaints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from moeram.cli.placement import app
from moeram.errors import ConfigError, MoeramError
from moeram.model import load_model
from moeram.placement.compare import CompareOptions, compare
from moeram.placement.saved import read_plans, write_plans
from moeram.routing import SyntheticOptions, SyntheticRouting


@pytest.fixture(scope="module")
def model():
    return replace(load_model("mixtral-8x7b"), layers=3, moe_layers=(0, 1, 2))


@pytest.fixture(scope="module")
def source(model):
    return SyntheticRouting(model, SyntheticOptions(topics=2, sample_tokens=400), seed=1)


@pytest.fixture
def saved(tmp_path, source, model):
    """A file with the plans of two policies on parts and one in rows."""
    path = tmp_path / "plans.json"
    options = CompareOptions(parts=(2, 4), replicas=4, policies=("topic_aware", "no_tiering", "lpt", "eplb"))
    result = compare(source, model, options)
    write_plans(path, model, result.plans)
    return path, result.plans, options


def in_use(path, expert, model="mixtral-8x7b", **more):
    """A file that a user writes about two parts of four experts."""
    budget = {"layers": 3, "experts": 8, "parts": 2, "slots": 4}
    plan = {"policy": "in use", "kind": "parts", "budget": budget, "expert": expert, **more}
    path.write_text(json.dumps({"format": "moeram placement", "version": 1, "model": model, "plans": [plan]}))
    return path


HALVES = [[[0, 1, 2, 3], [4, 5, 6, 7]]] * 3


def test_round_trip(saved, model):
    path, plans, _ = saved
    again = read_plans(path, model)
    assert len(again) == len(plans) == 2 * (2 + 2 * 2)
    for old, new in zip(plans, again, strict=True):
        assert (old.batch, old.plan.policy, old.plan.budget) == (new.batch, new.plan.policy, new.plan.budget)
        for name in ("expert", "first_row", "hot", "slowest_tier_everywhere"):
            assert np.array_equal(getattr(old.plan, name, None), getattr(new.plan, name, None))
    write_plans(path.with_name("again.json"), model, again)
    assert path.with_name("again.json").read_text() == path.read_text()
    assert sorted(file.name for file in path.parent.iterdir()) == ["again.json", "plans.json"]


def test_nothing_moves_from_the_same_plans(saved, source, model):
    path, _, options = saved
    result = compare(source, model, options, previous=read_plans(path, model))
    assert [score.moved_bytes for score in result.scores] == [0] * 6
    assert not any("one plan" in note for note in result.notes)


def test_bytes_moved_from_the_placement_in_use(tmp_path, source, model):
    """The only plan of its size is what every policy replaces; moved experts counted by hand from sets."""
    halves = [[0, 2, 4, 6], [1, 3, 5, 7]]  # what round robin does
    previous = read_plans(in_use(tmp_path / "now.json", [halves] * 3), model)
    options = CompareOptions(parts=(2,), plans="all", policies=("round_robin", "blocks", "static_hot"))
    found = {s.policy: s.moved_bytes for s in compare(source, model, options, previous=previous).scores}
    expert_bytes = 3 * 4096 * 14336 * 2
    assert found == {"round_robin": 0, "blocks": 3 * 4 * expert_bytes, "static_hot": None}
    with pytest.raises(ConfigError, match="the previous placement is of other parts or rows than all plans"):
        compare(source, model, replace(options, parts=(4,)), previous=previous)


def test_rows_moved_are_those_of_changed_ranks(saved, source, model):
    plans = saved[1]
    result = compare(source, model, CompareOptions(policies=("topic_aware",), plans="topic"))
    one = {saved.batch: saved.plan for saved in plans if saved.plan.policy == "topic_aware"}
    first, second = one.values()
    changed = int((first.first_row != second.first_row).sum())
    assert result.scores[0].moved_bytes == changed * 3 * 4096 * 14336 * 2 > 0


@pytest.mark.parametrize(
    ("expert", "more", "message"),
    [
        (HALVES, {"owner": "me"}, "owner: unknown key"),
        (HALVES, {"kind": "part"}, "kind: given 'part'"),
        (HALVES[:2], {}, r"slots of shape \(2, 2, 4\), the budget has \(3, 2, 4\)"),
        ([[[0, 1, 2, 3], [4, 5, 6]]] * 3, {}, "its lists have unequal lengths"),
        ([[[0, 1, 2, 3], [4, 5, 6, 8]]] * 3, {}, r"expert ids must lie in 0\.\.7"),
        ([[[0, 1, 2, 3], [4, 5, 6, 6]]] * 3, {}, "expert 7 of layer index 0 is on no part"),
        ([[[0, 1, 2, 3.0], [4, 5, 6, 7]]] * 3, {}, "slots are an array of float64"),
        ([[[0, 1, 2, 3], [4, 5, 6, 10**30]]] * 3, {}, "slots are an array of object"),
        (None, {}, "slots are an array of object"),
        (HALVES, {"budget": {"layers": 3, "experts": 8, "parts": 2, "slots": 0}}, "slots is 0, allowed: 1 or more"),
        (HALVES, {"budget": {"layers": 3, "experts": 8, "parts": "2", "slots": 4}}, "budget.parts: given '2'"),
        (
            HALVES,
            {"budget": {"layers": 4, "experts": 8, "parts": 2, "slots": 4}},
            "4 layers of 8 experts, mixtral-8x7b has 3",
        ),
        (HALVES, {"kind": "rows"}, "budget.rows: missing, a value is needed"),
    ],
)
def test_plans_that_break_a_rule(tmp_path, model, expert, more, message):
    path = in_use(tmp_path / "now.json", expert, **more)
    with pytest.raises(MoeramError, match=message) as error:
        read_plans(path, model)
    assert str(error.value).startswith(f"{path}: plans[0]") and len(str(error.value)) < 2000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ("[1]", "expected an object with format, version, model and plans"),
        ("{}", "format: missing"),
        ('{"format": "moeram placement", "version": 2, "model": "mixtral-8x7b", "plans": []}', "version: given 2"),
        ('{"format": "moeram placement", "version": 1, "model": "mixtral-8x7b", "plans": []}', "holds no plan"),
        ('{"format": "moeram placement", "version": 1, "model": "dbrx", "plans": []}', "made for model 'dbrx'"),
        ('{"format": "moeram placement", "version": 1, "model": "dbrx", "plans": [3]}', "given 3, allowed"),
        ('{"plans": ' + "9" * 5000 + "}", "not JSON"),
        ("[" * 100000, "nested too deeply"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_files_that_hold_no_plans(tmp_path, model, content, message):
    path = tmp_path / "now.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(MoeramError, match=message) as error:
        read_plans(path, model)
    assert str(path) in str(error.value) and len(str(error.value)) < 2000


def test_a_plan_given_twice(saved, model):
    path, _, _ = saved
    content = json.loads(path.read_text())
    content["plans"].append(content["plans"][2])
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"plans\[12\] has the policy, batch and size of plans\[2\]"):
        read_plans(path, model)


def test_command_line(tmp_path):
    counts = np.arange(1, 1 + 2 * 16 * 64).reshape(2, 16, 64) * 8
    path, plans = tmp_path / "counts.npz", tmp_path / "plans.json"
    np.savez(path, domains=np.array(["law", "code"]), layers=np.arange(16), top_k=np.array(8), counts=counts)
    arguments = ["compare", str(path), "--model", "olmoe-1b-7b", "--parts", "4", "--json"]
    first = CliRunner().invoke(app, [*arguments, "--save", str(plans)])
    assert first.exit_code == 0, first.output
    again = CliRunner().invoke(app, [*arguments, "--previous", str(plans)])
    assert {score["moved_bytes"] for score in json.loads(again.stdout)["scores"]} == {0.0}
    for bad in (tmp_path, tmp_path / "no" / "plans.json", plans / "below"):
        result = CliRunner().invoke(app, [*arguments, "--save", str(bad)])
        assert isinstance(result.exception, ConfigError) and str(bad) in str(result.exception)
    result = CliRunner().invoke(app, [*arguments, "--previous", str(Path("nowhere.json"))])
    assert isinstance(result.exception, MoeramError) and "nowhere.json" in str(result.exception)
