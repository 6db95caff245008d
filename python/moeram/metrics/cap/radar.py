"""The CAP radar: performance, cost and accuracy of systems on one scale (moe_cap.md 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from moeram.errors import ConfigError
from moeram.metrics.table import Table

AXES = ("performance", "cost", "accuracy")
BASE, FULL = 20.0, 100.0


def radar_table(
    systems: Mapping[str, Mapping[str, float]] | Sequence[tuple[str, Mapping[str, float]]], *, cost_tick_usd: float
) -> Table:
    """Return radii from 20 (worst) to 100 (best), and whether a cost lies beyond its axis, where its radius stays 20.

    Args:
        systems: name -> latency_ms, cost_usd, accuracy (0 to 1). cost_tick_usd: the cost that reaches the centre, second-largest tick of
            the paper's axis.

    Raises:
        ConfigError: fewer than two systems, a missing figure, values out of range, or systems that an axis cannot tell apart.
    """
    rows = dict(systems)
    if len(rows) < 2:
        raise ConfigError("a radar compares at least two systems")
    columns = {}
    for name in ("latency_ms", "cost_usd", "accuracy"):
        missing = [system for system, values in rows.items() if name not in values]
        if missing:
            raise ConfigError(f"{missing[0]}: no {name}")
        columns[name] = np.array([float(values[name]) for values in rows.values()])
    latency, cost, accuracy = columns.values()
    if (latency <= 0).any() or (cost < 0).any() or cost_tick_usd <= 0 or (accuracy < 0).any() or (accuracy > 1).any():
        raise ConfigError("a radar needs latencies above 0, costs of at least 0 and accuracies from 0 to 1")
    if latency.max() == latency.min() or accuracy.min() == 1:
        raise ConfigError("all systems have the same latency or full accuracy; their radii are not defined")
    span = FULL - BASE
    radii = {
        "performance": BASE + (latency.max() - latency) / (latency.max() - latency.min()) * span,
        "cost": BASE + (cost_tick_usd - np.minimum(cost, cost_tick_usd)) / cost_tick_usd * span,
        "accuracy": BASE + (accuracy - accuracy.min()) / (1 - accuracy.min()) * span,
    }
    return Table("radar", {"system": list(rows), **radii, "cost_beyond_axis": cost > cost_tick_usd})
