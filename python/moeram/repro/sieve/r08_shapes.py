"""R8: shapes of the curves of throughput over the batch."""

from __future__ import annotations

from functools import partial

from moeram.repro.sieve.machines import CASES, METHODS, STEP_READINGS, SYSTEM, found, time_ps
from moeram.repro.target import Found, Setting, Target, where_available

_LARGE = (64, 256)


def _growth(setting: Setting, case: str, method: str) -> float:
    """Return throughput at batch 256 over that at 64."""
    small, large = (batch / time_ps(setting, case, method, batch) for batch in _LARGE)
    return large / small


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return whether NoExp grows least from batch 64 to 256 among methods that use the GPU, for every model; and the ranking at 256."""

    def saturates(case: str) -> bool:
        return _growth(setting, case, "noexp") < min(_growth(setting, case, method) for method in ("sieve", "pimoe"))

    def ranked(case: str) -> Found:
        return found(setting, case, _ranked(setting, case))

    return {
        "noexp_saturates_first": where_available(lambda: Found(ours=all(map(saturates, CASES)))),
        **{f"sieve_over_pimoe_over_others_{case}": where_available(partial(ranked, case)) for case in CASES},
    }


def _ranked(setting: Setting, case: str) -> bool:
    times = {method: time_ps(setting, case, method, _LARGE[1]) for method in METHODS}
    return times["sieve"] < times["pimoe"] < min(times["allexp"], times["noexp"])


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return the time of a step at batch 256 under each method, in ms."""
    return {
        f"sieve_over_pimoe_over_others_{case}": {
            f"{method} ms": time_ps(setting, case, method, _LARGE[1]) * 1e-9 for method in METHODS
        }
        for case in CASES
    }


TARGET = Target(id="R8", parameters=SYSTEM, readings=STEP_READINGS, evaluate=evaluate, beside=beside)
