"""How long pricing one decode step and one turn of the serving loop take where nothing new must be simulated.

    python benchmarks/serving_speed.py [--steps 400]

One row for each pricer and batch: median microseconds of `price` alone, and of a whole turn of the loop (admission, step, price, record).
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from moeram.experiment import load_serving
from moeram.experiment.serving import make_pricer
from moeram.experiment.sources import open_source
from moeram.model import load_model
from moeram.serving import BatchingOptions, PricedStep, Requests, Step, StepPricer, serve
from moeram.serving.system import load_serving_system

CASES = ("mixtral_h100_x2", "qwen3_sieve", "mixtral_stratum_l")
BATCHES = (8, 32)


def pricer_of(name: str, batch: int) -> StepPricer:
    rows = {"placement.kv_requests": batch} if "stratum" in name else {}
    wanted = load_serving(name, values={"batching.max_requests": batch, **rows})
    model = load_model(wanted.model)
    source = open_source(wanted.routing, model, wanted.seed)
    return make_pricer(wanted, model, load_serving_system(wanted.system), source)


class Timed:
    """A pricer with the times of its calls, spent_us, and when they began, begun_us."""

    def __init__(self, pricer: StepPricer) -> None:
        self._pricer = pricer
        self.kv_capacity_tokens, self.peaks = pricer.kv_capacity_tokens, pricer.peaks
        self.spent_us: list[float] = []
        self.begun_us: list[float] = []

    def price(self, step: Step) -> PricedStep:
        begin = time.perf_counter()
        priced = self._pricer.price(step)
        self.spent_us.append((time.perf_counter() - begin) * 1e6)
        self.begun_us.append(begin * 1e6)
        return priced


def measure(name: str, batch: int, steps: int) -> tuple[float, float]:
    """Return median microseconds of a price and of a turn of the loop."""
    zeros = np.zeros(batch, dtype=np.int64)
    requests = Requests(
        arrival_ps=zeros, prompt_tokens=zeros + 512, output_tokens=zeros + steps, topic=zeros, source="benchmark"
    )
    options = BatchingOptions(max_requests=batch, prefill_tokens=None)
    serve(requests, pricer_of(name, batch), options)  # whatever must be simulated is, and is kept
    timed = Timed(pricer_of(name, batch))  # the same draws come again
    serve(requests, timed, options)
    return float(np.median(timed.spent_us)), float(np.median(np.diff(timed.begun_us)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    steps = parser.parse_args().steps
    for name in CASES:
        for batch in BATCHES:
            price_us, turn_us = measure(name, batch, steps)
            print(f"{name:18} batch {batch:3}: price {price_us:7.0f} us, turn of the loop {turn_us:7.0f} us")


if __name__ == "__main__":
    main()
