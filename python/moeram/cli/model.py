"""`moeram model`: models in numbers. No logic: options in, tables or JSON out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated

import typer
from rich.table import Table

from moeram.cli.terminal import output
from moeram.model import load_model, parse_precision
from moeram.model.summary import BATCHES, CONTEXTS_TOKENS, Summary, summarise

app = typer.Typer(no_args_is_help=True, help="Models: shapes, bytes and operations.")


@app.callback()
def model_options() -> None:
    """Models: shapes, bytes and operations."""


@app.command()
def show(
    name_or_path: Annotated[
        str, typer.Argument(metavar="NAME|PATH", help="A shipped model, a model YAML or a Hugging Face config.json.")
    ],
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision", metavar="FORMAT|PART=FORMAT,...", help="Store it otherwise: fp8, experts=mxfp4 ..."
        ),
    ] = None,
    batch: Annotated[list[int] | None, typer.Option("--batch", help="Tokens of a step; may be repeated.")] = None,
    context: Annotated[list[int] | None, typer.Option("--context", help="Context, tokens; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print bytes per expert, cache and state per token, active parameters and operations per byte by batch."""
    model = load_model(name_or_path)
    if precision is not None:
        model = replace(model, precision=parse_precision(precision, model.precision))
    summary = summarise(model, batches=batch or BATCHES, contexts_tokens=context or CONTEXTS_TOKENS)
    if as_json:
        typer.echo(json.dumps(summary.plain(), indent=2))
    else:
        _print(summary)


def _print(summary: Summary) -> None:
    console = output()
    facts = Table(title=summary.name, show_header=False)
    for name, value in summary.facts.items():
        facts.add_row(name.replace("_", " "), f"{value:,}")
    facts.add_row("attention layers", ", ".join(f"{count} {kind}" for kind, count in summary.attention_layers.items()))
    for part, stored in summary.precision.items():
        facts.add_row(f"precision of {part.replace('_', ' ')}", stored)
    console.print(facts)
    console.print(_table(summary.batches), f"  {summary.batches_are}", sep="\n", highlight=False)
    console.print(_table(summary.contexts))
    for note in (f"source: {summary.source}", *(f"note: {note}" for note in summary.notes)):
        console.print(note, highlight=False, markup=False)


def _table(points: tuple[object, ...]) -> Table:
    table = Table(*(name.replace("_", " ") for name in vars(points[0])))
    for point in points:
        table.add_row(*(_cell(value) for value in vars(point).values()))
    return table


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
