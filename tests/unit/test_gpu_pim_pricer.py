"""GPUs with computing memory: the task graph by hand, one layer by closed form, policies against each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moeram.errors import CapacityError, ConfigError, EngineError
from moeram.hardware.gpu import load_gpu
from moeram.hardware.gpu_cost import GpuCost
from moeram.hardware.memories import load_memory
from moeram.hardware.network import Network, Topology
from moeram.model import load_model
from moeram.routing import SyntheticOptions
from moeram.routing.synthetic import SIEVE_FITS, SyntheticRouting
from moeram.schedule import make_schedule
from moeram.serving import Step
from moeram.serving.overlap import Task, TaskGraph
from moeram.serving.pricing import GpuPimOptions, GpuPimPricer, RoutedTokens
from moeram.serving.pricing.gpu_pim import check_layouts

NONE = np.zeros(0, dtype=np.int64)
IDEAL = {"compute_efficiency": 1.0, "memory_efficiency": 1.0}


def decode(batch, context=2048):
    return Step(
        decode=np.arange(batch),
        context_tokens=np.full(batch, context),
        topic=np.zeros(batch, dtype=np.int64),
        prefill=NONE,
        chunk_tokens=NONE,
        chunk_start=NONE,
        prefill_topic=NONE,
    )


@pytest.fixture(scope="module")
def qwen():
    return load_model("qwen3-30b-a3b")


@pytest.fixture(scope="module")
def source(qwen):
    return SyntheticRouting(
        qwen, SyntheticOptions(popularity="bimodal", topics=1, topic_sigma=(0.0,), **SIEVE_FITS["qwen3"])
    )


def pricer(model, source, schedule="sieve", gpus=1, schedule_options=None, tables=None, **options):
    return GpuPimPricer(
        model,
        GpuCost(load_gpu("b200").model_copy(update=IDEAL), tables),
        load_memory("hbm3e_pim"),
        Network(Topology(topology="switch", nodes=gpus, link_gb_per_s=900, latency_ns=800)),
        RoutedTokens(source, seed=0, pool_tokens=512),
        make_schedule(schedule, schedule_options),
        GpuPimOptions(**options),
    )


TASKS = (
    Task("a", (), "gpu"), Task("b", (), "memory"), Task("c", ("a", "b"), "memory"), Task("d", ("a",), "gpu"),
    Task("e", ("c", "d"), "network", together=True),
)  # fmt: skip


def test_graph_by_hand():
    took = {"a": np.array([[3.0, 5.0]]), "b": 4.0, "c": 2.0, "d": 1.0, "e": np.array([[10.0]])}
    times = TaskGraph(TASKS).run(took)
    assert times.end_ps["c"].tolist() == [[6, 7]]
    assert times.end_ps["d"].tolist() == [[4, 6]]
    assert times.end_ps["e"].tolist() == [[17, 17]]
    assert times.busy_ps["gpu"].tolist() == [[4, 6]]
    with pytest.raises(EngineError, match="did you mean 'a'"):
        TaskGraph([*TASKS, Task("f", ("aa",))])
    with pytest.raises(EngineError, match="twice"):
        TaskGraph([*TASKS, Task("a")])


def test_no_look_at_a_task_that_ended_earlier_is_missed():
    """Every wait of every task, none left out as known to be earlier."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        tasks = [
            Task(
                str(index),
                tuple(str(other) for other in range(index) if rng.random() < 0.3),
                [None, "x", "y"][rng.integers(3)],
                bool(rng.random() < 0.2),
            )
            for index in range(12)
        ]
        took = {task.name: rng.random((3, 2)) for task in tasks}
        end, free = {}, {}
        for task in tasks:
            start = np.max(
                [np.zeros((3, 2)), *(end[name] for name in task.after), free.get(task.resource, np.zeros((3, 2)))],
                axis=0,
            )
            start = start.max(axis=1, keepdims=True) if task.together else start
            end[task.name] = start + took[task.name]
            if task.resource:
                free[task.resource] = end[task.name]
        found = TaskGraph(tasks).run(took).end_ps
        assert all(np.array_equal(found[name] + np.zeros((3, 2)), end[name]) for name in end)


def test_all_experts_serial_is_the_sum_of_its_tasks(qwen, source):
    batch, layers = 16, 48
    priced = pricer(qwen, source, "all_experts", interleaved=False, router_us=0).price(decode(batch))
    memory = load_memory("hbm3e_pim")
    experts = batch * 8 * memory.token_ps(qwen)
    cache = batch * 2048 * 2 * 4 * 128 * 2
    # Each of the eight query heads of a group reads the row of its key head (sieve.md 5.2).
    attention = 8 * cache / memory.peak_bytes_per_ps * 1.6 / memory.awake
    # Q, K, V, O of 32 query and 4 key heads of 128, router, two norms, at 8 TB/s; new keys and values written.
    dense = 2048 * 128 * (32 + 4 + 4 + 32) * 2 + 2048 * 128 * 2 + 2 * 2048 * 2
    head = 151_936 * 2048 * 2 + 2048 * 2
    written = batch * 2 * 4 * 128 * 2
    expected = layers * (experts + attention + (dense + written) / 8) + head / 8
    assert priced.time_ps == pytest.approx(expected, rel=2e-3)
    assert priced.parts_ps["network"] == 0


def test_interleaving_never_slows_and_never_halves_more_than_the_chain(qwen, source):
    for schedule in ("no_experts", "all_experts", "sieve", "pimoe"):
        serial = pricer(qwen, source, schedule, interleaved=False).price(decode(64)).time_ps
        beside = pricer(qwen, source, schedule).price(decode(64)).time_ps
        assert serial / 2 * 0.999 <= beside <= serial


def test_sieve_without_overhead_is_the_fastest_at_every_batch(qwen, source):
    for batch in (4, 16, 64, 256):
        names = ("gpu_only", "no_experts", "all_experts", "papi", "pimoe", "sieve")
        times = {}
        for name in names:
            made = pricer(
                qwen, source, name, schedule_options={"scheduler_us": 0.0} if name == "sieve" else None, router_us=0
            )
            # The first step teaches the table.
            times[name] = [made.price(decode(batch)).time_ps for _ in range(4)][-1]
        assert times["sieve"] <= 1.02 * min(times.values()), times


def test_all_experts_stop_scaling_where_the_paper_says(qwen, source):
    # AllExp's throughput stops growing beyond a batch of 32 (sieve.md 8): its time doubles with the batch.
    made = pricer(qwen, source, "all_experts")
    small, large = (made.price(decode(batch)).time_ps for batch in (64, 256))
    assert large / small == pytest.approx(4, rel=0.03)


def test_a_stack_for_each_expert_is_slower_than_all_channels(qwen, source):
    spread = pricer(qwen, source, "all_experts").price(decode(8)).time_ps
    alone = pricer(qwen, source, "all_experts", memory_layout="expert").price(decode(8)).time_ps
    assert alone > spread


def test_expert_parallelism_shows_its_stragglers(qwen, source):
    one, four = pricer(qwen, source, gpus=1).price(decode(64)), pricer(qwen, source, gpus=4).price(decode(64))
    assert one.parts_ps["stragglers"] == 0
    assert four.parts_ps["stragglers"] > 0
    assert four.parts_ps["network"] > 0
    assert four.time_ps < one.time_ps


def test_sharded_weights_leave_more_room_and_cost_transfers(qwen, source):
    whole, cut = pricer(qwen, source, gpus=4), pricer(qwen, source, gpus=4, dense="sharded")
    assert cut.kv_capacity_tokens > whole.kv_capacity_tokens
    assert cut.price(decode(64)).parts_ps["network"] > whole.price(decode(64)).parts_ps["network"]


def test_sharded_weights_are_read_once_over_all_gpus(qwen, source):
    whole, cut = (pricer(qwen, source, "all_experts", gpus=4, dense=dense) for dense in ("replicated", "sharded"))
    left = whole.price(decode(8)).parts_ps["gpu"] - cut.price(decode(8)).parts_ps["gpu"]
    # Q, K, V, O of 32 query and 4 key heads of 128, router, norms; the head. Three of four GPUs read theirs in vain.
    layers = 48 * (2048 * 128 * (32 + 4 + 4 + 32) + 2048 * 128 + 2 * 2048) * 2 + 2048 * 2
    assert left == pytest.approx(0.75 * (layers + 151_936 * 2048 * 2) / 8, rel=1e-3)


def test_impossible_systems_are_refused(qwen, source):
    with pytest.raises(ConfigError, match="128 experts cannot be dealt out evenly to 3 GPUs"):
        pricer(qwen, source, gpus=3)
    with pytest.raises(ConfigError, match="they must agree"):
        check_layouts(GpuPimOptions(), "pimoe", {"layout": "expert"})
    big = replace(qwen, expert_intermediate_size=8192)
    with pytest.raises(CapacityError, match="leaves no room for caches in 1 x"):
        pricer(big, SyntheticRouting(big, SyntheticOptions(topics=1)))


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("schedule", ["gpu_only", "no_experts", "all_experts", "papi", "duplex", "pimoe", "sieve"])
def test_no_step_beats_its_bound_or_works_longer_than_it_lasts(qwen, source, schedule, interleaved):
    """PricedStep refuses both; here it is asked over batches, contexts and GPUs, from idle links to crowded ones."""
    for gpus in (1, 4):
        made = pricer(qwen, source, schedule, gpus=gpus, interleaved=interleaved, router_us=0)
        for batch, context in ((1, 1), (4, 100_000), (64, 512), (512, 2048)):
            priced = made.price(decode(batch, context))
            assert priced.bound_ps < priced.time_ps
            always = sum(priced.moved_bytes[f"external/{name}"] for name in ("attention", "router", "head"))
            assert (priced.bound_ps + 1) * 8 * gpus >= always  # 8,000 GB/s are 8 bytes a ps
            assert all(0 <= busy <= priced.time_ps for busy in priced.parts_ps.values())
