"""Decode steps of Stratum's systems and of the GPUs: the time and energy of one step at the mean context of a request.

Time is linear in the context but for whole rows, so that the step at input + half of the output stands for all steps of a request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from moeram.errors import CapacityError
from moeram.hardware.priced import worst
from moeram.repro.measured import measured_parts
from moeram.repro.routing import decode_step
from moeram.repro.stratum.machines import CASES, GPUS, ROUTING, STRATUM, TOPICS, Stratum, gpus, source_of, stratum
from moeram.repro.target import MEASURED, Found, Setting
from moeram.repro.targets import Ours
from moeram.serving.pricing.gpu_kernels import DENSE_KERNELS
from moeram.serving.pricing.model_work import ModelWork
from moeram.serving.step import PricedStep

DECODE = tuple(dict.fromkeys((*STRATUM, *GPUS)))
# Readings of a step of both machines: GPUs by measured kernels, attention near memory by the engine.
READINGS = (MEASURED, "engine")
# Kernels of a layer that stay with the processor where projections run near memory: all but QKV and O.
_KERNELS_LEFT = DENSE_KERNELS - 2


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One decode step, mean over batches of several topics. requests: of the batch, less than asked for where no more fit."""

    time_ps: float
    bound_ps: float
    energy_pj: float
    requests: int
    fidelity: str

    @property
    def tokens_per_s(self) -> float:
        """Decode throughput of the system."""
        return self.requests / self.time_ps * 1e12

    @property
    def bound_per_s(self) -> float:
        """Decode throughput at the peaks."""
        return self.requests / self.bound_ps * 1e12

    @property
    def tokens_per_j(self) -> float:
        """Energy efficiency."""
        return self.requests / self.energy_pj * 1e12


@lru_cache(maxsize=4096)
def stratum_cost(
    case: str, setting: Setting, batch: int, length: int, placement: str = "topic_aware", layers: int | None = None
) -> Cost:
    """Return a step of a Stratum system; input and output of `length` tokens each.

    Args:
        setting: reduced to what it depends on (STRATUM). layers: other than 1024 wordline layers.

    Raises:
        CapacityError: not even one request fits.
    """
    machine, requests = _fitting(case, setting, batch, length, placement, layers)
    priced = [priced_step(machine, setting, requests, _context(length), topic) for topic in machine.pricers]
    return _mean(priced, requests)


@lru_cache(maxsize=4096)
def gpu_cost(case: str, setting: Setting, batch: int, length: int) -> Cost:
    """Return a step of the GPUs, as `stratum_cost`; setting reduced to GPUS and ROUTING."""
    pricer = gpus(CASES[case], setting)
    requests = min(batch, pricer.kv_capacity_tokens // (2 * length))
    if not requests:
        raise CapacityError(f"{case}: not even one request of 2 x {length} tokens fits the GPUs")
    topics = {topic % len(source_of(CASES[case], setting).topics) for topic in TOPICS}
    return _mean([pricer.price(decode_step(requests, _context(length), topic)) for topic in topics], requests)


def of_stratum(
    setting: Setting, case: str, batch: int, length: int, placement: str = "topic_aware", layers: int | None = None
) -> Cost:
    """Return `stratum_cost` of the part of a setting that matters."""
    return stratum_cost(case, setting.only(*STRATUM, "engine"), batch, length, placement, layers)


def of_gpus(setting: Setting, case: str, batch: int, length: int) -> Cost:
    """Return `gpu_cost` of the part of a setting that matters."""
    return gpu_cost(case, setting.only(*GPUS, *ROUTING, MEASURED), batch, length)


def baseline(setting: Setting) -> str:
    """Return what tiering is compared with: the whole memory at the slowest tier, or another reading: random rows of the compact memory."""
    return "random_rows" if setting.reading == "random_rows" else "no_tiering"


def over_gpus(setting: Setting, case: str, ours: Ours, bound: float | None = None) -> Found:
    """Return a gain over GPUs; where they are measured, with the kernels that the tables have of the model."""
    reason = _measured_parts(case, setting.only(*GPUS, *ROUTING, MEASURED)) if setting.reading == MEASURED else ""
    return Found(ours=ours, bound=bound, reason=reason)


@lru_cache(maxsize=8)
def _measured_parts(case: str, setting: Setting) -> str:
    pricer = gpus(CASES[case], setting)
    pricer.price(decode_step(1, _context(max(lengths_of(setting, case)))))
    return f"{case}: {measured_parts(pricer.origins)}"


def lengths_of(setting: Setting, case: str) -> tuple[int, ...]:
    """Return the lengths (input, and output) that a model's positions allow (U21)."""
    return tuple(length for length in setting["lengths"] if 2 * length <= CASES[case].positions)


def _context(length: int) -> int:
    return length + length // 2


def _fitting(
    case: str, setting: Setting, batch: int, length: int, placement: str, layers: int | None
) -> tuple[Stratum, int]:
    for requests in range(batch, 0, -1):
        try:
            one = stratum(CASES[case], setting, batch=requests, tokens=2 * length, placement=placement, layers=layers)
        except CapacityError:
            continue
        return one, requests
    raise CapacityError(f"{case}: not even one request of 2 x {length} tokens fits the chips")


def _mean(priced: list[PricedStep], requests: int) -> Cost:
    return Cost(
        time_ps=float(np.mean([step.time_ps for step in priced])),
        bound_ps=float(np.mean([step.bound_ps for step in priced])),
        energy_pj=float(np.mean([sum(step.energy_pj.values()) for step in priced])),
        requests=requests,
        fidelity=worst(*(step.fidelity for step in priced)),
    )


def priced_step(machine: Stratum, setting: Setting, requests: int, context_tokens: int, topic: int) -> PricedStep:
    """Price a decode step, with the readings that are closed forms laid over it: one chip per expert, refresh, projections near memory."""
    priced = machine.pricers[topic].price(decode_step(requests, context_tokens, topic))
    near_ps = float(priced.parts_ps["near memory"])
    slower_ps = 0.0
    if setting["expert_split"] == "one_chip":
        # Switches of mode do not depend on which chips have an expert.
        switches_ps = machine.budget.layers * 2 * machine.chips.link.mode_switch_ns * 1e3
        slower_ps += (machine.chips.chips - 1) * (machine.experts_ps(requests, topic) - switches_ps)
    if setting["refresh_share"]:
        slower_ps += (near_ps + slower_ps) * (1 / (1 - setting["refresh_share"]) - 1)
    energy = dict(priced.energy_pj)
    energy["logic other"] += slower_ps * machine.chips.energy.logic_other_w * machine.chips.chips
    time_ps = priced.time_ps + slower_ps
    if setting["projections"] == "near_memory":
        moved_ps, energy["projections"] = _projections_near_memory(machine, requests)
        time_ps += moved_ps - priced.parts_ps["gpu"]
        energy["gpu"] = 0.0
    changed = time_ps != priced.time_ps
    energy["gpu idle"] += (time_ps - priced.time_ps) * machine.processor.idle_power_w * machine.processors
    return replace(
        priced,
        time_ps=round(time_ps),
        bound_ps=min(priced.bound_ps, round(time_ps)),
        parts_ps={},
        energy_pj=energy,
        fidelity="analytic" if changed else priced.fidelity,
    )


def _projections_near_memory(machine: Stratum, requests: int) -> tuple[float, float]:
    """Time and energy of projections and output head near memory (U12): their rows in the slowest tier, or the tensor cores.

    Two more calls a layer (QKV, O), one for the head; the processor keeps its other kernels.
    """
    model, chips, work = machine.model, machine.chips, ModelWork(machine.model)
    shared = model.shared_experts * model.shared_expert_bytes * len(model.moe_layers)
    moved = work.dense_bytes - shared + work.head_bytes
    rows = -(-moved // chips.row_set_bytes)
    block_ps = chips.device.row_bytes / chips.unit.mac_block_bytes * chips.unit.unit_clock_ps
    row_ps = max(max(chips.closed_form.row_cycle_ns) * 1e3, block_ps * requests)
    calls_ps = (2 * model.layers + 1) * 2 * chips.link.mode_switch_ns * 1e3
    kept_ps = model.layers * _KERNELS_LEFT * machine.processor.launch_floor_us * 1e6
    macs = requests * moved * 8 / model.precision.experts.bits
    near_pj = moved * 8 * chips.energy.dram_to_logic_pj_per_bit + macs * chips.energy.mac_pj
    near_pj += (rows * row_ps + calls_ps) * chips.energy.logic_other_w * chips.chips
    busy_pj = kept_ps * machine.processor.busy_power_w * machine.processors
    return rows * row_ps + calls_ps + kept_ps, near_pj + busy_pj
