"""Energy of GPUs whose memory computes: every component by hand, powers against the GPU's own, nothing that is counted twice."""

from __future__ import annotations

import numpy as np
import pytest

from moeram.errors import ConfigError
from moeram.hardware.gpu import load_gpu
from moeram.hardware.gpu_cost import GpuCost
from moeram.hardware.memories import load_memory
from moeram.hardware.network import Network, Topology
from moeram.model import load_model
from moeram.routing import SyntheticOptions
from moeram.routing.synthetic import SyntheticRouting
from moeram.schedule import make_schedule
from moeram.serving import IDLE_ENERGY, Step
from moeram.serving.pricing import GpuPimOptions, GpuPimPricer, RoutedTokens
from moeram.serving.pricing.pim_energy import PimEnergy

NONE = np.zeros(0, dtype=np.int64)
BATCH, CONTEXT, LAYERS, TOP_K = 16, 512, 48, 8
EXPERT_BYTES = 3 * 2048 * 768 * 2


@pytest.fixture(scope="module")
def qwen():
    return load_model("qwen3-30b-a3b")


@pytest.fixture(scope="module")
def source(qwen):
    return SyntheticRouting(qwen, SyntheticOptions(topics=1, topic_sigma=(0.0,)))


def price(model, source, policy, gpus=1, memory="hbm3e_pim", **options):
    network = Network(Topology(topology="switch", nodes=gpus, link_gb_per_s=900, latency_ns=800))
    pricer = GpuPimPricer(
        model, GpuCost(load_gpu("b200")), load_memory(memory), network, RoutedTokens(source, seed=0, pool_tokens=256),
        make_schedule(policy), GpuPimOptions(**options),
    )  # fmt: skip
    return pricer.price(
        Step(
            decode=np.arange(BATCH), context_tokens=np.full(BATCH, CONTEXT), topic=np.zeros(BATCH, dtype=np.int64), prefill=NONE,
            chunk_tokens=NONE, chunk_start=NONE, prefill_topic=NONE,
        )
    )


def test_units_pay_for_every_read_of_a_weight_and_of_a_cached_key(qwen, source):
    energy = price(qwen, source, "all_experts").energy_pj
    calls = LAYERS * BATCH * TOP_K
    # Eight query heads read each key and value anew.
    cache = 8 * BATCH * CONTEXT * LAYERS * 2 * 4 * 128 * 2
    assert energy["array to units"] == pytest.approx((calls * EXPERT_BYTES + cache) * 8 * 0.55, rel=1e-9)
    assert energy["mac"] == pytest.approx((calls * 3 * 2048 * 768 + cache / 2) * 0.32, rel=1e-9)


def test_gpus_pay_for_what_passes_the_pins(qwen, source):
    priced = price(qwen, source, "gpu_only")
    moved = sum(size for name, size in priced.moved_bytes.items() if name.startswith("external/"))
    assert priced.energy_pj["external access"] == pytest.approx(moved * 8 * (0.11 + 0.44 + 1.01 + 1.23 + 0.5 + 0.3), rel=1e-9)
    assert priced.energy_pj["array to units"] == priced.energy_pj["mac"] == priced.energy_pj["vectors"] == 0


def test_power_without_work_is_the_gpus_own_over_the_whole_step(qwen, source):
    for gpus in (1, 4):
        priced = price(qwen, source, "sieve", gpus=gpus)
        idle = sum(energy for name, energy in priced.energy_pj.items() if name in IDLE_ENERGY)
        assert idle == pytest.approx(gpus * 140 * priced.time_ps, rel=1e-12)
    # 96 GiB, all rows once in 8192 refreshes of 3.9 us, 0.11 pJ a bit; 7.5 mW a Gbit.
    assert priced.energy_pj["refresh"] == pytest.approx(4 * priced.time_ps * 96 * 2**33 * 0.11e-12 / (8192 * 3.9e-6))
    assert priced.energy_pj["memory standby"] == pytest.approx(4 * priced.time_ps * 96 * 8 * 7.5e-3)


@pytest.mark.parametrize("policy", ["gpu_only", "all_experts", "sieve"])
def test_no_component_draws_more_than_its_peak(qwen, source, policy):
    priced, memory = price(qwen, source, policy, interleaved=False), load_memory("hbm3e_pim")
    watts = {name: energy / priced.time_ps for name, energy in priced.energy_pj.items()}
    assert watts["external access"] <= 8 * 8 * 3.59
    assert watts["array to units"] <= memory.peak_bytes_per_ps * 8 * 0.55
    assert watts["mac"] <= memory.peak_operations_per_ps / 2 * 0.32
    # A GPU that streams all the time draws what the config says of a running kernel, at 0.85 of its bandwidth.
    assert watts["gpu kernels"] <= 0.65 * 1000 - 140 - 0.85 * 8 * 8 * 3.59
    assert sum(watts.values()) < 0.65 * 1000 + memory.peak_bytes_per_ps * 8 * 0.55 + 50


def test_transfers_cost_by_the_bit_and_hop(qwen, source):
    assert price(qwen, source, "sieve").energy_pj["network"] == 0
    energy = price(qwen, source, "sieve", gpus=4).energy_pj["network"]
    # Three of four places are elsewhere: there and back, then maps to three others.
    vectors = 2 * LAYERS * BATCH * TOP_K * 2048 * 2 * 3 / 4
    assert energy == pytest.approx((vectors + LAYERS * 3 * BATCH * TOP_K * 4) * 8 * 1.3, rel=1e-9)
    mesh = Network(Topology(topology="mesh", nodes=4, columns=2, link_gb_per_s=1, latency_ns=1), link_pj_per_bit=2.0)
    corner = np.zeros((4, 4))
    corner[0, 3], corner[1, 1] = 100, 7
    assert mesh.exchange_pj(corner) == 100 * 2 * 8 * 2
    assert mesh.collective_pj("all_reduce", 400) == 2 * 3 * 400 * 8 * 2


def test_units_on_the_logic_die_read_a_weight_once(qwen, source):
    priced = price(qwen, source, "all_experts", memory="hbm3_duplex")
    distinct = priced.moved_bytes["internal/routed experts"]
    cache = BATCH * CONTEXT * LAYERS * 2 * 4 * 128 * 2
    assert priced.energy_pj["array to units"] == pytest.approx((distinct + cache) * 8 * 3.29, rel=1e-9)


def test_powers_that_contradict_are_refused():
    memory = load_memory("hbm3e_pim")
    with pytest.raises(ConfigError, match="leave nothing beside hbm3e_pim"):
        PimEnergy(load_gpu("b200").model_copy(update={"idle_power_w": 5.0}), memory, 1)
    with pytest.raises(ConfigError, match="leave nothing beside hbm3e_pim"):
        PimEnergy(load_gpu("b200").model_copy(update={"busy_power_fraction": 0.3}), memory, 1)
