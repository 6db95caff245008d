"""R3: from how many tokens of an expert on the tensor cores, not the rows, set the pace."""

from __future__ import annotations

import numpy as np

from moeram.hardware import cycle
from moeram.hardware.cycle import StepTimes
from moeram.hardware.lowering import lower_counts
from moeram.placement import row_budget
from moeram.repro.routing import model_of
from moeram.repro.stratum.machines import CASES, CHIPS, chips_of, cycle_options
from moeram.repro.target import Found, Setting, Target

_FEW, _MANY = (1, 2), (14, 16)


def one_expert(case: str, setting: Setting, *, tier: int, tokens: int) -> StepTimes:
    """Simulate a layer with one expert in a tier (from 0)."""
    one, chips = CASES[case], chips_of(CASES[case], setting)
    model = model_of(one.model)
    budget = row_budget(model, chips, phi="compact", kv_requests=1, context_tokens=1, batch=tokens)
    first = tier * (chips.device.rows // chips.device.tiers)
    work = lower_counts(np.array([[first]]), np.array([[tokens]]), batch=tokens)
    return cycle.run(work, chips, cycle_options(model, budget))


def _knee_tokens(setting: Setting, tier: int) -> float:
    """Where the line through few tokens meets the line through many."""
    few, many = (
        [float(one_expert("mixtral", setting, tier=tier, tokens=tokens).time_ps[0]) for tokens in sizes]
        for sizes in (_FEW, _MANY)
    )
    flat, steep = few[1] - few[0], (many[1] - many[0]) / (_MANY[1] - _MANY[0])
    return _FEW[0] + (few[0] - (many[0] - steep * (_MANY[0] - _FEW[0]))) / (steep - flat)


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return the knees of the fastest and the slowest tier, of one expert of Mixtral on L."""
    chips = chips_of(CASES["mixtral"], setting)
    row_ns = chips.device.row_bytes / chips.unit.mac_block_bytes * chips.unit.unit_clock_ps * 1e-3
    tiers = chips.device.tiers
    return {
        f"knee_tier_{tier + 1}_tokens": Found(
            ours=_knee_tokens(setting, tier), fidelity="cycle", bound=chips.closed_form.row_cycle_ns[tier] / row_ns
        )
        for tier in (0, tiers - 1)
    }


TARGET = Target(
    id="R3", parameters=CHIPS, evaluate=evaluate,
    note="two lines through simulated times of one expert, with few and with many tokens; reducer, special functions and links included",
)  # fmt: skip
