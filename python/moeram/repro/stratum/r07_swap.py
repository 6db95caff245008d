"""R7: time, share and energy of the swap of rows at a change of topic, batch 1, 256 tokens in and out."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from moeram.hardware import RowSwap, row_swap
from moeram.repro.stratum.machines import AFTER_RCD_NS, CASES, ROUTING, STRATUM, stratum
from moeram.repro.stratum.r08_period import LENGTH, period_ms
from moeram.repro.target import Found, Setting, Target

MODELS = ("olmoe", "mixtral", "llama4")
SWAP = ("write_recovery_cycles", "swap_row_cycle", "refresh_share")
_CLOCK_NS = 0.025
_ROW_STREAM_NS, _PRECHARGE_NS = 8.0, 4.77  # U3, stratum.md 1.2
_PAIRS = ((0, 1), (1, 2), (2, 0))


@lru_cache(maxsize=256)
def _swaps(setting: Setting, case: str) -> tuple[RowSwap, ...]:
    machine = stratum(CASES[case], setting, batch=1, tokens=2 * LENGTH)
    topics = len(machine.plans)
    pairs = {(old % topics, new % topics) for old, new in _PAIRS}
    return tuple(
        row_swap(
            machine.plans[old].first_row, machine.plans[new].first_row, machine.budget.rows_per_expert, machine.chips
        )
        for old, new in sorted(pairs)
        if old != new
    )


def swap_ms(setting: Setting, case: str) -> float:
    """Return the mean time of a swap: the engine's, or its closed form for another write recovery or all rows in tier 1 (U1, U22)."""
    swaps = _swaps(setting.only(*ROUTING, "phi"), case)
    nominal = setting["swap_row_cycle"] == "tier" and setting.only("write_recovery_cycles").changed == ()
    if nominal:
        time_ns = np.mean([swap.time_ps * 1e-3 for swap in swaps])
    else:
        time_ns = np.mean([_closed_form_ns(swap, setting) for swap in swaps])
    return float(time_ns * 1e-6 / (1 - setting["refresh_share"]))


def _closed_form_ns(swap: RowSwap, setting: Setting) -> float:
    read_ns = np.asarray(setting.config("hardware/stratum_s").closed_form.row_cycle_ns)
    if setting["swap_row_cycle"] == "tier_1":
        read_ns = np.full_like(read_ns, read_ns.min())
    recovery_ns = setting["write_recovery_cycles"] * _CLOCK_NS
    write_ns = np.maximum(read_ns, read_ns - AFTER_RCD_NS + _ROW_STREAM_NS + recovery_ns + _PRECHARGE_NS)
    return float(swap.rows_read @ read_ns + swap.rows_written @ write_ns)


def energy_mj(setting: Setting, case: str) -> float:
    """Return the mean energy of a swap, of one bank or of all (U22)."""
    one = setting["swap_energy"] == "one_bank"
    swaps = _swaps(setting.only(*ROUTING, "phi"), case)
    return float(np.mean([swap.energy_one_bank_pj if one else swap.energy_pj for swap in swaps]) * 1e-9)


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return time, share of the period and energy of every model."""
    found, shares = {}, []
    for case in MODELS:
        swap, period = swap_ms(setting, case), period_ms(setting, case)
        shares.append(swap / (period + swap))
        found[f"time_ms_{case}"] = Found(ours=swap, fidelity="cycle")
        found[f"share_{case}"] = Found(ours=shares[-1])
        found[f"energy_mj_{case}"] = Found(ours=energy_mj(setting, case), fidelity="cycle")
    return {**found, "share_below_one_percent": Found(ours=max(shares) < 0.01)}


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return how many experts move, and the energy of all banks."""
    every = setting.changed_to(swap_energy="all_banks")
    found: dict[str, dict[str, float | str]] = {}
    for case in MODELS:
        moved = float(np.mean([swap.moved_experts for swap in _swaps(setting.only(*ROUTING, "phi"), case)]))
        found[f"time_ms_{case}"] = {"experts moved": moved}
        found[f"energy_mj_{case}"] = {"all banks": energy_mj(every, case)}
    return found


TARGET = Target(
    id="R7", parameters=(*STRATUM, *SWAP, "swap_energy"), evaluate=evaluate, beside=beside,
    note="mean of three changes of topic; how many experts keep their rank is a property of the routing",
)  # fmt: skip
