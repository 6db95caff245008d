"""moeram cap: cost, accuracy and performance of sparse models. No logic: options in, tables out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from moeram import report, runs
from moeram.cli.terminal import output, show_table
from moeram.errors import ConfigError
from moeram.files import check_target, whole_file
from moeram.metrics import Table
from moeram.metrics.cap import batch_table
from moeram.model import load_model

app = typer.Typer(no_args_is_help=True, help="Cost, accuracy and performance of sparse models (MoE-CAP).")
_NOTED = "cost_beyond_axis"  # a column that is said as a note
Csv = Annotated[Path | None, typer.Option("--csv", help="Write the table there too.")]


@app.callback()
def cap_options() -> None:
    """Cost, accuracy and performance of sparse models (MoE-CAP)."""


@app.command()
def radar(
    systems: Annotated[Path, typer.Argument(metavar="FILE", help="YAML: cost_tick_usd and systems (docs/utilisation.md).")],
    figure: Annotated[Path | None, typer.Option("--figure", help="Draw the radar into a PNG.")] = None,
    csv: Csv = None,
) -> None:
    """Put systems on one scale from 20 (worst) to 100 (best), by given figures or by serving runs."""
    if figure is not None:
        check_target(figure, ".png")
    if csv is not None:
        check_target(csv, ".csv")
    table = runs.read_radar(systems)
    if figure is not None:
        with whole_file(figure) as partial:
            report.radar_figure(table, partial)
    _show(table, csv)
    for row in table.where(**{_NOTED: True}).rows():
        output().print(
            f"note: {row['system']} costs {row['cost_usd']:,.0f} USD; cost_tick_usd reaches the centre, whatever costs more is drawn there too",
            highlight=False, markup=False,
        )  # fmt: skip


@app.command()
def batch(
    model: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A model.")],
    requests: Annotated[int, typer.Option("--requests", min=1, help="Requests that answer at once.")],
    context: Annotated[int, typer.Option("--context", min=1, help="Context of each, tokens.")],
    distinct: Annotated[
        float | None, typer.Option("--distinct", help="Experts that a layer uses. [as if tokens chose uniformly]")
    ] = None,
    step_ms: Annotated[float | None, typer.Option("--step-ms", help="Time of a step, for the utilisation.")] = None,
    peak_gb_per_s: Annotated[float | None, typer.Option("--peak-gb-per-s", help="Bandwidth of the system.")] = None,
    csv: Csv = None,
) -> None:
    """Count what one decode step must read, and the sparse utilisation of a system that takes so long for it."""
    if csv is not None:
        check_target(csv, ".csv")
    for option, given in {"--step-ms": step_ms, "--peak-gb-per-s": peak_gb_per_s, "--distinct": distinct}.items():
        if given is not None and not (0 < given < math.inf):
            raise ConfigError(f"{option}: given {given:g}, allowed: more than 0")
    if (step_ms is None) != (peak_gb_per_s is None):
        raise ConfigError("--step-ms and --peak-gb-per-s give the utilisation together; one of them is missing")
    table = batch_table(
        load_model(model), requests=requests, context_tokens=context, distinct_experts=distinct, step_ms=step_ms, peak_gb_per_s=peak_gb_per_s
    )  # fmt: skip
    _show(table, csv)


def _show(table: Table, csv: Path | None) -> None:
    if csv is not None:
        with whole_file(csv) as partial:
            table.to_csv(partial)
    names = [name for name in table.columns if name != _NOTED]
    show_table(output(), Table(table.name, {name: table[name] for name in names}, table.units), table.name, rest="--csv FILE.csv")
