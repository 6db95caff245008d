"""Sparse utilisation of a serving run from its steps, by port and by who computes (moe_cap.md 2.2 to 2.4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from moeram.errors import EngineError
from moeram.metrics.table import Table
from moeram.serving import COUNTED, ServingRecord

_ROUNDING = 1e-9


def s_mbu_table(record: ServingRecord) -> Table:
    """Return sparse bandwidth utilisation of every port.

    Columns: port; peak_gb_per_s; s_mbu, equation 6 (sum of counted bytes over sum of times); s_mbu_mean, mean of the steps' ratios;
    mbu_moved, all bytes that moved; counted_bytes, moved_bytes. Ports see only what passes through them.

    Raises:
        EngineError: a step moves more than its port can, or a port has no peak.
    """
    time_ps = record.steps["time_ps"].astype(float)
    rows = []
    for port, peak in record.peaks.bytes_per_ps.items():
        moved = _sum(record.step_moved_bytes, port, None, len(time_ps))
        counted = _sum(record.step_moved_bytes, port, COUNTED, len(time_ps))
        _check(f"port {port}", moved / time_ps / peak)
        rows.append(
            {
                "port": port,
                "peak_gb_per_s": peak * 1e3,
                "s_mbu": counted.sum() / time_ps.sum() / peak,
                "s_mbu_mean": float(np.mean(counted / time_ps / peak)),
                "mbu_moved": moved.sum() / time_ps.sum() / peak,
                "counted_bytes": int(counted.sum()),
                "moved_bytes": int(moved.sum()),
            }
        )
    unknown = {name.partition("/")[0] for name in record.step_moved_bytes} - record.peaks.bytes_per_ps.keys()
    if unknown:
        raise EngineError(f"bytes moved through {min(unknown)!r}, a port without a peak")
    return Table.from_rows("s_mbu", rows, list(rows[0]))


def s_mfu_table(record: ServingRecord) -> Table:
    """Return sparse FLOPS utilisation of everything that computes: operations of the run over its steps' time and the dense peak.

    Raises:
        EngineError: a step does more operations than its part can.
    """
    time_ps = record.steps["time_ps"].astype(float)
    rows = []
    for part, peak in record.peaks.operations_per_ps.items():
        done = record.step_operations.get(part, np.zeros(len(time_ps), dtype=np.int64)).astype(float)
        _check(part, done / time_ps / peak)
        share = done.sum() / time_ps.sum() / peak
        rows.append({"part": part, "peak_tflops": peak, "s_mfu": share, "operations": float(done.sum())})
    return Table.from_rows("s_mfu", rows, list(rows[0]))


def _sum(
    moved: Mapping[str, NDArray[np.int64]], port: str, what: tuple[str, ...] | None, steps: int
) -> NDArray[np.float64]:
    total = np.zeros(steps)
    for name, column in moved.items():
        of_port, _, kind = name.partition("/")
        if of_port == port and (what is None or kind in what):
            total += column
    return total


def _check(what: str, shares: NDArray[np.float64]) -> None:
    if (shares > 1 + _ROUNDING).any():
        step = int(np.argmax(shares))
        raise EngineError(f"step {step}: {what} is used {shares[step]:.4f} times its peak; a price is missing work")
