"""Stratum's machine (stratum.md 2.7): prompts and projections on processors beside Mono3D chips, experts and decode attention near memory.

Processors have no memory of their own: they read the chips through the interposer. A step's layers follow one another, and within a
layer of decoding everything does: projections, attention, reduction, router, experts. Experts are priced by the cycle engine; attention is a
closed form of the rows that its cache fills, or likewise the engine's; the rest is a roofline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from moeram.errors import CapacityError, ConfigError
from moeram.hardware import RowSwap, System, lower_attention, row_swap, run_attention
from moeram.hardware.gpu import Gpu
from moeram.hardware.gpu_cost import GpuCost
from moeram.hardware.memo import shared_memo
from moeram.hardware.near_memory_layers import NearMemoryLayers
from moeram.hardware.network import Network
from moeram.hardware.priced import worst
from moeram.hardware.spread import Spread
from moeram.model import MoEModel
from moeram.options import Options
from moeram.placement import Plan, RowBudget
from moeram.serving.pricing.gpu_kernels import DENSE_KERNELS, network_origin
from moeram.serving.pricing.model_work import ModelWork, StepWork
from moeram.serving.pricing.routed import RoutedTokens
from moeram.serving.step import Origin, Peaks, PricedStep, Step

# Steps whose attention is simulated once more, to state the error of its closed form.
_ATTENTION_HELD = 2


class NearMemoryOptions(Options):
    """concurrent: processors may read the chips while units work, so that prompts run beside decoding; otherwise the memory is in one
    mode at a time; None: as the hardware says (link.mode). link_efficiency: of the interposer, stratum.md 9 (U12). swap: rows move when the batch's topic, and with it the
    placement, changes (U22); otherwise the first topic's placement stays. attention: of decoding, "closed": the rows that its cache fills, or
    "engine": simulated anew for every step, with softmax and exchanges between units.
    """

    concurrent: bool | None = None
    link_efficiency: Annotated[float, Field(gt=0, le=1)] = 0.875
    swap: bool = True
    attention: Literal["closed", "engine"] = "closed"


class NearMemoryPricer:
    """Processors and chips; a placement for each topic."""

    def __init__(
        self,
        model: MoEModel,
        system: System,
        gpu: Gpu,
        network: Network,
        routed: RoutedTokens,
        layers: NearMemoryLayers,
        plans: Sequence[Plan],
        budget: RowBudget,
        options: NearMemoryOptions | None = None,
        *,
        dtype: str = "bfloat16",
    ) -> None:
        self._options = options or NearMemoryOptions()
        concurrent = self._options.concurrent
        self._concurrent = system.link.mode == "concurrent" if concurrent is None else concurrent
        if not budget.kv_rows:
            raise CapacityError("the placement reserves no rows for caches: give kv_requests and context_tokens")
        self._model, self._system, self._layers, self._budget = model, system, layers, budget
        self._network, self._routed, self._plans, self._dtype = network, routed, plans, dtype
        self.gpus = network.topology.nodes
        link = system.chips * system.device.channels * system.link.channel_io_gb_per_s
        through_link = {"memory_gb_per_s": link / self.gpus, "memory_efficiency": self._options.link_efficiency}
        self._cost = GpuCost(gpu.model_copy(update=through_link))
        self._work = ModelWork(model)
        self._placed: int | None = None
        self._no_counts = np.zeros((routed.layers, routed.experts), dtype=np.int64)
        weights_per_clock = system.banks * system.unit.mac_block_bytes * 8 / model.precision.experts.bits
        self.peaks = Peaks(
            bytes_per_ps={"link": link * 1e-3, "internal": system.peak_bandwidth_bytes_per_s * 1e-12},
            operations_per_ps={
                "gpu": self.gpus * gpu.peak_flops_per_ps(dtype),
                "units": 2 * weights_per_clock / system.unit.unit_clock_ps,
            },
            waiting_w=self.gpus * gpu.idle_power_w,
        )
        self._slowest = plans[0].slowest_tier_everywhere
        self._cache_row_ps = _cache_row_ps(system, budget, slowest=self._slowest)
        self._call_ps = system.link.mode_switch_ns * 1e3
        self._swaps: dict[tuple[int, int], RowSwap] = {}
        self._attended: Spread[tuple[float, NDArray[np.int64], int]] = Spread(_ATTENTION_HELD)
        self.kv_capacity_tokens = budget.kv_rows * system.row_set_bytes // model.kv_bytes_per_token

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Where the times come from."""
        network = [network_origin(self._network)] if self.gpus > 1 else []
        return (
            Origin("experts near memory", self._layers.fidelity, "cycle engine"),
            self._attention_origin(),
            Origin("projections and prompts on processors", "analytic", "roofline over the link"),
            Origin("row swap", "cycle", "cycle engine"),
            *network,
        )

    def _attention_origin(self) -> Origin:
        """Return where attention comes from; of the closed form with its error against the engine over a few steps of the run."""
        part = "decode attention near memory"
        if self._options.attention == "engine":
            return Origin(part, "cycle-memo", "cycle engine")
        how = "closed form of the rows its cache fills"
        try:
            pairs = [(rows_ps, self._engine_attention_ps(*asked)) for rows_ps, *asked in self._attended.items]
        except (ConfigError, CapacityError) as error:
            return Origin(part, "analytic", f"{how}; not held against the engine: {error}")
        formula_ps, engine_ps = (sum(times) for times in zip(*pairs, strict=True)) if pairs else (0.0, 0.0)
        return Origin(part, "analytic", how, formula_ps / engine_ps - 1, "cycle engine") if engine_ps else Origin(part, "analytic", how)

    def price(self, step: Step) -> PricedStep:
        """Return what a step takes."""
        work = self._work.of(step)
        swap = self._place(step)
        swap_ps = swap.time_ps if swap else 0
        counts = self._counts(step)
        prompt_counts = self._routed.prefill_counts(step) if len(step.prefill) else self._no_counts
        near_ps = self._near_memory(step, work, counts) if len(step.decode) else 0
        prompt_ps, prompt_bound = self._prompt(step, work, prompt_counts) if len(step.prefill) else (0, 0)
        gpu_ps, gpu_bound = self._projections(step, work) if len(step.decode) else (0, 0)
        network_ps = self._network_ps(work)
        decode_ps = near_ps + gpu_ps + network_ps
        together = max(decode_ps, gpu_ps + prompt_ps) if self._concurrent else decode_ps + prompt_ps
        time_ps = swap_ps + together
        moved = self._moved(step, work, counts, prompt_counts)
        read = sum(size for name, size in moved.items() if name.startswith("internal/"))
        macs = int(counts.sum()) * self._model.expert_parameters + work.attention_ops // 2
        expert_bound = int(read / self._system.peak_bandwidth_bytes_per_s * 1e12)
        bound = gpu_bound + (max(expert_bound, prompt_bound) if self._concurrent else expert_bound + prompt_bound)
        labels = (self._layers.fidelity if len(step.decode) else "analytic", "analytic", self._network.fidelity)
        return PricedStep(
            time_ps=time_ps,
            bound_ps=bound,
            fidelity=worst(*labels),
            parts_ps={
                "gpu": gpu_ps + prompt_ps, "near memory": near_ps, "network": network_ps, "row swap": swap_ps,
            },
            energy_pj=self._energy(time_ps, gpu_ps + prompt_ps, near_ps, moved, macs)
            | {"row swap": swap.energy_pj if swap else 0.0, "network": self._network_pj(work)},
            moved_bytes=moved,
            operations={"gpu": self._work.operations(work) - 2 * macs, "units": 2 * macs},
        )  # fmt: skip

    def _place(self, step: Step) -> RowSwap | None:
        """Take the placement of the batch's most frequent topic; return what moving its rows takes (stratum.md 3.4, U22)."""
        topics = step.believed_topic
        if topics is None:
            topics = np.concatenate([step.topic, step.prefill_topic])
        wanted = int(np.bincount(topics).argmax())
        before, self._placed = self._placed, wanted if self._placed is None or self._options.swap else self._placed
        if before is None or before == self._placed:
            return None
        change = (before, self._placed)
        if change not in self._swaps:
            old, new = (self._plans[topic].first_row for topic in change)
            self._swaps[change] = row_swap(old, new, self._budget.rows_per_expert, self._system)
        return self._swaps[change]

    def _counts(self, step: Step) -> NDArray[np.int64]:
        """Return the tokens of each expert of decoding, shared ones behind the routed [layers, experts + shared]."""
        counts, shared = self._routed.decode_counts(step), self._budget.shared_experts
        if not shared:
            return counts
        tokens = len(step.decode) * step.tokens_per_request
        return np.concatenate([counts, np.full((len(counts), shared), tokens, dtype=np.int64)], axis=1)

    def _near_memory(self, step: Step, work: StepWork, counts: NDArray[np.int64]) -> int:
        """Return the time of attention and experts near memory."""
        assert self._placed is not None
        tokens = len(step.decode) * step.tokens_per_request
        experts = int(self._layers.time_ps(self._plans[self._placed].first_row, counts, batch=tokens).sum())
        switches = self._model.layers * self._call_ps
        return experts + round(switches + self._attention_ps(step, work))

    def _attention_ps(self, step: Step, work: StepWork) -> float:
        """Return the time of decode attention of all layers, from the switch into near-memory mode on."""
        asked = (step.context_tokens, step.tokens_per_request)
        if self._options.attention == "engine":
            return self._engine_attention_ps(*asked)
        cache_rows = -(-work.attention_bytes // self._system.row_set_bytes)
        time_ps = cache_rows * self._cache_row_ps + self._model.layers * self._call_ps
        self._attended.add((time_ps, *asked))
        return time_ps

    def _engine_attention_ps(self, context_tokens: NDArray[np.int64], new_tokens: int) -> float:
        """Simulate one layer of each place in the model's pattern of attention."""
        model, period = self._model, len(self._model.attention.pattern)
        work = lower_attention(
            model, context_tokens.tolist(), self._system, first_row=self._budget.kv_first_row, rows=self._budget.kv_rows, layers=period,
            new_tokens=new_tokens,
        )  # fmt: skip
        times = run_attention(
            work, self._system, result_row=self._budget.result_row, slowest_tier_everywhere=self._slowest, memo=shared_memo()
        )  # fmt: skip
        alike = np.bincount(np.arange(model.layers) % period)
        return float(times.time_ps @ alike)

    def _moved(
        self, step: Step, work: StepWork, counts: NDArray[np.int64], prompt_counts: NDArray[np.int64]
    ) -> dict[str, int]:
        """Return what units read inside the chips, and what processors read and write over the link.

        Decoding and prompts pass the link one after the other: what both need is read twice.
        """
        expert, shared = self._model.expert_bytes, self._budget.shared_experts
        routed = counts[:, : counts.shape[1] - shared]
        moved = {
            "internal/routed experts": int(np.count_nonzero(routed)) * expert,
            "internal/shared experts": int(np.count_nonzero(counts[:, routed.shape[1] :])) * expert,
            "internal/kv read": work.attention_bytes,
            "link/routed experts": int(np.count_nonzero(prompt_counts)) * expert,
            "link/kv read": work.prefill_attention_bytes,
            "link/kv written": work.kv_written_bytes,
        }
        by_both = {name: size for name, size in self._work.weight_bytes.items() if name != "shared experts"}
        moved |= {f"link/{name}": size for name, size in by_both.items()}
        if len(step.prefill):
            moved["link/shared experts"] = self._work.weight_bytes.get("shared experts", 0)
            moved["link/weights again"] = sum(by_both.values()) if len(step.decode) else 0
        return moved

    def _projections(self, step: Step, work: StepWork) -> tuple[int, int]:
        """Return time and bound of what the processors do for decoding: everything outside experts and attention, and the head."""
        tokens, dense = len(step.decode) * step.tokens_per_request, self._work
        shared = self._model.shared_experts * self._model.shared_expert_bytes * len(self._model.moe_layers)
        parameters = dense.dense_parameters - shared * 8 // self._model.precision.experts.bits
        return self._roofline(dense.dense_bytes - shared, 2 * parameters * tokens, tokens)

    def _prompt(self, step: Step, work: StepWork, counts: NDArray[np.int64]) -> tuple[int, int]:
        """Return time and bound of the prompts' pass, wholly on the processors."""
        tokens = int(step.chunk_tokens.sum())
        dense_ps, dense_bound = self._roofline(
            self._work.dense_bytes, 2 * self._work.dense_parameters * tokens, len(step.prefill)
        )
        attention = self._cost.roofline(
            work.prefill_attention_bytes / self.gpus, work.prefill_attention_ops / self.gpus, self._dtype, kernels=0
        )
        width = -(-self._model.expert_intermediate_size // self.gpus)
        experts = self._cost.experts(counts, self._model.hidden_size, width, self._dtype)
        return (
            dense_ps + int(attention.time_ps) + int(experts.time_ps.sum()),
            dense_bound + int(attention.bound_ps) + int(experts.bound_ps.sum()),
        )

    def _roofline(self, moved: float, operations: float, logit_tokens: int) -> tuple[int, int]:
        n, layers = self.gpus, self._model.layers
        body_ps, body_bound = self._cost.one(moved / n, operations / n, self._dtype, kernels=DENSE_KERNELS * layers)
        head_ps, head_bound = self._cost.one(
            self._work.head_bytes / n, 2 * self._work.head_parameters * logit_tokens / n, self._dtype
        )
        return body_ps + head_ps, body_bound + head_bound

    def _network_ps(self, work: StepWork) -> int:
        if self.gpus == 1:
            return 0
        vector = work.tokens * self._model.hidden_size * self._model.bytes_per_activation
        return 2 * self._model.layers * self._network.one_collective_ps("all_reduce", vector)

    def _network_pj(self, work: StepWork) -> float:
        vector = work.tokens * self._model.hidden_size * self._model.bytes_per_activation
        return 2 * self._model.layers * self._network.collective_pj("all_reduce", vector)

    def _energy(self, time_ps: int, gpu_ps: int, near_ps: int, moved: dict[str, int], macs: int) -> dict[str, float]:
        terms, gpu = self._system.energy, self._cost.gpu
        bits = {
            port: 8 * sum(size for name, size in moved.items() if name.startswith(port))
            for port in ("internal/", "link/")
        }
        return {
            "gpu": gpu_ps * gpu.busy_power_w * self.gpus,
            "gpu idle": max(time_ps - gpu_ps, 0) * gpu.idle_power_w * self.gpus,
            "dram to logic": bits["internal/"] * terms.dram_to_logic_pj_per_bit,
            "link": bits["link/"] * terms.link_pj_per_bit,
            "mac": macs * terms.mac_pj,
            "logic other": near_ps * terms.logic_other_w * self._system.chips,
        }


def _cache_row_ps(system: System, budget: RowBudget, *, slowest: bool) -> float:
    """Return the row cycle of cache rows, which fill the reserve evenly: each in its tier, or all in the slowest."""
    row_cycles = np.asarray(system.closed_form.row_cycle_ns)
    if slowest:
        return float(row_cycles.max() * 1e3)
    tiers = system.device.tier_of(np.arange(budget.kv_first_row, budget.kv_first_row + budget.kv_rows))
    return float(row_cycles[tiers].mean() * 1e3)
