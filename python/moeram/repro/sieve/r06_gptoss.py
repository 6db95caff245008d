"""R6: GPT-OSS on four GPUs."""

from __future__ import annotations

from moeram.repro.sieve.machines import STEP_READINGS, SYSTEM, both_readings, fitting, found, over, over_best
from moeram.repro.target import Found, Setting, Target

_CASE = "gptoss"


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return least and greatest gain over PIMoE from batch 32 on, the greatest at any batch, and that over the best other."""
    batches = fitting(setting, _CASE)
    large = [over(setting, _CASE, "pimoe", batch) for batch in batches if batch >= 32]
    ours = {
        "sieve_over_pimoe_least": min(large),
        "sieve_over_pimoe_most": max(large),
        "interactivity_most": max(over(setting, _CASE, "pimoe", batch) for batch in batches),
        "sieve_over_best_most": max(over_best(setting, _CASE, batch) for batch in batches),
    }
    return {name: found(setting, _CASE, value) for name, value in ours.items()}


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return both readings of PIMoE."""
    return {"sieve_over_pimoe_most": both_readings(setting, _CASE)}


TARGET = Target(
    id="R6", parameters=SYSTEM, readings=STEP_READINGS, evaluate=evaluate, beside=beside,
    note="at one batch size the gains in throughput and in interactivity are the same number",
)  # fmt: skip
