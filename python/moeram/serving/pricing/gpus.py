"""GPUs alone: weights and caches in their own memory, tensor parallelism for everything but the experts, which may be spread.

A step's layers follow one another; within a layer everything is serial: projections, attention, all-reduce, router, experts,
all-reduce (or dispatch and combine). Prices are sums over layers; each kernel is measured where the tables of `cost` have it
(`gpu_kernels`), by roofline elsewhere.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from moeram.errors import CapacityError, ConfigError
from moeram.hardware.cycle import load_core
from moeram.hardware.gpu_cost import GpuCost, expert_activations
from moeram.hardware.network import Network
from moeram.model import MoEModel
from moeram.serving.pricing.dealt_experts import DealtExperts
from moeram.serving.pricing.gpu_kernels import GpuKernels, Part, network_origin
from moeram.serving.pricing.model_work import ModelWork, StepWork
from moeram.serving.pricing.routed import RoutedTokens
from moeram.serving.step import Origin, Peaks, PricedStep, Step


class GpuPricer:
    """n equal GPUs.

    experts: "tensor", each expert cut over all GPUs, or "expert", whole experts dealt out (expert parallelism), anew after every
    `deal_every_steps` (None: never); their move is charged to that step, in which nothing runs beside it. distribution: of tokens over experts in the measured tables, None: balanced.
    """

    def __init__(
        self,
        model: MoEModel,
        cost: GpuCost,
        routed: RoutedTokens,
        network: Network,
        *,
        experts: Literal["tensor", "expert"] = "tensor",
        deal_every_steps: int | None = None,
        distribution: str | None = None,
        dtype: str = "bfloat16",
    ) -> None:
        self.gpus = network.topology.nodes
        if experts == "expert" and model.experts % self.gpus:
            raise ConfigError(f"experts: {model.experts} experts cannot be dealt out evenly to {self.gpus} GPUs")
        self._model, self._cost, self._routed, self._network = model, cost, routed, network
        self._experts, self._dtype = experts, dtype
        self._work = ModelWork(model)
        self._expert_bytes = model.expert_bytes
        room = self.gpus * cost.gpu.capacity_bytes - model.weight_bytes
        if room <= 0:
            raise CapacityError(
                f"{model.name} needs {model.weight_bytes} bytes, {self.gpus} x {cost.gpu.name} have "
                f"{self.gpus * cost.gpu.capacity_bytes}; take another system, more GPUs (system_values.gpus) or smaller formats (precision)"
            )
        self.kv_capacity_tokens = room // max(model.kv_bytes_per_token, 1)
        self.peaks = Peaks(
            bytes_per_ps={"memory": self.gpus * cost.gpu.bytes_per_ps},
            operations_per_ps={"gpu": self.gpus * cost.gpu.peak_flops_per_ps(dtype)},
            waiting_w=self.gpus * cost.gpu.idle_power_w,
        )
        self._weights = {f"memory/{name}": size for name, size in self._work.weight_bytes.items()}
        moe_cut = (self.gpus, 1) if experts == "tensor" else (1, self.gpus)
        self._kernels = GpuKernels(
            model, cost, cut=self.gpus, moe_cut=moe_cut, distribution=distribution, dtype=dtype
        )
        if deal_every_steps is not None and self._kernels.measures("moe"):
            raise ConfigError("deal_every_steps: measured MoE layers know nothing of who holds which expert; leave out one of both")
        gpus = self.gpus if experts == "expert" else 1
        self._dealt = DealtExperts(routed.layers, model.experts, gpus, deal_every_steps)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Where the times come from."""
        return (*self._kernels.origins(), *self._network_origins())

    def price(self, step: Step) -> PricedStep:
        """Return what a step takes."""
        work = self._work.of(step)
        counts = self._routed.counts(step)
        kernels = self._kernels
        parts = kernels.body(work.tokens).plus(kernels.head(work.logit_tokens)).plus(kernels.attention(step, work))
        experts, waited_ps = self._experts_time(counts, work.tokens)
        parts = parts.plus(experts)
        network, network_pj = self._between_gpus(work, counts)
        move_ps, move_pj, moved_experts = self._deal(counts)
        compute_ps, network_ps, busy_w = parts.time_ps, network.time_ps, self._cost.gpu.busy_power_w
        idle_pj = (network_ps + move_ps) * self._cost.gpu.idle_power_w * self.gpus
        return PricedStep(
            time_ps=compute_ps + network_ps + move_ps,
            bound_ps=parts.bound_ps,
            fidelity=parts.plus(network).fidelity,
            parts_ps={"gpu": compute_ps, "network": network_ps, "stragglers": waited_ps, "expert moves": move_ps},
            energy_pj={"gpu": compute_ps * busy_w * self.gpus, "gpu idle": idle_pj, "network": network_pj + move_pj},
            # Read where an expert lay, written where it goes.
            moved_bytes=self._moved(work, counts) | {"memory/expert moves": 2 * moved_experts * self._expert_bytes},
            operations={"gpu": self._work.operations(work)},
        )

    def _experts_time(self, counts: NDArray[np.int64], tokens: int) -> tuple[Part, int]:
        """Return the time of all layers' experts, and how much of it the mean GPU waits for the fullest."""
        model, stored = self._model, self._expert_bytes
        width = model.expert_intermediate_size
        shares = self._dealt.shares(counts)
        if self._experts == "tensor":
            width, stored = -(-width // self.gpus), stored / self.gpus
        priced = self._cost.experts(shares, model.hidden_size, width, self._dtype, expert_bytes=stored)
        bound_ps = int(priced.bound_ps.max(axis=1).sum())
        if self._kernels.measures("moe"):
            return self._kernels.moe_layers(tokens, bound_ps), 0
        if self._experts == "tensor":
            return Part(int(priced.time_ps.sum()), bound_ps, priced.fidelity), 0
        # Everybody waits for the GPU with most work.
        slowest = priced.time_ps.max(axis=1)
        waited_ps = int((slowest - priced.time_ps.mean(axis=1)).sum())
        return Part(int(slowest.sum()), bound_ps, priced.fidelity), waited_ps

    def _deal(self, counts: NDArray[np.int64]) -> tuple[int, float, int]:
        """Deal the experts anew if it is time; return time and energy (pJ) of moving them, and how many move."""
        moved = self._dealt.step(counts)
        if moved is None or not moved.any():
            return 0, 0.0, 0
        matrix = moved * float(self._expert_bytes)
        return int(self._network.exchange_ps(matrix)), self._network.exchange_pj(matrix), int(moved.sum())

    def _between_gpus(self, work: StepWork, counts: NDArray[np.int64]) -> tuple[Part, float]:
        """Return time and energy (pJ) of transfers between GPUs."""
        if self.gpus == 1:
            return Part(0, 0), 0.0
        vector, label = work.tokens * self._model.hidden_size * self._model.bytes_per_activation, self._network.fidelity
        reduce_pj = self._network.collective_pj("all_reduce", vector)
        if self._kernels.measures("all_reduce"):
            reduce_ps, _, label = self._kernels.all_reduce(vector)
        else:
            reduce_ps = self._network.one_collective_ps("all_reduce", vector)
        layers = self._model.layers
        if self._experts == "tensor":
            return Part(2 * layers * reduce_ps, 0, label), 2 * layers * reduce_pj
        received, _ = load_core().row_totals(self._dealt.shares(counts))
        both = self._network.even_exchanges(received * (vector / max(work.tokens, 1)))
        exchanged = Part(int(both.there_ps.sum() + both.back_ps.sum()), 0, self._network.fidelity)
        return Part(layers * reduce_ps, 0, label).plus(exchanged), layers * reduce_pj + both.energy_pj

    def _network_origins(self) -> list[Origin]:
        if self.gpus == 1:
            return []
        parts = [] if self._kernels.measures("all_reduce") else ["all-reduce"]
        parts += ["dispatch and combine"] if self._experts == "expert" else []
        return [network_origin(self._network, part) for part in parts]

    def _activation_bytes(self, counts: NDArray[np.int64]) -> int:
        """What the experts' kernels of all GPUs write and read between weights; under tensor parallelism every GPU has all vectors."""
        cut = self.gpus if self._experts == "tensor" else 1
        values = cut * expert_activations(self._model.hidden_size, self._model.expert_intermediate_size / cut)
        return round(int(counts.sum()) * values * self._model.bytes_per_activation)

    def _moved(self, work: StepWork, counts: NDArray[np.int64]) -> dict[str, int]:
        return {
            **self._weights,
            "memory/routed experts": int(np.count_nonzero(counts)) * self._expert_bytes,
            "memory/expert activations": self._activation_bytes(counts),
            "memory/kv read": work.attention_bytes + work.prefill_attention_bytes,
            "memory/kv written": work.kv_written_bytes,
            "memory/state": work.state_bytes,
        }
