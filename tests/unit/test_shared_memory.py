"""What GPU and units lose by each other on one memory: the engine's two runs against each other and against two rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from serving_steps import step

from moeram.errors import ConfigError
from moeram.hardware.gpu import load_gpu
from moeram.hardware.gpu_cost import GpuCost
from moeram.hardware.memo import KernelMemo
from moeram.hardware.memories import load_memory
from moeram.hardware.network import Network, Topology
from moeram.hardware.pim_programs import token_ps_by_engine
from moeram.hardware.shared_memory import SharedMemory, SharingOptions, Slowdowns
from moeram.model import load_model
from moeram.routing import SyntheticOptions
from moeram.routing.synthetic import SIEVE_FITS, SyntheticRouting
from moeram.schedule import make_schedule
from moeram.serving.pricing import GpuPimPricer, RoutedTokens
from moeram.serving.pricing.pim_layer import contended_ps

MODEL = "qwen3-30b-a3b"
MEMO = KernelMemo()  # several tests ask the same
AWAKE_GB_PER_S = 8192 * (1 - 400 / 3900)


def shared(memo=MEMO, **options):
    return SharedMemory(load_memory("hbm3e_pim"), load_model(MODEL), SharingOptions(**options), memo)


def test_two_rates_by_hand():
    reads, units = Slowdowns(host=2.0, units=4.0).together_ps([10, 100, 0, 10], [10, 10, 10, 0])
    # 20 for the reads, in which the units have done 5 of 10; 40 for the units, in which 20 of 100 are read; one side alone.
    assert reads.tolist() == [20, 40 + 80, 0, 10]
    assert units.tolist() == [20 + 5, 40, 10, 0]
    _, apart = Slowdowns(host=2.0, units=4.0, units_apart=1.5).together_ps([10, 0], [10, 10])
    assert apart.tolist() == [20 + 5 * 1.5, 10]


def test_taking_turns_is_no_faster_than_one_after_the_other():
    """Sides that both slow down as much as the share that is left to them end together when the sum of both is over."""
    reads, units = Slowdowns(host=3.0, units=1.5).together_ps(np.arange(1, 9) * 1000, 3000)
    assert np.maximum(reads, units) == pytest.approx(np.arange(1, 9) * 1000 + 3000)


def test_alone_is_alone():
    times = shared().times(tokens=64, read_bytes=40_000_000)
    assert times.units_alone_ps == pytest.approx(64 * token_ps_by_engine(load_memory("hbm3e_pim"), load_model(MODEL)), rel=1e-9)
    assert 40_000_000 / times.read_alone_ps * 1000 == pytest.approx(AWAKE_GB_PER_S, rel=0.08)
    assert times.read_ps >= times.read_alone_ps
    assert times.units_ps >= times.units_alone_ps


@pytest.mark.parametrize("options", [{}, {"policy": "time_slices", "host_slice": 1000, "units_slice": 1000, "row_buffers": "alternating"}])
@pytest.mark.parametrize("share", [0.5, 1.0, 3.0])
def test_two_rates_come_near_to_the_engine(options, share):
    memory = shared(**options)
    times = memory.times(tokens=150, read_bytes=round(40e6 * share * AWAKE_GB_PER_S / 1000))
    reads, units = memory.slowdowns().together_ps(times.read_alone_ps, times.units_alone_ps)
    assert reads == pytest.approx(times.read_ps, rel=0.05)
    assert units == pytest.approx(times.units_ps, rel=0.05)


def test_split_row_buffers_gain_and_alternating_ones_do_not():
    """Rates of both sides together, of what each does alone: more than one machine's worth only where a bank serves both."""
    split, alternating = shared().slowdowns(), shared(row_buffers="alternating").slowdowns()
    assert 1 / split.host + 1 / split.units > 1.3
    assert 1 / alternating.host + 1 / alternating.units < 1
    assert split.units < 1.2
    assert split.units_apart == pytest.approx(1, abs=0.05)  # 1.5 rows a token: nothing to open behind multiplications


def test_a_memo_answers_the_second_time():
    memo = KernelMemo()
    first = shared(memo).slowdowns()
    asked = memo.counts.misses
    assert shared(memo).slowdowns() == first
    assert memo.counts.misses == asked
    assert shared(memo, policy="oldest_first").slowdowns() != first


def test_a_layer_lengthens_what_meets_on_the_memory():
    times = {name: np.array([[value]]) for name, value in {
        "base": 30.0, "base loads": 20.0, "attention": 10.0, "load": 10.0, "gemm": 5.0, "experts in memory": 10.0,
    }.items()}  # fmt: skip
    slower = Slowdowns(host=2.0, units=4.0)
    serial = contended_ps(times, slower, interleaved=False)
    assert (serial["load"], serial["experts in memory"]) == (20, 25)
    assert all(serial[name] == times[name] for name in ("base", "attention", "gemm"))
    both = contended_ps(times, slower, interleaved=True)
    # 30 of reads beside 20 of work: 60, in which the units have done 15.
    assert both["load"] + both["base loads"] == 60
    assert both["attention"] + both["experts in memory"] == 65
    assert both["base"] == 40
    assert both["gemm"] == 5


def test_one_row_buffer_cannot_be_split():
    memory = load_memory("hbm3e_pim").model_copy(update={"dual_row_buffer": False})
    with pytest.raises(ConfigError, match="row_buffers: alternating"):
        SharedMemory(memory, load_model(MODEL))
    with pytest.raises(ConfigError, match="cap: 20 cycles are too short"):
        SharedMemory(memory, load_model(MODEL), SharingOptions(row_buffers="alternating", cap=20)).slowdowns()


class Watched:
    """A policy whose observations and measured times are kept; `rates`: what it is told lasts that many times longer."""

    name = "watched"

    def __init__(self, policy, reads=1.0, units=1.0):
        self.policy, self.reads, self.units, self.seen, self.measured = policy, reads, units, None, None

    def plan(self, observation):
        self.seen, costs = observation, observation.costs
        costs = replace(
            costs, gpu_memory_ps=costs.gpu_memory_ps * self.reads, memory_ps=costs.memory_ps * self.units,
            memory_roofline_ps=costs.memory_roofline_ps * self.units,
        )  # fmt: skip
        told = replace(
            observation, costs=costs, attention_ps=observation.attention_ps * self.units,
            gpu_base_memory_ps=observation.gpu_base_memory_ps * self.reads,
        )  # fmt: skip
        return self.policy.plan(told)

    def observe(self, tokens, memory_ps):
        self.measured = tokens, memory_ps
        self.policy.observe(tokens, memory_ps)


def step_times(policy, slowdowns, requests=32, steps=4):
    model = load_model(MODEL)
    popularity = SyntheticOptions(popularity="bimodal", topics=1, topic_sigma=(0.0,), **SIEVE_FITS["qwen3"])
    routed = RoutedTokens(SyntheticRouting(model, popularity), seed=0, pool_tokens=256)
    network = Network(Topology(topology="switch", nodes=1, link_gb_per_s=900, latency_ns=800))
    memory, cost = load_memory("hbm3e_pim"), GpuCost(load_gpu("b200"))
    priced = GpuPimPricer(model, cost, memory, network, routed, policy, slowdowns=slowdowns)
    return [priced.price(step([512] * requests)).time_ps for _ in range(steps)]


def test_schedules_learn_what_the_contended_memory_took():
    """Reads that never pause slow the units all the time; short ones as long as they last."""
    for slower in (Slowdowns(host=1e9, units=3.0), Slowdowns(host=1.0, units=3.0)):
        policy = Watched(make_schedule("all_experts"))
        step_times(policy, slower, steps=1)
        seen, (tokens, measured) = policy.seen, policy.measured
        work = seen.attention_ps + seen.memory_ps.sum(axis=1, where=seen.activated)
        reads = seen.gpu_base_memory_ps
        on = np.minimum(reads * slower.host, 3 * work)
        longer = (on + work - on / 3) / work
        # Experts of one decision and token count are one measurement.
        expected = {
            (count, round(seen.costs.memory_ps[count] * more))
            for row, more in zip(seen.tokens, longer, strict=True)
            for count in set(row[row > 0].tolist())
        }
        assert {(int(count), round(time)) for count, time in zip(tokens, measured, strict=True)} == expected
        assert longer.max() <= 3 and longer.min() > 1


def test_plans_on_slowed_rates_are_no_better():
    """Why schedules see times without contention (docs/serving.md): a side that is done frees the other, which slowed rates cannot say."""
    slower = Slowdowns(host=5.5, units=1.3)
    blind = sum(step_times(Watched(make_schedule("sieve")), slower, requests=64))
    told = sum(step_times(Watched(make_schedule("sieve"), reads=slower.host, units=slower.units), slower, requests=64))
    assert told > 1.2 * blind
