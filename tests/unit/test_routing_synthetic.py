"""The synthetic generator against its own definition (closed forms for one expert per token) and the facts it is fitted to."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moeram.errors import ConfigError
from moeram.model import load_model
from moeram.routing import GeneratorOptions, RoutingSource, SyntheticOptions, SyntheticRouting
from moeram.routing.statistics import distinct_experts, hot_cover

OLMOE = load_model("olmoe-1b-7b")
TOP_1 = dataclasses.replace(OLMOE, layers=3, moe_layers=(0, 1, 2), experts=128, top_k=1)


def test_interface():
    source = SyntheticRouting(load_model("llama-4-maverick"), SyntheticOptions(topics=2, sample_tokens=64))
    assert isinstance(source, RoutingSource)
    assert source.topics == ("topic_0", "topic_1")
    assert source.layers == tuple(range(1, 48, 2)) and source.measured_layers == ()
    assert (source.experts, source.top_k, source.fidelity) == (128, 1, "synthetic")
    assert source.ranking_usage().shape == (2, 24, 128)
    assert (source.ranking_usage().sum(axis=-1) == 64).all()
    assert (source.ranking_usage() != source.held_out_usage()).any(), "two samples, not one"
    assert "synthetic" in source.notes[0] and "64 random tokens" in source.notes[1]


def test_seeds_repeat_and_differ():
    options = SyntheticOptions(sample_tokens=32)
    usage = [SyntheticRouting(OLMOE, options, seed=seed).ranking_usage() for seed in (1, 1, 2)]
    assert (usage[0] == usage[1]).all() and (usage[0] != usage[2]).any()
    source = SyntheticRouting(OLMOE, options)
    draws = [source.draw(0, 4, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert (draws[0] == draws[1]).all() and (draws[0] != draws[2]).any()


def test_usage_does_not_depend_on_which_half_is_asked_first():
    first, second = (SyntheticRouting(OLMOE, SyntheticOptions(sample_tokens=32)) for _ in range(2))
    first.ranking_usage()
    second.draw(0, 3, np.random.default_rng(0))
    assert (first.held_out_usage() == second.held_out_usage()).all()


@settings(max_examples=40, deadline=None)
@given(data=st.data(), experts=st.integers(1, 70), batch=st.integers(1, 12), sigma=st.floats(0, 10))
def test_rows_are_distinct_and_in_range(data, experts, batch, sigma):
    top_k = data.draw(st.integers(1, experts))
    model = dataclasses.replace(OLMOE, layers=2, moe_layers=(0, 1), experts=experts, top_k=top_k)
    options = SyntheticOptions(topics=2, popularity_sigma=(sigma,), topic_sigma=(sigma,), sample_tokens=2)
    drawn = SyntheticRouting(model, options).draw(1, batch, np.random.default_rng(0))
    assert (drawn.shape, drawn.dtype) == ((batch, 2, top_k), np.int16)
    assert drawn.min() >= 0 and drawn.max() < experts
    assert (np.diff(np.sort(drawn, axis=-1), axis=-1) > 0).all()


def test_without_sigmas_all_experts_are_equal():
    source = SyntheticRouting(
        OLMOE, SyntheticOptions(topics=1, popularity_sigma=(0,), topic_sigma=(0,), sample_tokens=20_000)
    )
    share = source.held_out_usage() / 20_000
    assert share == pytest.approx(np.full(share.shape, 8 / 64), abs=5 * np.sqrt(0.125 * 0.875 / 20_000))


def test_popularity_is_common_and_log_normal():
    """One expert a token: log p = sigma g + const, so its standard deviation over experts is sigma, in all topics."""
    options = SyntheticOptions(topics=2, popularity_sigma=(0.0, 0.8), topic_sigma=(0.0,), sample_tokens=100_000)
    usage = SyntheticRouting(TOP_1, options, seed=4).held_out_usage()
    spread = np.log(usage).std(axis=-1)
    assert spread[:, 0] == pytest.approx([0, 0], abs=0.05), "first layer"
    assert spread[:, 1] == pytest.approx([0.4, 0.4], rel=0.2), "halfway"
    assert spread[:, 2] == pytest.approx([0.8, 0.8], rel=0.2), "last layer"
    assert np.corrcoef(np.log(usage[:, 2]))[0, 1] > 0.98


def test_tilts_of_topics_are_independent():
    """log p of two topics differ by s (h_1 - h_2): standard deviation s sqrt 2, no correlation."""
    options = SyntheticOptions(topics=2, popularity_sigma=(0.0,), topic_sigma=(0.7,), sample_tokens=100_000)
    logarithm = np.log(SyntheticRouting(TOP_1, options, seed=4).held_out_usage())
    assert (logarithm[0] - logarithm[1]).std() == pytest.approx(0.7 * np.sqrt(2), rel=0.1)
    assert abs(np.corrcoef(logarithm.reshape(2, -1))[0, 1]) < 0.2


def test_two_of_three_experts_follow_successive_draws():
    """Plackett-Luce from the first choices: P(i in two of three) = p_i + sum_j p_j p_i / (1 - p_j), with p from top-1."""
    one = dataclasses.replace(OLMOE, layers=1, moe_layers=(0,), experts=3, top_k=1)
    options = SyntheticOptions(topics=1, popularity_sigma=(1.0,), sample_tokens=200_000)
    first = SyntheticRouting(one, options, seed=2).held_out_usage()[0, 0] / 200_000
    two = SyntheticRouting(dataclasses.replace(one, top_k=2), options, seed=2).held_out_usage()[0, 0] / 200_000
    expected = [p + sum(q * p / (1 - q) for j, q in enumerate(first) if j != i) for i, p in enumerate(first)]
    assert two == pytest.approx(expected, abs=0.01)
    assert first.max() - first.min() > 0.05


def test_defaults_have_the_cover_of_olmoe():
    """Real counts: hot 12.5 % of each layer's experts cover 34.4 % topic-aware, 25.4 % static."""
    source = SyntheticRouting(OLMOE, SyntheticOptions(sample_tokens=4096))
    rank, test = source.ranking_usage(), source.held_out_usage()
    topic = hot_cover(rank, test, 8, within_layer=True).mean()
    static = hot_cover(rank.sum(axis=0), test, 8, within_layer=True).mean()
    assert topic == pytest.approx(0.344, abs=0.02)
    assert static == pytest.approx(0.254, abs=0.02)


def test_defaults_have_the_distinct_experts_of_olmoe(shared):
    """Independent tokens of the real counts: sum of 1 - (1 - p)^batch, mean over domains and measured layers."""
    with np.load(shared / "data" / "routing" / "olmoe-1b-7b.npz", allow_pickle=False) as archive:
        counts = archive["counts"].astype(float)
    probability = 8 * counts / counts.sum(axis=-1, keepdims=True)
    source = SyntheticRouting(OLMOE)
    for batch in (1, 2, 4, 8, 16, 32):
        real = (1 - (1 - probability) ** batch).sum(axis=-1).mean()
        assert distinct_experts(source, batch, 50, np.random.default_rng(batch)).mean() == pytest.approx(real, rel=0.03)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"topics": 0}, "topics: given 0, allowed: at least 1"),
        ({"topic_sigma": ()}, "topic_sigma: at least one number, each in 0..10"),
        ({"popularity_sigma": (-1.0,)}, "popularity_sigma: at least one number, each in 0..10"),
        ({"sample_tokens": 1}, "sample_tokens: given 1, allowed: at least 2"),
        ({"topic_sigmas": 1}, "topic_sigmas: unknown key; did you mean 'topic_sigma'"),
    ],
)
def test_bad_options(wrong, words):
    for options in (SyntheticOptions, GeneratorOptions):
        with pytest.raises(ConfigError, match=f"{options.__name__}: {words}"):
            options(**wrong)
