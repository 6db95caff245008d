"""`moeram check`: the engine against references."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moeram import check

app = typer.Typer(no_args_is_help=True, help="Check the engine against references.")


@app.callback()
def main_options() -> None:
    """Check the engine against references."""


@app.command()
def golden(
    case: Annotated[Path, typer.Argument(metavar="CASE_DIR", help="Folder of a reference case; it stays as it is.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT_DIR", help="Folder for the results.")],
) -> None:
    """Run one reference case in a scratch folder and leave what its comparison tool reads in OUT_DIR."""
    for warning in check.run_case(case, output):
        typer.echo(f"warning: {warning}", err=True)
