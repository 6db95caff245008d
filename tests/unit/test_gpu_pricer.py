"""GPUs as a serving system: counts against the model's own, a batch of one against bytes over bandwidth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moeram.errors import CapacityError, ConfigError
from moeram.hardware.gpu import load_gpu
from moeram.hardware.gpu_cost import GpuCost
from moeram.hardware.network import Network, Topology
from moeram.model import load_model, parse_precision
from moeram.model.zoo import model_names
from moeram.routing import SyntheticOptions
from moeram.routing.synthetic import SyntheticRouting
from moeram.serving import BatchingOptions, Step, poisson_requests, serve
from moeram.serving.pricing import GpuPricer, ModelWork, RoutedTokens

NONE = np.zeros(0, dtype=np.int64)


def step(contexts=(), chunks=(), starts=None, new=1):
    def column(values):
        return np.array(values, dtype=np.int64)

    count, prompts = len(contexts), len(chunks)
    return Step(
        decode=np.arange(count),
        context_tokens=column(contexts),
        topic=np.zeros(count, dtype=np.int64),
        prefill=np.arange(count, count + prompts),
        chunk_tokens=column(chunks),
        chunk_start=column(starts or [0] * prompts),
        prefill_topic=np.zeros(prompts, dtype=np.int64),
        tokens_per_request=new,
    )


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
    counts = np.zeros((1, 8), dtype=np.int64)
    counts[0, :2] = 5
    crowded, _, _ = spread._experts_time(counts, 5)
    counts[0] = [5, 0, 5, 0, 0, 0, 0, 0]
    balanced, _, _ = spread._experts_time(counts, 5)
    assert crowded > 1.8 * balanced * (1 - 25e6 / balanced)
    with pytest.raises(ConfigError, match="8 experts cannot be dealt out evenly to 3 GPUs"):
        pricer(mixtral, routed, experts="expert", gpus=3)


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
