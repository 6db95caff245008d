"""Metrics: from simulated steps to tables with a unit in each column."""

from __future__ import annotations

from moeram.metrics.attention import attention_activity, attention_table
from moeram.metrics.energy import COMPONENTS, Activity, energy_pj, peak_dram_power_w, peak_mac_power_w
from moeram.metrics.hit_rate import hit_rate
from moeram.metrics.refresh import Reads, refresh_table
from moeram.metrics.statistics import mean_ci95, ratio_ci95
from moeram.metrics.steps import CheckedTimes, Steps, check, join
from moeram.metrics.table import Table
from moeram.metrics.tables import GAINS, TableInput, make_tables

__all__ = [
    "COMPONENTS",
    "GAINS",
    "Activity",
    "CheckedTimes",
    "Reads",
    "Steps",
    "Table",
    "TableInput",
    "attention_activity",
    "attention_table",
    "check",
    "energy_pj",
    "hit_rate",
    "join",
    "make_tables",
    "mean_ci95",
    "peak_dram_power_w",
    "peak_mac_power_w",
    "ratio_ci95",
    "refresh_table",
]
