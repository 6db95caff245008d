"""R9: how evenly the memory's stacks are used, GPT-OSS on four GPUs."""

from __future__ import annotations

from functools import lru_cache

from moeram.repro.sieve.machines import CASES, SYSTEM, pricer, schedule, step_of
from moeram.repro.target import Found, Setting, Target, not_testable
from moeram.schedule.pimoe import unit_times

_CASE, _BATCHES = "gptoss", (32, 64, 256)
_UNEVEN = 1.25


@lru_cache(maxsize=256)
def imbalance(setting: Setting, batch: int) -> float:
    """Return the busiest stack's time over the mean stack's under PIMoE with one stack per expert, attention included, mean over decisions."""
    one = setting.changed_to(pimoe_layout="expert")
    case, policy = CASES[_CASE], schedule("pimoe", one)
    pricer(case, one, policy, expert_layout=True).price(step_of(case, one, batch))
    assert policy.seen is not None
    observation, plan = policy.seen
    assert observation.unit_of_expert is not None
    used = observation.activated & plan.on_memory
    times = unit_times(observation, used, observation.unit_of_expert, observation.memory_units)
    times = times + observation.attention_ps[:, None]
    busy = times[times.mean(axis=1) > 0]
    return float((busy.max(axis=1) / busy.mean(axis=1)).mean())


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return whether PIMoE's channels are uneven at every batch; Sieve's are even by its map."""
    return {
        "sieve_uniform": not_testable(
            "Sieve cuts every expert evenly over all channels: even by construction of its map (X8)"
        ),
        "pimoe_uneven": Found(ours=all(imbalance(setting, batch) >= _UNEVEN for batch in _BATCHES)),
    }


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return the imbalance by batch."""
    return {"pimoe_uneven": {f"busiest over mean, batch {batch}": imbalance(setting, batch) for batch in _BATCHES}}


TARGET = Target(
    id="R9", parameters=SYSTEM, readings=("measured",), evaluate=evaluate, beside=beside,
    note="uneven: the busiest stack works at least 1.25 times as long as the mean, at every batch",
)  # fmt: skip
