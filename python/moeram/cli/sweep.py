"""moeram sweep: many experiments at once, kept in a store, as one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import moeram
from moeram import report, runs
from moeram.cli.terminal import output as output_console
from moeram.cli.terminal import progress_bar, show_table
from moeram.errors import ConfigError
from moeram.files import check_target, whole_file
from moeram.metrics import Table

_MOST_ROWS = 40
_ALL = "all"
_FAILED, _INTERRUPTED = 1, 130


def sweep(
    name_or_path: Annotated[
        str, typer.Argument(metavar="NAME|PATH", help="An experiment of either kind, or a YAML file of a sweep.")
    ],
    over: Annotated[
        list[str] | None,
        typer.Option("--over", metavar="KEY=V1,V2", help="Values of one key, or FIRST..LAST; may be repeated."),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="KEY=VALUE", help="Replace one option of every point."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the store. [moeram-sweeps/NAME]")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes. [all cores]")] = None,
    table: Annotated[
        str | None, typer.Option("--table", help="Table to join. [throughput of servings, points of single steps]")
    ] = None,
    export: Annotated[
        list[Path] | None, typer.Option("--export", metavar="FILE", help="Write the table as .csv or .parquet.")
    ] = None,
    figure: Annotated[Path | None, typer.Option("--figure", metavar="FILE", help="Draw --metric as PNG.")] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Column to draw.")] = None,
    against: Annotated[
        str | None, typer.Option("--against", metavar="KEY[,KEY]", help="Keys to draw against. [the first two swept]")
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="COLUMN[,COLUMN]", help="Columns to show behind the keys, or all. [what fits]")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no table.")] = False,
) -> None:
    """Run an experiment over values of its keys; finished points are kept and never run again."""
    _check_outputs(export or [], figure, metric, against)
    wanted = runs.read_sweep(name_or_path, over or [], parameter or [])
    axes = _names(against) or wanted.keys[:2]
    picked = () if columns in (None, _ALL) else _names(columns)
    if figure is not None:
        report.check_axes(axes, [[point.get(key) for point in wanted.values()] for key in axes])
    asked = [*picked, *((metric, *axes) if metric is not None else ())]
    folder = output or Path("moeram-sweeps") / wanted.name
    try:
        result = _run_with_bar(wanted, folder, workers, quiet, table, asked)
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on where it was", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    joined = runs.joined_table(result, table)
    for path in export or []:
        _export(joined, path)
    if figure is not None and metric is not None:
        with whole_file(figure) as partial, open(partial, "wb") as file:
            report.sweep_figure(joined, metric, axes, file, title=wanted.description or wanted.name)
    if not quiet:
        _show(result, joined, picked or ((metric,) if metric else ()), whole=columns == _ALL)
    if result.failed:
        first = next(outcome.error for outcome in result.outcomes if outcome.error)
        typer.echo(f"error: {result.failed} of {len(result.outcomes)} points failed; the first: {first}", err=True)
        raise typer.Exit(_FAILED)


def _check_outputs(export: Sequence[Path], figure: Path | None, metric: str | None, against: str | None) -> None:
    if (figure is None) != (metric is None):
        raise ConfigError("--figure and --metric go together: what is drawn, and where to")
    if against is not None and figure is None:
        raise ConfigError("--against says what a figure is drawn against; it needs --figure and --metric")
    for path in export:
        check_target(path, ".csv", ".parquet")
    if figure is not None:
        check_target(figure, ".png")


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()


def _run_with_bar(
    wanted: runs.Sweep, folder: Path, workers: int | None, quiet: bool, table: str | None, columns: Sequence[str]
) -> runs.SweepResult:
    def label(failed: int) -> str:
        return f"{wanted.name}, {failed} failed" if failed else wanted.name

    with progress_bar(wanted.name, "points", quiet=quiet) as update:
        return runs.run_sweep(
            wanted,
            folder,
            moeram.__version__,
            workers=workers,
            progress=lambda done, total, failed: update(done, total, label(failed)),
            table=table,
            columns=columns,
        )


def _export(table: Table, path: Path) -> None:
    with whole_file(path) as partial:
        (table.to_csv if path.suffix == ".csv" else table.to_parquet)(partial)


def _show(result: runs.SweepResult, joined: Table, columns: Sequence[str], *, whole: bool) -> None:
    console, title = output_console(), f"{result.sweep.name}: {joined.name}"
    rest = len(joined) - _MOST_ROWS
    labels = sorted({str(label) for label in joined["fidelity"] if label}) if "fidelity" in joined.columns else []
    joined = Table(joined.name, {name: joined[name][:_MOST_ROWS] for name in joined.columns}, joined.units)
    shown = runs.shown(result, joined, joined.columns if whole else columns)
    if whole or columns:
        console.width = max(console.width, report.width_of(report.plain_table(shown, title)))
    show_table(console, shown, title, keep=len(result.sweep.keys) + 1, rest="--columns all, or --export FILE.csv")
    if labels:
        console.print(f"fidelity: {', '.join(labels)}", highlight=False)
    if rest > 0:
        console.print(f"{rest} more rows: --export FILE.csv", highlight=False, soft_wrap=True)
    for note in result.notes:
        console.print(note, highlight=False, soft_wrap=True)
    points = f"{len(result.outcomes)} points: {result.found} found, {result.failed} failed"
    console.print(
        f"{points}, {result.wall_time_s:.1f} s; store: {result.store.folder}", highlight=False, soft_wrap=True
    )
