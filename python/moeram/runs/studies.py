"""Studies: a question, the sweep that answers it and the figure that shows the answer, in one YAML file (docs/studies)."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from moeram.errors import ConfigError, did_you_mean
from moeram.experiment.options import existing_path
from moeram.files import whole_file
from moeram.hardware.priced import FIDELITIES
from moeram.metrics import Table
from moeram.options import Options, build, config_names, dump_yaml, load_config
from moeram.runs.joined import joined_table
from moeram.runs.key import content_digest
from moeram.runs.points import Sweep
from moeram.runs.sweep import SweepProgress, SweepResult, run_sweep

_INPUT = re.compile(r"\$\{(\w+)\}")
_CI, RELATIVE = "_ci95", "_relative"
_LABELS = ("fidelity", "routing_fidelity")


def _words(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class StudyTable(Options):
    """Numbers of a study, of one table of the sweep's points.

    where: column -> value, the rows to take. keys: columns that tell the rows apart. y: columns of results (COLUMN_ci95 comes with them).
    relative_to: column -> value, the row that every y is divided by, as COLUMN_relative. also: further columns.
    """

    table: str
    where: dict[str, Any] = Field(default_factory=dict)
    keys: tuple[str, ...] = ()
    y: Annotated[tuple[str, ...], BeforeValidator(_words)]
    relative_to: dict[str, Any] = Field(default_factory=dict)
    also: tuple[str, ...] = ()


class StudyFigure(StudyTable):
    """What is drawn, and so what the study's first table holds.

    x: the column below. y: drawn as lines, relative where they are relative to something. lines: a column whose every value has a line of its
    own. panels: a column whose every value has axes of its own. beside: columns of closed forms, drawn dashed. shared_y: panels have one
    scale. given: label -> a value for each distinct x, a closed form of the text's, drawn dotted. names: column or value -> words for the
    legend; of a column with numbers, {} stands for the number.
    """

    x: str
    lines: str | None = None
    panels: str | None = None
    beside: Annotated[tuple[str, ...], BeforeValidator(_words)] = ()
    x_label: str = ""
    y_label: str = ""
    shared_y: bool = True
    from_zero: bool = False
    log_y: bool = False
    given: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    names: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _keys_are_drawn(self) -> StudyFigure:
        if self.keys:
            raise ValueError("keys: a figure's are panels, lines and x")
        return self

    @property
    def drawn(self) -> tuple[str, ...]:
        """The columns of `y` as they are drawn."""
        return tuple(f"{name}{RELATIVE}" for name in self.y) if self.relative_to else self.y


class Study(Sweep):
    """A study; see `Sweep` for what is run.

    question: what it asks. inputs: name -> what the user must give; ${name} stands for its path in the sweep's values. tables: name ->
    numbers that the text has beside the figure's, written as STUDY_NAME.csv.
    """

    question: str
    inputs: dict[str, str] = Field(default_factory=dict)
    figure: StudyFigure
    tables: dict[str, StudyTable] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """A study with its tables by file name, that of the figure first; sweep: every table of every point."""

    study: Study
    tables: dict[str, Table]
    sweep: SweepResult
    inputs: dict[str, str]

    @property
    def table(self) -> Table:
        """The table of the figure."""
        return self.tables[self.study.name]


def study_names() -> list[str]:
    """Return the names of the shipped studies."""
    return config_names("studies")


def load_study(name_or_path: str | Path) -> Study:
    """Return a study by name or path.

    Raises:
        ConfigError: no such study, or whatever is wrong with the file.
    """
    return build(Study, load_config("studies", name_or_path))


def run_study(
    study: Study,
    folder: str | Path,
    version: str,
    *,
    inputs: Mapping[str, str] | None = None,
    workers: int | None = None,
    progress: SweepProgress | None = None,
) -> StudyResult:
    """Run a study; points in the folder's store are found again.

    Args:
        inputs: name -> path, all that the study asks for.

    Raises:
        ConfigError: an input is missing, unknown or no path; a point fails.
    """
    given = _checked_inputs(study, inputs or {})
    sweep = build_sweep(study, given)
    result = run_sweep(sweep, folder, version, workers=workers, progress=progress)
    if result.failed:
        first = next(outcome.error for outcome in result.outcomes if outcome.error)
        raise ConfigError(f"study {study.name}: {result.failed} of {len(result.outcomes)} points failed; the first: {first}")
    tables = {study.name: study_table(result, study.figure)}
    tables |= {f"{study.name}_{name}": study_table(result, one) for name, one in study.tables.items()}
    return StudyResult(study=study, tables=tables, sweep=result, inputs=given)


def build_sweep(study: Study, inputs: Mapping[str, str]) -> Sweep:
    """Return the sweep of a study with its inputs put in."""

    def put(value: Any) -> Any:
        if isinstance(value, str):
            return _INPUT.sub(lambda found: inputs.get(found[1], found[0]), value)
        if isinstance(value, dict):
            return {key: put(inner) for key, inner in value.items()}
        return [put(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    fields = {name: getattr(study, name) for name in Sweep.model_fields}
    return Sweep(**fields | {name: put(fields[name]) for name in ("fixed", "over", "points")})


def study_table(result: SweepResult, wanted: StudyTable) -> Table:
    """Return the rows and columns that a study asks for.

    Raises:
        ConfigError: a column that the table does not have, or no row to be relative to.
    """
    whole = joined_table(result, wanted.table)
    if wanted.table == "throughput":
        whole = _with_every_label(result, whole)
    taken = whole.where(**wanted.where) if wanted.where else whole
    if not len(taken):
        raise ConfigError(f"table {wanted.table}: no row has {wanted.where}")
    keys, beside = list(wanted.keys), ()
    if isinstance(wanted, StudyFigure):
        keys, beside = [key for key in (wanted.panels, wanted.lines, wanted.x) if key], wanted.beside
    intervals = [f"{name}{_CI}" for name in wanted.y if f"{name}{_CI}" in taken.columns]
    labels = [name for name in _LABELS if name in taken.columns]
    columns = {name: taken[name] for name in dict.fromkeys([*keys, *wanted.y, *intervals])}
    if wanted.relative_to:
        reference = _reference_rows(taken, keys, wanted.relative_to)
        for name in wanted.y:
            below = taken[name].astype(float)[reference]
            columns[f"{name}{RELATIVE}"] = taken[name].astype(float) / below
            if f"{name}{_CI}" in taken.columns:
                columns[f"{name}{RELATIVE}{_CI}"] = taken[f"{name}{_CI}"].astype(float) / below
    columns |= {name: taken[name] for name in (*beside, *wanted.also, *labels)}
    return Table(wanted.table, columns)


def _with_every_label(result: SweepResult, throughput: Table) -> Table:
    """Return the throughput of serving runs, one row each, with the labels of all their parts; its own is the least sure of them."""
    found = []
    for outcome in result.outcomes:
        labels = set(result.store.get(str(outcome.key)).tables["fidelity"]["fidelity"].tolist())
        found.append(" + ".join(sorted(labels, key=FIDELITIES.index)))
    columns = {name: throughput[name] for name in throughput.columns}
    return Table(throughput.name, columns | {"fidelity": np.array(found, dtype=object)}, throughput.units)


def _reference_rows(table: Table, keys: list[str], wanted: Mapping[str, Any]) -> list[int]:
    same = [key for key in keys if key not in wanted]
    rows = list(table.rows())
    places = {
        tuple(row[key] for key in same): place
        for place, row in enumerate(rows)
        if all(row[name] == value for name, value in wanted.items())
    }
    missing = [row for row in rows if tuple(row[key] for key in same) not in places]
    if missing:
        raise ConfigError(f"table {table.name}: no row with {dict(wanted)} beside {[missing[0][key] for key in same]}")
    return [places[tuple(row[key] for key in same)] for row in rows]


def write_study(
    result: StudyResult, folder: Path, version: str, assumptions_sha256: Mapping[str, str]
) -> tuple[list[Path], Path]:
    """Write every table as NAME.csv, and NAME.yaml, where they come from; return their paths.

    assumptions_sha256: paper -> hash of the nominal assumptions about it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study, paths = result.study, [folder / f"{name}.csv" for name in result.tables]
    for path, table in zip(paths, result.tables.values(), strict=True):
        with whole_file(path) as partial:
            table.to_csv(partial)
    about = {
        "study": study.name,
        "question": study.question,
        "moeram": version,
        "inputs_sha256": {name: content_digest(path) for name, path in result.inputs.items()},
        **{label: sorted(set(map(str, result.table[label]))) for label in _LABELS if label in result.table.columns},
        "assumptions_sha256": dict(assumptions_sha256),
        "points": len(result.sweep.outcomes),
    }
    origin = folder / f"{study.name}.yaml"
    with whole_file(origin) as partial:
        partial.write_text(dump_yaml(about), encoding="utf-8")
    return paths, origin


def differences(table: Path, expected: Path, *, relative: float = 1e-6) -> list[str]:
    """Return what differs between two tables of a study, a sentence for each field; numbers within `relative` are equal."""
    with open(table, newline="", encoding="utf-8") as ours, open(expected, newline="", encoding="utf-8") as theirs:
        a, b = list(csv.reader(ours)), list(csv.reader(theirs))
    if not a or not b or a[0] != b[0] or len(a) != len(b):
        return [f"{table.name}: {len(a)} lines of {a[:1]}, expected {len(b)} of {b[:1]}"]
    found = []
    for line, (left, right) in enumerate(zip(a[1:], b[1:], strict=True), start=2):
        for name, mine, wanted in zip(a[0], left, right, strict=True):
            if mine != wanted and not _close(mine, wanted, relative):
                found.append(f"{table.name}:{line}: {name} is {mine}, expected {wanted}")
    return found


def _close(a: str, b: str, relative: float) -> bool:
    try:
        return math.isclose(float(a), float(b), rel_tol=relative, abs_tol=1e-12)
    except ValueError:
        return False


def _checked_inputs(study: Study, inputs: Mapping[str, str]) -> dict[str, str]:
    unknown = [name for name in inputs if name not in study.inputs]
    if unknown:
        raise ConfigError(f"study {study.name} has no input {unknown[0]!r}{did_you_mean(unknown[0], study.inputs)}")
    missing = [f"--input {name}=PATH ({what})" for name, what in study.inputs.items() if name not in inputs]
    if missing:
        raise ConfigError(f"study {study.name} needs " + ", ".join(missing))
    try:
        return {name: existing_path(path) for name, path in inputs.items()}
    except ValueError as error:
        raise ConfigError(f"study {study.name}: {error}") from None
