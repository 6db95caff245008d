"""GPUs: shipped figures, the roofline, measured tables and their interpolation."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeram.errors import ConfigError, EngineError, TraceError
from moeram.hardware.gpu import gpu_names, load_gpu
from moeram.hardware.gpu_cost import GpuCost
from moeram.hardware.measured import read_tables
from moeram.hardware.priced import Priced, worst

MOE = {
    "moe_dtype": "bfloat16", "hidden_size": 64, "inter_size": 32, "topk": 2, "num_experts": 4, "moe_tp_size": 1,
    "moe_ep_size": 1, "distribution": "balanced",
}  # fmt: skip


def write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def moe_rows(points, **changed):
    return [
        {"device": "G1", "op_name": "moe", "kernel_source": "a", **MOE, **changed, "num_tokens": n, "latency": t}
        for n, t in points
    ]


@pytest.mark.parametrize("name", gpu_names())
def test_every_shipped_gpu_loads(name):
    gpu = load_gpu(name)
    assert gpu.name == name
    # A byte costs more than an operation on each of them, and the ridge lies between 50 and 500 operations a byte.
    ridge = gpu.peak_flops_per_ps("bfloat16") / gpu.bytes_per_ps
    assert 50 < ridge < 500


def test_an_unknown_gpu_names_the_nearest():
    with pytest.raises(ConfigError, match="h100_sxm"):
        load_gpu("h100_smx")


def test_roofline_of_one_mixtral_token_on_h100():
    # Two experts of 3 x 4096 x 14336 bf16 weights at 3.35 TB/s: 0.210 ms, as the data sheet of the measured tables says.
    cost = GpuCost(load_gpu("h100_sxm"))
    priced = cost.experts(np.array([[1, 1, 0, 0, 0, 0, 0, 0]]), 4096, 14336, "bfloat16")
    assert priced.bound_ps[0] * 1e-9 == pytest.approx(0.210, abs=0.0006)
    moved = 2 * (3 * 4096 * 14336 + 3 * 4096 + 6 * 14336) * 2
    assert priced.time_ps[0] == pytest.approx(moved / 3.35 / 0.85 + 25e6, rel=1e-6)
    assert priced.fidelity == "analytic"


def test_one_more_token_of_an_expert_costs_what_its_kernels_write_and_read():
    one, two = GpuCost(load_gpu("h100_sxm")).experts(np.array([[1], [2]]), 4096, 14336, "bfloat16").time_ps
    values = [("in", 4096), ("gate and up out, in", 4 * 14336), ("product out, in", 2 * 14336), ("result out, in", 2 * 4096)]
    assert two - one == pytest.approx(sum(count for _, count in values) * 2 / (3.35 * 0.85), rel=1e-3)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=16))
def test_roofline_grows_with_tokens_and_never_beats_its_bound(counts):
    cost = GpuCost(load_gpu("b200"))
    tokens = np.array([counts, [2 * count for count in counts]])
    once, twice = cost.experts(tokens, 512, 256, "bfloat16").time_ps
    assert twice >= once
    if not sum(counts):
        assert once == 0


def test_gemm_is_compute_bound_when_large():
    gpu = load_gpu("a100_sxm")
    priced = GpuCost(gpu).gemm([8192], 8192, 8192, "bfloat16")
    assert priced.time_ps[0] == pytest.approx(2 * 8192**3 / (312 * 0.8) + 5e6, rel=1e-6)


def test_time_better_than_its_bound_is_refused():
    with pytest.raises(EngineError, match="less than its bound"):
        Priced(time_ps=np.array([9]), bound_ps=np.array([10]), fidelity="analytic")


def test_a_sum_is_as_sure_as_its_least_sure_part():
    assert worst("cycle", "measured", "analytic") == "analytic"
    assert worst("cycle", "cycle-memo") == "cycle-memo"


def test_measured_points_come_back_and_power_laws_are_exact_between(tmp_path):
    points = [(n, 0.25 * n**0.5) for n in (1, 4, 16, 64)]
    tables = read_tables([write_csv(tmp_path / "g.csv", moe_rows(points))])
    found = tables.time_ps("moe", MOE, [1, 2, 5, 64])
    assert found.time_ps * 1e-9 == pytest.approx([0.25 * math.sqrt(n) for n in (1, 2, 5, 64)])
    assert not found.extrapolated.any()


def test_the_fastest_kernel_of_a_point_counts(tmp_path):
    rows = moe_rows([(1, 0.5), (2, 0.5)]) + moe_rows([(1, 0.4), (2, 0.7)], kernel_source="b")
    tables = read_tables([write_csv(tmp_path / "g.csv", rows)])
    assert list(tables.time_ps("moe", MOE, [1, 2]).time_ps) == [400_000_000, 500_000_000]


def test_attention_is_interpolated_over_context_then_batch(tmp_path):
    shape = {
        "num_heads": 8, "num_key_value_heads": 2, "head_dim": 64, "attn_dtype": "bfloat16", "kv_cache_dtype": "bfloat16",
        "window_size": 0,
    }  # fmt: skip
    rows = [
        {
            "op_name": "generation_attention",
            **shape,
            "batch_size": b,
            "isl": 1,
            "step": c - 1,
            "latency": 1e-3 * b * c**0.5,
        }
        for b in (1, 8)
        for c in (16, 64, 256)
    ]
    tables = read_tables([write_csv(tmp_path / "a.csv", rows)])
    found = tables.time_ps("generation_attention", shape, [16, 100, 32], [1, 4, 8])
    assert found.time_ps * 1e-9 == pytest.approx([4e-3, 40e-3, 8e-3 * 32**0.5])


def test_outside_the_range_is_refused_or_labelled(tmp_path):
    tables = read_tables([write_csv(tmp_path / "g.csv", moe_rows([(2, 1.0), (8, 2.0)]))])
    with pytest.raises(TraceError, match=r"num_tokens = 9 lies outside the measured range \(2 to 8\)"):
        tables.time_ps("moe", MOE, [4, 9])
    found = tables.time_ps("moe", MOE, [1, 8, 16], extrapolate=True)
    assert list(found.extrapolated) == [True, False, True]
    assert found.time_ps * 1e-9 == pytest.approx([1, 2, 4])
    shape = {"hidden_size": 64, "intermediate_size": 32, "top_k": 2, "experts": 4}
    labelled = GpuCost(load_gpu("h100_sxm"), tables, outside="label")
    assert labelled.moe_layer([16], [4], **shape).fidelity == "measured, extrapolated"
    assert labelled.moe_layer([4], [4], **shape).fidelity == "measured"
    assert labelled.moe_layer([4], [4], **{**shape, "experts": 5}).fidelity == "analytic"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latency": -1}, "row 1: latency -1.0"),
        ({"latency": "nan"}, "row 1: latency nan"),
        ({"op_name": "mo"}, "operation 'mo' is unknown; did you mean 'moe'"),
    ],
)
def test_bad_tables_are_named(tmp_path, change, message):
    rows = [{**row, **change} for row in moe_rows([(1, 1.0)])]
    with pytest.raises(TraceError, match=message):
        read_tables([write_csv(tmp_path / "g.csv", rows)])


def test_shapes_and_devices_are_not_mixed_up(tmp_path):
    first = write_csv(tmp_path / "a.csv", moe_rows([(1, 1.0)]))
    with pytest.raises(TraceError, match="nearest: num_experts 4"):
        read_tables([first]).time_ps("moe", {**MOE, "num_experts": 8}, [1])
    other = [{**row, "device": "G2", "topk": 1} for row in moe_rows([(1, 1.0)])]
    with pytest.raises(TraceError, match="several devices"):
        read_tables([first, write_csv(tmp_path / "b.csv", other)])
    with pytest.raises(TraceError, match="another file already"):
        read_tables([first, write_csv(tmp_path / "c.csv", moe_rows([(2, 1.0)]))])
    (tmp_path / "d.csv").write_bytes(b"\x00\xff\x00")
    with pytest.raises(TraceError, match=r"d\.csv"):
        read_tables([tmp_path / "d.csv"])


def test_real_tables_give_their_documented_point(shared):
    tables = read_tables(sorted((shared / "data" / "gpu").glob("h100_moe*.parquet")))
    layer = GpuCost(load_gpu("h100_sxm"), tables).moe_layer(
        [1, 16], [2, 8], hidden_size=4096, intermediate_size=14336, top_k=2, experts=8, distribution="power_law_1.01"
    )
    assert layer.time_ps * 1e-9 == pytest.approx([0.256, 0.96], abs=0.004)
    assert layer.fidelity == "measured"
