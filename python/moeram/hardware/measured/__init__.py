"""Measured kernel times, imported from tables, interpolated by one stated rule.

Layouts (CSV or Parquet, one row per point, time in the column `latency`, milliseconds): those of aiconfigurator's
collected tables, told apart by `op_name`; see OPERATIONS for the columns. The rule: all columns of the shape must match
exactly; along the axes (tokens, m, message size; for attention first the context, then the batch) the time is linear in
log-log between the nearest measured points, which keeps powers of the size exact. Of several kernels measured for one
point the fastest counts, as a tuned server would choose it. Outside the measured range nothing is guessed unless the
caller asks for it; then the time is continued in proportion to the size above the range and held constant below it.
"""

from __future__ import annotations

from moeram.hardware.measured.reader import read_tables
from moeram.hardware.measured.tables import OPERATIONS, Lookup, MeasuredTables

__all__ = ["OPERATIONS", "Lookup", "MeasuredTables", "read_tables"]
