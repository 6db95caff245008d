"""GPUs whose memory computes (sieve.md 3 to 5): attention data-parallel, experts spread over the GPUs, each expert computed by the
GPU or by its memory as a schedule decides anew in every layer and step.

The weights lie once, in the GPU's own memory; a GPU reaches no other GPU's memory. All layers of a step are planned and priced at
once, as arrays [layers, GPUs]; a layer ends for all GPUs with the combine of its results.
"""

from __future__ import annotations

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
from moeram.schedule.pimoe import unit_times
from moeram.serving.pricing.gpu_kernels import GpuKernels, network_origin
from moeram.serving.pricing.memory_times import EngineTimes, FormulaTimes, LayerShares, MemoryTimes
from moeram.serving.pricing.model_work import ModelWork, StepWork
from moeram.serving.pricing.pim_energy import PimActivity, PimEnergy
from moeram.serving.pricing.pim_layer import contended_ps, layer_times_ps
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
        self._expert_bytes, self._expert_parameters = model.expert_bytes, model.expert_parameters
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
        dispatch_ps, combine_ps, exchange_pj = self._exchanges(counts)
        observation = self._observe(step, work, counts, dispatch_ps + combine_ps)
        plan = self._schedule.plan(observation)
        kept = plan.kept_by_tokens(observation)
        groups_ps = self._groups_ps(kept, observation)
        times = self._resources(observation, plan, kept, groups_ps)
        alone_ps = times["experts in memory"]
        if self._slowdowns is not None:
            times = contended_ps(times, self._slowdowns, interleaved=self._options.interleaved)
        layers_ps = layer_times_ps(
            times,
            dispatch_ps=dispatch_ps,
            combine_ps=combine_ps,
            maps_ps=self._maps_ps(work),
            dense_ps=self._dense_ps(work),
            router_ps=self._options.router_us * 1e6,
            schedule_ps=plan.charged_ps,
            interleaved=self._options.interleaved,
            exclusive=self._options.exclusive,
        )
        used, tokens = np.nonzero(kept)
        longer = times["experts in memory"].ravel()[used] / alone_ps.ravel()[used] if self._slowdowns is not None else 1.0
        self._schedule.observe(tokens, groups_ps[used, tokens] / kept[used, tokens] * longer)
        head_ps = self._head_ps(work)
        time_ps = int(np.ceil(layers_ps.sum() + head_ps))
        parts_ps = self._parts(times, dispatch_ps + combine_ps + self._dense_ps(work) + self._maps_ps(work), head_ps)
        activated, distinct = int(observation.experts_by_tokens.sum()), int(kept.sum())
        passes = int(kept.sum(axis=0) @ np.arange(kept.shape[1]))
        moved, operations = self._moved(work, activated, distinct, passes, plan), self._operations(work, passes, plan)
        activity = PimActivity(
            time_ps=time_ps,
            gpu_ps=parts_ps["gpu"] * self.gpus,
            external_bytes=sum(size for name, size in moved.items() if name.startswith("external/")),
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
        self, step: Step, work: StepWork, counts: NDArray[np.int64], comm_ps: NDArray[np.float64]
    ) -> Observation:
        layers, n = self._routed.layers, len(counts)
        bandwidth, peak = self._bandwidth, self._peak
        on_gpu = max(work.attention_bytes / bandwidth, work.attention_ops / peak) / self.gpus
        if self._kernels.measures("generation_attention"):
            on_gpu = float(self._kernels.decode_attention(step, work, share=self.gpus).time_ps)
        base_memory_ps, base_compute_ps = self._base(step, work)
        return Observation(
            tokens=counts,
            costs=self._expert_costs(int(counts.max())),
            gpu_base_memory_ps=np.full(n, base_memory_ps / layers),
            gpu_base_compute_ps=np.full(n, base_compute_ps / layers),
            attention_ps=self.memory_times.attention_ps(step, work).ravel(),
            gpu_attention_ps=np.repeat(on_gpu * self._shares.shares(work), self.gpus),
            comm_ps=np.repeat(comm_ps, self.gpus),
            memory_units=self._memory.stacks,
            unit_of_expert=self._unit_of_expert,
            requests=max(len(step.decode), 1),
            tokens_per_request=step.tokens_per_request,
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

    def _groups_ps(self, kept: NDArray[np.int64], observation: Observation) -> NDArray[np.float64]:
        """Return what the memory takes for experts of each token count, [layers x GPUs, T]."""
        table = observation.costs.memory_ps[: kept.shape[1]]
        groups = self.memory_times.groups_ps(kept.reshape(self._routed.layers, self.gpus, -1), table)
        return groups.reshape(kept.shape)

    def _resources(
        self, observation: Observation, plan: Plan, kept: NDArray[np.int64], groups_ps: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Return how long each resource works in each layer and GPU, [layers, GPUs]."""
        on_gpu, costs = observation.experts_by_tokens - kept, observation.costs
        attention = observation.attention_ps if plan.attention_on_memory else np.zeros_like(observation.attention_ps)
        on_gpu_attention = np.zeros_like(attention) if plan.attention_on_memory else observation.gpu_attention_ps
        if self._options.memory_layout == "tensor":
            experts = groups_ps.sum(axis=1)
        else:
            used = observation.activated & plan.on_memory
            experts = unit_times(observation, used, self._unit_of_expert, observation.memory_units).max(axis=1)
        load, gemm = np.stack([costs.gpu_memory_ps, costs.gpu_compute_ps])[:, : kept.shape[1]] @ on_gpu.T.astype(float)
        if self._call_ps:
            call = np.where(on_gpu.any(axis=1), self._call_ps, 0.0)
            load, gemm = load + call, gemm + call
        times = {
            "load": load,
            "gemm": gemm,
            "base": np.maximum(observation.gpu_base_memory_ps, observation.gpu_base_compute_ps) + on_gpu_attention,
            "base loads": observation.gpu_base_memory_ps,
            "attention": attention + self._options.mode_switch_us * 1e6,
            "experts in memory": experts,
        }
        return {name: time.reshape(-1, self.gpus) for name, time in times.items()}

    def _exchanges(self, counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Return dispatch and combine of each layer [layers] and their energy (pJ); sources are even, since attention is
        data-parallel (X17).
        """
        if self.gpus == 1:
            nothing = np.zeros(self._routed.layers)
            return nothing, nothing, 0.0
        received = counts.reshape(-1, self.gpus, counts.shape[1]).sum(axis=2)
        vector = self._model.hidden_size * self._model.bytes_per_activation
        matrix = np.repeat(received[:, None, :] * (vector / self.gpus), self.gpus, axis=1)
        there, back = self._network.exchange_ps(matrix), self._network.exchange_ps(matrix.swapaxes(1, 2))
        return there.astype(float), back.astype(float), 2 * self._network.exchange_pj(matrix)

    def _collectives_pj(self, work: StepWork) -> float:
        """Energy of routing maps and of gathering and reducing around sharded projections, of all layers."""
        vector = work.tokens * self._model.hidden_size * self._model.bytes_per_activation
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
        return int(self._network.collective_ps("all_gather", entries)) if self.gpus > 1 else 0

    def _dense_ps(self, work: StepWork) -> int:
        """Time of gathering tokens and reducing results around sharded projections, of one layer."""
        vector = work.tokens * self._model.hidden_size * self._model.bytes_per_activation
        return int(self._network.collective_ps("all_reduce", vector)) if self._shards > 1 else 0

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

    def _parts(
        self,
        times: dict[str, NDArray[np.float64]],
        network_ps: NDArray[np.float64],
        head_ps: float,
    ) -> dict[str, int]:
        """Return mean busy times of the GPUs' parts, and what is lost waiting for the fullest one."""
        gpu = times["base"] + np.maximum(times["load"], times["gemm"])
        memory = times["attention"] + times["experts in memory"]
        lost = 0.0
        if self.gpus > 1:
            slowest = np.maximum(gpu, memory)
            lost = slowest.max(axis=1).sum() - slowest.sum() / self.gpus
        parts = {
            "gpu": gpu.sum() / self.gpus + head_ps,
            "memory": memory.sum() / self.gpus,
            "router": self._options.router_us * 1e6 * len(gpu),
            "network": network_ps.sum() if self.gpus > 1 else 0.0,
            "stragglers": lost,
        }
        return {name: int(value) for name, value in parts.items()}

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
