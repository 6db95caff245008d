"""Batches of several topics in an experiment: composition, aggregation over topics, what wrong predictions cost."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import moeram
from moeram import experiment
from moeram.errors import ConfigError
from moeram.experiment.batches import apportion
from moeram.model import load_model
from moeram.options import dump_yaml
from moeram.routing import SyntheticRouting
from moeram.runs import run_key

SMALL = {"batch": [4], "samples": 3, "placements": ["topic_aware", "static_hot", "no_tiering"]}
TWO = {"topic_1": 3, "topic_4": 1}


@pytest.fixture(scope="module")
def source():
    return SyntheticRouting(load_model("olmoe-1b-7b"), seed=0)


def value(record, name, placement="topic_aware"):
    (found,) = record["points"].where(placement=placement)[name]
    return found


def hot_of(source, requests):
    """The 128 pairs of (layer, expert) with the largest sum over requests of their topic's table."""
    rank = source.ranking_usage()
    total = sum(number * rank[topic] / rank[topic].sum() for topic, number in requests.items())
    hot = np.zeros(16 * 64, dtype=bool)
    hot[np.argsort(-total.ravel(), kind="stable")[:128]] = True
    return hot.reshape(16, 64)


def share(source, hot, requests):
    """Held-out selections that are hot, topics weighed by their tokens."""
    test = source.held_out_usage()
    return sum(number * test[t][hot].sum() / test[t].sum() for t, number in requests.items()) / sum(requests.values())


def test_a_batch_of_one_topic_is_the_plain_run(fake_core):
    mixed = moeram.run("quickstart", **SMALL, batch_topics={"requests": {"topic_2": 7}})
    plain = moeram.run("quickstart", **SMALL, topics=["topic_2"])
    for name, table in plain.tables.items():
        for key in table.columns:
            assert np.array_equal(table[key], mixed[name][key], equal_nan=table[key].dtype.kind == "f"), (name, key)


def test_hit_rates_against_an_aggregation_of_our_own(fake_core, source):
    record = moeram.run("quickstart", **SMALL, batch_topics={"requests": TWO})
    hot = hot_of(source, {1: 3, 4: 1})
    assert value(record, "hit_rate_held_out") == pytest.approx(share(source, hot, {1: 3, 4: 1}))
    hits = []
    for sample in range(3):
        parts = [
            source.draw(topic, count, np.random.default_rng([0, count_of_batch, topic, sample]))
            for count_of_batch, topic, count in ((4, 1, 3), (4, 4, 1))
        ]
        hits.append(hot[np.arange(16)[None, :, None], np.concatenate(parts)].mean())
    assert value(record, "hit_rate_drawn") == pytest.approx(np.mean(hits))
    assert any(note == "batch of 4: tokens of topic_1 3, topic_4 1" for note in record.notes)


def test_more_topics_in_a_batch_cost_hits(fake_core):
    """One plan for six topics serves each of them worse; with all of them alike it is the static one."""
    rates = {}
    for count in (1, 2, 6):
        requests = {f"topic_{i}": 1 for i in range(count)}
        record = moeram.run("quickstart", **{**SMALL, "batch": [6]}, batch_topics={"requests": requests})
        rates[count] = value(record, "hit_rate_held_out")
        static = value(record, "hit_rate_held_out", "static_hot")
    assert rates[1] > rates[2] > rates[6] == pytest.approx(static)


def test_counts_and_shares_say_the_same(fake_core):
    counts = moeram.run("quickstart", **SMALL, batch_topics={"requests": TWO})
    shares = moeram.run("quickstart", **SMALL, batch_topics={"requests": {"topic_1": 0.75, "topic_4": 0.25}})
    assert np.array_equal(counts["points"]["step_time_us"], shares["points"]["step_time_us"])


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8).filter(lambda w: sum(w) > 0), st.integers(1, 10_000))
def test_apportion_rounds_up_or_down_and_keeps_the_sum(weights, size):
    shares = np.array(weights) / sum(weights)
    tokens = apportion(shares, size)
    assert tokens.sum() == size and (tokens >= 0).all()
    assert (np.abs(tokens - shares * size) < 1 + 1e-6).all()


def test_apportion_by_hand():
    assert apportion(np.array([0.75, 0.25]), 4).tolist() == [3, 1]
    assert apportion(np.array([0.5, 0.5]), 1).tolist() == [1, 0]
    assert apportion(np.array([0.2, 0.5, 0.3]), 3).tolist() == [1, 1, 1]  # 0.6, 1.5, 0.9


def test_drawn_compositions_are_seeded_and_come_to_the_shares(fake_core):
    options = {**SMALL, "samples": 200, "batch": [8], "placements": ["topic_aware"]}
    mixture = {"requests": TWO, "composition": "drawn"}
    records = [moeram.run("quickstart", **options, seed=seed, batch_topics=mixture) for seed in (0, 0, 1)]
    times = [value(record, "step_time_us") for record in records]
    assert times[0] == times[1] != times[2]
    (note,) = [note for note in records[0].notes if "each batch is drawn" in note]
    mean = float(note.split("topic_1 ")[1].split(",")[0])
    assert mean == pytest.approx(8 * 0.75, abs=4 * (8 * 0.75 * 0.25 / 200) ** 0.5)


def test_perfect_prediction_is_the_correct_run_and_errors_cost(fake_core):
    options = {**SMALL, "samples": 20, "batch_topics": {"requests": TWO}}
    plain, perfect, poor = (
        moeram.run("quickstart", **options, **prediction)
        for prediction in ({}, {"topic_prediction": {"accuracy": 1}}, {"topic_prediction": {"accuracy": 0.3}})
    )
    for name, table in plain.tables.items():
        for key in table.columns:
            assert np.array_equal(table[key], perfect[name][key], equal_nan=table[key].dtype.kind == "f"), (name, key)
    assert value(poor, "hit_rate_held_out") < 0.9 * value(plain, "hit_rate_held_out")
    assert value(poor, "step_time_us") > value(plain, "step_time_us")
    assert value(poor, "weight_bytes") == value(plain, "weight_bytes")
    assert value(poor, "step_time_us", "static_hot") == value(plain, "step_time_us", "static_hot")
    assert any("each request is predicted right with probability 0.300" in note for note in poor.notes)


def test_swapped_predictions_rank_for_the_swapped_batch(fake_core, source, tmp_path):
    """Every request of 1 is taken for 4 and the other way round: the plan of 1 x topic_1 + 3 x topic_4, in closed form."""
    names = [f"topic_{i}" for i in range(6)]
    order = [0, 4, 2, 3, 1, 5]
    path = tmp_path / "confusion.json"
    path.write_text(dump_json(names, np.eye(6, dtype=int)[order].tolist()))
    record = moeram.run(
        "quickstart", **SMALL, batch_topics={"requests": TWO}, topic_prediction={"confusion": str(path)}
    )
    expected = share(source, hot_of(source, {1: 1, 4: 3}), {1: 3, 4: 1})
    assert value(record, "hit_rate_held_out") == pytest.approx(expected)


def test_uniform_confusion_is_the_mean_over_topics(fake_core, source, tmp_path):
    """Batches of one topic, any prediction alike: mean over true and predicted topics of the hit rates."""
    path = tmp_path / "confusion.json"
    path.write_text(dump_json([f"topic_{i}" for i in range(6)], [[5] * 6] * 6))
    hot = [hot_of(source, {topic: 1}) for topic in range(6)]
    expected = np.mean([share(source, hot[q], {t: 1}) for t in range(6) for q in range(6)])
    for prediction in ({"confusion": str(path)}, {"accuracy": 1 / 6}):
        record = moeram.run("quickstart", **SMALL, topic_prediction=prediction)
        assert value(record, "hit_rate_held_out") == pytest.approx(expected)


def dump_json(topics, confusion):
    return json.dumps({"topics": topics, "confusion": confusion})


def test_recorded_and_part_of_the_key(fake_core, tmp_path):
    record = moeram.run("quickstart", **SMALL, batch_topics={"requests": TWO})
    path = tmp_path / "config.yaml"
    path.write_text(dump_yaml(record.experiment.resolved()))
    assert experiment.load(path) == record.experiment
    texts = [[], ["batch_topics.requests={topic_1: 3}"], ["batch_topics.requests={topic_1: 3, topic_2: 1}"]]
    texts.append([*texts[2], "batch_topics.composition=drawn"])
    assert len({run_key(experiment.load("quickstart", text), "0") for text in texts}) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch_topics.requests={}", "topics with numbers of finite sum that are not all 0"),
        ("batch_topics.requests={topic_1: 0}", "topics with numbers of finite sum that are not all 0"),
        ("batch_topics.requests={topic_1: -1}", "given -1.0, allowed: at least 0"),
        ("batch_topics.requests={topic_1: .nan}", "given nan, allowed: a finite number"),
        ("batch_topics.requests={topic_1: 1e400}", "allowed: a finite number"),
        ("batch_topics.requests={topic_1: true}", "given True, allowed: a number"),
        ("batch_topics.requests={topic_1: three}", "given 'three', allowed: a number"),
        ("batch_topics.requests=7", "given 7, allowed: keys with values"),
        ("batch_topics.composition=fixed", "batch_topics.requests: missing"),
        ("batch_topics.composition=drown", "did you mean 'drawn'"),
        ("batch_topics.requests={topic_0: 1e308, topic_1: 1e308}", "of finite sum"),
        ("batch_topics.share=1", "batch_topics.share: unknown key"),
    ],
)
def test_impossible_options(text, message):
    with pytest.raises(ConfigError, match=message):
        experiment.load("quickstart", [text])


def test_impossible_combinations(fake_core):
    with pytest.raises(ConfigError, match="topics and batch_topics are both given"):
        experiment.load("mixed_topics", ["topics=[topic_0]"])
    with pytest.raises(ConfigError, match=r"batch_topics.requests: no topic 'topc_1' .* did you mean 'topic_1'"):
        moeram.run("quickstart", **SMALL, batch_topics={"requests": {"topc_1": 1}})
    assert fake_core.calls == []
