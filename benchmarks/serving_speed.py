"""Processor time of pricing one decode step, and of one turn of the serving loop, where nothing new must be simulated.

    python benchmarks/serving_speed.py [--steps 300] [--only PART_OF_A_NAME]

One row for each system and batch: of `price` alone the median and the tenth percentile (less disturbed by whatever else the machine does), and the
median of a whole turn of the loop (admission, step, price, record), microseconds of processor time.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from moeram.errors import MoeramError
from moeram.experiment import load_serving
from moeram.experiment.serving import make_pricer
from moeram.experiment.sources import open_source
from moeram.serving import BatchingOptions, PricedStep, Requests, Step, StepPricer, serve
from moeram.serving.system import load_serving_system

BATCHES = (8, 32, 128)
QWEN, MIXTRAL = {"model": "qwen3-30b-a3b"}, {"model": "mixtral-8x7b"}


def _pim(system: str, policy: str, **model: str) -> tuple[str, dict[str, Any]]:
    return "qwen3_sieve", {"system": system, "schedule.policy": policy, **model}


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "Mixtral, 2 H100": ("mixtral_h100_x2", {}),
    "Qwen3-30B, B200": ("mixtral_h100_x2", {**QWEN, "system": "b200_x1"}),
    "Qwen3-30B, 8 B200, experts dealt out": ("mixtral_h100_x2", {**QWEN, "system": "b200_x8", "system_values": {"experts": "expert"}}),
    "OLMoE, Stratum-S": ("mixtral_stratum_l", {"model": "olmoe-1b-7b", "system": "stratum_s"}),
    "Mixtral, Stratum-L": ("mixtral_stratum_l", {}),
    "Mixtral, Stratum-XL": ("mixtral_stratum_l", {"system": "stratum_xl"}),
    "Mixtral, tiered chips, Sieve": _pim("mono3d_sieve", "sieve", **MIXTRAL),
    "Mixtral, 4 Duplex, its rule": _pim("duplex_x4", "duplex", **MIXTRAL),
    "Qwen3-30B, 8 AttAcc, its rule": _pim("hbm3_attacc_x8", "attacc"),
    **{
        f"Qwen3-30B, {gpus} B200-PIM, {policy}": _pim(f"b200_pim_x{gpus}", policy)
        for gpus in (1, 4, 8)
        for policy in ("no_experts", "all_experts", "sieve")
    },
    "Qwen3-30B, 1 B200-PIM, pimoe": _pim("b200_pim_x1", "pimoe"),
    "Qwen3.5, 8 B200-PIM, Sieve, engine": ("qwen3.5_sieve", {}),
}  # fmt: skip


def pricer_of(name: str, batch: int) -> StepPricer:
    """Return the pricer of a case; caches for no more requests than the batch has."""
    config, values = CASES[name]
    rows = {"placement.kv_requests": batch} if "stratum" in config else {}
    wanted = load_serving(config, values={"batching.max_requests": batch, **rows, **values})
    model, system = wanted.load_model(), load_serving_system(wanted.system, wanted.system_values)
    return make_pricer(wanted, model, system, open_source(wanted.routing, model, wanted.seed))


class Timed:
    """A pricer with the processor times of its calls, spent_us, and when they began, begun_us."""

    def __init__(self, pricer: StepPricer) -> None:
        self._pricer = pricer
        self.kv_capacity_tokens, self.peaks = pricer.kv_capacity_tokens, pricer.peaks
        self.spent_us: list[float] = []
        self.begun_us: list[float] = []

    def price(self, step: Step) -> PricedStep:
        begin = time.thread_time_ns()
        priced = self._pricer.price(step)
        self.spent_us.append((time.thread_time_ns() - begin) * 1e-3)
        self.begun_us.append(begin * 1e-3)
        return priced


def measure(name: str, batch: int, steps: int) -> tuple[float, float, float]:
    """Return microseconds of a price, median and tenth percentile, and the median of a turn of the loop."""
    zeros = np.zeros(batch, dtype=np.int64)
    requests = Requests(
        arrival_ps=zeros, prompt_tokens=zeros + 512, output_tokens=zeros + steps, topic=zeros, source="benchmark"
    )
    options = BatchingOptions(max_requests=batch, prefill_tokens=None)
    serve(requests, pricer_of(name, batch), options)  # whatever must be simulated is, and is kept
    timed = Timed(pricer_of(name, batch))  # the same draws come again
    serve(requests, timed, options)
    spent = timed.spent_us[1:]  # the first step holds the prompts
    return float(np.median(spent)), float(np.percentile(spent, 10)), float(np.median(np.diff(timed.begun_us)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--only", default="", help="systems whose name has this in it")
    given = parser.parse_args()
    for name in (name for name in CASES if given.only in name):
        for batch in BATCHES:
            try:
                median_us, fast_us, turn_us = measure(name, batch, given.steps)
            except MoeramError as error:  # some systems hold no such batch
                print(f"{name:38} batch {batch:3}: {error}")
                continue
            print(f"{name:38} batch {batch:3}: price {median_us:6.0f} us ({fast_us:.0f}), turn of the loop {turn_us:6.0f} us", flush=True)


if __name__ == "__main__":
    main()
