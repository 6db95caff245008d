"""moeram serve: a serving experiment from requests to latencies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import moeram
from moeram import experiment, report, runs


def serve(
    name_or_path: Annotated[
        str, typer.Argument(metavar="NAME|PATH", help="A shipped serving experiment or a YAML file.")
    ],
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="KEY=VALUE", help="Replace one option; may be repeated."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the results. [moeram-runs/NAME-KEY]")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no tables.")] = False,
) -> None:
    """Serve requests on a system; write latencies, throughput, energy, a time series and a figure into a folder."""
    options = experiment.load_serving(name_or_path, list(parameter or []))
    default = Path("moeram-runs") / f"{options.name}-{runs.run_key(options, moeram.__version__)[:8]}"
    folder = runs.check_folder(output or default)
    result = _run_with_bar(options, quiet)
    runs.save(result, folder, moeram.__version__)
    if not quiet:
        _show(result, folder)


def _run_with_bar(options: experiment.ServingExperiment, quiet: bool) -> experiment.ServingResult:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("requests"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task(options.name)
        return experiment.run_serving(options, lambda done, total: bar.update(task, completed=done, total=total))


def _show(result: experiment.ServingResult, folder: Path) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    for name in ("latencies", "throughput", "utilisation", "s_mbu", "s_mfu", "energy", "cost"):
        if len(result.tables.get(name, ())):
            console.print(report.plain_table(result[name], name))
    console.print(f"fidelity: times {result.fidelity}, routing {result.routing_fidelity}", highlight=False)
    for note in result.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    console.print(f"results: {folder}", highlight=False, markup=False, soft_wrap=True)
