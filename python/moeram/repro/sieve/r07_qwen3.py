"""R7: Qwen3 on one GPU."""

from __future__ import annotations

from moeram.repro.sieve.machines import SYSTEM, both_readings, fitting, over, over_best
from moeram.repro.target import Found, Setting, Target

_CASE = "qwen3"


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return the greatest gain over PIMoE, and over the best other."""
    return {
        "sieve_over_pimoe_most": Found(
            ours=max(over(setting, _CASE, "pimoe", batch) for batch in fitting(setting, _CASE))
        ),
        "sieve_over_best_most": Found(ours=max(over_best(setting, _CASE, batch) for batch in fitting(setting, _CASE))),
    }


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return both readings of PIMoE."""
    return {"sieve_over_pimoe_most": both_readings(setting, _CASE)}


TARGET = Target(id="R7", parameters=SYSTEM, evaluate=evaluate, beside=beside)
