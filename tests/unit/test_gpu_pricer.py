"""GPUs as a serving system: counts against the model's own, a batch of one against bytes over bandwidth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_steps import step

from moeram.errors import CapacityError, ConfigError
from moeram.hardware.gpu import load_gpu
from moeram.hardware.gpu_cost import GpuCost
from moeram.hardware.network import Network, Topology
from moeram.model import load_model, parse_precision
from moeram.model.zoo import model_names
from moeram.routing import SyntheticOptions
from moeram.routing.synthetic import SyntheticRouting
from moeram.serving import BatchingOptions, poisson_requests, serve
from moeram.serving.pricing import GpuPricer, ModelWork, RoutedTokens
from moeram.serving.pricing.dealt_experts import DealtExperts

NONE = np.zeros(0, dtype=np.int64)


@pytest.fixture(scope="module")
def mixtral():
    return load_model("mixtral-8x7b")


@pytest.fixture(scope="module")
def routed(mixtral):
    return RoutedTokens(SyntheticRouting(mixtral, SyntheticOptions(), seed=1), seed=1, pool_tokens=256)


def pricer(model, routed, gpus=2, gpu="h100_sxm", tables=None, **options):
    topology = Topology(topology="switch", nodes=gpus, link_gb_per_s=450, latency_ns=800)
    return GpuPricer(model, GpuCost(load_gpu(gpu), tables), routed, Network(topology), **options)


@pytest.mark.parametrize("name", model_names())
def test_totals_and_caches_equal_the_models_own(name):
    model = load_model(name)
    work = ModelWork(model)
    embedding = sum(m.count * model.matrix_bytes(m) for m in model.matrices if m.lookup)
    routed = len(model.moe_layers) * model.experts * model.expert_bytes
    assert work.dense_bytes + work.head_bytes + embedding + routed == model.weight_bytes
    contexts = np.array([1, 100, 8192, 8193, 50_000])
    expected = [model.kv_read_bytes(int(context)) for context in contexts]
    assert (work.read_tokens(contexts) * model.kv_layer_bytes).tolist() == expected


def test_every_token_meets_top_k_experts_in_every_layer(routed, mixtral):
    counts = routed.counts(step([10, 20, 30], [100, 7], new=3))
    assert counts.shape == (32, 8)
    assert (counts.sum(axis=1) == (3 * 3 + 107) * mixtral.top_k).all()


def test_prompt_attention_is_the_triangle_of_its_tokens(mixtral):
    whole = ModelWork(mixtral).of(step(chunks=[1000])).prefill_attention_ops
    in_parts = sum(
        ModelWork(mixtral).of(step(chunks=[250], starts=[begin])).prefill_attention_ops for begin in range(0, 1000, 250)
    )
    exact = 4 * mixtral.heads * mixtral.head_dim * mixtral.layers * 1000 * 1001 // 2
    assert whole == pytest.approx(exact, rel=2e-3)
    assert in_parts == pytest.approx(exact, rel=4e-3)


def test_a_batch_of_one_is_bytes_over_bandwidth(mixtral, routed):
    one = pricer(mixtral, routed).price(step([1024]))
    two_experts = 2 * 32 * mixtral.expert_bytes
    attention = 32 * 4096 * (4096 + 1024 + 1024 + 4096) * 2
    router_norms = 32 * 4096 * 8 * 2 + 65 * 4096 * 2
    head = 32_000 * 4096 * 2
    cache = 1025 * 128 * 1024
    moved = two_experts + attention + router_norms + head + cache
    # Both GPUs have every vector in and out, and half of the inner values, which five kernels write and read.
    vectors, between = 32 * 2 * 2 * 4096 * 2 * 2, 32 * 2 * (2 * 4096 + 6 * 7168) * 2 * 2
    assert one.bound_ps == pytest.approx((moved + vectors) / 2 / 3.35, rel=1e-3)
    assert one.time_ps > one.bound_ps / 0.85
    assert sum(one.moved_bytes.values()) == pytest.approx(moved + vectors / 2 + between, rel=1e-6)


def test_two_gpus_pay_two_reductions_a_layer(mixtral, routed):
    two = pricer(mixtral, routed).price(step([64] * 4))
    # Ring of nothing: a switch needs a latency and a half of the vector each for reduce-scatter and all-gather.
    per_layer = 2 * 2 * (800 + 4 * 4096 * 2 / 2 / 450)
    assert two.parts_ps["network"] == pytest.approx(32 * per_layer * 1e3, rel=1e-3)


def test_expert_parallelism_waits_for_the_fullest_gpu(mixtral, routed):
    spread = pricer(mixtral, routed, experts="expert", gpus=4)
    counts = np.zeros((32, 8), dtype=np.int64)
    counts[:, :2] = 5
    (crowded, _, _), waited = spread._experts_time(counts, 5)
    # Three of four GPUs have nothing to do.
    assert waited == pytest.approx(0.75 * crowded, abs=1)
    counts[:] = [5, 0, 5, 0, 0, 0, 0, 0]
    (balanced, _, _), _ = spread._experts_time(counts, 5)
    # Two experts instead of one behind five launches in each of 32 layers.
    assert crowded > 1.8 * (balanced - 32 * 25e6)
    with pytest.raises(ConfigError, match="8 experts cannot be dealt out evenly to 3 GPUs"):
        pricer(mixtral, routed, experts="expert", gpus=3)


def test_experts_are_dealt_anew_by_use_and_pay_for_their_way(mixtral, routed):
    made = pricer(mixtral, routed, experts="expert", gpus=4, deal_every_steps=2)
    still = pricer(mixtral, routed, experts="expert", gpus=4)
    counts = np.tile(np.array([9, 8, 7, 6, 1, 1, 1, 1]), (32, 1))
    routed_counts = type("Fixed", (), {"counts": lambda self, _: counts, "layers": 32})()
    made._routed = still._routed = routed_counts
    first, second, third = (made.price(step([1000] * 16)) for _ in range(3))
    plain = still.price(step([1000] * 16))
    assert first.time_ps == plain.time_ps
    assert first.parts_ps["expert moves"] == 0
    # Greedy by hand: 9, 8, 7, 6 each to a GPU of its own. 8 leaves GPU 0, 6 leaves GPU 1, 7 may stay; of the four 1s two are in the way.
    moves = second.moved_bytes["memory/expert moves"] // (2 * mixtral.expert_bytes)
    assert 4 * 32 <= moves <= 6 * 32
    assert second.time_ps - plain.time_ps == second.parts_ps["expert moves"] >= moves * mixtral.expert_bytes / 4 / 450e-3
    assert third.parts_ps["expert moves"] == 0
    # The fullest GPU held 17 of 34 tokens, now at most 10.
    assert third.parts_ps["stragglers"] < 0.3 * first.parts_ps["stragglers"]
    assert third.time_ps < first.time_ps


@given(st.lists(st.integers(0, 50), min_size=12, max_size=12), st.sampled_from([1, 2, 3, 4, 6]))
def test_dealing_keeps_every_gpu_full_and_never_fills_the_fullest_more(used, gpus):
    counts = np.array([used])
    dealt = DealtExperts(1, 12, gpus, 1)
    before = dealt.shares(counts).sum(axis=2).max()
    moved = dealt.step(counts)
    after = dealt.shares(counts)
    assert after.shape == (1, gpus, 12 // gpus)
    assert after.sum() == sum(used)
    assert sorted(after.ravel().tolist()) == sorted(used)
    assert after.sum(axis=2).max() <= before
    assert moved.trace() == 0
    # As many arrive as leave.
    assert (moved.sum(axis=0) == moved.sum(axis=1)).all()
    if not moved.any():
        assert np.array_equal(after, counts.reshape(1, gpus, -1))


def test_experts_are_as_large_as_their_format(mixtral, routed):
    eight_bits = replace(mixtral, precision=parse_precision("experts=fp8", mixtral.precision))
    times = [pricer(model, routed).price(step([1024])).time_ps for model in (mixtral, eight_bits)]
    # One token: two experts of 32 layers, half of them on each GPU, a byte a weight less.
    assert times[0] - times[1] == pytest.approx(32 * 2 * 3 * 4096 * 7168 / (3.35 * 0.85), rel=1e-3)


def test_weights_that_do_not_fit_are_refused(mixtral, routed):
    with pytest.raises(CapacityError, match="mixtral-8x7b needs"):
        pricer(mixtral, routed, gpus=1)


def test_more_load_takes_longer_and_serves_more(mixtral, routed):
    def run(rate):
        asked = poisson_requests(40, rate_per_s=rate, prompt_tokens=256, output_tokens=16, rng=np.random.default_rng(0))
        return serve(asked, pricer(mixtral, routed), BatchingOptions(max_requests=8))

    slow, fast = run(0.5), run(50)
    assert fast.end_ps < slow.end_ps
    assert (fast.first_token_ps - fast.requests.arrival_ps).mean() > (
        slow.first_token_ps - slow.requests.arrival_ps
    ).mean()
