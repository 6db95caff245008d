"""R9: decode throughput over the GPUs', mean over lengths."""

from __future__ import annotations

import numpy as np

from moeram.repro.stratum.baselines import measured_speedup
from moeram.repro.stratum.decode import DECODE, Cost, lengths_of, of_gpus, of_stratum
from moeram.repro.stratum.machines import CASES
from moeram.repro.target import Found, Setting, Target


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
    batch, found, grows = setting["batch"], {}, []
    for case in CASES:
        gains = speedups(setting, case, batch)
        bounds = [ours.bound_per_s / theirs.bound_per_s for ours, theirs in pairs(setting, case, batch)]
        grows.append(gains[-1] > gains[0])
        found[f"speedup_{case}"] = Found(ours=float(np.mean(gains)), bound=float(np.mean(bounds)))
    return {**found, "grows_with_length": Found(ours=all(grows))}


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return the gain over measured kernels where there are tables, and with other batches."""
    return {
        f"speedup_{case}": {
            "GPU measured": measured_speedup(setting, case),
            **{f"batch {batch}": float(np.mean(speedups(setting, case, batch))) for batch in (1, 8, 32)},
        }
        for case in CASES
    }


TARGET = Target(
    id="R9", parameters=(*DECODE, "batch"), evaluate=evaluate, beside=beside, measured=True,
    note="GPUs by roofline with launch floors; the bound is the ratio of both machines' peaks",
)  # fmt: skip
