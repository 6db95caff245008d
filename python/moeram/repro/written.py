"""A reproduction as files: CSV, JSON with its provenance, Markdown, and the screening's table and figure."""

from __future__ import annotations

import json
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from moeram.errors import ConfigError
from moeram.files import check_target, whole_file
from moeram.metrics import Table
from moeram.report import tornado_figure
from moeram.repro.result import Reproduction, Row
from moeram.repro.screen import headline, screening_table
from moeram.repro.targets import load_targets
from moeram.runs import check_folder

FILES = ("targets.csv", "targets.json", "targets.md", "screening.csv", "tornado.png")
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
    """Write targets.csv, targets.json, targets.md, screening.csv and, where some assumption does something, tornado.png into a folder,
    which is made if need be.

    Raises:
        ConfigError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    screened, panels = screening_table(result), headline(result)
    for name, table in (("targets.csv", result.table()), ("screening.csv", screened)):
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
        {**{name: getattr(row, name) for name in Row.__dataclass_fields__}, "beside": dict(row.beside)}
        for row in result.rows
    ]
    return {
        "paper": result.paper,
        "moeram": version,
        "assumptions_sha256": result.assumptions_sha256,
        "targets_sha256": result.targets_sha256,
        "routing": dict(result.routing) or "seeded generators",
        "measured": list(result.measured) or "not supplied",
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
        lines += [f"| {' | '.join(_HEAD)} |", f"|{' --- |' * len(_HEAD)}"]
        lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
        notes = dict.fromkeys(row.reason for row in rows if row.reason)
        lines += ["", *(f"{note[0].upper()}{note[1:]}." for note in notes)] if notes else []
        beside = [_beside(row) for row in rows if row.beside]
        lines += ["", *(f"- {text}" for text in beside)] if beside else []
    return "\n".join(lines) + "\n"


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
    return f"{row.value}: " + ", ".join(
        f"{label} {number(value) if not isinstance(value, str) else value}" for label, value in row.beside.items()
    )


def number(value: float | bool | None) -> str:
    """Return a number with four digits, a trend in words, nothing as a dash."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}"
