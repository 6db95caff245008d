"""Tiered chips as a GPU's memory: closed forms against the engine, one port for GPU and units, what a placement means there."""

from __future__ import annotations

import numpy as np
import pytest

from moeram.experiment import load_serving, run_serving
from moeram.hardware import CycleOptions
from moeram.hardware.memories import load_memory
from moeram.hardware.near_memory_layers import NearMemoryLayers
from moeram.model import load_model
from moeram.serving.pricing.pim_layer import layer_times_ps

MIXTRAL = load_model("mixtral-8x7b")
SMALL = {
    "system": "mono3d_sieve",
    "requests": {"count": 4, "rate_per_s": 1e6, "prompt_tokens": 8, "output_tokens": 4},
    "batching": {"policy": "continuous", "max_requests": 4},
    "routing.synthetic": {"topics": 1, "topic_sigma": [0.0]},
}


def throughput(**values):
    result = run_serving(load_serving("mixtral_stratum_l", values={**SMALL, **values}))
    return next(result["throughput"].rows())["tokens_per_s"]


@pytest.mark.parametrize("tokens", [1, 4, 8, 24])
def test_an_expert_takes_what_the_engine_says(tokens):
    """Of a layer of four experts; its ends (mode switch, link, first rows, last reduction) are not the expert's: below 6 %."""
    memory = load_memory("mono3d_l")
    tier_1 = memory.model_copy(update={"row_cycle_ns": 34.56})
    options = CycleOptions(
        hidden_size=4096, intermediate_size=14336, bits_per_weight=16, bytes_per_activation=2, result_row=32000, threads=1
    )
    layers = NearMemoryLayers(memory.system, options, rows_per_expert=56)
    first = np.arange(4)[None] * 56
    four, two = (
        int(layers.time_ps(first, np.array([[tokens] * n + [0] * (4 - n)]), batch=tokens)[0]) for n in (4, 2)
    )
    found = int(tier_1.expert_ps(np.array([tokens]), MIXTRAL).time_ps[0])
    assert found == pytest.approx((four - two) / 2, rel=0.06)


def test_peaks_are_those_of_the_chips():
    """stratum.md 1.3 and 2.3: 30.34 TB/s inside, 819.2 GB/s outside, 65,536 multipliers at 1 GHz a chip."""
    memory = load_memory("mono3d_l")
    assert memory.peak_bytes_per_ps == pytest.approx(6 * 30.34, rel=1e-3)
    assert memory.external_gb_per_s == pytest.approx(6 * 819.2)
    assert memory.peak_operations_per_ps == pytest.approx(6 * 65536 * 2 * 1e-3)


def test_one_port_makes_loads_wait_for_the_units():
    times = {name: np.full((1, 1), value) for name, value in (
        ("base", 10.0), ("base loads", 8.0), ("attention", 5.0), ("load", 20.0), ("gemm", 6.0), ("experts in memory", 30.0)
    )}  # fmt: skip
    rest = {"dispatch_ps": np.zeros(1), "combine_ps": np.zeros(1), "maps_ps": 0.0, "dense_ps": 0.0, "router_ps": 0.0, "schedule_ps": 0.0}
    both = [layer_times_ps(times, **rest, interleaved=False, exclusive=exclusive)[0] for exclusive in (False, True)]
    assert both == [10 + 5 + 30, 10 + 5 + 20 + 30]
    both = [layer_times_ps(times, **rest, interleaved=True, exclusive=exclusive)[0] for exclusive in (False, True)]
    assert both == [5 + 30, 5 + 20 + 30 + 8]


def test_placement_and_port_change_what_is_served():
    options = {"schedule": {"policy": "all_experts"}, "system_values": {"gpu_pim": {"exclusive": True}}}
    tiers = throughput(**options, **{"placement.policy": "static_hot"})
    slow = throughput(**options, **{"placement.policy": "no_tiering"})
    assert tiers > slow * 1.02
    assert throughput(schedule={"policy": "all_experts"}, **{"placement.policy": "static_hot"}) > tiers
