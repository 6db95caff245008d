"""Statistics of routing on cases small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from moeram.routing.statistics import (
    count_selections,
    distinct_experts,
    dominant_experts,
    hot_cover,
    same_expert_next,
    skew,
)


def test_count_selections():
    tokens = np.array([[[0, 1], [2, 0]], [[1, 2], [2, 1]]], dtype=np.int16)
    assert count_selections(tokens, 3).tolist() == [[1, 2, 1], [1, 1, 2]]


def test_hot_cover_over_pairs_and_within_layers():
    rank = np.array([[9, 1, 0], [5, 6, 0]])
    test = np.array([[4, 3, 3], [1, 2, 7]])
    assert hot_cover(rank, test, 2) == pytest.approx((4 + 2) / 20)
    assert hot_cover(rank, test, 1, within_layer=True).tolist() == [0.4, 0.2]
    assert hot_cover(rank, test, 6) == 1.0
    assert hot_cover(rank, test, 0) == 0.0


def test_hot_cover_broadcasts_over_topics_and_breaks_ties_by_index():
    test = np.array([[[1, 3]], [[4, 0]]])
    assert hot_cover(np.array([[7, 7]]), test, 1).tolist() == [0.25, 1.0]
    assert hot_cover(test, test, 1).tolist() == [0.75, 1.0]


@pytest.mark.parametrize("hot", [-1, 5])
def test_hot_cover_refuses_impossible_sizes(hot):
    with pytest.raises(ValueError, match=r"allowed: 0\.\.4"):
        hot_cover(np.ones((2, 2)), np.ones((2, 2)), hot)


def test_skew():
    assert skew(np.array([[1, 1, 1, 1], [8, 0, 0, 0]])).tolist() == [1.0, 4.0]


def test_same_expert_next_counts_common_experts_within_requests():
    first = np.array([[[0, 1]], [[1, 0]], [[2, 1]]])  # two pairs: 2 common, 1 common
    second = np.array([[[2, 1]], [[3, 0]]])  # one pair: none common; no pair across requests
    assert same_expert_next([first, second, first[:1]]).tolist() == [3 / 6]
    assert np.isnan(same_expert_next([first[:1]]))


def test_dominant_experts():
    assert dominant_experts(np.array([[5, 5], [1, 9]]), 0.8) == [(1, 1, 0.9)]


def test_distinct_experts_means_over_topics_and_draws():
    class Source:
        topics, layers, experts, top_k = ("same", "different"), (0,), 4, 1

        def draw(self, topic, batch, rng):
            return np.arange(batch, dtype=np.int16)[:, None, None] * topic

    assert distinct_experts(Source(), 3, 2, np.random.default_rng(0)).tolist() == [(1 + 3) / 2]
