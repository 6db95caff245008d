"""R2: peak power of a stack: rows of tier 1 at full rate, tensor cores without pause."""

from __future__ import annotations

from moeram.repro.stratum.machines import CASES, chips_of
from moeram.repro.stratum.r01_row_cycles import row_cycle_ps
from moeram.repro.stratum.r03_knee import one_expert
from moeram.repro.target import Found, Setting, Target, not_testable

_TOKENS = 16


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return the power of DRAM and stack of one chip; that of the logic is an input."""
    chips = chips_of(CASES["olmoe"], setting)
    energy, device = chips.energy, chips.device
    row_bits = device.channels * device.banks_per_channel * device.row_bytes * 8
    dram_w = row_bits / row_cycle_ps(chips, 0) * energy.dram_to_logic_pj_per_bit
    times = one_expert("olmoe", setting, tier=0, tokens=_TOKENS)
    mac_w = times.weight_macs[0] / times.busy_ps["tensor"][0] * energy.mac_pj
    bound_w = row_bits / (min(chips.closed_form.row_cycle_ns) * 1e3) * energy.dram_to_logic_pj_per_bit
    return {
        "dram_w": Found(ours=dram_w, fidelity="cycle", bound=bound_w),
        "logic_w": not_testable("the 3.09 W outside the MACs are the published peak less the MACs (M2): an input"),
        "stack_w": Found(ours=dram_w + float(mac_w) + energy.logic_other_w, fidelity="cycle"),
    }


TARGET = Target(
    id="R2", parameters=(), evaluate=evaluate,
    note="the stack's published peak is 2.2 W less than the sum of the published DRAM power at tier 1 and the published logic power",
)  # fmt: skip
