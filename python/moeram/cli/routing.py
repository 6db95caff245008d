"""`moeram routing`: statistics, fit, conversion and validation of recorded routing. No logic: options in, tables out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from moeram.model import load_model
from moeram.report.routing_figures import routing_figures
from moeram.routing.canonical import write_trace
from moeram.routing.describe import check_recording, fit_dict, statistics_columns, statistics_dict, statistics_rows
from moeram.routing.fitting import fit as fit_generator
from moeram.routing.opening import open_tokens, open_trace
from moeram.routing.readers.limits import DOCUMENT_MEGABYTES, limit_documents
from moeram.routing.recording import Recording
from moeram.routing.summary import summarise

app = typer.Typer(no_args_is_help=True, help="Recorded routing: statistics, conversion, and a generator fitted to it.")

_Path = Annotated[Path, typer.Argument(metavar="PATH", help="File or folder of recorded routing, any known format.")]
_Model = Annotated[
    str | None, typer.Option("--model", "-m", help="Model that was recorded; a canonical file states its own.")
]
_Format = Annotated[str, typer.Option("--format", "-f", help="Format of PATH; auto looks at names and first bytes.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
_Most = Annotated[
    int, typer.Option("--max-document-mb", min=1, help="Most of one JSON document, line or array, unpacked, in MB.")
]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of samples and random batches.")]


@app.command()
def stats(
    path: _Path,
    model: _Model = None,
    format: _Format = "auto",
    as_json: _Json = False,
    figures: Annotated[Path | None, typer.Option("--figures", help="Folder for the figures (PNG).")] = None,
    seed: _Seed = 0,
    max_document_mb: _Most = DOCUMENT_MEGABYTES,
) -> None:
    """Print the statistics of recorded routing."""
    limit_documents(max_document_mb)
    found = summarise(_open(path, model, format), seed=seed)
    drawn = routing_figures(found, figures) if figures else {}
    if as_json:
        typer.echo(json.dumps(statistics_dict(found)))
        return
    console = _console()
    title = f"{found.shape.name}, {found.format}, {found.scope}, {len(found.layers)} layers"
    _print(console, title, statistics_columns(found), statistics_rows(found))
    for word, value in (("tokens", found.tokens), ("requests", found.requests)):
        console.print(f"{word}: {value if value is not None else 'undefined'}", highlight=False)
    _notes(console, found.notes)
    for name, file in drawn.items():
        console.print(f"{name}: {file}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def fit(
    path: _Path,
    model: _Model = None,
    format: _Format = "auto",
    as_json: _Json = False,
    seed: _Seed = 0,
    max_document_mb: _Most = DOCUMENT_MEGABYTES,
) -> None:
    """Fit the synthetic generator to recorded routing and print the error of every statistic."""
    limit_documents(max_document_mb)
    found = fit_generator(_open(path, model, format), seed=seed)
    if as_json:
        typer.echo(json.dumps(fit_dict(found)))
        return
    rows = [
        (
            error.statistic,
            _number(error.recorded),
            _number(error.fitted),
            _number(error.error),
            error.unit,
            error.reason,
        )
        for error in found.errors
    ]
    console = _console()
    _print(console, "recorded and fitted", ("statistic", "recorded", "fitted", "error", "unit", "reason"), rows)
    fitted = found.options.model_dump(include={"topics", "requests", "prompt_tokens", "decode_tokens"} | _FITTED)
    console.print("fitted: " + ", ".join(f"{name} {value}" for name, value in fitted.items()), highlight=False)
    _notes(console, found.recorded.notes)


_FITTED = {"repeat", "request_sigma", "cross_layer"}


@app.command()
def convert(
    path: _Path,
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Canonical Parquet file to write.")],
    model: _Model = None,
    format: _Format = "auto",
    max_document_mb: _Most = DOCUMENT_MEGABYTES,
) -> None:
    """Convert recorded tokens to the canonical Parquet file."""
    limit_documents(max_document_mb)
    rows = write_trace(open_tokens(path, load_model(model) if model else None, format=format), output)
    typer.echo(f"{output}: {rows} rows")


@app.command()
def validate(
    path: _Path,
    model: _Model = None,
    format: _Format = "auto",
    as_json: _Json = False,
    max_document_mb: _Most = DOCUMENT_MEGABYTES,
) -> None:
    """Read a recording against all rules; the first broken one is named with its file and place."""
    limit_documents(max_document_mb)
    facts = check_recording(_open(path, model, format))
    typer.echo(
        json.dumps(facts) if as_json else "sound: " + ", ".join(f"{name} {value}" for name, value in facts.items())
    )


def _open(path: Path, model: str | None, format: str) -> Recording:
    return open_trace(path, load_model(model) if model else None, format=format)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=140)


def _print(console: Console, title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if 0 < i < 4 and len(columns) > 4 else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _notes(console: Console, notes: tuple[str, ...]) -> None:
    for note in notes:
        console.print(f"note: {note}", highlight=False, markup=False)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
