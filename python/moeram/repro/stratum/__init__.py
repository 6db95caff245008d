"""The targets of the Stratum paper, one file each."""

from __future__ import annotations

from moeram.repro.stratum import (
    r01_row_cycles,
    r02_peak_power,
    r03_knee,
    r04_tiering,
    r05_hit_rate_sweep,
    r06_hit_rates,
    r07_swap,
    r08_period,
    r09_throughput,
    r10_energy,
    r11_batches,
    r12_folded,
    r13_area,
    r14_ring,
    r15_duplex,
)
from moeram.repro.stratum.machines import CASES
from moeram.repro.target import Target

TARGETS: tuple[Target, ...] = tuple(
    module.TARGET
    for module in (
        r01_row_cycles, r02_peak_power, r03_knee, r04_tiering, r05_hit_rate_sweep, r06_hit_rates, r07_swap, r08_period, r09_throughput,
        r10_energy, r11_batches, r12_folded, r13_area, r14_ring, r15_duplex,
    )
)  # fmt: skip
# Models whose recorded routing some target reads.
ROUTED = tuple(case.model for case in CASES.values())
