"""The comparison of policies: figures recomputed by hand, covers counted elsewhere, mixed batches."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from moeram.cli.placement import app
from moeram.errors import ConfigError
from moeram.model import load_model
from moeram.placement import POLICIES, PlacementInput, bare_budget
from moeram.placement.compare import CompareOptions, compare
from moeram.placement.stratum import over_topics
from moeram.routing import SyntheticOptions, SyntheticRouting, open_routing
from moeram.routing.readers.counts_npz import read_count_table


@pytest.fixture(scope="module")
def model():
    return replace(load_model("mixtral-8x7b"), layers=3, moe_layers=(0, 1, 2))


@pytest.fixture(scope="module")
def source(model):
    return SyntheticRouting(model, SyntheticOptions(topics=3, sample_tokens=400), seed=1)


def scores(source, model, **options):
    return {(score.policy, score.parts): score for score in compare(source, model, CompareOptions(**options)).scores}


def hot_share(rank, test, hot):
    best = np.argsort(-rank.ravel(), kind="stable")[:hot]
    return test.ravel()[best].sum() / test.sum()


def test_hit_rates_are_shares_of_the_held_out_half(source, model):
    found = scores(source, model, parts=(2,))
    rank, test = source.ranking_usage(), source.held_out_usage()
    expected = [hot_share(rank[topic], test[topic], 6) for topic in range(3)]
    assert found["topic_aware", None].hit_rate == pytest.approx(np.mean(expected))
    assert found["static_hot", None].hit_rate == pytest.approx(
        np.mean([hot_share(rank.sum(axis=0), test[topic], 6) for topic in range(3)])
    )
    assert found["no_tiering", None].hit_rate is None and found["eplb", 2].hit_rate is None


def test_moved_bytes_are_those_of_changed_plans(source, model):
    """Round robin and static rows never move; EPLB moves what its plans of successive topics do not share."""
    found = scores(source, model, parts=(2,))
    assert found["round_robin", 2].moved_bytes == found["static_hot", None].moved_bytes == 0
    rank = source.ranking_usage()

    def sides(usage):
        """Two parts of four slots: heaviest first to the lighter side with room."""
        parts, total = [set(), set()], [0.0, 0.0]
        for expert in sorted(range(8), key=lambda e: (-usage[e], e)):
            side = min((s for s in (0, 1) if len(parts[s]) < 4), key=lambda s: (total[s], s))
            parts[side].add(expert)
            total[side] += usage[expert]
        return parts

    moved = 0
    for topic in range(3):
        for layer in range(3):
            now, before = sides(rank[topic, layer]), sides(rank[topic - 1, layer])
            moved += sum(len(now[side] - before[side]) for side in (0, 1))
    assert found["lpt", 2].moved_bytes == pytest.approx(moved / 3 * 3 * 4096 * 14336 * 2)
    assert scores(source, model, parts=(2,), plans="all")["lpt", 2].moved_bytes is None


def test_one_unit_has_no_cross_pairs_and_as_many_as_experts_only_those(source, model):
    found = scores(source, model, parts=(1, 8))
    for name in ("eplb", "round_robin", "coactivation_together"):
        assert found[name, 1].cross_pairs == 0 and found[name, 1].balance == 1
        assert found[name, 8].cross_pairs == 1


def test_above_bound_is_never_negative(source, model):
    pytest.importorskip("scipy")
    found = scores(source, model, parts=(2, 4), bound=True)
    for (name, parts), score in found.items():
        if parts is None:
            assert score.above_bound is None
        else:
            assert score.above_bound >= (0 if name != "milp" else -1e-9)
    assert found["milp", 4].above_bound < 3e-6 < found["round_robin", 4].above_bound


def test_mixed_batches_weigh_tables_by_requests(source, model):
    """U18: frequency = sum over requests of the table of their topic."""
    usage = np.array([[[8.0, 1, 1]], [[10, 70, 20]]])
    assert over_topics(usage, (3, 1)).tolist() == [pytest.approx([3 * 0.8 + 0.1, 0.3 + 0.7, 0.3 + 0.2])]
    budget = bare_budget(layers=1, experts=3, top_k=1)
    row = {}
    for requests in ((3, 1), (1, 3)):
        given = PlacementInput(usage=usage, topic=0, budget=budget, seed=0, requests=requests)
        row[requests] = POLICIES["topic_aware"](given).first_row.tolist()
    assert row == {(3, 1): [[0, 1, 2]], (1, 3): [[1, 0, 2]]}
    one_topic = scores(source, model, parts=(2,), requests={"topic_1": 5})
    rank, test = source.ranking_usage()[1], source.held_out_usage()[1]
    assert one_topic["topic_aware", None].hit_rate == pytest.approx(hot_share(rank, test, 6))


@pytest.mark.parametrize("requests", [(1,), (0, 0), (-1, 2), (float("nan"), 1)])
def test_impossible_requests(requests):
    with pytest.raises(ConfigError, match="requests by topic: given .*, allowed: 2 numbers, 0 or more, not all 0"):
        over_topics(np.ones((2, 1, 3)), requests)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policies": ("eplp",)}, "no placement 'eplp'; did you mean 'eplb'"),
        ({"plans": "topics"}, "plans: given 'topics'; did you mean 'topic'"),
        ({"requests": {"topic_9": 1}}, "no topic 'topic_9' in this routing"),
        ({"parts": (3,), "nodes": 2}, r"parts \(3\) is no multiple of nodes \(2\)"),
        ({"parts": (0,)}, "given 0 parts"),
    ],
)
def test_impossible_options(source, model, options, message):
    with pytest.raises(ConfigError, match=message):
        scores(source, model, **options)


@pytest.mark.parametrize(
    ("file", "name", "hot", "topic_aware", "static"),
    [
        ("olmoe-1b-7b.npz", "olmoe-1b-7b", 8, 0.344, 0.254),
        ("olmoe-1b-7b.npz", "olmoe-1b-7b", 16, 0.522, 0.412),
        ("mixtral-8x7b.npz", "mixtral-8x7b", 2, 0.285, 0.276),
    ],
)
def test_covers_of_counts_ranked_and_scored_on_the_same_counts(shared, file, name, hot, topic_aware, static):
    """Counted independently: mean over domains and three layers, each layer with its own hot set."""
    counts = read_count_table(shared / "data" / "routing" / file, load_model(name)).counts.astype(float)
    topics, layers, experts = counts.shape
    budget = bare_budget(layers=1, experts=experts, top_k=hot)
    found = {"topic_aware": [], "static_hot": []}
    for topic in range(topics):
        for layer in range(layers):
            usage = counts[:, layer : layer + 1]
            for policy, rates in found.items():
                plan = POLICIES[policy](PlacementInput(usage=usage, topic=topic, budget=budget, seed=0))
                rates.append(usage[topic][plan.hot].sum() / usage[topic].sum())
    assert np.mean(found["topic_aware"]) == pytest.approx(topic_aware, abs=5e-4)
    assert np.mean(found["static_hot"]) == pytest.approx(static, abs=5e-4)


def test_mixtral_on_unseen_tokens(shared):
    """Counted independently: 30.8 % per topic, 31.0 % over all topics."""
    mixtral = load_model("mixtral-8x7b")
    source = open_routing(shared / "data" / "routing" / "mixtral-8x7b-mtbench", mixtral)
    found = scores(source, mixtral, policies=("topic_aware", "static_hot"))
    assert found["topic_aware", None].hit_rate == pytest.approx(0.308, abs=5e-4)
    assert found["static_hot", None].hit_rate == pytest.approx(0.310, abs=5e-4)


def test_counts_have_no_pairs_and_say_so(shared):
    olmoe = load_model("olmoe-1b-7b")
    source = open_routing(shared / "data" / "routing" / "olmoe-1b-7b.npz", olmoe)
    result = compare(source, olmoe, CompareOptions(parts=(8,)))
    names = {score.policy for score in result.scores}
    assert "eplb" in names and "coactivation_together" not in names
    assert all(score.cross_pairs is None for score in result.scores if score.kind == "parts")
    assert any("co-activation is not known" in note for note in result.notes)
    with pytest.raises(ConfigError, match="needs co-activation"):
        compare(source, olmoe, CompareOptions(parts=(8,), policies=("coactivation_together",)))


def test_command_line(tmp_path):
    path = counts_file(tmp_path)
    arguments = ["compare", str(path), "--model", "olmoe-1b-7b", "--parts", "4", "--replicas", "4"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "law, code" in result.stdout and "round_robin" in result.stdout and "note: " in result.stdout
    result = CliRunner().invoke(app, [*arguments, "--json", "--policy", "eplb", "--requests", "law=2"])
    (score,) = json.loads(result.stdout)["scores"]
    assert (score["policy"], score["parts"], score["slots"], score["hit_rate"]) == ("eplb", 4, 17, None)
    result = CliRunner().invoke(app, [*arguments, "--requests", "law"])
    assert isinstance(result.exception, ConfigError) and "TOPIC=NUMBER" in str(result.exception)


def test_bound_says_what_is_proven(source, model):
    pytest.importorskip("scipy")
    seen = []
    options = CompareOptions(parts=(2, 4), plans="all", bound=True, policies=("lpt",))
    result = compare(source, model, options, progress=lambda *step: seen.append(step))
    assert {(score.proven_layers, score.bound_layers) for score in result.scores} == {(3, 3)}
    assert any("proven optimal (within 0.0001%) in all 6 layers" in note for note in result.notes)
    done = [step[0] for step in seen]
    assert done == sorted(done) and seen[-1][:2] == (10, 10) and "bound, 4 parts, all topics" in {s[2] for s in seen}


def test_bound_without_time_is_the_best_so_far_and_still_valid(source, model):
    """No time at all: the plan of LPT, and as bound what any plan must carry: the mean, or a share of the largest."""
    pytest.importorskip("scipy")
    result = compare(
        source, model, CompareOptions(parts=(4,), plans="all", policies=("milp", "lpt"), bound_seconds=1e-9)
    )
    lpt, bound = result.scores
    assert (bound.proven_layers, bound.bound_layers) == (0, 3) and bound.above_bound == lpt.above_bound > 0
    usage = over_topics(source.ranking_usage())
    fullest = fullest_of_lpt(usage, 4)
    lowest = np.maximum(usage.sum(axis=1) / 4, usage.max(axis=1))
    assert bound.above_bound == pytest.approx(fullest.sum() / lowest.sum() - 1)
    assert any(
        "proven optimal (within 0.0001%) in 0 of 3 layers, elsewhere it is the best found" in n for n in result.notes
    )
    with pytest.raises(ConfigError, match="bound_seconds: given 0, allowed: more than 0"):
        scores(source, model, bound=True, bound_seconds=0)


def fullest_of_lpt(usage, parts):
    """Fullest part of LPT with two slots a part, by a loop of its own."""
    fullest = []
    for row in usage:
        total, room = [0.0] * parts, [2] * parts
        for expert in sorted(range(len(row)), key=lambda e: (-row[e], e)):
            part = min((p for p in range(parts) if room[p]), key=lambda p: (total[p], p))
            total[part] += row[expert]
            room[part] -= 1
        fullest.append(max(total))
    return np.array(fullest)


def test_time_limit_is_honoured(source):
    """16 layers with replicas take minutes to prove; 3 seconds are 3 seconds."""
    pytest.importorskip("scipy")
    mixtral = replace(load_model("mixtral-8x7b"), layers=16, moe_layers=tuple(range(16)))
    routing = SyntheticRouting(mixtral, SyntheticOptions(topics=1, sample_tokens=400), seed=1)
    options = CompareOptions(parts=(4,), replicas=4, policies=("milp",), bound_seconds=3)
    begin = time.monotonic()
    (score,) = compare(routing, mixtral, options).scores
    assert time.monotonic() - begin < 6
    assert score.proven_layers < score.bound_layers == 16 and score.above_bound > 0


FAULTY = """
def raises(given):
    raise RuntimeError("no licence")
"""


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    """An installed package with one policy that does not load, one that raises, and one that takes a name of ours."""
    info = tmp_path / "site" / "faulty-2.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site" / "faulty_policies.py").write_text(FAULTY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 2.0\n")
    lines = "absent = faulty_policies:absent\nraises = faulty_policies:raises\n"
    own = "lpt = faulty_policies:raises\n"
    (info / "entry_points.txt").write_text(f"[moeram.placement.parts]\n{lines}{own}[moeram.placement]\n{lines}")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


def test_faulty_packages_do_not_spoil_a_comparison(source, model, faulty):
    result = compare(source, model, CompareOptions(parts=(2, 4)))
    found = {(score.policy, score.parts) for score in result.scores}
    assert {("lpt", 2), ("eplb", 4), ("topic_aware", None)} < found
    assert not {"absent", "raises"} & {name for name, _ in found}
    assert len(result.skipped) == 3 and "'lpt' of package faulty 2.0 is left out" in result.skipped[0]
    assert all("'absent' of package faulty 2.0 cannot be loaded" in text for text in result.skipped[1:])
    failed = "placement 'raises' of package faulty 2.0 failed: RuntimeError: no licence"
    assert result.failures == (failed, f"{failed} (2 parts)", f"{failed} (4 parts)")
    with pytest.raises(ConfigError, match="'absent' of package faulty 2.0 cannot be loaded"):
        compare(source, model, CompareOptions(parts=(2,), policies=("absent", "lpt")))


def test_command_line_with_a_faulty_package(tmp_path, faulty):
    arguments = ["compare", str(counts_file(tmp_path)), "--model", "olmoe-1b-7b", "--parts", "4", "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert {"eplb", "static_hot"} < {score["policy"] for score in json.loads(result.stdout)["scores"]}
    assert "warning: placement 'absent' of package faulty" in result.stderr
    assert "error: placement 'raises' of package faulty 2.0 failed: RuntimeError: no licence (4 parts)" in result.stderr
    assert CliRunner().invoke(app, [*arguments, "--policy", "eplb"]).exit_code == 0


def counts_file(folder):
    counts = np.arange(1, 1 + 2 * 16 * 64).reshape(2, 16, 64) * 8
    path = folder / "counts.npz"
    np.savez(path, domains=np.array(["law", "code"]), layers=np.arange(16), top_k=np.array(8), counts=counts)
    return path
