"""Refresh of tiered rows and what reads of weights save of it: closed forms on the simulated step times (fidelity analytic).

Every row that holds data is opened once in each retention time, all banks of a channel in lock step, for its tier's row cycle. A row that
an expert's own work opened within that time is as good as refreshed (stratum.md U2: the paper states neither retention nor refresh).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moeram.hardware import System
from moeram.hardware.lowering import rows_by_tier
from moeram.metrics.energy import BITS_PER_BYTE
from moeram.metrics.steps import Steps
from moeram.metrics.table import Table
from moeram.placement import RowBudget


@dataclass(frozen=True, kw_only=True)
class Reads:
    """Who reads which rows. probability: of this case. use: that a token chooses an expert [layers, experts]. first_row: [layers, experts + shared]."""

    probability: float
    use: NDArray[np.float64]
    first_row: NDArray[np.integer]


def refreshed_by_reads(use: NDArray[np.float64], *, batch: int, steps: float, shared: int) -> NDArray[np.float64]:
    """Return the probability that an expert is read at least once in so many steps: 1 - (1 - p) ** (batch x steps), [layers, experts + shared].

    Tokens are independent; shared experts are read in every step.
    """
    whole = np.floor(steps)
    routed = -np.expm1(batch * whole * np.log1p(-np.minimum(use, 1 - 1e-15)))
    return np.concatenate([routed, np.full((len(use), shared), float(whole >= 1))], axis=1)


def refresh_table(
    steps: Sequence[Steps], reads: Sequence[Sequence[Reads]], system: System, budget: RowBudget
) -> Table:
    """Return bank time and power of refresh for each placement and batch, with every row refreshed and with those left that no expert's work opened.

    Args:
        reads: for each of the steps, its cases.

    Times between steps are those of the experts alone unless `retention.step_us` gives a whole step's.
    """
    retention = system.retention
    assert retention.retention_ms is not None, "without a retention time nothing is refreshed"
    cycle_s = np.asarray(system.closed_form.row_cycle_ns) * 1e-9
    retention_s = retention.retention_ms * 1e-3
    others = _others_by_tier(system, budget)
    chip_row_bits = system.row_set_bytes / system.chips * BITS_PER_BYTE
    rows = []
    for one, cases in zip(steps, reads, strict=True):
        own_us = float(one.time_ps.sum(axis=1).mean()) * 1e-6
        step_us = own_us if retention.step_us is None else retention.step_us
        of_expert = [rows_by_tier(case.first_row, budget.rows_per_expert, system.device.tier_rows) for case in cases]
        kept = [
            refreshed_by_reads(case.use, batch=one.batch, steps=retention_s * 1e6 / step_us, shared=budget.shared_experts)
            for case in cases
        ]
        experts = sum(c.probability * n.sum(axis=(0, 1)) for c, n in zip(cases, of_expert, strict=True))
        saved = sum(c.probability * (n * k[..., None]).sum(axis=(0, 1)) for c, n, k in zip(cases, of_expert, kept, strict=True))
        cycles = np.full_like(cycle_s, cycle_s.max()) if one.slowest_tier_everywhere else cycle_s
        every, left = experts + others, experts + others - saved
        watt = chip_row_bits * retention.refresh_pj_per_bit * 1e-12 / retention_s
        shares = [float(count @ cycles) / retention_s for count in (every, left)]
        rows.append(
            {
                "placement": one.placement,
                "batch": one.batch,
                "retention_ms": retention.retention_ms,
                "step_us": step_us,
                "rows_with_data": float(every.sum()),
                "rows_read_share": float(saved.sum() / every.sum()),
                "expert_rows_read_share": float(saved.sum() / experts.sum()),
                "bank_time_share_all": shares[0],
                "bank_time_share_left": shares[1],
                "power_all_w": float(every.sum()) * watt,
                "power_left_w": float(left.sum()) * watt,
                "step_time_refreshed_us": own_us / (1 - shares[0]) if shares[0] < 1 else float("inf"),
                "fidelity": "analytic",
            }
        )
    return Table.from_rows("refresh", rows, _COLUMNS)


_COLUMNS = (
    "placement", "batch", "retention_ms", "step_us", "rows_with_data", "rows_read_share", "expert_rows_read_share",
    "bank_time_share_all", "bank_time_share_left", "power_all_w", "power_left_w", "step_time_refreshed_us", "fidelity",
)  # fmt: skip


def _others_by_tier(system: System, budget: RowBudget) -> NDArray[np.int64]:
    """Rows of caches and other weights in each tier; reads of experts do not open them."""
    edges = system.device.tier_rows
    parts = ((budget.kv_first_row, budget.kv_rows), (budget.non_nmp_first_row, budget.non_nmp_rows))
    return sum(rows_by_tier(np.array(first), count, edges) for first, count in parts)
