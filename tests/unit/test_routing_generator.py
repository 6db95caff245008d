"""Synthetic traces: what each parameter does, the shares of the Sieve sheet, and fits that find known parameters."""

from __future__ import annotations

import numpy as np
import pytest

from moeram.errors import ConfigError, TraceError
from moeram.routing import (
    SIEVE_FITS,
    CountTrace,
    GeneratorOptions,
    PassTrace,
    SyntheticOptions,
    SyntheticRouting,
    TraceShape,
    fit,
    summarise,
    synthetic_trace,
)
from moeram.routing.chunks import CountChunk
from moeram.routing.fitting import fitted_weights
from moeram.routing.locality import pair_counts

FLAT = {"popularity": "uniform", "topics": 1, "topic_sigma": (0.0,)}


def shape(experts=32, top_k=2, layers=4):
    return TraceShape(name="made", layers=layers, moe_layers=tuple(range(layers)), experts=experts, top_k=top_k)


def usage_of(trace):
    return summarise(trace, batches=(1,), draws=1).scope_usage()


def test_equal_seeds_make_equal_traces_and_reading_again_changes_nothing():
    options = GeneratorOptions(
        requests=5, decode_tokens=6, repeat=0.3, cross_layer=0.3, request_sigma=1.0, topic_drift=0.5
    )
    trace = synthetic_trace(shape(), options, seed=4)
    one, again = ([chunk.experts for chunk in trace.chunks()] for _ in range(2))
    other = [chunk.experts for chunk in synthetic_trace(shape(), options, seed=4).chunks()]
    assert all(np.array_equal(a, b) and np.array_equal(a, c) for a, b, c in zip(one, again, other, strict=True))
    assert not np.array_equal(one[0], next(synthetic_trace(shape(), options, seed=5).chunks()).experts)
    longer = synthetic_trace(shape(), options.model_copy(update={"requests": 9}), seed=4)
    assert np.array_equal(next(longer.chunks()).experts[:30], np.concatenate(one)), (
        "a longer trace starts with the shorter"
    )


def test_uniform():
    """4096 tokens: each expert is used 256 times, give or take the square root."""
    usage = usage_of(synthetic_trace(shape(), GeneratorOptions(requests=32, **FLAT)))[0]
    assert usage.sum(axis=1).tolist() == [8192.0] * 4
    assert np.abs(usage - 256).max() < 5 * np.sqrt(256)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5])
def test_zipf(exponent):
    """With one expert a token the use of the r-th expert is r^-a over the sum."""
    options = GeneratorOptions(requests=200, **FLAT | {"popularity": "zipf", "zipf_exponent": exponent})
    usage = np.sort(usage_of(synthetic_trace(shape(top_k=1), options))[0], axis=1)[:, ::-1]
    chance = np.arange(1.0, 33) ** -exponent
    expected = 25600 * chance / chance.sum()
    assert (np.abs(usage - expected)[:, :8] < 5 * np.sqrt(expected[:8])).all()


@pytest.mark.parametrize(
    ("name", "experts", "top_k", "targets"),
    [  # shares of the Sieve paper: (batch, share with one token, share with at most four)
        ("qwen3", 128, 8, [(64, 0.202, 0.476), (256, 0.119, None)]),
        ("gpt-oss", 128, 4, [(64, 0.326, 0.659), (256, 0.235, 0.501)]),
        ("qwen3-next", 512, 10, [(64, 0.442, 0.893), (256, 0.239, 0.566)]),
    ],
)
def test_bimodal_shares_of_the_sieve_sheet(name, experts, top_k, targets):
    options = GeneratorOptions(requests=256, decode_tokens=2, **FLAT | {"popularity": "bimodal"}, **SIEVE_FITS[name])
    found = summarise(synthetic_trace(shape(experts, top_k, 12), options), batches=(64, 256), draws=16)
    for batch, one, four in targets:
        shares = found.load_shares[batch].mean(axis=1)
        assert shares[0] == pytest.approx(one, abs=0.05)
        assert four is None or shares[:3].sum() == pytest.approx(four, abs=0.05)


def test_topics_differ_and_their_mixture_drifts():
    still = GeneratorOptions(requests=400, decode_tokens=1, topics=3, topic_sigma=(2.0,))
    topics = {
        drift: np.concatenate(
            [c.topic for c in synthetic_trace(shape(), still.model_copy(update={"topic_drift": drift})).chunks()]
        )
        for drift in (0.0, 0.5)
    }
    shares = {
        drift: np.array([np.bincount(part, minlength=3) / 100 for part in np.split(found, 4)])
        for drift, found in topics.items()
    }
    assert shares[0.0] == pytest.approx(np.full((4, 3), 1 / 3), abs=0.16)
    assert shares[0.5].std(axis=0).mean() > 2 * shares[0.0].std(axis=0).mean()
    usage = usage_of(synthetic_trace(shape(), still))
    assert np.corrcoef(usage[0, 0], usage[1, 0])[0, 1] < 0.8


@pytest.mark.parametrize("repeat", [0.2, 0.6])
def test_repeat_adds_what_it_says(repeat):
    """A token keeps its predecessor's expert, or draws: repeat + (1 - repeat) x 1/32."""
    options = GeneratorOptions(requests=64, repeat=repeat, **FLAT)
    found = summarise(synthetic_trace(shape(top_k=1), options), batches=(1,), draws=1)
    assert found.same_expert_next.mean() == pytest.approx(repeat + (1 - repeat) / 32, abs=0.01)


def test_repeat_keeps_the_use_of_experts():
    options = GeneratorOptions(requests=400, **FLAT | {"popularity": "zipf"})
    one, other = (
        usage_of(synthetic_trace(shape(top_k=1), options.model_copy(update={"repeat": repeat})))[0]
        for repeat in (0.0, 0.5)
    )
    assert np.abs(one - other).sum(axis=1).max() / one.sum(axis=1).max() < 0.05


def test_cross_layer_ties_layers():
    """An expert is followed by its own partner with chance c + (1 - c)/32."""
    options = GeneratorOptions(requests=64, cross_layer=0.4, **FLAT)
    tokens = np.concatenate([chunk.experts for chunk in synthetic_trace(shape(top_k=1), options).chunks()])
    counts = pair_counts(tokens[:, 1], tokens[:, 2], 32)
    assert counts.max(axis=1).sum() / counts.sum() == pytest.approx(0.4 + 0.6 / 32, abs=0.02)


def test_request_sigma_makes_requests_differ():
    found = {
        sigma: summarise(
            synthetic_trace(shape(), GeneratorOptions(requests=32, request_sigma=sigma, **FLAT)), batches=(8,)
        )
        for sigma in (0.0, 1.5)
    }
    assert found[1.5].lru_hit_rate[8].mean() > found[0.0].lru_hit_rate[8].mean() + 0.1


def test_prompts_come_before_decode_steps():
    chunk = next(synthetic_trace(shape(), GeneratorOptions(requests=2, prompt_tokens=3, decode_tokens=2)).chunks())
    assert chunk.phase.tolist() == [0, 0, 0, 1, 1] * 2 and chunk.step.tolist() == [0, 0, 0, 1, 2] * 2


def test_the_source_of_experiments_takes_the_same_popularities():
    options = SyntheticOptions(**FLAT | {"popularity": "zipf", "sample_tokens": 4096})
    source = SyntheticRouting(shape(top_k=1), options)
    assert np.sort(source.ranking_usage()[0], axis=1)[:, -1] / 4096 == pytest.approx(
        1 / (1 / np.arange(1, 33)).sum(), abs=0.04
    )
    assert any("Zipf popularity with exponent 1" in note for note in source.notes)


# ---- fits


def test_fitted_weights_give_back_the_use():
    rng = np.random.default_rng(0)
    known = rng.normal(size=(1, 2, 32))
    options = GeneratorOptions(topics=1, requests=200)
    usage = usage_of(synthetic_trace(shape(layers=2), options, weights=known))
    again = usage_of(synthetic_trace(shape(layers=2), options, weights=fitted_weights(usage, 2), seed=1))
    assert np.abs(usage - again).sum() / usage.sum() / 2 < 0.03


def test_a_fit_finds_the_parameters_of_a_generated_trace():
    truth = GeneratorOptions(
        requests=48, decode_tokens=64, repeat=0.35, topics=2, popularity="zipf", topic_sigma=(0.5,)
    )
    found = fit(synthetic_trace(shape(top_k=1), truth, seed=7))
    assert found.options.repeat == pytest.approx(0.35, abs=0.05) and found.options.topics == 2
    errors = {error.statistic: error for error in found.errors}
    assert errors["use of experts (moved share)"].fitted < 0.08
    assert abs(errors["same_expert_next"].error) < 0.02 and abs(errors["lru_hit_rate 16"].error) < 0.03
    assert errors["prefill_decode_correlation"].error is None and errors["prefill_decode_correlation"].reason
    assert abs(errors["distinct_experts 8"].error) < 0.5
    assert any(name.startswith("experts with 3-4 tokens") for name in errors)


def test_a_fit_of_counts_fits_the_use_only():
    counts = np.random.default_rng(0).integers(50, 500, (1, 4, 32))
    chunk = CountChunk(counts=counts, topic=np.zeros(1, int), topics=("a",), phase=np.full(1, 2), passes=False)
    found = fit(CountTrace(place="c", format="made", shape=shape(), layers=(0, 1, 2, 3), read=lambda: iter([chunk])))
    assert (found.options.repeat, found.options.request_sigma, found.options.cross_layer) == (0, 0, 0)
    errors = {error.statistic: error for error in found.errors}
    assert errors["use of experts (moved share)"].fitted < 0.05
    assert errors["same_expert_next"].recorded is None and "counts do not tell" in errors["same_expert_next"].reason


def test_passes_cannot_be_fitted():
    one = np.ones(1)
    with pytest.raises(TraceError, match="names no experts"):
        fit(PassTrace(place="p", format="moe_cap", shape=shape(), phase=one, tokens=one, distinct=one))


@pytest.mark.parametrize("seed", [-1, 1 << 63, 0.5, "one"])
def test_a_seed_that_is_none(seed):
    with pytest.raises(ConfigError, match=r"seed is .*, allowed: a whole number in 0\.\.2\^63 - 1"):
        synthetic_trace(shape(), seed=seed)
    with pytest.raises(ConfigError, match="seed is"):
        summarise(synthetic_trace(shape(), GeneratorOptions(requests=2)), seed=seed)
