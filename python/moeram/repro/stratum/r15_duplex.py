"""R15: decode throughput over Duplex with as many stacks as Stratum has chips, most over lengths."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from moeram.hardware.gpu_cost import GpuCost
from moeram.hardware.logic_memory import LogicMemory
from moeram.repro.routing import FixedTokens, decode_step, model_of
from moeram.repro.stratum.decode import DECODE, lengths_of, of_stratum
from moeram.repro.stratum.machines import CASES, GPUS, ROUTING, TOPICS, chips_of, network_of, source_of
from moeram.repro.target import Found, Setting, Target
from moeram.schedule import make_schedule
from moeram.serving.pricing import GpuPimOptions, GpuPimPricer

DUPLEX = ("bandwidth_gain", "duplex_efficiency")


def duplex_memory(case: str, setting: Setting) -> LogicMemory:
    """Return the memory of one processor: its share of as many stacks as chips, of their capacity (U24)."""
    published: LogicMemory = setting.config("memories/hbm3_duplex")
    chips, processors = chips_of(CASES[case], setting), CASES[case].processors
    stacks = chips.chips // processors
    return published.model_copy(
        update={
            "stacks": stacks,
            "capacity_bytes": chips.capacity_bytes // processors,
            "external_gb_per_s": published.external_gb_per_s / published.stacks * stacks,
        }
    )


@lru_cache(maxsize=4096)
def _duplex(setting: Setting, case: str, batch: int, length: int) -> tuple[float, float]:
    """Return time (ps) and energy (pJ) of a step, mean over topics."""
    one = CASES[case]
    model, source = model_of(one.model), source_of(one, setting)
    memory, gpu = duplex_memory(case, setting), setting.config(f"gpus/{one.gpu}")
    options = GpuPimOptions(dense="sharded" if one.processors > 1 else "replicated", interleaved=False)
    routed: Any = FixedTokens(source, seed=setting["routing_seed"])
    priced = []
    for topic in {topic % len(source.topics) for topic in TOPICS}:
        policy, network = make_schedule("duplex"), network_of(gpu, one.processors)
        pricer = GpuPimPricer(model, GpuCost(gpu), memory, network, routed, policy, options)
        priced.append(pricer.price(decode_step(batch, length + length // 2, topic)))
    energy = float(np.mean([sum(step.energy_pj.values()) for step in priced]))
    return float(np.mean([step.time_ps for step in priced])), energy


def gains(setting: Setting, case: str, batch: int) -> tuple[float, float]:
    """Return the greatest gains in throughput and in tokens per joule over the lengths."""
    reduced = setting.only(*ROUTING, *GPUS, *DUPLEX)
    ours = {length: of_stratum(setting, case, batch, length) for length in lengths_of(setting, case)}
    theirs = {length: _duplex(reduced, case, cost.requests, length) for length, cost in ours.items()}
    return (
        max(theirs[length][0] / cost.time_ps for length, cost in ours.items()),
        max(theirs[length][1] / cost.energy_pj for length, cost in ours.items()),
    )


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return both gains of every model."""
    found = {}
    for case in CASES:
        speedup, energy = gains(setting, case, setting["batch"])
        found[f"speedup_{case}"], found[f"energy_gain_{case}"] = Found(ours=speedup), Found(ours=energy)
    return found


TARGET = Target(
    id="R15", parameters=(*DECODE, *DUPLEX, "batch"), readings=("engine",), evaluate=evaluate,
    note="closed forms on both sides of the baseline; the paper scaled published figures of Duplex in a way that it does not describe",
)  # fmt: skip
