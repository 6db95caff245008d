"""Stratum's systems and the GPUs that the paper compares them with, under a setting of the assumptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.hardware import System
from moeram.hardware.cycle import CycleOptions
from moeram.hardware.gpu import Gpu
from moeram.hardware.gpu_cost import GpuCost
from moeram.hardware.near_memory_layers import NearMemoryLayers
from moeram.hardware.network import Network, Topology
from moeram.model import MoEModel
from moeram.placement import PlacementInput, Plan, RowBudget, place_rows, row_budget
from moeram.repro.measured import fitting, tables_of
from moeram.repro.routing import FixedTokens, decode_step, model_of, recorded, synthetic
from moeram.repro.target import Setting
from moeram.routing import RoutingSource, SyntheticOptions
from moeram.serving.pricing import GpuPricer, NearMemoryPricer

ROUTING = ("usage_sigma_scale", "routing_seed")
# What a system's chips and processors depend on.
CHIPS = (
    "link_pj_per_bit", "ring_bytes_per_cycle", "ring_hop_cycles", "silu_cycles_per_vector", "mode_switch_ns",
    "reducer_outputs_per_cycle",
)  # fmt: skip
GPUS = (
    "compute_efficiency",
    "launch_floor_us",
    "link_gb_per_s",
    "link_latency_us",
    "memory_efficiency",
    "busy_power_fraction",
)
STRATUM = (
    *ROUTING, *CHIPS, "refresh_share", "projections", "link_efficiency", "compute_efficiency", "launch_floor_us", "expert_split",
    "link_gb_per_s", "link_latency_us", "phi", "busy_power_fraction",
)  # fmt: skip
# Results are means over batches of these topics (modulo those of the routing).
TOPICS = (0, 1)
AFTER_RCD_NS = 27.50 + 4.77  # to a row cycle, stratum.md 1.2


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model of the paper with its systems. positions: most tokens of a request, where the model limits what is compared."""

    key: str
    model: str
    chips: str
    gpu: str
    processors: int
    gpus: int
    positions: int = 1 << 30


CASES = {
    case.key: case
    for case in (
        Case(key="olmoe", model="olmoe-1b-7b", chips="stratum_s", gpu="a6000", processors=1, gpus=1, positions=4096),
        Case(key="mixtral", model="mixtral-8x7b", chips="stratum_l", gpu="h100_sxm", processors=1, gpus=2),
        Case(key="qwen", model="qwen2.5-32b", chips="stratum_l", gpu="h100_sxm", processors=1, gpus=2),
        Case(key="llama4", model="llama-4-scout", chips="stratum_xl", gpu="h100_sxm", processors=2, gpus=4),
    )
}


def source_of(case: Case, setting: Setting) -> RoutingSource:
    """Return the routing of a model: recorded if the setting has it, else OLMoE's fit with its sigmas scaled."""
    path, seed = setting.recorded(case.model), setting["routing_seed"]
    if path is not None:
        return recorded(case.model, path, seed)
    fit, scale = SyntheticOptions(), setting["usage_sigma_scale"]
    options = fit.model_copy(
        update={
            "popularity_sigma": tuple(scale * sigma for sigma in fit.popularity_sigma),
            "topic_sigma": tuple(scale * sigma for sigma in fit.topic_sigma),
        }
    )
    return synthetic(case.model, options, seed)


def chips_of(case: Case, setting: Setting, layers: int | None = None) -> System:
    """Return the chips of a case; layers: wordline layers other than the paper's 1024, with row cycles of the published fit."""
    system: System = setting.config(f"hardware/{case.chips}")
    return system if layers is None else with_layers(system, layers)


def with_layers(system: System, layers: int) -> System:
    """Return chips of so many wordline layers in as many equal tiers."""
    device = system.device.model_copy(update={"dram_layers": layers})
    closed_form = system.closed_form.model_copy(update={"row_cycle_ns": device.layer_model_row_cycle_ns()})
    return system.model_copy(update={"device": device, "closed_form": closed_form})


def budget_of(model: MoEModel, chips: System, setting: Setting, *, batch: int, tokens: int) -> RowBudget:
    """Return the rows of a batch whose requests grow to so many tokens.

    Raises:
        CapacityError: they do not fit.
    """
    return row_budget(model, chips, phi=setting["phi"], kv_requests=batch, context_tokens=tokens, batch=batch)


def cycle_options(model: MoEModel, budget: RowBudget, *, slowest: bool = False) -> CycleOptions:
    """Return what the engine needs beside chips and work; one thread, since settings run beside each other."""
    return CycleOptions(
        hidden_size=model.hidden_size,
        intermediate_size=model.expert_intermediate_size,
        bits_per_weight=model.precision.experts.bits,
        bytes_per_activation=model.bytes_per_activation,
        result_row=budget.result_row,
        slowest_tier_everywhere=slowest,
        threads=1,
    )


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """A system ready to price steps of one batch size and length. plans: of each topic. pricers: one for each topic drawn, so
    that no rows move between them.
    """

    model: MoEModel
    chips: System
    processor: Gpu
    processors: int
    budget: RowBudget
    plans: tuple[Plan, ...]
    layers: NearMemoryLayers
    routed: FixedTokens
    pricers: dict[int, NearMemoryPricer]

    def expert_counts(self, requests: int, topic: int) -> NDArray[np.int64]:
        """Return the tokens of each expert in a batch of a topic, shared ones behind the routed [layers, experts + shared]."""
        counts = self.routed.decode_counts(decode_step(requests, 1, topic))
        shared = np.full((len(counts), self.budget.shared_experts), requests, dtype=np.int64)
        return np.concatenate([counts, shared], axis=1)

    def experts_ps(self, requests: int, topic: int) -> int:
        """Return the time of the expert layers of a batch of a topic, their switches of mode included."""
        counts = self.expert_counts(requests, topic)
        return int(self.layers.time_ps(self.plans[topic].first_row, counts, batch=requests).sum())


def stratum(
    case: Case,
    setting: Setting,
    *,
    batch: int,
    tokens: int,
    placement: str = "topic_aware",
    layers: int | None = None,
    place: Callable[[RowBudget, int], Plan] | None = None,
) -> Stratum:
    """Return the system of a case with caches for a batch of requests that grow to so many tokens.

    Args:
        placement: a policy. layers: wordline layers, 1024 unless given. place: instead of the policy, the plan of a topic.

    Raises:
        CapacityError: weights and caches do not fit.
    """
    model, chips = model_of(case.model), chips_of(case, setting, layers)
    source, near_memory = source_of(case, setting), setting.config(f"systems/{case.chips}").near_memory
    if setting.reading == "engine":
        near_memory = near_memory.model_copy(update={"attention": "engine"})
    budget = budget_of(model, chips, setting, batch=batch, tokens=tokens)
    seed = setting["routing_seed"]

    def by_policy(rows: RowBudget, topic: int) -> Plan:
        return place_rows(placement, PlacementInput(usage=source.ranking_usage(), topic=topic, budget=rows, seed=seed))

    plans = tuple((place or by_policy)(budget, topic) for topic in range(len(source.topics)))
    one = cycle_options(model, budget, slowest=plans[0].slowest_tier_everywhere)
    near = NearMemoryLayers(chips, one, rows_per_expert=budget.rows_per_expert)
    gpu: Gpu = setting.config(f"gpus/{case.gpu}")
    routed: Any = FixedTokens(source, seed=seed)
    network = network_of(gpu, case.processors)
    pricers = {
        topic % len(plans): NearMemoryPricer(
            model, chips, gpu, network, routed, near, plans, budget, near_memory
        )
        for topic in TOPICS
    }
    return Stratum(
        model=model, chips=chips, processor=gpu, processors=case.processors, budget=budget, plans=plans, layers=near,
        routed=routed, pricers=pricers,
    )  # fmt: skip


def network_of(gpu: Gpu, count: int) -> Network:
    """Return GPUs joined by a switch with their own links."""
    return Network(
        Topology(topology="switch", nodes=count, link_gb_per_s=gpu.link_gb_per_s, latency_ns=gpu.link_latency_us * 1e3)
    )


def gpus(case: Case, setting: Setting) -> GpuPricer:
    """Return the GPUs that a case is compared with, by roofline, or by measured tables where they have a kernel if that is what is read.

    Raises:
        NotAvailable: measured kernels are read, and no table has any of this model on this GPU.
    """
    gpu: Gpu = setting.config(f"gpus/{case.gpu}")
    routed: Any = FixedTokens(source_of(case, setting), seed=setting["routing_seed"])
    tables = tables_of(setting, case.gpu)
    with fitting(tables, case.model):
        return GpuPricer(model_of(case.model), GpuCost(gpu, tables, outside="label"), routed, network_of(gpu, case.gpus))
