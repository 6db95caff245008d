"""`moeram assumptions`: what papers leave open, and what moeram takes for it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from moeram.cli.terminal import output
from moeram.repro import Assumptions, load_assumptions, papers

app = typer.Typer(no_args_is_help=True, help="What papers leave open, as declared parameters.")


@app.callback()
def assumptions_options() -> None:
    """What papers leave open, as declared parameters."""


@app.command("list")
def list_command(
    paper: Annotated[str | None, typer.Argument(help="stratum or sieve. [all]")] = None,
    reasons: Annotated[bool, typer.Option("--reasons", help="Say why, and what is structural.")] = False,
) -> None:
    """List every assumption with its nominal value and range."""
    console = output()
    for name in [paper] if paper else papers():
        loaded = load_assumptions(name)
        console.print(_table(loaded, reasons))
        console.print(f"assumptions of {loaded.paper}: sha256 {loaded.hash}", highlight=False, soft_wrap=True)


def _table(loaded: Assumptions, reasons: bool) -> Table:
    table = Table(title=f"assumptions about {loaded.paper}")
    for column in ("id", "what is open", "parameter", "nominal", "range", "unit"):
        table.add_column(column, overflow="fold")
    if reasons:
        table.add_column("reason; what is structural", overflow="fold", ratio=1)
    for entry in loaded.assumptions:
        why = [escape("; ".join(text for text in (entry.reason, entry.structural) if text))] if reasons else []
        if not entry.parameters:
            table.add_row(entry.id, escape(entry.title), "structural", "", "", "", *why)
        for index, (name, one) in enumerate(entry.parameters.items()):
            head = (entry.id, escape(entry.title)) if index == 0 else ("", "")
            said = why if index == 0 else [""] * len(why)
            table.add_row(*head, name, escape(_text(one.nominal)), escape(one.span()), one.unit, *said)
    return table


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
