"""A paper's targets judged: one row per published value, what stands beside it, and whether outcomes are the recorded ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from moeram.errors import ConfigError, EngineError
from moeram.hardware.cycle import usable_threads
from moeram.metrics import Table
from moeram.options import Options, build, config_names, load_config
from moeram.repro.assumptions import Value, load_assumptions, papers
from moeram.repro.evaluation import Crossing, Evaluated, Progress, evaluate_all, routed_models, targets_of, where_met
from moeram.repro.readings import READINGS, read_all
from moeram.repro.target import MEASURED, Found, Setting, Target
from moeram.repro.targets import NOT_TESTABLE, OUTCOMES, Outcome, Point, judge, load_targets, towards

Number = float | bool | None
_MOST_WAYS = 4


@dataclass(frozen=True, kw_only=True)
class Row:
    """One published value, ours and how it was judged. tolerance: what ours may differ by, in the value's unit; 0 of a trend. readings: by name
    (`repro.readings`) ours in another reading at nominal, or why there is none; beside: what else the target prints.
    """

    target: str
    value: str
    published: float | bool
    tolerance: float
    derived: bool
    ours: Number
    least: float | None
    most: float | None
    bound: float | None
    fidelity: str
    outcome: str
    sub_range: str
    reason: str
    beside: Mapping[str, float | str]
    readings: Mapping[str, float | bool | str]


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """All rows of a paper. settings: how many were computed; points: (target, setting) pairs. routing, measured: what the user gave.
    measured_kernels: what measured tables have of each case that they were asked for.
    """

    paper: str
    assumptions_sha256: str
    targets_sha256: str
    rows: tuple[Row, ...]
    routing: tuple[tuple[str, str], ...]
    measured: tuple[str, ...]
    measured_kernels: tuple[str, ...]
    trajectories: int
    seed: int
    settings: int
    evaluations: int
    wall_time_s: float
    evaluated: Evaluated = field(repr=False)

    @property
    def outcomes(self) -> dict[str, dict[str, str]]:
        """Outcome by target and value."""
        found: dict[str, dict[str, str]] = {}
        for row in self.rows:
            found.setdefault(row.target, {})[row.value] = row.outcome
        return found

    @property
    def counts(self) -> dict[str, int]:
        """How many values had each outcome."""
        return {outcome: sum(row.outcome == outcome for row in self.rows) for outcome in OUTCOMES}

    def table(self) -> Table:
        """Return one row per published value; `reading_NAME` is ours in another reading at nominal, empty where the target has not got it."""
        plain = [name for name in Row.__dataclass_fields__ if name not in ("beside", "readings")]
        columns = {name: [getattr(row, name) for row in self.rows] for name in plain}
        for name in self.readings:
            columns[f"reading_{name}"] = np.array([row.readings.get(name) for row in self.rows], dtype=object)
        return Table("targets", columns)

    @property
    def readings(self) -> tuple[str, ...]:
        """Names of the readings that some target has."""
        return tuple(name for name in READINGS if any(name in row.readings for row in self.rows))

    def beside_table(self) -> Table:
        """Return what targets print beside ours at nominal, a row for each number or word."""
        rows = [(row.target, row.value, label, ours) for row in self.rows for label, ours in row.beside.items()]
        columns = zip(*rows, strict=True) if rows else ((),) * 4
        named = dict(zip(("target", "value", "what", "ours"), columns, strict=True))
        return Table("beside", named | {"ours": np.array(named["ours"], dtype=object)})


class Recorded(Options):
    """Outcomes that a run is held to. routing: the models whose recorded routing it had."""

    paper: str
    routing: tuple[str, ...] = ()
    outcomes: dict[str, dict[str, str]] = Field(default_factory=dict)


def reproduce(
    paper: str,
    *,
    routing: Mapping[str, str] | None = None,
    measured: Sequence[str] = (),
    trajectories: int = 4,
    seed: int = 0,
    workers: int | None = None,
    only: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """Compute and judge the targets of a paper.

    Args:
        routing: recorded routing by model, instead of the generator. measured: files of measured GPU kernel times, for the columns beside.
        trajectories, seed: of the settings within the ranges. workers: processes, None: all cores. only: targets.

    Raises:
        ConfigError: an unknown paper or target, or inputs that cannot be used.
    """
    begin = time.perf_counter()
    assumptions, published = load_assumptions(paper), load_targets(paper)
    targets = _chosen(targets_of(paper), only)
    _check_inputs(paper, targets, routing or {}, measured)
    nominal = Setting(paper=paper, routing=tuple(sorted((routing or {}).items())))
    count = usable_threads(workers)
    evaluated = evaluate_all(nominal, targets, trajectories=trajectories, seed=seed, workers=count, progress=progress)
    for target in targets:
        if set(evaluated.at(target, nominal)) != set(published[target.id].values):
            raise EngineError(f"{target.id}: what was computed is not what is published")
    between = _met_between(targets, evaluated, count)
    readings = read_all(targets, nominal, measured, count)
    rows = []
    for target in targets:
        beside = target.beside(nominal) if target.beside else {}
        rows += _rows(target, evaluated, beside, readings, between)
    kernels = [one.reason for (_, name), found in readings.items() if name == MEASURED for one in found.values() if one.ours is not None]
    settings = {evaluated.nominal, *evaluated.single, *(point for path in evaluated.paths for point in path)}
    return Reproduction(
        paper=paper,
        assumptions_sha256=assumptions.hash,
        targets_sha256=published.hash,
        rows=tuple(rows),
        routing=nominal.routing,
        measured=tuple(measured),
        measured_kernels=tuple(dict.fromkeys(filter(None, kernels))),
        trajectories=trajectories,
        seed=seed,
        settings=len(settings),
        evaluations=len(evaluated.found),
        wall_time_s=time.perf_counter() - begin,
        evaluated=evaluated,
    )


def _check_inputs(
    paper: str, targets: Sequence[Target], routing: Mapping[str, str], measured: Sequence[str]
) -> None:
    """Refuse inputs that no target would read."""
    if measured and not any(MEASURED in target.readings for target in targets):
        able = ", ".join(target.id for target in targets_of(paper) if MEASURED in target.readings)
        raise ConfigError(f"measured: none of {paper}'s targets that are asked for reads measured kernels; {able} do")
    models = routed_models(paper)
    for model in routing:
        if model not in models:
            allowed = ", ".join(models) or "no model: its targets are of fitted routing"
            raise ConfigError(f"routing: given {model!r}, {paper}'s targets read recorded routing of {allowed}")


def measured_files(folder: str | Path) -> tuple[str, ...]:
    """Return the tables (.csv, .parquet) of a folder.

    Raises:
        ConfigError: it holds none.
    """
    found = tuple(sorted(str(path.resolve()) for path in Path(folder).glob("*") if path.suffix in (".csv", ".parquet")))
    if not found:
        raise ConfigError(f"{folder}: no .csv or .parquet tables of measured kernels")
    return found


def _chosen(targets: Sequence[Target], only: Sequence[str] | None) -> tuple[Target, ...]:
    if only is None:
        return tuple(targets)
    unknown = [name for name in only if name not in {target.id for target in targets}]
    if unknown:
        raise ConfigError(f"no target {unknown[0]!r}, allowed: {', '.join(target.id for target in targets)}")
    return tuple(target for target in targets if target.id in only)


def _points(target: Target, evaluated: Evaluated, name: str) -> list[Point]:
    """Return ours for one value at every setting but nominal."""
    return [
        Point(changed=dict(setting.changed), ours=ours)
        for setting in evaluated.settings(target)
        if (ours := evaluated.at(target, setting)[name].ours) is not None
    ]


def _met_between(targets: Sequence[Target], evaluated: Evaluated, workers: int) -> dict[tuple[str, str], Point]:
    """Return, by target and value, few changes that meet a value which no computed single change meets, where there are such."""
    crossings = []
    for target in targets:
        published, nominal = load_targets(evaluated.nominal.paper)[target.id], evaluated.at(target, evaluated.nominal)
        for name, value in published.values.items():
            ours = nominal[name].ours
            points = [] if ours is None else _points(target, evaluated, name)
            ways = [] if ours is None else towards(value, ours, points)[:_MOST_WAYS]
            if ways:
                crossings.append(
                    tuple(
                        Crossing(
                            target=target.id,
                            value=name,
                            setting=evaluated.nominal.replaced(tuple(sorted(way.changed.items()))),
                            order=_by_effect(points, way.changed, float(ours)),
                        )
                        for way in ways
                    )
                )
    found = where_met(crossings, workers)
    return {
        (ways[0].target, ways[0].value): Point(changed=dict(met[0]), ours=met[1])
        for ways, met in zip(crossings, found, strict=True)
        if met is not None
    }


def _by_effect(points: Sequence[Point], changed: Mapping[str, Value], nominal: float) -> tuple[str, ...]:
    """Order parameters by how far they alone move the value."""
    alone = dict.fromkeys(changed, 0.0)
    for point in points:
        if len(point.changed) == 1:
            (name,) = point.changed
            if name in alone:
                alone[name] = max(alone[name], abs(float(point.ours) - nominal))
    return tuple(sorted(alone, key=lambda name: (-alone[name], name)))


def _rows(
    target: Target,
    evaluated: Evaluated,
    beside: Mapping[str, Mapping[str, float | str]],
    readings: Mapping[tuple[str, str], Mapping[str, Found]],
    between: Mapping[tuple[str, str], Point],
) -> list[Row]:
    assumptions = load_assumptions(evaluated.nominal.paper)
    published = load_targets(evaluated.nominal.paper)[target.id]
    nominal, rows = evaluated.at(target, evaluated.nominal), []
    for name, value in published.values.items():
        found = nominal[name]
        points = _points(target, evaluated, name)
        points += [between[target.id, name]] if (target.id, name) in between else []
        judged = Outcome(outcome=NOT_TESTABLE) if found.ours is None else judge(value, found.ours, points, assumptions)
        rows.append(
            Row(
                target=target.id, value=name, published=value.published, tolerance=value.slack, derived=value.derived, ours=found.ours,
                least=judged.least, most=judged.most, bound=found.bound, fidelity=found.fidelity, outcome=judged.outcome,
                sub_range=judged.sub_range, reason=found.reason or target.note, beside=dict(beside.get(name, {})),
                readings={one: _read(readings[target.id, one][name]) for one in target.readings},
            )
        )  # fmt: skip
    return rows


def _read(found: Found) -> float | bool | str:
    return found.reason if found.ours is None else found.ours


def recorded_outcomes(paper: str | Path, routing: Sequence[str] = ()) -> Recorded:
    """Return the recorded outcomes of a paper, or of a file; those with recorded routing of some models are a file of their own.

    Raises:
        ConfigError: nothing is recorded for these models' routing.
    """
    if not isinstance(paper, Path) and paper not in papers():
        raise ConfigError(f"paper: given {paper!r}, allowed: {', '.join(papers())}")
    name = paper if isinstance(paper, Path) or not routing else f"{paper}_recorded_routing"
    if name != paper and name not in config_names("outcomes"):
        raise ConfigError(f"no outcomes of {paper} are recorded for recorded routing; use --record FILE or --recorded FILE")
    recorded = build(Recorded, load_config("outcomes", name))
    if set(recorded.routing) != set(routing):
        raise ConfigError(
            f"outcomes {name} are of runs with recorded routing of {', '.join(recorded.routing) or 'no model'}, "
            f"not of {', '.join(routing) or 'none'}"
        )
    return recorded


def differences(result: Reproduction, recorded: Recorded) -> list[str]:
    """Return a sentence for every outcome that is not the recorded one; a run of some targets is held to those alone."""
    ran = {row.target for row in result.rows}
    told = {
        (target, value): outcome
        for target, values in recorded.outcomes.items()
        if target in ran
        for value, outcome in values.items()
    }
    ours = {(row.target, row.value): row.outcome for row in result.rows}
    sentences = []
    for key in sorted(told.keys() | ours.keys()):
        if told.get(key) != ours.get(key):
            sentences.append(
                f"{key[0]} {key[1]}: {ours.get(key, 'not computed')}, recorded: {told.get(key, 'nothing')}"
            )
    return sentences


def as_recorded(result: Reproduction) -> dict[str, Any]:
    """Return a run's outcomes as plain values for a file of configs/outcomes."""
    return {"paper": result.paper, "routing": [model for model, _ in result.routing], "outcomes": result.outcomes}
