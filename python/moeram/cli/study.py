"""moeram study: experiments with a question, a table and a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import moeram
from moeram import report, runs
from moeram.cli.terminal import output, progress_bar, show_table
from moeram.errors import ConfigError
from moeram.files import whole_file
from moeram.metrics import Table
from moeram.repro import load_assumptions, papers

app = typer.Typer(no_args_is_help=True, help="Studies: a question, the sweep that answers it, its table and its figure.")
_DIFFERENT = 1


@app.command("list")
def list_studies() -> None:
    """Name the shipped studies and what they ask."""
    console = output()
    for name in runs.study_names():
        study = runs.load_study(name)
        needs = f" (needs --input {', '.join(study.inputs)})" if study.inputs else ""
        console.print(f"{name}: {study.question}{needs}", highlight=False, markup=False)


@app.command("run")
def run_studies(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME|PATH]...", help="Studies. [all that need no input]")] = None,
    given: Annotated[
        list[str] | None, typer.Option("--input", metavar="NAME=PATH", help="What a study asks for; may be repeated.")
    ] = None,
    folder: Annotated[Path, typer.Option("-o", "--output", help="Folder of tables, figures and results.")] = Path("moeram-studies"),
    compare: Annotated[
        Path | None, typer.Option("--compare", metavar="FOLDER", help="Hold every table against NAME.csv there; exit code 1 if one differs.")
    ] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", min=0, help="Relative, of numbers that are compared.")] = 1e-6,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes. [all cores]")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no tables.")] = False,
) -> None:
    """Run studies: their tables (NAME.csv, NAME_*.csv), NAME.png and NAME.yaml (where they come from) in a folder; points that are there are not run again."""
    inputs = dict(_pair(text) for text in given or [])
    studies = [runs.load_study(name) for name in names or runs.study_names()]
    wanted = [study for study in studies if names or set(study.inputs) <= inputs.keys()]
    unknown = sorted(inputs.keys() - {name for study in studies for name in study.inputs})
    if unknown:
        raise ConfigError(f"--input {unknown[0]}: none of these studies asks for it")
    for study in wanted if compare is not None else ():
        for name in (study.name, *(f"{study.name}_{one}" for one in study.tables)):
            _require_expected(compare / f"{name}.csv")
    console, different = output(), 0
    hashes = {paper: load_assumptions(paper).hash for paper in papers()}
    for study in wanted:
        own = {name: path for name, path in inputs.items() if name in study.inputs}
        with progress_bar(study.name, "points", quiet=quiet) as update:
            result = runs.run_study(
                study, folder / "points", moeram.__version__, inputs=own, workers=workers,
                progress=lambda done, total, failed, name=study.name, update=update: update(done, total, name),
            )  # fmt: skip
        tables, _ = runs.write_study(result, folder, moeram.__version__, hashes)
        with whole_file(folder / f"{study.name}.png") as partial, open(partial, "wb") as file:
            report.study_figure(result.table, study.figure, file, title=study.description)
        if not quiet:
            show_table(console, _shown(result.table), f"{study.name}: {study.question}")
        console.print(f"{study.name}: {len(result.sweep.outcomes)} points, {result.sweep.wall_time_s:.1f} s, {tables[0]}", highlight=False)
        for table in tables if compare is not None else ():
            different += _show_differences(table, compare / table.name, tolerance)
    for paper, found in hashes.items():
        console.print(f"assumptions of {paper}: sha256 {found}", highlight=False, soft_wrap=True)
    if different:
        raise typer.Exit(_DIFFERENT)


def _shown(table: Table) -> Table:
    """Leave out what the file has beside the figures: intervals and labels that are the same in every row."""
    same = {name for name in table.columns if name.endswith("fidelity") and len(set(table[name].tolist())) == 1}
    shown = [name for name in table.columns if name not in same and not name.endswith("_ci95")]
    return Table(table.name, {name: table[name] for name in shown}, table.units)


def _require_expected(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file to compare with")


def _show_differences(table: Path, expected: Path, tolerance: float) -> bool:
    found = runs.differences(table, expected, relative=tolerance)
    for sentence in found[:10]:
        typer.echo(sentence, err=True)
    typer.echo(f"{table.stem}: {len(found)} fields differ" if found else f"{table.stem}: as expected")
    return bool(found)


def _pair(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise ConfigError(f"--input {text}: given {text!r}, allowed: NAME=PATH")
    return name, path
