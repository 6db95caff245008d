"""What a wrong prediction costs: placement follows the predicted topic, routing the true one."""

from __future__ import annotations

import json

import numpy as np
import pytest

import moeram
from moeram import experiment
from moeram.errors import ConfigError, MoeramError, TraceError
from moeram.model import load_model
from moeram.routing import SyntheticRouting
from moeram.routing.topics import confusion_of_accuracy, predict_topic, read_confusion
from moeram.runs import run_key

SMALL = {"batch": [4], "samples": 3, "placements": ["topic_aware", "static_hot", "no_tiering"]}
TOPICS = tuple(f"topic_{i}" for i in range(6))


def hit_rates():
    """Held-out hit rate of true topic t with the ranking of topic q, [t, q]: top 128 pairs of OLMoE."""
    source = SyntheticRouting(load_model("olmoe-1b-7b"), seed=0)
    rank, test = source.ranking_usage(), source.held_out_usage()
    best = [np.argsort(-rank[q].ravel(), kind="stable")[:128] for q in range(6)]
    return np.array([[test[t].ravel()[best[q]].sum() / test[t].sum() for q in range(6)] for t in range(6)])


def value(record, name, placement):
    (found,) = record["points"].where(placement=placement)[name]
    return found


def test_hit_rate_is_the_mixture_of_hit_rates(fake_core):
    """With accuracy a: a h(t, t) + (1 - a) mean of h(t, q) over the other topics q."""
    rates = hit_rates()
    found = {}
    for accuracy in (1.0, 0.6, 0.0):
        record = moeram.run("quickstart", **SMALL, topic_prediction={"accuracy": accuracy})
        right, wrong = np.diag(rates), (rates.sum(axis=1) - np.diag(rates)) / 5
        expected = np.mean(accuracy * right + (1 - accuracy) * wrong)
        found[accuracy] = value(record, "hit_rate_held_out", "topic_aware")
        assert found[accuracy] == pytest.approx(expected)
        assert any("predicted right with probability" in note for note in record.notes) == (accuracy < 1)
    assert found[1.0] > found[0.6] > found[0.0]
    assert found[0.0] < 0.7 * found[1.0]


def test_drawn_hit_rate_comes_to_the_mixture(fake_core):
    record = moeram.run("quickstart", **{**SMALL, "samples": 100, "batch": [8]}, topic_prediction={"accuracy": 0.5})
    expected = value(record, "hit_rate_held_out", "topic_aware")
    assert value(record, "hit_rate_drawn", "topic_aware") == pytest.approx(expected, abs=0.015)


def test_swapped_topics_use_each_others_rows(fake_core, tmp_path):
    """A confusion that always names the other of two topics: exact hit rates of the draws, slower steps, same work."""
    path = tmp_path / "confusion.json"
    other = np.eye(6, dtype=int)
    other[:2, :2] = [[0, 5], [3, 0]]
    path.write_text(json.dumps({"topics": list(TOPICS), "confusion": other.tolist()}))
    small = {**SMALL, "topics": list(TOPICS[:2])}
    right = moeram.run("quickstart", **small)
    wrong = moeram.run("quickstart", **small, topic_prediction={"confusion": str(path)})
    source = SyntheticRouting(load_model("olmoe-1b-7b"), seed=0)
    rank = source.ranking_usage()
    hits = []
    for topic in (0, 1):
        hot = np.zeros(16 * 64, dtype=bool)
        hot[np.argsort(-rank[1 - topic].ravel(), kind="stable")[:128]] = True
        for sample in range(3):
            draw = source.draw(topic, 4, np.random.default_rng([0, 4, topic, sample]))
            hits.append(hot.reshape(16, 64)[np.arange(16)[None, :, None], draw].mean())
    assert value(wrong, "hit_rate_drawn", "topic_aware") == pytest.approx(np.mean(hits))
    assert value(wrong, "step_time_us", "topic_aware") > value(right, "step_time_us", "topic_aware")
    for name in ("static_hot", "no_tiering"):
        assert value(wrong, "step_time_us", name) == value(right, "step_time_us", name)
    assert value(wrong, "weight_bytes", "topic_aware") == value(right, "weight_bytes", "topic_aware")


def test_some_topics_only_may_be_taken_for_any(fake_core):
    record = moeram.run("quickstart", **SMALL, topics=["topic_4"], topic_prediction={"accuracy": 0.25})
    rates = hit_rates()[4]
    expected = 0.25 * rates[4] + 0.75 * np.delete(rates, 4).mean()
    assert value(record, "hit_rate_held_out", "topic_aware") == pytest.approx(expected)


def test_prediction_is_part_of_the_key_and_of_the_seed(tmp_path):
    keys = [run_key(experiment.load("quickstart", given), "0") for given in ((), ["topic_prediction.accuracy=0.9"])]
    path = tmp_path / "c.json"
    for confusion in (np.eye(6), np.eye(6)[::-1]):
        path.write_text(json.dumps({"topics": TOPICS, "confusion": confusion.tolist()}))
        keys.append(run_key(experiment.load("quickstart", [f"topic_prediction.confusion={path}"]), "0"))
    assert len(set(keys)) == 4
    row = np.array([0.5, 0.5])
    drawn = [predict_topic(row, (seed, 1, 2, 3)) for seed in range(200)]
    assert drawn == [predict_topic(row, (seed, 1, 2, 3)) for seed in range(200)] and 60 < sum(drawn) < 140


def test_confusion_of_accuracy():
    assert confusion_of_accuracy(3, 0.5).tolist() == [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
    assert confusion_of_accuracy(1, 1.0).tolist() == [[1.0]]
    with pytest.raises(ConfigError, match="only one topic"):
        confusion_of_accuracy(1, 0.9)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "expected an object"),
        ('{"topics": ["a", "b"], "confusion": [[1, "x"], [0, 1]]}', "no table of numbers"),
        ('{"topics": ["a", "b"], "confusion": [[1, 0]]}', r"shape \(1, 2\), but there are 2 topics"),
        ('{"topics": ["a", "b"], "confusion": [[1, 0], [-1, 2]]}', "negative"),
        ('{"topics": ["a", "c"], "confusion": [[1, 0], [0, 2]]}', "no topic 'b' of this routing"),
        ('{"topics": ["a", "b"], "confusion": [[1, 0], [0, 0]]}', "topic 'b' was never seen"),
        ('{"topics": ["a", "b", "c"], "confusion": [[1, 0, 1], [0, 1, 0], [0, 0, 1]]}', "'a' is mistaken for a topic"),
    ],
)
def test_bad_confusion_files(tmp_path, content, message):
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(TraceError, match=message):
        read_confusion(path, ("a", "b"))


def test_confusion_in_the_order_of_the_routing(tmp_path):
    path = tmp_path / "c.json"
    path.write_text('{"topics": ["b", "c", "a"], "confusion": [[3, 0, 1], [0, 9, 0], [2, 0, 2]]}')
    assert read_confusion(path, ("a", "b")).tolist() == [[0.5, 0.5], [0.25, 0.75]]


def test_bad_options(tmp_path):
    with pytest.raises(ConfigError, match="topic_prediction.accuracy: given 2, allowed: at most 1"):
        experiment.load("quickstart", ["topic_prediction.accuracy=2"])
    with pytest.raises(ConfigError, match="accuracy and confusion are both given"):
        experiment.load("quickstart", ["topic_prediction.accuracy=1", f"topic_prediction.confusion={tmp_path}"])
    with pytest.raises(MoeramError, match="there is only one topic"):
        moeram.run("quickstart", **SMALL, routing__synthetic__topics=1, topic_prediction={"accuracy": 0.5})
