"""Decode attention near memory as a table: time, bandwidth, rows and the energy of each component."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moeram.hardware import AttentionTimes, AttentionWork, KernelMemo, System, lower_attention, run_attention
from moeram.metrics.energy import Activity, energy_pj
from moeram.metrics.table import Table
from moeram.model import MoEModel


def attention_activity(times: AttentionTimes, system: System) -> Activity:
    """Return what all chips did in each layer [L]."""
    rows = (times.rows_read + times.rows_written).sum(axis=1)
    return Activity(
        time_ps=times.time_ps.astype(float),
        row_bytes=rows * float(system.device.row_bytes),
        macs=times.macs.astype(float),
        link_bytes=times.link_bytes.astype(float),
    )


def attention_table(
    model: MoEModel,
    system: System,
    requests: Sequence[Sequence[int]],
    *,
    first_row: int,
    rows: int,
    result_row: int,
    memo: KernelMemo | None = None,
    threads: int | None = None,
) -> Table:
    """Return a row for each batch: attention of one step in all layers.

    Args:
        requests: of each batch, the tokens of its requests. first_row, rows: of the caches in every bank. result_row: of the outputs.

    Raises:
        CapacityError: a batch's caches or scores do not fit.
    """
    lines = []
    for tokens in requests:
        work = lower_attention(model, tokens, system, first_row=first_row, rows=rows)
        times = run_attention(work, system, result_row=result_row, memo=memo, threads=threads)
        lines.append(_line(tokens, work, times, system))
    return Table.from_rows("attention", lines, tuple(lines[0]) if lines else ())


def _line(tokens: Sequence[int], work: AttentionWork, times: AttentionTimes, system: System) -> dict[str, Any]:
    time_ps = float(times.time_ps.sum())
    parts = energy_pj(attention_activity(times, system), system)
    return {
        "requests": len(tokens),
        "longest_tokens": max(tokens),
        "units_per_group": work.units_per_group,
        "time_us": time_ps * 1e-6,
        "bandwidth_utilisation": work.cache_bytes / (time_ps * 1e-12) / system.peak_bandwidth_bytes_per_s,
        "rows_read": int(times.rows_read.sum()),
        "rows_written": int(times.rows_written.sum()),
        **{f"{name}_busy_us": float(busy.sum()) * 1e-6 for name, busy in times.busy_ps.items()},
        **{f"{name}_uj": float(part.sum()) * 1e-6 for name, part in parts.items()},
        "fidelity": "cycle-memo",
    }
