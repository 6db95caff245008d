"""R10: tokens per joule over the GPUs', most over lengths."""

from __future__ import annotations

from functools import partial

from moeram.repro.stratum.decode import DECODE, READINGS, over_gpus
from moeram.repro.stratum.machines import CASES
from moeram.repro.stratum.r09_throughput import pairs
from moeram.repro.target import Found, Setting, Target, where_available


def gain(setting: Setting, case: str, batch: int) -> float:
    """Return the greatest gain in tokens per joule over the lengths."""
    return max(ours.tokens_per_j / theirs.tokens_per_j for ours, theirs in pairs(setting, case, batch))


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return the gain of every model."""

    def found(case: str) -> Found:
        return over_gpus(setting, case, gain(setting, case, setting["batch"]))

    return {f"energy_gain_{case}": where_available(partial(found, case)) for case in CASES}


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return the gain with other batches."""
    return {
        f"energy_gain_{case}": {f"batch {batch}": gain(setting, case, batch) for batch in (1, 8, 32)} for case in CASES
    }


TARGET = Target(
    id="R10", parameters=(*DECODE, "batch"), readings=READINGS, evaluate=evaluate, beside=beside,
    note="processors draw a share of their design power while busy and their idle power otherwise, on both sides",
)  # fmt: skip
