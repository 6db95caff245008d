"""moeram serve: a serving experiment from requests to latencies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import moeram
from moeram import experiment, runs
from moeram.cli.terminal import output, progress_bar, show_end, show_table
from moeram.metrics import Table


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
    with progress_bar(options.name, "requests", quiet=quiet) as update:
        return experiment.run_serving(options, lambda done, total: update(done, total, options.name))


def _ordered(table: Table) -> Table:
    """Put how a part was priced behind its error, so that the error is seen in a narrow terminal."""
    names = sorted(table.columns, key=lambda name: name == "how") if table.name == "fidelity" else table.columns
    return Table(table.name, {name: table[name] for name in names}, table.units)


def _show(result: experiment.ServingResult, folder: Path) -> None:
    console = output()
    for name in ("latencies", "throughput", "utilisation", "s_mbu", "s_mfu", "energy", "cost", "fidelity"):
        if len(result.tables.get(name, ())):
            show_table(console, _ordered(result[name]), name)
    show_end(console, result, folder)
