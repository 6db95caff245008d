"""Power of near-memory steps, what a power cap makes of them, and the steady temperature rise: closed forms of energies and times."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from moeram.hardware import System
from moeram.metrics.energy import BITS_PER_BYTE, Activity, energy_pj
from moeram.metrics.steps import Steps
from moeram.metrics.table import Table
from moeram.model import MoEModel

_TOKENS = (1, 2, 4, 8, 16)
# What the stack itself draws; the host link's energy is spent in the interposer and its ends.
STACK = ("dram_to_logic", "mac", "logic_other")


def steady_rise_k(system: System, stack_w: NDArray[np.float64] | float) -> NDArray[np.float64] | float:
    """Return the steady temperature of a stack over its coolant's: power x (convection + sink + what lies between sink and dies).

    A wall of thickness t, conductivity k and area A resists with t / (k A).
    """
    terms = system.thermal
    sink = terms.sink_thickness_mm * 1e-3 / (terms.sink_w_per_m_k * terms.area_mm2 * 1e-6)
    return stack_w * (terms.convection_k_per_w + sink + terms.stack_k_per_w)


def tier_power_table(system: System, model: MoEModel) -> Table:
    """Return, for each tier and tokens of an expert, what one chip draws while its banks read whole rows and multiply them.

    A row takes max(row cycle, multiplications of all tokens), and under a cap at least (its energy) / (cap - rest of the logic).
    Long form: one row per tier, tokens and quantity.
    """
    terms, device, unit = system.energy, system.device, system.unit
    banks = device.channels * device.banks_per_channel
    row_bits = banks * device.row_bytes * BITS_PER_BYTE
    dram_pj = row_bits * terms.dram_to_logic_pj_per_bit
    mac_pj = row_bits / model.precision.experts.bits * terms.mac_pj
    mac_ps = device.row_bytes / unit.mac_block_bytes * unit.unit_clock_ps
    cap_w = np.inf if system.thermal.power_cap_w is None else system.thermal.power_cap_w
    rows = []
    for tier, cycle_ns in enumerate(system.closed_form.row_cycle_ns, start=1):
        for tokens in _TOKENS:
            free_ps = max(cycle_ns * 1e3, mac_ps * tokens)
            energy = dram_pj + tokens * mac_pj
            time_ps = max(free_ps, energy / max(cap_w - terms.logic_other_w, 1e-9))
            stack_w = energy / time_ps + terms.logic_other_w
            found = {
                "stack power (W)": stack_w,
                "rise over coolant (K)": float(steady_rise_k(system, stack_w)),
                "time of a row (ns)": time_ps * 1e-3,
            }
            common = {"tier": tier, "tokens": tokens, "uncapped_time_per_row_ns": free_ps * 1e-3, "fidelity": "analytic"}
            rows += [{**common, "quantity": name, "value": value} for name, value in found.items()]
    columns = ("tier", "tokens", "quantity", "value", "uncapped_time_per_row_ns", "fidelity")
    return Table.from_rows("tier_power", rows, columns)


def power_table(steps: Sequence[Steps], activity: Callable[[Steps], Activity], system: System) -> Table:
    """Return the mean power of a chip in the steps of each placement and batch, that of its hottest layer, and steps under the cap.

    Under a cap a layer takes at least its energy over the cap.
    """
    cap_w = np.inf if system.thermal.power_cap_w is None else system.thermal.power_cap_w * system.chips
    rows = []
    for one in steps:
        done = activity(one)
        parts = energy_pj(done, system)
        stack_pj = sum(parts[name] for name in STACK)
        time_ps, watt = done.time_ps.sum(), {name: float(parts[name].sum()) for name in STACK}
        capped = np.maximum(done.time_ps, stack_pj / cap_w).sum(axis=1).mean() * 1e-6
        mean_w = float(stack_pj.sum()) / time_ps / system.chips
        rows.append(
            {
                "placement": one.placement,
                "batch": one.batch,
                **{f"{name}_w": energy / time_ps / system.chips for name, energy in watt.items()},
                "stack_w": mean_w,
                "hottest_layer_w": float((stack_pj / done.time_ps).max()) / system.chips,
                "rise_k": float(steady_rise_k(system, mean_w)),
                "step_time_us": float(done.time_ps.sum(axis=1).mean()) * 1e-6,
                "capped_step_time_us": float(capped),
                "fidelity": "analytic",
            }
        )
    return Table.from_rows("power", rows, tuple(rows[0]) if rows else ())
