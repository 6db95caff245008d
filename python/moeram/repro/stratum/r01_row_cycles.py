"""R1: row cycles and bandwidth of the tiers, measured on the engine's rows."""

from __future__ import annotations

import numpy as np

from moeram.hardware import System
from moeram.hardware.row_swap import run_rows
from moeram.repro.stratum.machines import CASES, chips_of
from moeram.repro.target import Found, Setting, Target

_ROWS = 64


def row_cycle_ps(chips: System, tier: int) -> float:
    """Return the time between two rows of a tier (from 0) that are read one after the other."""
    first = tier * (chips.device.rows // chips.device.tiers)
    times = [
        run_rows(np.arange(first, first + rows, dtype=np.int32), np.zeros(rows, dtype=bool), chips)["time_ps"]
        for rows in (_ROWS, 2 * _ROWS)
    ]
    return (times[1] - times[0]) / _ROWS


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return row cycles, bandwidths of a chip and their ratio; refresh takes its share of the bandwidth."""
    chips = chips_of(CASES["olmoe"], setting)
    published = chips.closed_form.row_cycle_ns
    cycles = {tier: row_cycle_ps(chips, tier) * 1e-3 for tier in (0, chips.device.tiers - 1)}
    chip_bytes = chips.row_set_bytes / chips.chips
    awake = 1 - setting["refresh_share"]
    found = {
        "row_cycle_ratio": Found(
            ours=max(cycles.values()) / min(cycles.values()), fidelity="cycle", bound=max(published) / min(published)
        )
    }
    for tier, cycle_ns in cycles.items():
        name = f"tier_{tier + 1}"
        found[f"row_cycle_{name}_ns"] = Found(ours=cycle_ns, fidelity="cycle", bound=published[tier])
        found[f"bandwidth_{name}_tb_per_s"] = Found(
            ours=awake * chip_bytes / cycle_ns * 1e-3, fidelity="cycle", bound=chip_bytes / published[tier] * 1e-3
        )
    return found


TARGET = Target(
    id="R1", parameters=("refresh_share",), evaluate=evaluate,
    note="rows one after the other in all banks; the bound is the published row cycle; the 25 ps clock rounds up",
)  # fmt: skip
