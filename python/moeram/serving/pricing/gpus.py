"""GPUs alone: weights and caches in their own memory, tensor parallelism for everything but the experts, which may be spread.

A step's layers follow one another; within a layer everything is serial: projections, attention, all-reduce, router, experts,
all-reduce (or dispatch and combine). Prices are sums over layers of the roofline or the measured tables.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from moeram.errors import CapacityError, ConfigError
from moeram.hardware.gpu_cost import GpuCost
from moeram.hardware.network import Network
from moeram.hardware.priced import worst
from moeram.model import MoEModel
from moeram.serving.pricing.model_work import ModelWork, StepWork
from moeram.serving.pricing.routed import RoutedTokens
from moeram.serving.step import Peaks, PricedStep, Step

# Kernels of a layer besides the experts': norm, QKV, rotation, attention, O, norm, router.
DENSE_KERNELS = 7
EXPERT_LAYOUTS = ("tensor", "expert")


class GpuPricer:
    """n equal GPUs.

    experts: "tensor", each expert cut over all GPUs, or "expert", whole experts dealt out in order (expert parallelism).
    """

    def __init__(
        self,
        model: MoEModel,
        cost: GpuCost,
        routed: RoutedTokens,
        network: Network,
        *,
        experts: Literal["tensor", "expert"] = "tensor",
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
                f"{model.name} needs {model.weight_bytes} bytes, {self.gpus} x {cost.gpu.name} have {self.gpus * cost.gpu.capacity_bytes}"
            )
        self.kv_capacity_tokens = room // max(model.kv_bytes_per_token, 1)
        self.peaks = Peaks(
            bytes_per_ps={"memory": self.gpus * cost.gpu.bytes_per_ps},
            operations_per_ps={"gpu": self.gpus * cost.gpu.peak_flops_per_ps(dtype)},
        )
        self._weights = {f"memory/{name}": size for name, size in self._work.weight_bytes.items()}

    def price(self, step: Step) -> PricedStep:
        """Return what a step takes."""
        work = self._work.of(step)
        counts = self._routed.counts(step)
        parts = [self._dense(work), self._attention(work), self._experts_time(counts)]
        compute_ps = sum(time for time, _, _ in parts)
        network_ps = self._network_ps(work, counts)
        time_ps, busy_w = compute_ps + network_ps, self._cost.gpu.busy_power_w
        fidelity = worst(*(label for _, _, label in parts), *([self._network.fidelity] if self.gpus > 1 else []))
        idle_pj = network_ps * self._cost.gpu.idle_power_w * self.gpus
        return PricedStep(
            time_ps=time_ps,
            bound_ps=sum(bound for _, bound, _ in parts),
            fidelity=fidelity,
            parts_ps={"gpu": compute_ps, "network": network_ps},
            energy_pj={"gpu": compute_ps * busy_w * self.gpus, "gpu idle": idle_pj},
            moved_bytes=self._moved(work, counts),
            operations={"gpu": self._work.operations(work)},
        )

    def _dense(self, work: StepWork) -> tuple[int, int, str]:
        dense, head, n = self._work, work.logit_tokens, self.gpus
        layers_ps, layers_bound = self._cost.one(
            dense.dense_bytes / n,
            2 * dense.dense_parameters * work.tokens / n,
            self._dtype,
            kernels=DENSE_KERNELS * self._model.layers,
        )
        head_ps, head_bound = self._cost.one(dense.head_bytes / n, 2 * dense.head_parameters * head / n, self._dtype)
        return layers_ps + head_ps, layers_bound + head_bound, "analytic"

    def _attention(self, work: StepWork) -> tuple[int, int, str]:
        n, decoded = self.gpus, work.attention_bytes + work.state_bytes + work.kv_written_bytes
        # The floor of its kernels is in DENSE_KERNELS.
        decode_ps, decode_bound = self._cost.one(decoded / n, work.attention_ops / n, self._dtype, kernels=0)
        prompt_ps, prompt_bound = self._cost.one(
            work.prefill_attention_bytes / n, work.prefill_attention_ops / n, self._dtype, kernels=0
        )
        return decode_ps + prompt_ps, decode_bound + prompt_bound, "analytic"

    def _experts_time(self, counts: NDArray[np.int64]) -> tuple[int, int, str]:
        model = self._model
        if self._experts == "tensor":
            width = -(-model.expert_intermediate_size // self.gpus)
            priced = self._cost.experts(counts, model.hidden_size, width, self._dtype)
            return int(priced.time_ps.sum()), int(priced.bound_ps.sum()), priced.fidelity
        shares = counts.reshape(len(counts), self.gpus, -1)
        priced = self._cost.experts(shares, model.hidden_size, model.expert_intermediate_size, self._dtype)
        # Everybody waits for the GPU with most work.
        return int(priced.time_ps.max(axis=1).sum()), int(priced.bound_ps.max(axis=1).sum()), priced.fidelity

    def _network_ps(self, work: StepWork, counts: NDArray[np.int64]) -> int:
        if self.gpus == 1:
            return 0
        vector = work.tokens * self._model.hidden_size * self._model.bytes_per_activation
        reduce_ps = int(self._network.collective_ps("all_reduce", vector))
        if self._experts == "tensor":
            return 2 * self._model.layers * reduce_ps
        per_gpu = counts.reshape(len(counts), self.gpus, -1).sum(axis=2)
        matrix = np.repeat(per_gpu[:, None, :] / self.gpus, self.gpus, axis=1) * (vector / max(work.tokens, 1))
        there, back = self._network.exchange_ps(matrix), self._network.exchange_ps(matrix.swapaxes(1, 2))
        return self._model.layers * reduce_ps + int(there.sum() + back.sum())

    def _moved(self, work: StepWork, counts: NDArray[np.int64]) -> dict[str, int]:
        return {
            **self._weights,
            "memory/routed experts": int(np.count_nonzero(counts)) * self._expert_bytes,
            "memory/kv read": work.attention_bytes + work.prefill_attention_bytes,
            "memory/kv written": work.kv_written_bytes,
            "memory/state": work.state_bytes,
        }
