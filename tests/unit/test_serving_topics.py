"""Requests taken for the wrong topic: batching and placement go by what is believed, tokens by what is true."""

from __future__ import annotations

import numpy as np
import pytest

from moeram.experiment import load_serving, run_serving
from moeram.serving import BatchingOptions, PricedStep, Requests, serve


def requests(count, topics):
    column = np.arange(count, dtype=np.int64) % topics
    return Requests(
        arrival_ps=np.zeros(count, dtype=np.int64),
        prompt_tokens=np.ones(count, dtype=np.int64),
        output_tokens=np.full(count, 3, dtype=np.int64),
        topic=column,
        source="test",
    )


class Watch:
    kv_capacity_tokens = 10_000
    peaks = None

    def __init__(self):
        self.steps = []

    def price(self, step):
        self.steps.append(step)
        return PricedStep(time_ps=10, bound_ps=1, fidelity="analytic")


def test_believed_topics_have_their_confusion():
    confusion = np.array([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]])
    taken = requests(30_000, 3).taken_for(confusion, np.random.default_rng(2))
    found = [np.bincount(taken.believed_topic[taken.topic == topic], minlength=3) / 10_000 for topic in range(3)]
    assert np.array(found) == pytest.approx(confusion, abs=0.02)


def test_batches_go_by_belief_and_tokens_by_truth():
    swapped = requests(12, 2).taken_for(np.array([[0.0, 1.0], [1.0, 0.0]]), np.random.default_rng(0))
    watch = Watch()
    serve(swapped, watch, BatchingOptions(policy="same_topic", max_requests=4), ttft_limit_ms=1e9)
    for step in watch.steps:
        assert len(set(step.believed_topic.tolist())) == 1
        true = np.concatenate([step.topic, step.prefill_topic])
        assert np.array_equal(step.believed_topic, 1 - true)


def test_what_is_not_said_is_known():
    known = requests(5, 2)
    assert np.array_equal(known.believed_topic, known.topic)


def test_a_wrong_belief_costs_time_near_memory():
    """With two topics swapped every batch meets the other topic's placement: what was fast rows for it is not."""

    def step_time(accuracy):
        values = {
            "routing.synthetic": {"topics": 2, "topic_sigma": [3.0]},
            "requests.count": 12,
            "requests.output_tokens": 12,
            "requests.rate_per_s": 2.0,
            "batching.max_requests": 1,
            "placement.phi": "full",
            "topic_prediction.accuracy": accuracy,
        }
        result = run_serving(load_serving("mixtral_stratum_l", values=values))
        return result.record.parts_ps["near memory"], result.notes

    right, notes = step_time(1.0)
    wrong, wrong_notes = step_time(0.0)
    assert wrong > 1.02 * right
    assert any("100.0% of the requests are taken for another topic" in note for note in wrong_notes)
    assert not any("taken for another topic" in note for note in notes)
