"""Statistics of recordings: counted by hand on small ones, and the figures stated beside the real data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moeram.model import load_model
from moeram.routing import CountTrace, PassTrace, RoutingTrace, TraceShape, open_trace, summarise
from moeram.routing import locality as loc
from moeram.routing.batches import BatchDraws, expert_loads, load_bins
from moeram.routing.chunks import DECODE, PREFILL, CountChunk, token_chunk
from moeram.routing.describe import statistics_dict, statistics_rows
from moeram.routing.sample import RequestTokens

SHAPE = TraceShape(name="small", layers=2, moe_layers=(0, 1), experts=4, top_k=2)
QWEN = TraceShape(name="qwen1.5-moe-a2.7b", layers=24, moe_layers=tuple(range(24)), experts=60, top_k=4)


def made(*chunks, shape=SHAPE):
    layers = shape.moe_layers
    return RoutingTrace(place="made", format="made", shape=shape, layers=layers, read=lambda: iter(chunks))


def request(ids, first_step=1):
    ids = np.asarray(ids, dtype=np.int16)
    return RequestTokens(token=np.arange(len(ids)), step=np.arange(len(ids)) + first_step, experts=ids)


# ---- by hand


def test_use_by_topic_phase_layer_and_expert():
    ids = np.array([[[0, 1], [2, 3]], [[0, 2], [2, 3]], [[0, 3], [2, 1]]], dtype=np.int16)
    chunk = token_chunk(
        ids,
        phase=[PREFILL, DECODE, DECODE],
        step=[0, 1, 1],
        topic=[0, 0, 1],
        request=[0, 0, 1],
        token=[0, 1, 0],
        topics=("a", "b"),
    )
    found = summarise(made(chunk), batches=(2,), draws=4)
    assert found.scope == "decode" and found.tokens == {"prefill": 1, "decode": 2, "unknown": 0} and found.requests == 2
    assert found.usage[0, PREFILL].tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert found.usage[0, DECODE].tolist() == [[1, 0, 1, 0], [0, 0, 1, 1]]
    assert found.usage[1, DECODE].tolist() == [[1, 0, 0, 1], [0, 1, 1, 0]]
    assert found.skew.tolist() == [2.0, 2.0], "decode use 2 0 1 1 and 0 1 2 1, mean 1"
    assert found.dominant == [(0, 0, 1.0), (1, 2, 1.0)]
    assert found.distinct_experts[2].tolist() == [3.0, 3.0]
    assert found.load_shares[2][:, 0].tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert "next_token_coverage" in found.undefined and found.next_token_coverage is None


def test_pairs_and_coverage():
    first, second = np.array([[0, 1], [0, 1], [2, 3]]), np.array([[1, 2], [1, 3], [0, 1]])
    counts = loc.pair_counts(first, second, 4)
    assert counts.tolist() == [[0, 2, 1, 1], [0, 2, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]
    assert loc.top_coverage(counts, 0.25) == pytest.approx((2 + 2 + 1 + 1) / 12)
    assert loc.top_coverage(counts, 0.5) == pytest.approx((3 + 3 + 2 + 2) / 12)
    together = loc.together_counts(np.array([[0, 1], [1, 0], [2, 3]]), 4)
    assert together.tolist() == [[0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    share, largest = loc.pair_concentration(together, 1 / 6)
    assert (share, largest) == (pytest.approx(2 / 3), pytest.approx(2 / (3 / 6)))


def test_same_next_skips_gaps():
    broken = RequestTokens(
        token=np.array([0, 1, 3]),
        step=np.array([1, 2, 4]),
        experts=np.array([[[0, 1]], [[1, 2]], [[1, 2]]], dtype=np.int16),
    )
    before, after = loc.successive([broken])
    assert loc.same_next(before, after).tolist() == [0.5], "tokens 1 and 3 do not follow each other"


def lru_by_hand(requests, capacity):
    """One cache per request and layer: a list with the most recent last, cut after each token."""
    hits = lookups = 0
    for ids in requests:
        for layer in range(ids.shape[1]):
            cache = []
            for token in ids[:, layer].tolist():
                hits += len(set(token) & set(cache))
                lookups += len(token)
                cache = [*(other for other in cache if other not in token), *sorted(token)][-capacity:]
    return hits / lookups


@st.composite
def recorded_requests(draw):
    """(experts, requests of int16 [tokens, layers, top_k]) of any small shape."""
    experts = draw(st.integers(2, 12))
    top_k = draw(st.integers(1, min(experts, 4)))
    lengths = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    return experts, [rng.random((n, 2, experts)).argsort(axis=2)[:, :, :top_k].astype(np.int16) for n in lengths]


@given(recorded_requests(), st.data())
@settings(max_examples=60, deadline=None)
def test_lru_against_a_list_and_in_any_order_of_ids(made, data):
    experts, requests = made
    top_k = requests[0].shape[2]
    capacities = (top_k, top_k + 1, top_k + 3, experts + 2)
    rates = loc.lru_hit_rates([request(ids) for ids in requests], experts, capacities)
    for rate, capacity in zip(rates, capacities, strict=True):
        assert rate.mean() == pytest.approx(lru_by_hand(requests, capacity))
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    shuffled = [request(rng.permuted(ids, axis=2)) for ids in requests]
    assert np.array_equal(loc.lru_hit_rates(shuffled, experts, capacities), rates)


def test_no_statistic_depends_on_the_order_of_ids_within_a_token():
    rng = np.random.default_rng(3)
    ids = rng.random((60, 2, 9)).argsort(axis=2)[:, :, :3].astype(np.int16)
    shape = TraceShape(name="nine", layers=2, moe_layers=(0, 1), experts=9, top_k=3)
    columns = {
        "request": np.arange(60) // 15,
        "token": np.arange(60) % 15,
        "phase": DECODE,
        "step": np.arange(60) % 15 + 1,
    }
    one, other = (
        statistics_dict(summarise(made(token_chunk(order, **columns), shape=shape), batches=(2, 4), draws=8))
        for order in (ids, rng.permuted(ids, axis=2))
    )
    assert one == other


def test_a_cache_that_cannot_hold_one_token_is_undefined():
    ids = np.stack([np.arange(6, dtype=np.int16)[None]] * 5)
    shape = TraceShape(name="wide", layers=1, moe_layers=(0,), experts=8, top_k=6)
    found = summarise(made(token_chunk(ids), shape=shape), batches=(2,), draws=2)
    assert list(found.lru_hit_rate) == [8, 16, 32]
    assert found.undefined["cache of 4"] == "it cannot hold the 6 experts that a token uses"
    with pytest.raises(ValueError, match="a cache of 4 cannot hold the 6 experts"):
        loc.lru_hit_rates([request(ids)], 8, (4, 8))


def test_rank_correlation_with_ties():
    """Spearman of ranks 1, 2.5, 2.5, 4 and 4, 2, 3, 1 by its definition."""
    ranks = np.corrcoef([1, 2.5, 2.5, 4], [4, 2, 3, 1])[0, 1]
    assert loc.rank_correlation(np.array([1, 5, 5, 9]), np.array([80, 20, 30, 10])) == pytest.approx(ranks)
    assert loc.rank_correlation(np.arange(5), np.arange(5) ** 3) == pytest.approx(1.0)
    assert np.isnan(loc.rank_correlation(np.ones(3), np.arange(3)))


def test_loads_and_their_bins():
    batch = np.array([[[[0, 1]], [[0, 2]], [[0, 1]], [[0, 3]], [[0, 3]]]])
    loads = expert_loads(batch, 5)
    assert loads.tolist() == [[[5, 2, 1, 2, 0]]]
    assert load_bins(loads).ravel().tolist() == [1, 2, 0, 1]


def test_batches_are_of_different_requests_at_one_step():
    """The id tells the request, the second layer the step."""
    requests = [request([[[i, 9], [step, 9]] for step in range(1, 4 + i)]) for i in range(5)]
    draws = BatchDraws(requests)
    assert draws.at_equal_step and draws.largest == 5
    batch = draws.draw(4, 50, np.random.default_rng(0))[..., 0]
    assert all(len(set(one)) == 4 for one in batch[:, :, 0].tolist())
    assert (batch[:, :, 1] == batch[:, :1, 1]).all() and set(batch[:, :, 1].ravel().tolist()) <= set(range(1, 8))
    apart = BatchDraws([request([[[0]]] * 3), request([[[1]]] * 3, first_step=9)])
    assert apart.draw(2, 4, np.random.default_rng(0)) is None


# ---- counts and passes


def test_what_counts_do_not_tell_is_said():
    chunk = CountChunk(
        counts=np.array([[[4, 2, 1, 1], [2, 2, 2, 2]]]),
        topic=np.zeros(1, int),
        topics=("a",),
        phase=np.full(1, 2),
        passes=False,
    )
    counts = CountTrace(place="c", format="made", shape=SHAPE, layers=(0, 1), read=lambda: iter([chunk]))
    found = summarise(counts)
    assert found.skew.tolist() == [2.0, 1.0] and found.scope == "counts"
    as_values = statistics_dict(found)
    for name in (
        "same_expert_next",
        "next_token_coverage",
        "next_layer_coverage",
        "lru_hit_rate",
    ):
        assert (
            getattr(found, name) is None and as_values[name] is None and "counts do not tell" in found.undefined[name]
        )
    assert found.undefined["prefill_decode_correlation"] == "counts do not tell prefill from decode tokens"
    for name in ("distinct_experts", "load_shares", "tokens"):
        assert getattr(found, name) is None and found.undefined[name]
    assert any(row[1] == "undefined" and "counts do not tell" in row[-1] for row in statistics_rows(found))


def test_counts_of_passes_tell_the_batches():
    chunk = CountChunk(
        counts=np.array([[[2, 0, 1, 1], [1, 1, 1, 1]], [[2, 2, 0, 0], [2, 1, 1, 0]], [[6, 5, 1, 0], [3, 3, 3, 3]]]),
        topic=np.zeros(3, int),
        topics=("a",),
        phase=np.full(3, DECODE),
        passes=True,
    )
    found = summarise(CountTrace(place="c", format="made", shape=SHAPE, layers=(0, 1), read=lambda: iter([chunk])))
    assert {batch: values.tolist() for batch, values in found.distinct_experts.items()} == {2: [2.5, 3.5], 6: [3, 4]}
    assert found.load_shares[6][:, 0].tolist() == pytest.approx([1 / 3, 0, 0, 2 / 3])


def test_passes_tell_only_the_number_of_experts():
    passes = PassTrace(
        place="p",
        format="moe_cap",
        shape=SHAPE,
        phase=np.array([PREFILL, DECODE, DECODE]),
        tokens=np.array([9, 2, 2]),
        distinct=np.array([4.0, 3.0, 2.0]),
    )
    found = summarise(passes)
    assert found.distinct_experts[2].tolist() == [2.5] and list(found.distinct_experts) == [2]
    assert found.usage is None and "only the number of different experts" in found.undefined["usage"]
    assert statistics_dict(found)["skew"] is None


# ---- the real data; the expected figures were counted independently


@pytest.fixture(scope="module")
def llama(shared):
    return summarise(open_trace(shared / "data" / "routing" / "llama4-maverick-mmlu", load_model("llama-4-maverick")))


def without_45(found, values):
    return values[[i for i, layer in enumerate(found.layers) if layer != 45]].mean()


def test_llama_4_tokens_repeat_experts(llama):
    assert (llama.requests, llama.scope) == (60, "decode")
    assert llama.same_expert_next.mean() == pytest.approx(0.329, rel=0.02)
    assert without_45(llama, llama.same_expert_next) == pytest.approx(0.300, rel=0.02)


def test_llama_4_distinct_experts(llama):
    for batch, wanted in {4: 3.7, 8: 6.9, 16: 12.1, 32: 20.4}.items():
        assert without_45(llama, llama.distinct_experts[batch]) == pytest.approx(wanted, rel=0.02)
    assert "batch 64" in llama.undefined


def test_llama_4_caches(llama):
    for capacity, wanted in {4: 0.545, 8: 0.653, 16: 0.743, 32: 0.784}.items():
        assert llama.lru_hit_rate[capacity].mean() == pytest.approx(wanted, rel=0.02)


def test_llama_4_layer_45_is_reported(llama):
    assert [(layer, expert) for layer, expert, _ in llama.dominant] == [(45, 40)]
    assert any(note.startswith("layer 45 sends 99.") and note.endswith("to expert 40") for note in llama.notes)


def test_llama_4_coverage_is_that_of_few_requests(llama):
    """387 requests give 0.853 (orders_in_chaos.md 7); 60 requests fill the table less, so the top 20 % hold more of it."""
    assert 0.853 < llama.next_token_coverage.mean() < 1 and 0.853 < llama.next_layer_coverage.mean() < 1
    assert 0.5 < llama.prefill_decode_correlation.mean() < 0.9


def test_qwen_log(shared):
    """18,818 lines of layer 0; the index counts within a forward pass, of which there are 106 (starts over 105 times)."""
    path = shared / "data" / "routing" / "qwen1.5-moe-a2.7b-gsm8k-layer0.jsonl.gz"
    trace = open_trace(path, QWEN)
    assert (trace.format, trace.layers) == ("json_lines", (0,))
    found = summarise(trace, batches=(4,), draws=8)
    assert found.tokens["unknown"] == 18818 and found.requests == 106
    assert found.usage.sum() == 4 * 18818 and any("starts over" in note for note in found.notes)
    assert found.next_layer_coverage is None and "no two successive layers" in found.undefined["next_layer_coverage"]


def test_mixtral_tokens(shared):
    found = summarise(open_trace(shared / "data" / "routing" / "mixtral-8x7b-mtbench", load_model("mixtral-8x7b")))
    assert found.topics == ("coding", "humanities", "math", "reasoning", "roleplay", "writing")
    assert found.scope == "all" and found.usage.sum() == 64 * found.tokens["unknown"]
    assert found.lru_hit_rate[8] == pytest.approx(1 - 8 / (2 * 1024)), "eight experts fit a cache of eight: 8 misses"


def test_olmoe_counts(shared):
    found = summarise(open_trace(shared / "data" / "routing" / "olmoe-1b-7b.npz", load_model("olmoe-1b-7b")))
    assert found.layers == (0, 7, 15) and len(found.topics) == 6 and found.same_expert_next is None
