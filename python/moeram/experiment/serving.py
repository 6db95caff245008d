"""Running a serving experiment: a system is put together, requests are served, tables are made."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from moeram.errors import ConfigError, did_you_mean
from moeram.experiment.prepare import topic_confusion
from moeram.experiment.serving_limits import check_limits
from moeram.experiment.serving_options import RequestOptions, ServingExperiment
from moeram.experiment.serving_uses import check_uses
from moeram.experiment.sources import open_source
from moeram.hardware import load_system, require_near_memory, rows_by_tier
from moeram.hardware.cycle import CycleOptions
from moeram.hardware.gpu_cost import GpuCost
from moeram.hardware.measured import read_tables
from moeram.hardware.memo import shared_memo
from moeram.hardware.memories import ComputingMemory, load_memory
from moeram.hardware.near_memory_layers import NearMemoryLayers
from moeram.hardware.pim_engine import PimEngine
from moeram.hardware.pim_memory import PimMemory
from moeram.hardware.shared_memory import SharedMemory, Slowdowns
from moeram.hardware.tiered_memory import TieredMemory
from moeram.metrics import Table
from moeram.metrics.cap import cost_table, s_mbu_table, s_mfu_table
from moeram.metrics.serving import (
    check_interval,
    energy_table,
    fidelity_table,
    latency_table,
    request_table,
    series_interval_ns,
    throughput_table,
    time_series,
    utilisation_table,
)
from moeram.model import MoEModel
from moeram.placement import PlacementInput, name_clashes, place_rows, row_budget
from moeram.routing import RoutingSource
from moeram.schedule import make_schedule, schedule_clashes
from moeram.serving import Requests, ServingRecord, StepPricer, check_room, poisson_requests, read_requests, serve
from moeram.serving.pricing import FewestExperts, GpuPimPricer, GpuPricer, NearMemoryPricer, RoutedTokens
from moeram.serving.pricing.gpu_pim import check_layouts
from moeram.serving.system import ServingSystem, load_serving_system


@dataclass(frozen=True, kw_only=True)
class ServingResult:
    """What a serving experiment found.

    tables: latencies, throughput, utilisation, s_mbu, s_mfu, energy, time_series, requests, and cost if asked for. record: the run itself. notes: what a reader must
    know. resolved: model and system in full. memo: what was asked of the kernel memo.
    """

    experiment: ServingExperiment
    tables: dict[str, Table] = field(repr=False)
    record: ServingRecord = field(repr=False)
    notes: tuple[str, ...]
    fidelity: str
    routing_fidelity: str
    resolved: dict[str, Any] = field(repr=False)
    memo: dict[str, int]
    wall_time_s: float

    def __getitem__(self, table: str) -> Table:
        """Return a table by name: result["latencies"]."""
        if table not in self.tables:
            raise ConfigError(f"the result has no table {table!r}{did_you_mean(table, self.tables)}")
        return self.tables[table]

    def cost(self) -> dict[str, Any]:
        """Return what the run took, for its provenance."""
        return {"steps": len(self.record.steps["time_ps"]), "kernel_memo": self.memo}


def run_serving(experiment: ServingExperiment, progress: Callable[[int, int], None] | None = None) -> ServingResult:
    """Run a serving experiment.

    Args:
        progress: called as progress(finished, requests).

    Raises:
        MoeramError: the inputs are wrong (before anything is served), or a step cannot be priced.
    """
    begin, before = time.perf_counter(), replace(shared_memo().counts)
    model, system = experiment.load_model(), load_serving_system(experiment.system, experiment.system_values)
    source = open_source(experiment.routing, model, experiment.seed, memo=experiment.reuse)
    requests = _requests(experiment, source)
    check_interval(experiment.every_ms, float(requests.arrival_ps[-1] - requests.arrival_ps[0]))
    pricer = make_pricer(experiment, model, system, source)
    _check_cost(experiment, system)
    check_room(requests, pricer)
    limits = experiment.limits
    fewest = FewestExperts(source, seed=experiment.seed)
    below = check_limits(experiment, requests, make_pricer(experiment, model, system, source, fewest))
    record = serve(
        requests, pricer, experiment.batching, ttft_limit_ms=limits.ttft_ms, seed=experiment.seed, progress=progress
    )
    every_ns = series_interval_ns(record, experiment.every_ms * 1e6)
    tables = {
        "latencies": latency_table(record),
        "throughput": throughput_table(
            record, gpus=system.gpus, ttft_limit_ms=limits.ttft_ms, tpot_limit_ms=limits.tpot_ms
        ),
        "utilisation": utilisation_table(record),
        "s_mbu": s_mbu_table(record),
        "s_mfu": s_mfu_table(record),
        "energy": energy_table(record),
        "fidelity": fidelity_table(pricer.origins),
        "time_series": time_series(record, every_ns),
        "requests": request_table(record),
    }
    if experiment.cost is not None:
        row = next(tables["throughput"].rows())
        tables["cost"] = _cost(experiment, system, row["tokens_per_s"], row["run_energy_per_token_uj"] * 1e-6)
    return ServingResult(
        experiment=experiment,
        tables=tables,
        record=record,
        notes=(
            *source.notes,
            *_notes(system, requests),
            *_changed_trace(experiment.requests),
            *below,
            *_missed(tables["throughput"], record),
            *_widened(experiment.every_ms, every_ns * 1e-6),
            *(pricer.notes() if isinstance(pricer, GpuPimPricer) else ()),
        ),
        fidelity=record.fidelity,
        routing_fidelity=source.fidelity,
        resolved=experiment.machines(),
        memo=shared_memo().counts.since(before).as_dict() if experiment.reuse else {},
        wall_time_s=time.perf_counter() - begin,
    )


def make_pricer(
    experiment: ServingExperiment, model: MoEModel, system: ServingSystem, source: RoutingSource, routed: RoutedTokens | None = None
) -> StepPricer:
    """Return the pricer of a serving system; routed: None for tokens drawn from the source."""
    check_uses(experiment, system)
    routed = routed or RoutedTokens(source, seed=experiment.seed)
    if system.kind == "near_memory":
        return _near_memory(experiment, model, system, source, routed)
    tables = read_tables(experiment.measured) if experiment.measured else None
    gpu = system.one_gpu()
    if tables is not None and tables.device and gpu.measured_as and gpu.measured_as.lower() not in tables.device.lower():
        raise ConfigError(f"measured: the tables are of {tables.device}, {system.name} has {gpu.description}")
    cost = GpuCost(gpu, tables, outside=experiment.outside_measured)
    if system.kind == "gpus":
        return GpuPricer(
            model, cost, routed, system.network(), experts=system.experts, deal_every_steps=system.deal_every_steps,
            distribution=experiment.measured_distribution,
        )
    assert system.memory is not None
    policy, options = experiment.schedule.policy, dict(experiment.schedule.options)
    check_layouts(system.gpu_pim, policy, options)
    memory = load_memory(system.memory)
    if isinstance(memory, TieredMemory):
        memory = _placed(experiment, model, memory, source)
    engine = _engine(experiment, model, memory) if experiment.pim_times == "engine" else None
    return GpuPimPricer(
        model,
        cost,
        memory,
        system.network(),
        routed,
        make_schedule(policy, options),
        system.gpu_pim,
        engine=engine,
        slowdowns=_slowdowns(experiment, model, memory),
    )


def _slowdowns(experiment: ServingExperiment, model: MoEModel, memory: ComputingMemory) -> Slowdowns | None:
    if experiment.contention is None:
        return None
    if not isinstance(memory, PimMemory):
        raise ConfigError(f"contention: given, but memory {memory.name} has no units at the banks")
    return SharedMemory(memory, model, experiment.contention, shared_memo() if experiment.reuse else None).slowdowns()


def _engine(experiment: ServingExperiment, model: MoEModel, memory: ComputingMemory) -> PimEngine:
    if not isinstance(memory, PimMemory):
        raise ConfigError(f"pim_times: engine, but memory {memory.name} has no units at the banks")
    return PimEngine(memory, model, shared_memo() if experiment.reuse else None)


def _placed(
    experiment: ServingExperiment, model: MoEModel, memory: TieredMemory, source: RoutingSource
) -> TieredMemory:
    """Return the memory with the mean row cycle of what held-out tokens read, experts placed once for all topics alike."""
    chips, wanted = memory.system, experiment.placement
    budget = row_budget(
        model, chips, phi=wanted.phi, kv_requests=wanted.kv_requests, context_tokens=wanted.context_tokens,
        batch=experiment.batching.max_requests,
    )  # fmt: skip
    used = source.held_out_usage()
    given = PlacementInput(
        usage=source.ranking_usage(), topic=0, budget=budget, seed=experiment.seed, requests=(1.0,) * len(source.topics), held_out=used
    )
    plan = place_rows(wanted.policy, given)
    cycles = np.asarray(chips.closed_form.row_cycle_ns)
    if plan.slowest_tier_everywhere:
        return memory.model_copy(update={"row_cycle_ns": float(cycles.max())})
    rows = rows_by_tier(plan.first_row[:, : model.experts], budget.rows_per_expert, chips.device.tier_rows)
    mean = np.average(rows @ cycles / budget.rows_per_expert, weights=used.sum(axis=0))
    return memory.model_copy(update={"row_cycle_ns": float(mean)})


def _near_memory(
    experiment: ServingExperiment, model: MoEModel, system: ServingSystem, source: RoutingSource, routed: RoutedTokens
) -> NearMemoryPricer:
    assert system.memory is not None
    require_near_memory(model)
    chips, wanted = load_system(system.memory), experiment.placement
    most_tokens = experiment.batching.max_requests * (1 + experiment.batching.draft_tokens)
    budget = row_budget(
        model,
        chips,
        phi=wanted.phi,
        kv_requests=wanted.kv_requests,
        context_tokens=wanted.context_tokens,
        batch=most_tokens,
    )
    plans = [
        place_rows(
            wanted.policy,
            PlacementInput(usage=source.ranking_usage(), topic=topic, budget=budget, seed=experiment.seed, held_out=source.held_out_usage()),
        )
        for topic in range(len(source.topics))
    ]
    options = CycleOptions(
        hidden_size=model.hidden_size,
        intermediate_size=model.expert_intermediate_size,
        bits_per_weight=model.precision.experts.bits,
        bytes_per_activation=model.bytes_per_activation,
        result_row=budget.result_row,
        slowest_tier_everywhere=plans[0].slowest_tier_everywhere,
        threads=experiment.threads,
        reuse_identical_channels=experiment.reuse,
        reuse_experts=experiment.reuse,
    )
    layers = NearMemoryLayers(
        chips,
        options,
        rows_per_expert=budget.rows_per_expert,
        reuse=experiment.reuse,
        memo=shared_memo() if experiment.reuse else None,
    )
    return NearMemoryPricer(
        model, chips, system.one_gpu(), system.network(), routed, layers, plans, budget, system.near_memory
    )


def _check_cost(experiment: ServingExperiment, system: ServingSystem) -> None:
    """Refuse a cost that cannot be known before anything is served."""
    if experiment.cost is not None:
        _cost(experiment, system, 1.0, 1.0)


def _cost(
    experiment: ServingExperiment, system: ServingSystem, tokens_per_s: float, energy_per_token_j: float
) -> Table:
    assert experiment.cost is not None
    gpu = system.one_gpu()
    return cost_table(
        experiment.cost,
        gpus=system.gpus,
        gpu_name=gpu.name,
        gpu_price_usd=gpu.price_usd,
        memory=system.memory,
        tokens_per_s=tokens_per_s,
        energy_per_token_j=energy_per_token_j,
    )


def _requests(experiment: ServingExperiment, source: RoutingSource) -> Requests:
    wanted, rng = experiment.requests, np.random.default_rng([experiment.seed, 7])
    if wanted.path is not None:
        requests = read_requests(wanted.path)
        requests = requests.first(wanted.count) if wanted.count else requests
        requests = requests.capped(wanted.prompt_tokens, wanted.output_tokens)
        requests = requests.arriving_at(wanted.rate_per_s, rng) if wanted.rate_per_s else requests
    else:
        assert wanted.count and wanted.rate_per_s and wanted.prompt_tokens and wanted.output_tokens
        requests = poisson_requests(
            wanted.count,
            rate_per_s=wanted.rate_per_s,
            prompt_tokens=wanted.prompt_tokens,
            output_tokens=wanted.output_tokens,
            rng=rng,
        )
    requests = requests.with_topics(np.ones(len(source.topics)), rng)
    # A stream of its own, so that a better prediction changes nothing else.
    confusion = topic_confusion(experiment.topic_prediction, source)
    return requests.taken_for(confusion, np.random.default_rng([experiment.seed, 8]))


def _changed_trace(wanted: RequestOptions) -> tuple[str, ...]:
    """Say so where requests of a trace are not as it has them."""
    what = {
        "rate_per_s": "replaces its arrivals by Poisson ones", "prompt_tokens": "cuts longer prompts", "output_tokens": "cuts longer answers",
    }  # fmt: skip
    changed = {name: getattr(wanted, name) for name in what if getattr(wanted, name) is not None}
    if wanted.path is None or not changed:
        return ()
    said = ", ".join(f"requests.{name} {value:g} {what[name]}" for name, value in changed.items())
    return (f"the trace is not replayed as it is: {said}; null keeps what the trace has",)


def _missed(throughput: Table, record: ServingRecord) -> tuple[str, ...]:
    """Say so where the limits were met by nobody."""
    if next(throughput.rows())["met_share"] > 0:
        return ()
    least_ms = int(record.steps["time_ps"].min()) * 1e-9
    return (f"limits: no request met them, goodput is 0; the shortest step of the run took {least_ms:.3g} ms",)


def _widened(given_ms: float, taken_ms: float) -> tuple[str, ...]:
    """Say so where the run was too long for the intervals of its time series."""
    if taken_ms <= given_ms:
        return ()
    return (f"every_ms: intervals of {given_ms:g} ms would be more than a million; the time series has them of {taken_ms:.4g} ms",)


def _notes(system: ServingSystem, requests: Requests) -> tuple[str, ...]:
    notes = [
        f"requests: {requests.source}, {len(requests)} of them, topics drawn uniformly",
        "tokens of a step are drawn independently from held-out tokens of their topic",
    ]
    wrong = float((requests.believed_topic != requests.topic).mean())
    if wrong:
        notes.append(f"{wrong:.1%} of the requests are taken for another topic by batching and placement")
    if not system.in_paper:
        notes.append(f"{system.name} is not a published system: {system.description}")
    return (*notes, *name_clashes(), *schedule_clashes())
