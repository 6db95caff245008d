"""`moeram repro`: a paper's published values beside ours, each with its outcome."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import moeram
from moeram import repro
from moeram.cli.terminal import output as results_console
from moeram.cli.terminal import progress_bar
from moeram.errors import ConfigError
from moeram.files import check_target, whole_file
from moeram.options import dump_yaml

_DIFFERENT = 1
Routing = Annotated[
    list[str] | None,
    typer.Option("--routing", metavar="MODEL=PATH", help="Recorded routing of a model; may be repeated. [generators]"),
]
Trajectories = Annotated[int, typer.Option("--trajectories", min=0, help="Random walks through the ranges (Morris).")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the walks.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes. [all cores]")]
Targets = Annotated[list[str] | None, typer.Option("--target", metavar="R9", help="Only these; may be repeated. [all]")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no tables.")]


def repro_command(
    paper: Annotated[str, typer.Argument(help="stratum or sieve.")],
    routing: Routing = None,
    measured: Annotated[
        Path | None, typer.Option("--measured", metavar="DIR", help="Tables of measured GPU kernel times, for the column beside the roofline's.")
    ] = None,
    target: Targets = None,
    trajectories: Trajectories = 2,
    seed: Seed = 0,
    workers: Workers = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder. [moeram-runs/repro-PAPER]")] = None,
    recorded: Annotated[
        Path | None, typer.Option("--recorded", metavar="FILE", help="Outcomes to be held to. [the shipped ones]")
    ] = None,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="FILE", help="Write the outcomes here instead of comparing them.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Compute a paper's published values at nominal and over the declared ranges; exit 0 if all outcomes are the recorded ones, else 1."""
    traces = routing_paths(routing)
    told = None if record else repro.recorded_outcomes(recorded or paper, sorted(traces))
    if record:
        check_target(record)
    folder = repro.check_output(output or Path("moeram-runs") / f"repro-{paper}")
    tables = repro.measured_files(measured) if measured else ()
    result = run_with_bar(paper, traces, tables, target, trajectories, seed, workers, quiet)
    repro.write(result, folder, moeram.__version__)
    console = results_console()
    if not quiet:
        _show(console, result)
    console.print(f"assumptions: sha256 {result.assumptions_sha256}", highlight=False, soft_wrap=True)
    console.print(f"targets: sha256 {result.targets_sha256}", highlight=False, soft_wrap=True)
    console.print(f"results: {folder}", highlight=False, markup=False, soft_wrap=True)
    if record:
        with whole_file(record) as partial:
            partial.write_text(dump_yaml(repro.as_recorded(result)), encoding="utf-8")
        return
    assert told is not None
    wrong = repro.differences(result, told)
    for sentence in wrong:
        typer.echo(f"differs: {sentence}", err=True)
    console.print(
        f"{len(result.rows) - len(wrong)} of {len(result.rows)} outcomes are the recorded ones", highlight=False
    )
    if wrong:
        raise typer.Exit(_DIFFERENT)


def run_with_bar(
    paper: str,
    routing: dict[str, str],
    measured: tuple[str, ...],
    targets: list[str] | None,
    trajectories: int,
    seed: int,
    workers: int | None,
    quiet: bool,
) -> repro.Reproduction:
    """Run a reproduction under a progress bar."""
    with progress_bar(f"repro {paper}", "settings", quiet=quiet) as update:
        return repro.reproduce(
            paper,
            routing=routing,
            measured=measured,
            trajectories=trajectories,
            seed=seed,
            workers=workers,
            only=targets,
            progress=lambda done, total, label: update(done, total, f"repro {paper}"),
        )


def routing_paths(texts: list[str] | None) -> dict[str, str]:
    """Return recorded routing by model.

    Raises:
        ConfigError: no MODEL=PATH, or no such file.
    """
    found: dict[str, str] = {}
    for text in texts or []:
        model, separator, path = text.partition("=")
        if not separator or not Path(path).expanduser().exists():
            raise ConfigError(f"--routing: given {text!r}, allowed: MODEL=PATH of a file or folder that exists")
        found[model] = str(Path(path).expanduser().resolve())
    return found


def _show(console: Console, result: repro.Reproduction) -> None:
    table = Table(title=f"{result.paper}: published and ours")
    for name in ("target", "value", "published", "ours", "over the ranges", "bound", "fidelity", "outcome"):
        table.add_column(name, overflow="fold")
    for row in result.rows:
        trend = isinstance(row.published, bool)
        span = (
            ""
            if row.least is None or row.most is None or trend
            else f"{repro.number(row.least)} to {repro.number(row.most)}"
        )
        outcome = f"{row.outcome}: {row.sub_range}" if row.sub_range else row.outcome
        table.add_row(
            row.target, row.value, repro.number(row.published), repro.number(row.ours), span, repro.number(row.bound), row.fidelity, outcome
        )  # fmt: skip
    console.print(table)
    _show_readings(console, result)
    _show_beside(console, result)
    models = ", ".join(model for model, _ in result.routing)
    console.print(f"routing: {f'recorded for {models}, else ' if models else ''}seeded generators", highlight=False)
    console.print(
        f"{result.settings} settings, {result.evaluations} evaluations of targets, {result.wall_time_s:.0f} s; "
        + ", ".join(f"{count} {outcome}" for outcome, count in result.counts.items()),
        highlight=False,
    )


def _show_readings(console: Console, result: repro.Reproduction) -> None:
    """Show ours in every reading at nominal, those of the roofline and of the measured tables side by side."""
    rows = [row for row in result.rows if row.readings and row.ours is not None]
    if not rows:
        return
    names = [name for name in result.readings if any(name in row.readings for row in rows)]
    table = Table(title="other readings at nominal, which decide no outcome")
    for head in ("target", "value", "published", "ours", *(repro.READINGS[name].title for name in names)):
        table.add_column(head, overflow="fold")
    for row in rows:
        readings = (repro.number(row.readings[name]) if name in row.readings else "" for name in names)
        table.add_row(row.target, row.value, repro.number(row.published), repro.number(row.ours), *readings)
    console.print(table)
    for text in result.measured_kernels:
        console.print(f"kernels of {text}", highlight=False, markup=False)


def _show_beside(console: Console, result: repro.Reproduction) -> None:
    """Show what targets print beside ours, such as both readings of PIMoE by batch."""
    for row in result.rows:
        if row.beside:
            said = ", ".join(f"{label} {repro.number(ours)}" for label, ours in row.beside.items())
            console.print(f"{row.target} {row.value}: {said}", highlight=False, markup=False)
