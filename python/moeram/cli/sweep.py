"""moeram sweep: many experiments at once, kept in a store, as one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import moeram
from moeram import report, runs
from moeram.cli.terminal import progress_bar
from moeram.errors import ConfigError
from moeram.files import whole_file
from moeram.metrics import Table

_MOST_ROWS = 40
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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no table.")] = False,
) -> None:
    """Run an experiment over values of its keys; finished points are kept and never run again."""
    if (figure is None) != (metric is None):
        raise ConfigError("--figure and --metric go together: what is drawn, and where to")
    for path in export or []:
        if path.suffix not in (".csv", ".parquet"):
            raise ConfigError(f"{path}: a table is exported as .csv or .parquet")
    wanted = runs.read_sweep(name_or_path, over or [], parameter or [])
    folder = output or Path("moeram-sweeps") / wanted.name
    try:
        result = _run_with_bar(wanted, folder, workers, quiet)
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on where it was", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    joined = runs.joined_table(result, table)
    for path in export or []:
        _export(joined, path)
    if figure is not None and metric is not None:
        keys = tuple(against.split(",")) if against else wanted.keys[:2]
        report.sweep_figure(joined, metric, keys, figure, title=wanted.description or wanted.name)
    if not quiet:
        _show(result, joined)
    if result.failed:
        first = next(outcome.error for outcome in result.outcomes if outcome.error)
        typer.echo(f"error: {result.failed} of {len(result.outcomes)} points failed; the first: {first}", err=True)
        raise typer.Exit(_FAILED)


def _run_with_bar(wanted: runs.Sweep, folder: Path, workers: int | None, quiet: bool) -> runs.SweepResult:
    def label(failed: int) -> str:
        return f"{wanted.name}, {failed} failed" if failed else wanted.name

    with progress_bar(wanted.name, "points", quiet=quiet) as update:
        return runs.run_sweep(
            wanted,
            folder,
            moeram.__version__,
            workers=workers,
            progress=lambda done, total, failed: update(done, total, label(failed)),
        )


def _export(table: Table, path: Path) -> None:
    with whole_file(path) as partial:
        (table.to_csv if path.suffix == ".csv" else table.to_parquet)(partial)


def _show(result: runs.SweepResult, joined: Table) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    if not result.failed:
        joined = Table(joined.name, {name: joined[name] for name in joined.columns if name != "error"}, joined.units)
    shown = Table(joined.name, {name: joined[name][:_MOST_ROWS] for name in joined.columns}, joined.units)
    console.print(report.plain_table(shown, f"{result.sweep.name}: {joined.name}"))
    if len(joined) > _MOST_ROWS:
        console.print(f"... {len(joined) - _MOST_ROWS} more rows; --export FILE.csv writes all", highlight=False)
    points = f"{len(result.outcomes)} points: {result.found} found, {result.failed} failed"
    console.print(
        f"{points}, {result.wall_time_s:.1f} s; store: {result.store.folder}", highlight=False, soft_wrap=True
    )
