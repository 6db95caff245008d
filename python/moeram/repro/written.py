"""A reproduction as files: CSV, JSON with its provenance, Markdown, and the screening's table and figure."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from moeram.errors import ConfigError
from moeram.files import check_target, whole_file
from moeram.metrics import Table
from moeram.report import tornado_figure
from moeram.repro.readings import READINGS
from moeram.repro.result import Reproduction, Row
from moeram.repro.screen import headline, screening_table
from moeram.repro.targets import load_targets
from moeram.runs import check_folder

FILES = ("targets.csv", "targets.json", "targets.md", "beside.csv", "screening.csv", "tornado.png")
_HEAD = ("value", "published", "ours", "over the ranges", "bound", "fidelity", "outcome")


def check_output(folder: str | Path) -> Path:
    """Return the folder's path if results may be written there: new, empty, or holding an earlier reproduction and nothing else.

    Raises:
        ConfigError: it is a file, holds something else, or may not be written to.
    """
    path = Path(folder).expanduser().absolute()
    if path.is_dir():
        foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in FILES)
        if foreign:
            raise ConfigError(
                f"{path}: the output folder holds {foreign[0]!r}, which is no reproduction's; choose another with -o"
            )
        check_target(path / FILES[0])
        return path
    return check_folder(path)


def write(result: Reproduction, folder: Path, version: str) -> None:
    """Write targets.csv, targets.json, targets.md, beside.csv, screening.csv and, where some assumption does something, tornado.png into a folder,
    which is made if need be.

    Raises:
        ConfigError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    screened, panels = screening_table(result), headline(result)
    for name, table in (("targets.csv", result.table()), ("beside.csv", result.beside_table()), ("screening.csv", screened)):
        write_table(table, folder / name)
    if panels:
        tornado_figure(screened, panels, folder / "tornado.png", title=f"{result.paper}: what single assumptions do")
    with whole_file(folder / "targets.json") as partial:
        partial.write_text(json.dumps(plain(result, version), indent=1) + "\n", encoding="utf-8")
    with whole_file(folder / "targets.md") as partial:
        partial.write_text(markdown(result, version), encoding="utf-8")


def write_table(table: Table, path: Path) -> None:
    """Write a table as CSV, whole or not at all."""
    with whole_file(path) as partial:
        table.to_csv(partial)


def plain(result: Reproduction, version: str) -> dict[str, Any]:
    """Return a reproduction as plain values for JSON."""
    rows = [
        {**{name: getattr(row, name) for name in Row.__dataclass_fields__}, "beside": dict(row.beside), "readings": dict(row.readings)}
        for row in result.rows
    ]
    return {
        "paper": result.paper,
        "moeram": version,
        "assumptions_sha256": result.assumptions_sha256,
        "targets_sha256": result.targets_sha256,
        "routing": dict(result.routing) or "seeded generators",
        "measured": [Path(path).name for path in result.measured] or "not supplied",
        "measured_kernels": list(result.measured_kernels),
        "readings": {name: READINGS[name].title for name in result.readings},
        "trajectories": result.trajectories,
        "seed": result.seed,
        "settings": result.settings,
        "evaluations": result.evaluations,
        "wall_time_s": round(result.wall_time_s, 1),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "outcomes": result.counts,
        "values": rows,
    }


def markdown(result: Reproduction, version: str) -> str:
    """Return the outcome tables as Markdown."""
    published = load_targets(result.paper)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in result.counts.items())
    hashes = f"assumptions {result.assumptions_sha256[:12]}, targets {result.targets_sha256[:12]}"
    routing = ", ".join(model for model, _ in result.routing) or "seeded generators"
    lines = [
        f"moeram {version}; {hashes}; {result.settings} settings, seed {result.seed}; routing: {routing}.",
        "",
        f"{counts}.",
    ]
    for target in dict.fromkeys(row.target for row in result.rows):
        rows = [row for row in result.rows if row.target == target]
        lines += ["", f"**{target}: {published[target].title}** ({published[target].source})", ""]
        lines += _markdown_table(_HEAD, [_cells(row) for row in rows])
        notes = dict.fromkeys(row.reason for row in rows if row.reason)
        lines += ["", *(f"{note[0].upper()}{note[1:]}." for note in notes)] if notes else []
        lines += _other_readings(rows)
        beside = [_beside(row) for row in rows if row.beside]
        lines += ["", *(f"- {text}" for text in beside)] if beside else []
    if result.measured_kernels:
        lines += ["", "Kernels that the measured tables have:", "", *(f"- {text}" for text in result.measured_kernels)]
    return "\n".join(lines) + "\n"


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]


def _other_readings(rows: Sequence[Row]) -> list[str]:
    """Return a table of the readings of a target, ours at nominal first; none where it has no other."""
    names = [name for name in READINGS if name in rows[0].readings]
    if not names:
        return []
    head = ("other readings", "published", "ours", *(READINGS[name].title for name in names))
    tested = [row for row in rows if row.ours is not None]
    cells = [[row.value, number(row.published), number(row.ours), *(number(row.readings[name]) for name in names)] for row in tested]
    return ["", *_markdown_table(head, cells)]


def _cells(row: Row) -> tuple[str, ...]:
    span = (
        ""
        if row.least is None or row.most is None or isinstance(row.published, bool)
        else f"{number(row.least)} to {number(row.most)}"
    )
    outcome = f"{row.outcome}: {row.sub_range}" if row.sub_range else row.outcome
    name = f"{row.value} (derived)" if row.derived else row.value
    return name, number(row.published), number(row.ours), span, number(row.bound), row.fidelity, outcome


def _beside(row: Row) -> str:
    return f"{row.value}: " + ", ".join(f"{label} {number(value)}" for label, value in row.beside.items())


def number(value: float | bool | str | None) -> str:
    """Return a number with four digits, a trend in words, words as they are, nothing as a dash."""
    if value is None or isinstance(value, str):
        return value or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}"
