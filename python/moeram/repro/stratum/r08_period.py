"""R8: how long a request of 256 tokens in and out takes at batch 1: its prompt, then 256 steps."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from moeram.repro.routing import prompt_step
from moeram.repro.stratum.decode import of_stratum
from moeram.repro.stratum.machines import CASES, STRATUM, stratum
from moeram.repro.target import Found, Setting, Target

LENGTH = 256
MODELS = ("olmoe", "mixtral", "llama4")


@lru_cache(maxsize=1024)
def _prompt_ps(setting: Setting, case: str) -> tuple[float, float]:
    """Return time and bound of a prompt on the processors, mean over topics."""
    machine = stratum(CASES[case], setting, batch=1, tokens=2 * LENGTH)
    priced = [pricer.price(prompt_step(1, LENGTH, topic)) for topic, pricer in machine.pricers.items()]
    return float(np.mean([step.time_ps for step in priced])), float(np.mean([step.bound_ps for step in priced]))


def period_ms(setting: Setting, case: str) -> float:
    """Return prompt and answer of one request, without the swap of rows."""
    prompt_ps, _ = _prompt_ps(setting.only(*STRATUM, "engine"), case)
    return (prompt_ps + LENGTH * of_stratum(setting, case, 1, LENGTH).time_ps) * 1e-9


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return the period of every model."""
    found = {}
    for case in MODELS:
        step = of_stratum(setting, case, 1, LENGTH)
        bound = (_prompt_ps(setting.only(*STRATUM, "engine"), case)[1] + LENGTH * step.bound_ps) * 1e-9
        found[f"period_ms_{case}"] = Found(ours=period_ms(setting, case), bound=bound, fidelity=step.fidelity)
    return found


TARGET = Target(
    id="R8",
    parameters=STRATUM,
    readings=("engine",),
    evaluate=evaluate,
    note="the published period is the inverse of the published rate of swaps",
)
