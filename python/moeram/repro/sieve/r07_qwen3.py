"""R7: Qwen3 on one GPU."""

from __future__ import annotations

from moeram.repro.sieve.machines import STEP_READINGS, SYSTEM, both_readings, fitting, found, over, over_best
from moeram.repro.target import Found, Setting, Target

_CASE = "qwen3"


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return the greatest gain over PIMoE, and over the best other."""
    batches = fitting(setting, _CASE)
    ours = {
        "sieve_over_pimoe_most": max(over(setting, _CASE, "pimoe", batch) for batch in batches),
        "sieve_over_best_most": max(over_best(setting, _CASE, batch) for batch in batches),
    }
    return {name: found(setting, _CASE, value) for name, value in ours.items()}


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return both readings of PIMoE."""
    return {"sieve_over_pimoe_most": both_readings(setting, _CASE)}


TARGET = Target(id="R7", parameters=SYSTEM, readings=STEP_READINGS, evaluate=evaluate, beside=beside)
