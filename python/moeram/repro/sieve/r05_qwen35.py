"""R5: Qwen3.5 on eight GPUs."""

from __future__ import annotations

from moeram.repro.sieve.machines import STEP_READINGS, SYSTEM, both_readings, fitting, found, over, over_best, time_ps
from moeram.repro.target import Found, Setting, Target

_CASE = "qwen35"


def _farthest_from_one(values: list[float]) -> float:
    return max(values, key=lambda value: abs(value - 1))


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return parity at small batches, AllExp's growth, and both gains."""
    small = [batch for batch in fitting(setting, _CASE) if batch <= 16]
    throughput = {batch: batch / time_ps(setting, _CASE, "allexp", batch) for batch in (32, 256)}
    ours: dict[str, float] = {
        "sieve_over_pimoe_to_b16": _farthest_from_one([over(setting, _CASE, "pimoe", batch) for batch in small]),
        "sieve_over_allexp_to_b16": _farthest_from_one([over(setting, _CASE, "allexp", batch) for batch in small]),
        "allexp_b256_over_b32": throughput[256] / throughput[32],
        "sieve_over_pimoe_b256": over(setting, _CASE, "pimoe", 256),
        "sieve_over_best_most": max(over_best(setting, _CASE, batch) for batch in fitting(setting, _CASE)),
    }
    return {name: found(setting, _CASE, value) for name, value in ours.items()}


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return both readings of PIMoE."""
    return {"sieve_over_pimoe_b256": both_readings(setting, _CASE)}


TARGET = Target(id="R5", parameters=SYSTEM, readings=STEP_READINGS, evaluate=evaluate, beside=beside)
