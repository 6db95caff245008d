"""GPUs whose memory computes (sieve.md 3 to 5): attention data-parallel, experts spread over the GPUs, each expert computed by the
GPU or by its memory as a schedule decides anew in every layer and step.

The weights lie once, in the GPU's own memory; a GPU reaches no other GPU's memory. All layers of a step are planned and priced at
once, as arrays [layers, GPUs]; a layer ends for all GPUs with the combine of its results.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from moeram.errors import CapacityError, ConfigError
from moeram.hardware.gpu_cost import GpuCost, expert_activations
from moeram.hardware.memories import ComputingMemory
from moeram.hardware.network import Network
from moeram.hardware.pim_engine import PimEngine
from moeram.hardware.priced import worst
from moeram.hardware.shared_memory import Slowdowns
from moeram.model import MoEModel
from moeram.options import Options
from moeram.schedule import ExpertCosts, Observation, Plan, SchedulePolicy
from moeram.schedule.groups import TokenGroups
from moeram.schedule.pimoe import unit_times
from moeram.serving.pricing.gpu_kernels import GpuKernels, network_origin
from moeram.serving.pricing.memory_times import EngineTimes, FormulaTimes, LayerShares, MemoryTimes
from moeram.serving.pricing.model_work import ModelWork, StepWork
from moeram.serving.pricing.pim_energy import PimActivity, PimEnergy
from moeram.serving.pricing.pim_layer import PARTS, busy_ps, contended_ps, layer_times_ps
from moeram.serving.pricing.routed import RoutedTokens
from moeram.serving.step import Origin, Peaks, PricedStep, Step

# X14: an expert id and a weight for each token and slot.
ROUTING_ENTRY_BYTES = 4


class GpuPimOptions(Options):
    """interleaved: two micro-batches are in flight, one in attention while the other is in its experts (X5); otherwise they follow.

    memory_layout: "tensor", every expert over all channels, or "expert", one stack holds it (X13). dense: weights outside the routed
    experts are "replicated" in every GPU, or "sharded" (tensor parallelism: tokens are gathered and results reduced in each layer).
    router_us: router and metadata of a layer, assumption: two kernels. exclusive: the memory serves the GPU or its units, one at a time;
    mode_switch_us: that this takes in each layer.
    """

    interleaved: bool = True
    memory_layout: Literal["tensor", "expert"] = "tensor"
    dense: Literal["replicated", "sharded"] = "replicated"
    router_us: Annotated[float, Field(ge=0)] = 10.0
    exclusive: bool = False
    mode_switch_us: Annotated[float, Field(ge=0)] = 0.0


class GpuPimPricer:
    """n GPUs with computing memory. Measured tables of `cost` price what the GPUs do, without the launches that a roofline leaves out;
    the memory's times are closed forms, or with `engine` those of the cycle engine; with `slowdowns` the GPU's reads and the units' work
    lengthen each other: schedules learn what the memory then took, their estimates know nothing of it.
    """

    def __init__(
        self,
        model: MoEModel,
        cost: GpuCost,
        memory: ComputingMemory,
        network: Network,
        routed: RoutedTokens,
        schedule: SchedulePolicy,
        options: GpuPimOptions | None = None,
        *,
        dtype: str = "bfloat16",
        engine: PimEngine | None = None,
        slowdowns: Slowdowns | None = None,
    ) -> None:
        self.gpus = network.topology.nodes
        if model.experts % self.gpus:
            raise ConfigError(f"experts: {model.experts} experts cannot be dealt out evenly to {self.gpus} GPUs")
        self._energy = PimEnergy(cost.gpu, memory, self.gpus)
        # Its memory is that which computes, whatever the GPU is sold with.
        gpu = cost.gpu.model_copy(update={"memory_gb_per_s": memory.external_gb_per_s})
        cost = GpuCost(gpu, cost.tables, outside=cost.outside)
        self._model, self._gpu, self._memory, self._network, self._routed = model, gpu, memory, network, routed
        self._schedule, self._options, self._dtype = schedule, options or GpuPimOptions(), dtype
        self._work = ModelWork(model)
        self.memory_times, self._slowdowns = self._times_of(engine), slowdowns
        # Refuses a model that the units cannot compute before anything is served.
        self.memory_times.expert_ps(np.ones(1, dtype=np.int64))
        routed_bytes = len(model.moe_layers) * model.experts * model.expert_bytes
        self._shards = self.gpus if self._options.dense == "sharded" else 1
        self._tables, self._call_ps = cost.tables, 0.0
        self._kernels = GpuKernels(model, cost, cut=self._shards, heads_cut=1, dtype=dtype, floors=False)
        dense_bytes = (model.weight_bytes - routed_bytes) // self._shards
        room = memory.capacity_bytes - routed_bytes // self.gpus - dense_bytes
        if room <= 0:
            raise CapacityError(
                f"{model.name} leaves no room for caches in {self.gpus} x {memory.capacity_bytes} bytes: "
                f"{routed_bytes // self.gpus} of experts and {dense_bytes} of everything else ({self._options.dense}) in each"
            )
        self.kv_capacity_tokens = self.gpus * (room // max(model.kv_bytes_per_token, 1))
        self.peaks = Peaks(
            bytes_per_ps={"external": self.gpus * gpu.bytes_per_ps, "internal": self.gpus * memory.peak_bytes_per_ps},
            operations_per_ps={
                "gpu": self.gpus * gpu.peak_flops_per_ps(self._dtype), "units": self.gpus * memory.peak_operations_per_ps,
            },
            waiting_w=self._energy.waiting_w,
        )  # fmt: skip
        self._vector, self._expert_bytes = model.hidden_size * model.bytes_per_activation, model.expert_bytes
        self._expert_parameters = model.expert_parameters
        self._costs: ExpertCosts | None = None
        self._shares = LayerShares(model)
        self._unit_of_expert = np.arange(model.experts // self.gpus) % memory.stacks
        values = expert_activations(model.hidden_size, model.expert_intermediate_size)
        self._activation_bytes = round(values * model.bytes_per_activation)
        # Vectors of a token through one expert, and through attention of all layers.
        width = 2 * model.heads * model.head_dim * model.bytes_per_activation * model.kv_layers
        self._vectors = memory.vector_bytes(model), width
        self._bandwidth = gpu.bytes_per_ps * gpu.memory_efficiency
        self._peak = gpu.peak_flops_per_ps(dtype) * gpu.compute_efficiency
        copies = self.gpus // self._shards
        self._weights = {f"external/{name}": size * copies for name, size in self._work.weight_bytes.items()}

    def _times_of(self, engine: PimEngine | None) -> MemoryTimes:
        if engine is None:
            return FormulaTimes(self._memory, self._model, self.gpus)
        if self._options.memory_layout != "tensor":
            raise ConfigError("pim_times: the engine plays experts that lie over all channels (memory_layout: tensor)")
        return EngineTimes(engine, self._model, self.gpus)

    def price(self, step: Step) -> PricedStep:
        """Return what a step takes; the schedule learns from it."""
        work = self._work.of(step)
        counts = self._routed.counts(step).reshape(self._routed.layers * self.gpus, -1)
        groups = TokenGroups(counts)
        dispatch_ps, combine_ps, exchange_pj = self._exchanges(groups)
        maps_ps, dense_ps, comm_ps = self._maps_ps(work), self._dense_ps(work), dispatch_ps + combine_ps
        observation = self._observe(step, work, counts, groups, comm_ps)
        plan = self._schedule.plan(observation)
        kept = plan.kept(observation)
        kept_ps = self.memory_times.groups_ps(groups, kept, observation.costs.memory_ps)
        times = self._resources(observation, plan, kept, kept_ps)
        alone_ps = times["experts in memory"]
        if self._slowdowns is not None:
            times = contended_ps(times, self._slowdowns, interleaved=self._options.interleaved)
        layers_ps = layer_times_ps(
            times,
            dispatch_ps=dispatch_ps,
            combine_ps=combine_ps,
            maps_ps=maps_ps,
            dense_ps=dense_ps,
            router_ps=self._options.router_us * 1e6,
            schedule_ps=plan.charged_ps,
            interleaved=self._options.interleaved,
            exclusive=self._options.exclusive,
        )
        tokens, each_ps = groups.each_kept(kept, kept_ps)
        if self._slowdowns is not None:
            used = groups.decision[kept > 0]
            each_ps = each_ps * (times["experts in memory"].ravel()[used] / alone_ps.ravel()[used])
        self._schedule.observe(tokens, each_ps)
        head_ps = self._head_ps(work)
        time_ps = math.ceil(layers_ps.sum() + head_ps)
        network_ps = int(comm_ps.sum()) + self._routed.layers * (dense_ps + maps_ps)
        parts_ps = self._parts(times, network_ps, head_ps)
        activated, distinct, passes = groups.activated, int(kept.sum()), int(kept @ groups.tokens)
        moved, operations = self._moved(work, activated, distinct, passes, plan), self._operations(work, passes, plan)
        activity = PimActivity(
            time_ps=time_ps,
            gpu_ps=parts_ps["gpu"] * self.gpus,
            external_bytes=sum([size for name, size in moved.items() if name.startswith("external/")]),
            array_bytes=self._array_bytes(work, moved, plan),
            macs=operations["units"] / 2,
            vector_bytes=self._vector_bytes(work, passes, plan),
            network_pj=exchange_pj + self._collectives_pj(work),
        )
        return PricedStep(
            time_ps=time_ps,
            bound_ps=self._bound_ps(activated, work),
            fidelity=worst("analytic", self.memory_times.fidelity, self._network.fidelity),
            parts_ps=parts_ps,
            energy_pj=self._energy.of(activity),
            moved_bytes=moved,
            operations=operations,
        )

    def notes(self) -> tuple[str, ...]:
        """What a reader of a run must know."""
        notes = self.memory_times.notes()
        if self._slowdowns is None:
            return notes
        reads, units = self._slowdowns.host, self._slowdowns.units
        return (
            *notes,
            f"on one memory, by the cycle engine: reads take {reads:.2f} times as long while units work, units {units:.2f} times while the GPU reads",
        )

    def _observe(
        self, step: Step, work: StepWork, counts: NDArray[np.int64], groups: TokenGroups, comm_ps: NDArray[np.int64]
    ) -> Observation:
        shape = self._routed.layers, self.gpus
        bandwidth, peak = self._bandwidth, self._peak
        on_gpu = max(work.attention_bytes / bandwidth, work.attention_ops / peak) / self.gpus
        if self._tables is not None and self._kernels.measures("generation_attention"):
            on_gpu = float(self._kernels.decode_attention(step, work, share=self.gpus).time_ps)
        rows = np.empty((5, *shape))
        for row, base_ps in zip(rows, self._base(step, work), strict=False):
            row.fill(base_ps / self._routed.layers)
        rows[2] = self.memory_times.attention_ps(step, work)
        rows[3] = (on_gpu * self._shares.shares(work))[:, None]
        rows[4] = comm_ps[:, None]
        base_memory, base_compute, attention, gpu_attention, comm = rows.reshape(5, -1)
        return Observation(
            tokens=counts,
            costs=self._expert_costs(groups.most),
            gpu_base_memory_ps=base_memory,
            gpu_base_compute_ps=base_compute,
            attention_ps=attention,
            gpu_attention_ps=gpu_attention,
            comm_ps=comm,
            memory_units=self._memory.stacks,
            unit_of_expert=self._unit_of_expert,
            requests=max(len(step.decode), 1),
            tokens_per_request=step.tokens_per_request,
            known_groups=groups,
        )

    def _base(self, step: Step, work: StepWork) -> tuple[float, float]:
        """Return memory and compute time of what each GPU does in any case, over all layers; a measured time is both at once."""
        moved = (work.state_bytes + work.kv_written_bytes) / self.gpus
        bandwidth, peak = self._bandwidth, self._peak
        if self._tables is None:
            moved += self._work.dense_bytes / self._shards + work.prefill_attention_bytes / self.gpus
            done = 2 * self._work.dense_parameters * work.tokens + work.prefill_attention_ops
            return moved / bandwidth, done / self.gpus / peak
        tokens = work.tokens if self._shards > 1 else -(-work.tokens // self.gpus)
        part = self._kernels.body(tokens).plus(self._kernels.prompt_attention(step, work, share=self.gpus))
        return part.time_ps + moved / bandwidth, part.time_ps + moved / bandwidth

    def _expert_costs(self, most_tokens: int) -> ExpertCosts:
        """Return the times of an expert by its tokens, 0 to at least `most_tokens`; kept, since they never change."""
        if self._costs is None or most_tokens >= len(self._costs.memory_ps):
            # Twice as many as needed, unless that asks a table beyond its range.
            beyond = 1 if self._kernels.measures("moe") else 2
            model, tokens = self._model, np.arange(beyond * most_tokens + 1)
            bandwidth, peak = self._bandwidth, self._peak
            priced = self.memory_times.expert_ps(tokens)
            self._costs = ExpertCosts(
                gpu_memory_ps=((tokens > 0) * model.expert_bytes + tokens * self._activation_bytes) / bandwidth,
                gpu_compute_ps=2 * model.expert_parameters * tokens / peak,
                memory_ps=priced.time_ps.astype(float),
                memory_roofline_ps=priced.bound_ps.astype(float),
            )
            if self._kernels.measures("moe"):
                grouped = self._kernels.grouped_experts(tokens)
                self._call_ps = grouped.call_ps
                self._costs = replace(self._costs, gpu_memory_ps=grouped.each_ps, gpu_compute_ps=grouped.each_ps)
        return self._costs

    def _resources(
        self, observation: Observation, plan: Plan, kept: NDArray[np.int64], kept_ps: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Return how long each resource works in each layer and GPU, [layers, GPUs]."""
        groups, costs = observation.groups, observation.costs
        load, gemm, experts = groups.sums_ps(kept, costs.gpu_memory_ps, costs.gpu_compute_ps, kept_ps)
        if self._options.memory_layout == "expert":
            used = observation.activated & plan.on_memory
            experts = unit_times(observation, used, self._unit_of_expert, observation.memory_units).max(axis=1)
        if self._call_ps:
            call = np.zeros_like(load)
            call[groups.decision[kept < groups.experts]] = self._call_ps
            load, gemm = load + call, gemm + call
        base = np.maximum(observation.gpu_base_memory_ps, observation.gpu_base_compute_ps)
        attention = observation.attention_ps
        if not plan.attention_on_memory:
            base, attention = base + observation.gpu_attention_ps, np.zeros_like(base)
        if self._options.mode_switch_us:
            attention = attention + self._options.mode_switch_us * 1e6
        parts = (base, observation.gpu_base_memory_ps, attention, load, gemm, experts)
        return dict(zip(PARTS, (part.reshape(-1, self.gpus) for part in parts), strict=True))

    def _exchanges(self, groups: TokenGroups) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
        """Return dispatch and combine of each layer [layers] and their energy (pJ); sources are even, since attention is
        data-parallel (X17).
        """
        if self.gpus == 1:
            nothing = np.zeros(self._routed.layers, dtype=np.int64)
            return nothing, nothing, 0.0
        both = self._network.even_exchanges(groups.total.reshape(-1, self.gpus) * self._vector)
        return both.there_ps, both.back_ps, both.energy_pj

    def _collectives_pj(self, work: StepWork) -> float:
        """Energy of routing maps and of gathering and reducing around sharded projections, of all layers."""
        vector = work.tokens * self._vector
        maps_pj = self._network.collective_pj("all_gather", work.tokens * self._model.top_k * ROUTING_ENTRY_BYTES)
        dense_pj = self._network.collective_pj("all_reduce", vector) if self._shards > 1 else 0.0
        return self._routed.layers * (maps_pj + dense_pj)

    def _array_bytes(self, work: StepWork, moved: dict[str, int], plan: Plan) -> int:
        """What units read from their cells."""
        attention = self._memory.attention_array_bytes(work.attention_bytes, work.attention_ops)
        return moved["internal/routed experts"] + moved["internal/experts again"] + attention * plan.attention_on_memory

    def _vector_bytes(self, work: StepWork, passes: int, plan: Plan) -> int:
        """Vectors between GPUs and units: of experts, and queries and results of attention."""
        experts, attention = self._vectors
        return passes * experts + work.decode_tokens * attention * plan.attention_on_memory

    def _maps_ps(self, work: StepWork) -> int:
        entries = work.tokens * self._model.top_k * ROUTING_ENTRY_BYTES
        return self._network.one_collective_ps("all_gather", entries) if self.gpus > 1 else 0

    def _dense_ps(self, work: StepWork) -> int:
        """Time of gathering tokens and reducing results around sharded projections, of one layer."""
        vector = work.tokens * self._vector
        return self._network.one_collective_ps("all_reduce", vector) if self._shards > 1 else 0

    def _head_ps(self, work: StepWork) -> float:
        if self._tables is not None:
            sequences = work.logit_tokens if self._shards > 1 else -(-work.logit_tokens // self.gpus)
            return float(self._kernels.head(sequences).time_ps)
        moved = self._work.head_bytes / self._shards / self._bandwidth
        return max(moved, 2 * self._work.head_parameters * work.logit_tokens / self.gpus / self._peak)

    def _bound_ps(self, experts: int, work: StepWork) -> int:
        """Return what no schedule undercuts: everything that is read at all over the units' peak of all GPUs, or what passes each GPU in any
        case, at its peaks (a measured kernel may beat those).
        """
        units = (experts * self._expert_bytes + work.attention_bytes) / (self.gpus * self._memory.peak_bytes_per_ps)
        peak, port = self.gpus * self._gpu.peak_flops_per_ps(self._dtype), self._shards * self._gpu.bytes_per_ps
        return int(units if self._tables is not None else max(units, self._work.least_dense_ps(work, port, peak)))

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Where the times come from."""
        units = self.memory_times.origins()
        network = [network_origin(self._network)] if self.gpus > 1 else []
        named = {"MoE layers": "experts on GPUs", "decode attention": "decode attention on GPUs"}
        on_gpus = [origin._replace(part=named.get(origin.part, origin.part)) for origin in self._kernels.origins()]
        return (*units, *on_gpus, Origin("router", "analytic", "constant: gpu_pim.router_us"), *network)

    def _parts(self, times: dict[str, NDArray[np.float64]], network_ps: float, head_ps: float) -> dict[str, int]:
        """Return mean busy times of the GPUs' parts, and what is lost waiting for the fullest one."""
        gpu_ps, memory_ps, waited_ps = busy_ps(times)
        return {
            "gpu": int(gpu_ps / self.gpus + head_ps),
            "memory": int(memory_ps / self.gpus),
            "router": int(self._options.router_us * 1e6 * self._routed.layers),
            "network": int(network_ps),
            "stragglers": int(waited_ps),
        }

    def _moved(self, work: StepWork, activated: int, distinct: int, passes: int, plan: Plan) -> dict[str, int]:
        """Return bytes by port: of the activated experts `distinct` are in memory, through which tokens pass `passes` times."""
        expert, chosen = self._expert_bytes, work.tokens * self._routed.top_k * self._routed.layers
        again = self._memory.reads_weights_for_each_token
        read, elsewhere = ("internal", "external") if plan.attention_on_memory else ("external", "internal")
        moved = {
            **self._weights,
            "external/routed experts": (activated - distinct) * expert,
            "internal/routed experts": distinct * expert,
            "internal/experts again": (passes - distinct) * expert if again else 0,
            "external/expert activations": (chosen - passes) * self._activation_bytes,
            f"{elsewhere}/kv read": 0,
            f"{read}/kv read": work.attention_bytes,
            "external/kv written": work.kv_written_bytes,
            "external/state": work.state_bytes,
        }
        moved["external/kv read"] += work.prefill_attention_bytes
        return moved

    def _operations(self, work: StepWork, passes: int, plan: Plan) -> dict[str, int]:
        units = 2 * self._expert_parameters * passes
        units += work.attention_ops if plan.attention_on_memory else 0
        return {"gpu": self._work.operations(work) - units, "units": units}


def check_layouts(options: GpuPimOptions, name: str, schedule_options: dict[str, Any]) -> None:
    """Refuse a schedule that believes in another layout than the memory has.

    Raises:
        ConfigError: pimoe's layout differs from the memory's.
    """
    believed = schedule_options.get("layout", "tensor")
    if name == "pimoe" and believed != options.memory_layout:
        raise ConfigError(
            f"schedule pimoe has layout {believed!r}, the memory {options.memory_layout!r}; they must agree"
        )
