"""`moeram export`: options in, a file out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from moeram import experiment, export
from moeram.errors import ConfigError


def export_command(
    source: Annotated[str, typer.Argument(metavar="TRACE|EXPERIMENT", help="A trace, a PIM program or an experiment.")],
    to: Annotated[str, typer.Option("--to", help=f"Format: {', '.join(export.FORMATS)}.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="File to write.")],
    source_format: Annotated[str, typer.Option("--from", help="Format of a trace.")] = "auto",
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", metavar="KEY=VALUE", help="Replace an experiment's option.")
    ] = None,
    placement: Annotated[str | None, typer.Option("--placement", help="Of an experiment. [its last]")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Of an experiment. [its smallest]")] = None,
    draw: Annotated[int, typer.Option("--draw", help="Which step of that batch.")] = 0,
    layers: Annotated[str | None, typer.Option("--layers", metavar="FIRST-LAST", help="Expert layers. [all]")] = None,
    transaction_bytes: Annotated[int, typer.Option(min=1, help="Bytes of a read of an experiment's step.")] = 64,
    interval_cycles: Annotated[int, typer.Option(min=1, help="Cycles between requests without a time (dramsim3).")] = 1,
) -> None:
    """Write a trace, a PIM program or the reads of a decode step as the input of another simulator."""
    path = Path(source)
    opened: Path | export.RequestStream = path
    if not path.is_file() or path.suffix in (".yaml", ".yml"):
        step = export.LoweredStep(
            placement=placement, batch=batch, draw=draw, layers=_layers(layers), transaction_bytes=transaction_bytes
        )
        opened = export.step_stream(experiment.load(source, list(parameter or [])), step)
    export.export(opened, output, to=to, source_format=source_format, interval_cycles=interval_cycles)


def _layers(text: str | None) -> range | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", text)
    if not found or int(found[2] or found[1]) < int(found[1]):
        raise ConfigError(f"--layers {text}: FIRST-LAST is expected, such as 0-3")
    return range(int(found[1]), int(found[2] or found[1]) + 1)
