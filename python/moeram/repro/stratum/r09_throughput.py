"""R9: decode throughput over the GPUs', mean over lengths."""

from __future__ import annotations

from functools import partial

import numpy as np

from moeram.repro.stratum.decode import DECODE, READINGS, Cost, lengths_of, of_gpus, of_stratum, over_gpus
from moeram.repro.stratum.machines import CASES
from moeram.repro.target import Found, Setting, Target, where_available


def pairs(setting: Setting, case: str, batch: int) -> list[tuple[Cost, Cost]]:
    """Return Stratum's and the GPUs' step at every length."""
    return [
        (of_stratum(setting, case, batch, length), of_gpus(setting, case, batch, length))
        for length in lengths_of(setting, case)
    ]


def speedups(setting: Setting, case: str, batch: int) -> list[float]:
    """Return the gain in throughput at every length."""
    return [ours.tokens_per_s / theirs.tokens_per_s for ours, theirs in pairs(setting, case, batch)]


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return the gain of every model, and whether it grows with the length for all of them."""
    batch = setting["batch"]

    def speedup(case: str) -> Found:
        gains = speedups(setting, case, batch)
        bounds = [ours.bound_per_s / theirs.bound_per_s for ours, theirs in pairs(setting, case, batch)]
        return over_gpus(setting, case, float(np.mean(gains)), float(np.mean(bounds)))

    def grows(case: str) -> bool:
        gains = speedups(setting, case, batch)
        return gains[-1] > gains[0]

    found = {f"speedup_{case}": where_available(partial(speedup, case)) for case in CASES}
    return {**found, "grows_with_length": where_available(lambda: Found(ours=all(map(grows, CASES))))}


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return the gain with other batches."""
    return {
        f"speedup_{case}": {f"batch {batch}": float(np.mean(speedups(setting, case, batch))) for batch in (1, 8, 32)}
        for case in CASES
    }


TARGET = Target(
    id="R9", parameters=(*DECODE, "batch"), readings=READINGS, evaluate=evaluate, beside=beside,
    note="GPUs by roofline with launch floors; the bound is the ratio of both machines' peaks",
)  # fmt: skip
