"""The tables of a record, made from the steps of each placement and batch size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.hardware import System
from moeram.metrics.energy import COMPONENTS, Activity, energy_pj, link_bytes_per_layer
from moeram.metrics.power import power_table, tier_power_table
from moeram.metrics.statistics import mean_ci95, ratio_ci95
from moeram.metrics.steps import Steps
from moeram.metrics.table import Table
from moeram.model import MoEModel

# Gain -> (slower placement, faster placement); total is the product of the three parts.
GAINS = {
    "occupancy": ("no_tiering", "random_rows"),
    "popularity": ("random_rows", "static_hot"),
    "topic": ("static_hot", "topic_aware"),
    "total": ("no_tiering", "topic_aware"),
}
# Stands in the table where its placements were run.
FURTHER = {"inversion": ("topic_aware", "cold_first"), "ceiling": ("static_hot", "oracle_topic")}
# Gains that have a closed form of max(row cycle, multiplications) beside them.
ROOFLINES = ("total", "inversion")


@dataclass(frozen=True, kw_only=True)
class TableInput:
    """All that the tables are made from.

    layers: model layer ids in the order of the steps' arrays. measured_layers: those whose routing is measured.
    fidelity: of the times. routing_fidelity: of the draws. draws_per_topic: these follow each other. paper_gain: a published total gain to stand beside, or None.
    """

    steps: Sequence[Steps]
    model: MoEModel
    system: System
    layers: tuple[int, ...]
    measured_layers: tuple[int, ...]
    fidelity: str
    routing_fidelity: str
    draws_per_topic: int
    paper_gain: float | None


def make_tables(given: TableInput) -> dict[str, Table]:
    """Return all tables by name."""
    makers: tuple[Callable[[TableInput], Table], ...] = (points, decomposition, layers, tiers, energy, resources)
    made = [maker(given) for maker in makers]
    made += [
        power_table(given.steps, lambda steps: activity(steps, given), given.system),
        tier_power_table(given.system, given.model),
    ]
    return {table.name: table for table in made}


def activity(steps: Steps, given: TableInput) -> Activity:
    """Return what all chips did in each draw and layer."""
    chips, model = given.system.chips, given.model
    link = link_bytes_per_layer(steps.batch, model.hidden_size, model.bytes_per_activation, chips)
    rows = (steps.rows_read + steps.rows_written).sum(axis=2)
    return Activity(
        time_ps=steps.time_ps.astype(float),
        row_bytes=rows * float(given.system.device.row_bytes * chips),
        macs=steps.weight_macs * float(chips),
        link_bytes=np.full(steps.time_ps.shape, float(link)),
    )


def closed_form_row_cycle_ns(steps: Steps, system: System, columns: NDArray[np.bool_] | slice = slice(None)) -> float:
    """Return the mean published row cycle over all rows read, ns: the time per row if only row cycles took time."""
    row_cycle = np.asarray(system.closed_form.row_cycle_ns)
    if steps.slowest_tier_everywhere:
        return float(row_cycle.max())
    rows = steps.rows_per_bank[:, columns].sum(axis=(0, 1))
    return float(rows @ row_cycle / rows.sum())


def points(given: TableInput) -> Table:
    """One row per placement and batch: the step as a whole."""
    return Table.from_rows("points", [_point(steps, given) for steps in given.steps], POINT_COLUMNS)


POINT_COLUMNS = (
    "placement",
    "batch",
    "step_time_us",
    "step_time_ci95_us",
    "tokens_per_s",
    "hit_rate_held_out",
    "hit_rate_drawn",
    "hit_rate_with_shared",
    "weight_bytes",
    "bandwidth_utilisation",
    "energy_per_token_uj",
    "active_experts_per_layer",
    "mean_time_per_row_ns",
    "closed_form_gain",
    "draws",
    "fidelity",
    "routing_fidelity",
)


def _point(steps: Steps, given: TableInput) -> dict[str, Any]:
    system = given.system
    time_us, ci95_us = mean_ci95(steps.time_ps.sum(axis=1) * 1e-6, given.draws_per_topic)
    weight_bytes = float(steps.active_experts.sum(axis=1).mean()) * given.model.expert_bytes
    step_energy_pj = sum(float(part.sum(axis=1).mean()) for part in energy_pj(activity(steps, given), system).values())
    return {
        "placement": steps.placement,
        "batch": steps.batch,
        "step_time_us": time_us,
        "step_time_ci95_us": ci95_us,
        "tokens_per_s": steps.batch / (time_us * 1e-6),
        "hit_rate_held_out": steps.hit_rate_held_out,
        "hit_rate_drawn": steps.hit_rate_drawn,
        "hit_rate_with_shared": steps.hit_rate_with_shared,
        "weight_bytes": weight_bytes,
        "bandwidth_utilisation": weight_bytes / (time_us * 1e-6) / system.peak_bandwidth_bytes_per_s,
        "energy_per_token_uj": step_energy_pj * 1e-6 / steps.batch,
        "active_experts_per_layer": float(steps.active_experts.mean()),
        "mean_time_per_row_ns": float(steps.tier_time_ps.sum() / steps.rows_per_bank.sum()) * 1e-3,
        "closed_form_gain": max(system.closed_form.row_cycle_ns) / closed_form_row_cycle_ns(steps, system),
        "draws": len(steps.time_ps),
        "fidelity": given.fidelity,
        "routing_fidelity": given.routing_fidelity,
    }


def decomposition(given: TableInput) -> Table:
    """One row per batch: ratios of mean step times, over all layers and, where only some are measured, over those."""
    sets = {"all": np.ones(len(given.layers), dtype=bool)}
    measured = np.isin(given.layers, given.measured_layers)
    if measured.any() and not measured.all():
        sets["measured"] = measured
    batches = dict.fromkeys(steps.batch for steps in given.steps)
    rows = [_gains(batch, name, columns, given) for name, columns in sets.items() for batch in batches]
    parts = [column for name in _pairs(given) for column in (name, f"{name}_ci95")]
    parts += [f"roofline_{name}" for name in ROOFLINES if name in _pairs(given)]
    return Table.from_rows(
        "decomposition", rows, ("batch", "layers", *parts, "closed_form_total", "paper", "fidelity", "routing_fidelity")
    )


def _pairs(given: TableInput) -> dict[str, tuple[str, str]]:
    run = {steps.placement for steps in given.steps}
    return GAINS | {name: pair for name, pair in FURTHER.items() if run.issuperset(pair)}


def _gains(batch: int, name: str, columns: NDArray[np.bool_], given: TableInput) -> dict[str, Any]:
    by_placement = {steps.placement: steps for steps in given.steps if steps.batch == batch}
    row: dict[str, Any] = {
        "batch": batch,
        "layers": name,
        "fidelity": given.fidelity,
        "routing_fidelity": given.routing_fidelity,
    }
    for gain, pair in _pairs(given).items():
        times = [by_placement[part].time_ps[:, columns].sum(axis=1) for part in pair if part in by_placement]
        known = len(times) == 2
        row[gain], row[f"{gain}_ci95"] = ratio_ci95(*times, given.draws_per_topic) if known else (np.nan, np.nan)
        if gain in ROOFLINES:
            sums = [by_placement[part].roofline_ps[:, columns].sum() for part in pair if part in by_placement]
            row[f"roofline_{gain}"] = sums[0] / sums[1] if known else np.nan
    fastest = by_placement.get("topic_aware")
    slowest_ns = max(given.system.closed_form.row_cycle_ns)
    row["closed_form_total"] = (
        slowest_ns / closed_form_row_cycle_ns(fastest, given.system, columns) if fastest else float("nan")
    )
    row["paper"] = float("nan") if given.paper_gain is None else given.paper_gain
    return row


def layers(given: TableInput) -> Table:
    """One row per placement, batch and layer: means over draws."""
    device, chips = given.system.device, given.system.chips
    parts = []
    for steps in given.steps:
        for index, layer in enumerate(given.layers):
            measured = layer in given.measured_layers
            parts.append(
                {
                    "placement": steps.placement,
                    "batch": steps.batch,
                    "layer": layer,
                    "measured": measured,
                    "time_us": float(steps.time_ps[:, index].mean()) * 1e-6,
                    "active_experts": float(steps.active_experts[:, index].mean()),
                    "read_bytes": float(steps.rows_read[:, index].sum(axis=1).mean()) * device.row_bytes * chips,
                    "written_bytes": float(steps.rows_written[:, index].sum(axis=1).mean()) * device.row_bytes * chips,
                    "fidelity": given.fidelity,
                    "routing_fidelity": given.routing_fidelity,
                }
            )
    columns = ("placement", "batch", "layer", "measured", "time_us", "active_experts", "read_bytes", "written_bytes")
    return Table.from_rows("layers", parts, (*columns, "fidelity", "routing_fidelity"))


def tiers(given: TableInput) -> Table:
    """One row per placement, batch and tier (1 is the fastest): bytes of a step, time of the row cycles, share."""
    device, chips = given.system.device, given.system.chips
    parts = []
    for steps in given.steps:
        step_bytes = steps.rows_read.sum(axis=1).mean(axis=0) * float(device.row_bytes * chips)
        time_us = steps.tier_time_ps.sum(axis=1).mean(axis=0) * 1e-6
        if steps.slowest_tier_everywhere:  # all rows have the timing of the last tier, wherever they lie
            step_bytes, time_us = (np.eye(device.tiers)[-1] * values.sum() for values in (step_bytes, time_us))
        for tier in range(device.tiers):
            parts.append(
                {
                    "placement": steps.placement,
                    "batch": steps.batch,
                    "tier": tier + 1,
                    "read_bytes": float(step_bytes[tier]),
                    "time_us": float(time_us[tier]),
                    "share": float(step_bytes[tier] / step_bytes.sum()),
                    "fidelity": given.fidelity,
                }
            )
    return Table.from_rows("tiers", parts, ("placement", "batch", "tier", "read_bytes", "time_us", "share", "fidelity"))


def energy(given: TableInput) -> Table:
    """One row per placement, batch and component: energy of a step of all chips; `total` is the sum of the others.

    Analytic: energies of the counts and times that the engine found.
    """
    parts = []
    for steps in given.steps:
        components = {
            name: float(part.sum(axis=1).mean()) * 1e-6
            for name, part in energy_pj(activity(steps, given), given.system).items()
        }
        labels = {**COMPONENTS, "total": ("sum of the parts above", "")}
        for name, energy_uj in {**components, "total": sum(components.values())}.items():
            row = {"placement": steps.placement, "batch": steps.batch, "component": name, "energy_uj": energy_uj}
            parts.append(row | {"scope": labels[name][0], "source": labels[name][1], "fidelity": "analytic"})
    return Table.from_rows(
        "energy", parts, ("placement", "batch", "component", "energy_uj", "scope", "source", "fidelity")
    )


def resources(given: TableInput) -> Table:
    """One row per placement, batch and resource of a chip: mean busy time of a step and its share; they overlap."""
    parts = []
    for steps in given.steps:
        step_us = float(steps.time_ps.sum(axis=1).mean()) * 1e-6
        for name, busy in steps.busy_ps.items():
            busy_us = float(busy.sum(axis=1).mean()) * 1e-6
            row = {
                "placement": steps.placement,
                "batch": steps.batch,
                "resource": name,
                "busy_us": busy_us,
                "share": busy_us / step_us,
            }
            parts.append(row | {"fidelity": given.fidelity})
    return Table.from_rows("resources", parts, ("placement", "batch", "resource", "busy_us", "share", "fidelity"))
