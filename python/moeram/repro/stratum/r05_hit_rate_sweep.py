"""R5: throughput with the experts that are used in the fast rows over throughput with them anywhere, Mixtral on L."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from moeram.placement import Plan, RowBudget
from moeram.placement.stratum import place_ranked, rank_experts
from moeram.repro.routing import drawn_counts
from moeram.repro.stratum.decode import lengths_of, priced_step
from moeram.repro.stratum.machines import CASES, STRATUM, source_of, stratum
from moeram.repro.target import Found, Setting, Target

_CASE = "mixtral"
_KNOWN = (0.0, 0.25, 0.5, 0.75, 1.0)
_SHUFFLE = 0x68697473


@lru_cache(maxsize=1024)
def _times(setting: Setting, batch: int, length: int, known: float) -> tuple[float, float]:
    """Return step time and time of the experts when a share of the experts is ranked right and the rest by chance."""
    source, seed = source_of(CASES[_CASE], setting), setting["routing_seed"]

    def place(budget: RowBudget, topic: int) -> Plan:
        """Algorithm 1 with a usage that shows the batch's own tokens for a share of the experts, chance for the others."""
        counts = drawn_counts(source, topic, batch, seed)
        rng = np.random.default_rng([_SHUFFLE, topic])
        shown = rng.random(counts.shape) < known
        usage = np.where(shown, counts, 0) + rng.random(counts.shape) / 2
        return place_ranked("known", rank_experts(usage, budget.shared_experts), budget)

    machine = stratum(CASES[_CASE], setting, batch=batch, tokens=2 * length, place=place)
    steps = [priced_step(machine, setting, batch, length + length // 2, topic).time_ps for topic in machine.pricers]
    return float(np.mean(steps)), float(np.mean([machine.experts_ps(batch, topic) for topic in machine.pricers]))


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return least and greatest gain over the lengths, and both trends."""
    batch, lengths = setting["batch"], lengths_of(setting, _CASE)
    one = setting.only(*STRATUM, "engine")
    gains = [_times(one, batch, length, 0.0)[0] / _times(one, batch, length, 1.0)[0] for length in lengths]
    experts = [_times(one, batch, lengths[1], known)[1] for known in _KNOWN]
    return {
        "gain_least": Found(ours=min(gains)),
        "gain_most": Found(ours=max(gains)),
        "larger_at_short_lengths": Found(ours=gains[0] > gains[-1]),
        "expert_time_falls_with_hit_rate": Found(ours=bool((np.diff(experts) < 0).all()), fidelity="cycle-memo"),
    }


TARGET = Target(
    id="R5", parameters=(*STRATUM, "batch"), readings=("engine",), evaluate=evaluate,
    note="routing is the same throughout; accurate: Algorithm 1 ranks by the batch's own tokens, uniform: by chance",
)  # fmt: skip
