"""`moeram assumptions`: what papers leave open, and what moeram takes for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from moeram.cli.repro import Quiet, Seed, Targets, Trajectories, Workers, run_with_bar
from moeram.cli.terminal import output
from moeram.files import check_target
from moeram.metrics import Table as Screened
from moeram.report import tornado_figure
from moeram.repro import (
    READINGS,
    Assumptions,
    Reproduction,
    headline,
    load_assumptions,
    number,
    papers,
    screening_table,
    write_table,
)

_MOST = 3

app = typer.Typer(no_args_is_help=True, help="What papers leave open, as declared parameters.")


@app.callback()
def assumptions_options() -> None:
    """What papers leave open, as declared parameters."""


@app.command("list")
def list_command(
    paper: Annotated[str | None, typer.Argument(help="stratum or sieve. [all]")] = None,
    reasons: Annotated[bool, typer.Option("--reasons", help="Say why, and what is structural.")] = False,
) -> None:
    """List every assumption with its nominal value and range."""
    console = output()
    for name in [paper] if paper else papers():
        loaded = load_assumptions(name)
        console.print(_table(loaded, reasons))
        console.print(f"assumptions of {loaded.paper}: sha256 {loaded.hash}", highlight=False, soft_wrap=True)


@app.command("screen")
def screen_command(
    paper: Annotated[str, typer.Argument(help="stratum or sieve.")],
    target: Targets = None,
    trajectories: Trajectories = 4,
    seed: Seed = 0,
    workers: Workers = None,
    export: Annotated[Path | None, typer.Option("--export", metavar="FILE", help="Write the table as .csv.")] = None,
    figure: Annotated[Path | None, typer.Option("--figure", metavar="FILE", help="Draw tornados as PNG.")] = None,
    quiet: Quiet = False,
) -> None:
    """Screen the assumptions: what each does to every published value, by Morris' elementary effects and alone."""
    if export is not None:
        check_target(export, ".csv")
    if figure is not None:
        check_target(figure, ".png")
    result = run_with_bar(paper, {}, (), target, trajectories, seed, workers, quiet)
    table = screening_table(result)
    if export is not None:
        write_table(table, export)
    if figure is not None:
        tornado_figure(table, headline(result), figure, title=f"{paper}: what single assumptions do")
    console = output()
    if not quiet:
        console.print(_effects(table, result))
        _show_structural(console, result)
    console.print(f"assumptions: sha256 {result.assumptions_sha256}", highlight=False, soft_wrap=True)
    console.print(
        f"{result.settings} settings, {result.evaluations} evaluations of targets, {trajectories} trajectories, seed {seed}, "
        f"{result.wall_time_s:.0f} s",
        highlight=False,
    )


def _effects(screened: Screened, result: Reproduction) -> Table:
    """Of each value the interval and the assumptions that move it most."""
    table = Table(title=f"assumptions about {result.paper}: effects on published values")
    for column in ("target", "value", "published", "ours", "over the ranges", "most by (mu* per range)"):
        table.add_column(column, overflow="fold")
    rows = list(screened.rows())
    for row in result.rows:
        if row.ours is None:
            continue
        mine = [one for one in rows if (one["target"], one["value"]) == (row.target, row.value) and one["mu_star"] > 0]
        strongest = sorted(mine, key=lambda one: -one["mu_star"])[:_MOST]
        what = ", ".join(f"{one['parameter']} {number(one['mu_star'])}" for one in strongest)
        span = f"{number(row.least)} to {number(row.most)}"
        table.add_row(row.target, row.value, number(row.published), number(row.ours), span, what or "none")
    return table


def _show_structural(console: Console, result: Reproduction) -> None:
    """Say what other readings of assumptions without a number do, and which targets they cannot reach."""
    for reading in (one for one in READINGS.values() if one.assumption):
        rows = [row for row in result.rows if reading.name in row.readings]
        if not rows:
            continue
        table = Table(title=f"{reading.assumption} in its other reading: {reading.title}")
        for column in ("target", "value", "published", "ours", "ours so"):
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(row.target, row.value, *map(number, (row.published, row.ours, row.readings[reading.name])))
        console.print(table)
        beyond = [one for one in dict.fromkeys(row.target for row in result.rows) if one not in {row.target for row in rows}]
        if beyond:
            console.print(f"{', '.join(beyond)}: computed without the time of a layer and what schedules learn of it, which is all that {reading.assumption} enters", highlight=False)


def _table(loaded: Assumptions, reasons: bool) -> Table:
    table = Table(title=f"assumptions about {loaded.paper}")
    for column in ("id", "what is open", "parameter", "nominal", "range", "unit"):
        table.add_column(column, overflow="fold")
    if reasons:
        table.add_column("reason; what is structural", overflow="fold", ratio=1)
    for entry in loaded.assumptions:
        why = [escape("; ".join(text for text in (entry.reason, entry.structural) if text))] if reasons else []
        if not entry.parameters:
            table.add_row(entry.id, escape(entry.title), "structural", "", "", "", *why)
        for index, (name, one) in enumerate(entry.parameters.items()):
            head = (entry.id, escape(entry.title)) if index == 0 else ("", "")
            said = why if index == 0 else [""] * len(why)
            table.add_row(*head, name, escape(_text(one.nominal)), escape(one.span()), one.unit, *said)
    return table


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
