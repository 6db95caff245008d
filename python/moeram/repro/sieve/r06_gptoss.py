"""R6: GPT-OSS on four GPUs."""

from __future__ import annotations

from moeram.repro.sieve.machines import SYSTEM, both_readings, fitting, over, over_best
from moeram.repro.target import Found, Setting, Target

_CASE = "gptoss"


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return least and greatest gain over PIMoE from batch 32 on, the greatest at any batch, and that over the best other."""
    large = [over(setting, _CASE, "pimoe", batch) for batch in fitting(setting, _CASE) if batch >= 32]
    return {
        "sieve_over_pimoe_least": Found(ours=min(large)),
        "sieve_over_pimoe_most": Found(ours=max(large)),
        "interactivity_most": Found(
            ours=max(over(setting, _CASE, "pimoe", batch) for batch in fitting(setting, _CASE))
        ),
        "sieve_over_best_most": Found(ours=max(over_best(setting, _CASE, batch) for batch in fitting(setting, _CASE))),
    }


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return both readings of PIMoE."""
    return {"sieve_over_pimoe_most": both_readings(setting, _CASE)}


TARGET = Target(
    id="R6", parameters=SYSTEM, evaluate=evaluate, beside=beside,
    note="at one batch size the gains in throughput and in interactivity are the same number",
)  # fmt: skip
