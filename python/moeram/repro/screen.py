"""From a reproduction's settings to what each assumption does to each published value."""

from __future__ import annotations

from typing import Any

from moeram.metrics import Table
from moeram.repro.assumptions import load_assumptions
from moeram.repro.evaluation import targets_of
from moeram.repro.readings import READINGS
from moeram.repro.result import Reproduction, Row
from moeram.repro.screening import Effect, elementary_effects

COLUMNS = (
    "target",
    "value",
    "assumption",
    "parameter",
    "nominal",
    "least_alone",
    "most_alone",
    "mu_star",
    "mu",
    "sigma",
    "effects",
)


def screening_table(result: Reproduction) -> Table:
    """Return one row for each value and parameter that it depends on, by effect.

    least_alone, most_alone: ours when this parameter alone moves through its range. mu_star, mu, sigma: Morris' effects per whole range, in the
    value's unit (a trend counts as 0 or 1); nan without trajectories, and of what an assumption without a number could also mean, which no
    trajectory changes.
    """
    assumptions = load_assumptions(result.paper)
    targets = {target.id: target for target in targets_of(result.paper)}
    rows = []
    for row in result.rows:
        if row.ours is None:
            continue
        target = targets[row.target]
        alone = _alone(result, row.target, row.value)
        effects = _effects(result, row.target, row.value)
        found = [
            {
                "target": row.target, "value": row.value, "assumption": assumptions.id_of(name), "parameter": name,
                "nominal": float(row.ours), "least_alone": min(values), "most_alone": max(values), **_columns(effects.get(name)),
            }
            for name, values in alone.items()
            if name in target.parameters
        ]  # fmt: skip
        found += _of_structural(row)
        rows += sorted(found, key=lambda one: (one["least_alone"] - one["most_alone"], one["parameter"]))
    return Table.from_rows("screening", rows, COLUMNS)


def _of_structural(row: Row) -> list[dict[str, Any]]:
    """Return a row for each other reading of an assumption that is no parameter (X16)."""
    nominal = float(row.ours or 0)
    return [
        {
            "target": row.target, "value": row.value, "assumption": READINGS[name].assumption, "parameter": name, "nominal": nominal,
            "least_alone": min(nominal, float(ours)), "most_alone": max(nominal, float(ours)), **_columns(None),
        }
        for name, ours in row.readings.items()
        if READINGS[name].assumption and not isinstance(ours, str)
    ]  # fmt: skip


def headline(result: Reproduction) -> dict[tuple[str, str], float]:
    """Return (target, value) -> published number: of each target the value that single assumptions move furthest, relative to its size."""
    reach: dict[str, tuple[float, Row]] = {}
    for row in result.rows:
        if row.ours is None or isinstance(row.published, bool):
            continue
        values = [value for moved in _alone(result, row.target, row.value).values() for value in moved]
        wide = (max(values) - min(values)) / (abs(float(row.ours)) or 1.0) if values else 0.0
        if wide > 0 and wide > reach.get(row.target, (0.0, row))[0]:
            reach[row.target] = (wide, row)
    return {(row.target, row.value): float(row.published) for _, row in reach.values()}


def _alone(result: Reproduction, target_id: str, value: str) -> dict[str, list[float]]:
    """Return, by parameter, ours at nominal and at every single change of it."""
    evaluated = result.evaluated
    target = next(one for one in targets_of(result.paper) if one.id == target_id)
    nominal = evaluated.at(target, evaluated.nominal)[value].ours
    assert nominal is not None
    found: dict[str, list[float]] = {}
    for setting in evaluated.single:
        ((name, _),) = setting.changed
        if name not in target.parameters:
            continue
        ours = evaluated.at(target, setting)[value].ours
        if ours is not None:
            found.setdefault(name, [float(nominal)]).append(float(ours))
    return found


def _effects(result: Reproduction, target_id: str, value: str) -> dict[str, Effect]:
    evaluated, assumptions = result.evaluated, load_assumptions(result.paper)
    target = next(one for one in targets_of(result.paper) if one.id == target_id)
    outputs = []
    for path in evaluated.paths:
        ours = [evaluated.at(target, point)[value].ours for point in path]
        if any(one is None for one in ours):
            return {}
        outputs.append([float(one) for one in ours if one is not None])
    if not outputs:
        return {}
    varied = {name: one for name, one in assumptions.parameters.items() if name in target.parameters and one.varied}
    points = [[{name: point[name] for name in varied} for point in path] for path in evaluated.paths]
    return elementary_effects(points, outputs, varied)


def _columns(effect: Effect | None) -> dict[str, float]:
    if effect is None:
        return {"mu_star": float("nan"), "mu": float("nan"), "sigma": float("nan"), "effects": 0}
    return {"mu_star": effect.mu_star, "mu": effect.mu, "sigma": effect.sigma, "effects": effect.effects}
