"""The command line. No logic: options in, messages and tables out."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import moeram
from moeram import experiment, report, runs
from moeram.cli import (
    assumptions,
    cap,
    check,
    export,
    model,
    pim,
    placement,
    repro,
    routing,
    serve,
    study,
    sweep,
    topics,
)
from moeram.cli.terminal import output, progress_bar, show_end
from moeram.errors import MoeramError


class _OneMessage(TyperGroup):
    """Turns every error of moeram into one message on stderr and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MoeramError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # the reader of our output has gone
            where = f"{error.filename}: " if error.filename else ""
            typer.echo(f"error: {where}{error.strerror or error}", err=True)
            raise typer.Exit(2) from None
        except MemoryError as error:
            typer.echo(f"error: this does not fit the memory of this machine ({error}); make it smaller", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=_OneMessage,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Mixture-of-experts decoding on tiered memory with near-memory units, cycle by cycle.",
)
for _name, _room in {
    "assumptions": assumptions,
    "cap": cap,
    "check": check,
    "model": model,
    "pim": pim,
    "placement": placement,
    "routing": routing,
    "study": study,
    "topics": topics,
}.items():
    app.add_typer(_room.app, name=_name)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"moeram {moeram.__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Mixture-of-experts decoding on tiered memory with near-memory units, cycle by cycle."""


@app.command()
def run(
    name_or_path: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A shipped experiment or a YAML file.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="KEY=VALUE", help="Replace one option; may be repeated."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the results. [moeram-runs/NAME-KEY]")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="Threads of the engine. [all cores]")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no tables.")] = False,
) -> None:
    """Run an experiment; write its tables, figure, resolved config and provenance into a folder."""
    overrides = list(parameter or [])
    if threads is not None:
        overrides.append(f"threads={threads}")
    options = experiment.load(name_or_path, overrides)
    default = Path("moeram-runs") / f"{options.name}-{runs.run_key(options, moeram.__version__)[:8]}"
    folder = runs.check_folder(output or default)
    record = _run_with_bar(options, quiet)
    runs.save(record, folder, moeram.__version__)
    if not quiet:
        _show(record, folder)


app.command()(serve.serve)
app.command()(sweep.sweep)
app.command("export")(export.export_command)
app.command("repro")(repro.repro_command)


def _run_with_bar(options: experiment.Experiment, quiet: bool) -> experiment.Record:
    with progress_bar(options.name, "steps", quiet=quiet) as update:
        return experiment.run(options, lambda done, total, label: update(done, total, f"{options.name}: {label}"))


def _show(record: experiment.Record, folder: Path) -> None:
    console = output()
    console.print(report.points_table(record["points"], record.experiment.paper_hit_rate))
    console.print(*report.decomposition_tables(record["decomposition"]), sep="\n")
    show_end(console, record, folder)


def main() -> None:
    """Entry point of the command `moeram`."""
    app()


if __name__ == "__main__":
    sys.exit(main())
