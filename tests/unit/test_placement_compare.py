"""The comparison of policies: figures recomputed by hand, covers counted elsewhere, mixed batches."""

from __future__ import annotations

import json
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
    counts = np.arange(1, 1 + 2 * 16 * 64).reshape(2, 16, 64) * 8
    path = tmp_path / "counts.npz"
    np.savez(path, domains=np.array(["law", "code"]), layers=np.arange(16), top_k=np.array(8), counts=counts)
    arguments = ["compare", str(path), "--model", "olmoe-1b-7b", "--parts", "4", "--replicas", "4"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "law, code" in result.stdout and "round_robin" in result.stdout and "note: " in result.stdout
    result = CliRunner().invoke(app, [*arguments, "--json", "--policy", "eplb", "--requests", "law=2"])
    (score,) = json.loads(result.stdout)["scores"]
    assert (score["policy"], score["parts"], score["slots"], score["hit_rate"]) == ("eplb", 4, 17, None)
    result = CliRunner().invoke(app, [*arguments, "--requests", "law"])
    assert isinstance(result.exception, ConfigError) and "TOPIC=NUMBER" in str(result.exception)
