"""Energy of near-memory steps, in parts with their scope and source. The total is the sum of the parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moeram.hardware import System

BITS_PER_BYTE = 8
# Component -> (scope, source).
COMPONENTS: dict[str, tuple[str, str]] = {
    "dram_to_logic": ("rows read and written, DRAM array to logic die, all chips", "stratum.md 1.5 (0.429 pJ/bit), U5"),
    "mac": ("multiply-accumulates of all tensor cores, all chips", "stratum.md 2.3 (0.604 pJ)"),
    "logic_other": (
        "rest of the logic die, drawn during the whole near-memory call, all chips",
        "stratum.md 2.3, derived; assumption: constant power",
    ),
    "link": ("activations in and partial results out between processor and all chips", "U6 (2 to 3 pJ/bit)"),
}


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What the chips did: a value per layer, step or draw, summed over all chips except for the time.

    time_ps, row_bytes (read and written), macs, link_bytes.
    """

    time_ps: NDArray[np.float64]
    row_bytes: NDArray[np.float64]
    macs: NDArray[np.float64]
    link_bytes: NDArray[np.float64]


def energy_pj(activity: Activity, system: System) -> dict[str, NDArray[np.float64]]:
    """Return the energy of each component in pJ, shaped as the activity. 1 W x 1 ps = 1 pJ."""
    terms = system.energy
    return {
        "dram_to_logic": activity.row_bytes * (BITS_PER_BYTE * terms.dram_to_logic_pj_per_bit),
        "mac": activity.macs * terms.mac_pj,
        "logic_other": activity.time_ps * (terms.logic_other_w * system.chips),
        "link": activity.link_bytes * (BITS_PER_BYTE * terms.link_pj_per_bit),
    }


def link_bytes_per_layer(batch: int, hidden_size: int, bytes_per_activation: int, chips: int) -> int:
    """Bytes over the links for one layer: each chip gets all activations, returns partial results as large (U14)."""
    return 2 * batch * hidden_size * bytes_per_activation * chips


def peak_dram_power_w(system: System, row_cycle_ns: float) -> float:
    """Power of one chip whose banks all read whole rows at this row cycle (stratum.md 1.4: 104.1 W at tier 1)."""
    bits = system.row_set_bytes / system.chips * BITS_PER_BYTE
    return bits * system.energy.dram_to_logic_pj_per_bit / (row_cycle_ns * 1e3)


def peak_mac_power_w(system: System, bytes_per_weight: int) -> float:
    """Power of one chip whose tensor cores all multiply in every cycle (stratum.md 2.3: 39.6 W)."""
    banks = system.banks / system.chips
    macs_per_cycle = banks * system.unit.mac_block_bytes / bytes_per_weight
    return macs_per_cycle * system.energy.mac_pj / system.unit.unit_clock_ps
