"""Measured tables in serving: a time that the test chose must come out of a step, kernel by kernel, and what is not measured must not change."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from serving_steps import step

from moeram.errors import ConfigError, TraceError
from moeram.experiment import load_serving, run_serving
from moeram.hardware.gpu import load_gpu
from moeram.hardware.gpu_cost import GpuCost
from moeram.hardware.measured import read_tables
from moeram.hardware.memories import load_memory
from moeram.hardware.network import Network, Topology
from moeram.model import load_model
from moeram.routing import SyntheticOptions
from moeram.routing.synthetic import SyntheticRouting
from moeram.schedule import make_schedule
from moeram.serving.pricing import GpuPimOptions, GpuPimPricer, GpuPricer, RoutedTokens

LAYERS = 32
MOE = {
    "moe_dtype": "bfloat16", "hidden_size": 4096, "inter_size": 14336, "topk": 2, "num_experts": 8, "moe_tp_size": 2,
    "moe_ep_size": 1, "distribution": "balanced",
}  # fmt: skip
HEADS = {
    "num_heads": 16, "num_key_value_heads": 4, "head_dim": 128, "attn_dtype": "bfloat16", "kv_cache_dtype": "bfloat16",
    "window_size": 0,
}  # fmt: skip
OTHERS = {
    "generation_attention": [{**HEADS, "batch_size": b, "isl": 1, "step": c - 1} for b in (1, 8) for c in (16, 4096)],
    "context_attention": [{**HEADS, "batch_size": b, "isl": i, "step": 0} for b in (1, 8) for i in (16, 4096)],
    # Q, K and V of half of 32 + 2 x 8 heads of 128.
    "gemm": [{"gemm_dtype": "bfloat16", "n": 3072, "k": 4096, "m": m} for m in (1, 4096)],
    "all_reduce": [{"nccl_dtype": "half", "num_gpus": 2, "message_size": m} for m in (1024, 1 << 26)],
}
# Who runs how often in a step of the 32 layers.
CALLS = {"moe": 32, "generation_attention": 32, "context_attention": 32, "gemm": 32, "all_reduce": 64}


def table(folder, operation, latency_ms, points=None, name=None):
    """Write a table of one latency at every point, and the MoE table that makes any table usable beside it."""
    points = points or OTHERS.get(operation, [{**MOE, "num_tokens": n} for n in (1, 4096)])
    path = folder / f"{name or operation}-{latency_ms}.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = [{"device": "G1", "op_name": operation, **point, "latency": latency_ms} for point in points]
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


BOTH = step([100, 300], [64, 200])


@pytest.fixture(scope="module")
def mixtral():
    return load_model("mixtral-8x7b")


@pytest.fixture(scope="module")
def source(mixtral):
    return SyntheticRouting(mixtral, SyntheticOptions(), seed=1)


def gpus(model, source, paths, outside="refuse", **options):
    topology = Topology(topology="switch", nodes=2, link_gb_per_s=450, latency_ns=800)
    cost = GpuCost(load_gpu("h100_sxm"), read_tables(paths) if paths else None, outside=outside)
    return GpuPricer(model, cost, RoutedTokens(source, seed=1, pool_tokens=256), Network(topology), **options)


def origin(pricer, part):
    return next(found for found in pricer.origins if found.part == part)


@pytest.mark.parametrize("operation", sorted(CALLS))
def test_a_measured_time_comes_out_of_a_step_as_often_as_its_kernel_runs(tmp_path, mixtral, source, operation):
    beside = [] if operation == "moe" else [table(tmp_path, "moe", 1.0)]
    times = [
        gpus(mixtral, source, [*beside, table(tmp_path, operation, latency)]).price(BOTH).time_ps for latency in (5.0, 7.5)
    ]
    assert times[1] - times[0] == CALLS[operation] * 2_500_000_000


@pytest.mark.parametrize(
    ("operation", "part"),
    [
        ("moe", "MoE layers"),
        ("generation_attention", "decode attention"),
        ("context_attention", "attention of prompts"),
        ("gemm", "product QKV"),
        ("all_reduce", "all-reduce"),
    ],
)
def test_what_is_measured_is_named_and_nothing_else(tmp_path, mixtral, source, operation, part):
    beside = [] if operation == "moe" else [table(tmp_path, "moe", 1.0)]
    made = gpus(mixtral, source, [*beside, table(tmp_path, operation, 1.0)])
    measured = {found.part for found in made.origins if found.fidelity == "measured"}
    assert measured == {part, "MoE layers"}
    assert {found.fidelity for found in gpus(mixtral, source, []).origins} == {"analytic"}


def test_a_whole_step_of_measured_kernels_by_hand(tmp_path, mixtral, source):
    paths = [table(tmp_path, "moe", 0.5), table(tmp_path, "generation_attention", 0.03), table(tmp_path, "gemm", 0.02)]
    priced = gpus(mixtral, source, [*paths, table(tmp_path, "all_reduce", 0.01)]).price(step([100, 300]))
    # O and router by roofline; launches: norm, rotation, O, norm, router; then the head with its own.
    rest = 32 * 4096 * (4096 + 8 + 2) * 2 + 4096 * 2
    head = 32_000 * 4096 * 2
    roofline_ps = (rest + head) / 2 / (3.35 * 0.85) + (5 * 32 + 1) * 5e6
    assert priced.time_ps == pytest.approx(32 * (0.5 + 0.03 + 0.02 + 2 * 0.01) * 1e9 + roofline_ps, rel=1e-6)


def test_continued_prompts_and_speculation_stay_roofline(tmp_path, mixtral, source):
    paths = [table(tmp_path, name, 1.0) for name in ("moe", "generation_attention", "context_attention")]
    made, other = gpus(mixtral, source, paths), gpus(mixtral, source, paths[:1])
    for asked in (step(chunks=[64], starts=[32]), step([100], new=3)):
        assert made.price(asked).time_ps == other.price(asked).time_ps
    # Of one that begins and one that goes on, the first is measured, the second adds its roofline.
    together = made.price(step(chunks=[64, 64], starts=[0, 32])).time_ps
    assert together > made.price(step(chunks=[128])).time_ps


def test_prompts_of_unequal_lengths_count_by_their_squares(tmp_path, mixtral, source):
    squares = [{**HEADS, "batch_size": b, "isl": i, "step": 0} for b in (1, 2, 4) for i in (64, 256, 1024)]
    path = tmp_path / "squares.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = [{"device": "G1", "op_name": "context_attention", **p, "latency": p["batch_size"] * p["isl"] ** 2 * 1e-6} for p in squares]
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    made = gpus(mixtral, source, [table(tmp_path, "moe", 1.0), path])._kernels
    asked = step(chunks=[100, 700])
    found = made.prompt_attention(asked, made._of(asked, np.ones(2, bool)))
    assert found.time_ps == pytest.approx(32 * (100**2 + 700**2) * 1e3, rel=1e-6)


def test_sizes_beyond_the_tables_are_refused_or_labelled(tmp_path, mixtral, source):
    path = table(tmp_path, "moe", 1.0, [{**MOE, "num_tokens": n} for n in (2, 64)])
    with pytest.raises(TraceError, match=r"num_tokens = 128 lies outside the measured range \(2 to 64\)"):
        gpus(mixtral, source, [path]).price(step(chunks=[128]))
    made = gpus(mixtral, source, [path], outside="label")
    assert origin(made, "MoE layers").fidelity == "measured"
    twice, once = (made.price(step(chunks=[tokens])) for tokens in (128, 64))
    assert origin(made, "MoE layers").fidelity == "measured, extrapolated"
    assert twice.time_ps - once.time_ps > LAYERS * 0.99e9


def test_expert_parallelism_asks_for_its_own_shape(tmp_path, mixtral, source):
    dealt = [{**MOE, "moe_tp_size": 1, "moe_ep_size": 2, "num_tokens": n} for n in (1, 4096)]
    paths = [table(tmp_path, "moe", 1.0), table(tmp_path, "moe", 3.0, dealt, "dealt")]
    cut, spread = (gpus(mixtral, source, paths, experts=experts) for experts in ("tensor", "expert"))
    assert spread.price(BOTH).parts_ps["gpu"] - cut.price(BOTH).parts_ps["gpu"] == LAYERS * 2_000_000_000


@pytest.mark.parametrize(
    ("change", "asked", "message"),
    [
        ({"num_experts": 16}, None, r"no kernel of mixtral-8x7b on this system; there are moe \(1 shapes\); wanted moe of"),
        ({"hidden_size": 2048}, None, "nearest: hidden_size 2048"),
        ({}, "balancd", "measured_distribution: given 'balancd'; did you mean 'balanced'"),
    ],
)
def test_tables_without_the_shape_are_refused_before_anything_runs(tmp_path, mixtral, source, change, asked, message):
    path = table(tmp_path, "moe", 1.0, [{**MOE, **change, "num_tokens": 1}])
    with pytest.raises(ConfigError, match=message):
        gpus(mixtral, source, [path], distribution=asked)


QWEN = {**MOE, "hidden_size": 2048, "inter_size": 768, "topk": 8, "num_experts": 128, "moe_tp_size": 1}


def qwen_table(folder, each_us, call_us):
    """Layers whose every expert has t tokens, at `each_us` a token and expert, and one token alone."""
    points = [(1, 8)] + [(16 * t, 128 * t) for t in range(1, 65)]
    path = folder / f"qwen-{each_us}-{call_us}.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = [
            {"op_name": "moe", **QWEN, "num_tokens": n, "latency": (call_us + each_us * pairs) * 1e-3} for n, pairs in points
        ]
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_experts_on_gpus_beside_computing_memory_take_their_measured_time(tmp_path):
    model = load_model("qwen3-30b-a3b")
    source = SyntheticRouting(model, SyntheticOptions(topics=1, topic_sigma=(0.0,)))
    decode = step([512] * 16)

    def price(each_us, call_us, policy):
        cost = GpuCost(load_gpu("b200"), read_tables([qwen_table(tmp_path, each_us, call_us)]))
        network = Network(Topology(topology="switch", nodes=1, link_gb_per_s=900, latency_ns=800))
        made = GpuPimPricer(
            model, cost, load_memory("hbm3e_pim"), network, RoutedTokens(source, seed=0, pool_tokens=256), make_schedule(policy),
            GpuPimOptions(interleaved=False),
        )  # fmt: skip
        assert origin(made, "experts on GPUs").fidelity == "measured"
        return made.price(decode).time_ps

    # Each of 48 layers: 16 tokens x 8 experts, and one call.
    assert price(2.0, 20.0, "no_experts") - price(1.5, 20.0, "no_experts") == pytest.approx(48 * 128 * 0.5e6, rel=1e-6)
    assert price(2.0, 20.0, "no_experts") - price(2.0, 10.0, "no_experts") == pytest.approx(48 * 10e6, rel=1e-4)
    # Nothing runs on the GPU: neither matters.
    assert price(2.0, 20.0, "all_experts") == price(1.0, 10.0, "all_experts")
    # Dear experts move to the memory.
    assert price(50.0, 20.0, "sieve") < price(50.0, 20.0, "no_experts")


def test_real_tables_price_a_decode_step(shared):
    folder = shared / "data" / "gpu"
    paths = [str(path) for path in sorted(folder.glob("h100_*.parquet"))]
    few = {"requests.count": 2, "requests.output_tokens": 16, "requests.rate_per_s": 1000.0}
    times = {}
    for name, tables in (("roofline", ()), ("measured", paths)):
        result = run_serving(load_serving("mixtral_h100_x2", values={**few, "measured": tables}))
        steps = result.record.steps
        times[name] = float(np.median(steps["time_ps"][steps["prefill_tokens"] == 0]))
        labels = {row["part"]: row["fidelity"] for row in result["fidelity"].rows()}
    assert {part for part, label in labels.items() if label == "measured"} == {
        "MoE layers", "decode attention", "attention of prompts", "all-reduce", "product QKV", "product O",
    }  # fmt: skip
    # Two tokens: 32 layers of at least two experts, half of each, and nothing is faster than their bytes.
    assert times["measured"] > 32 * 2 * 3 * 4096 * 7168 * 2 / 3.35
    assert 0.5 < times["measured"] / times["roofline"] < 2
