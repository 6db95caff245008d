"""Tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rich import box
from rich.table import Table as RichTable

from moeram.metrics import GAINS, Table


def points_table(points: Table, paper_hit_rate: float | None = None) -> RichTable:
    """Return the figures of each placement and batch; an empty field is "no value"."""
    title = "one step of all expert layers"
    if paper_hit_rate is not None:
        title += f" (hit rate in the paper: {paper_hit_rate:.1%})"
    columns = (
        "batch",
        "placement",
        "time\nus",
        "tokens/s",
        "hit\nrate",
        "experts\n/layer",
        "band-\nwidth",
        "energy\nuJ/token",
    )
    result = _table(title, columns)
    previous = None
    for row in sorted(points.rows(), key=lambda row: row["batch"]):
        if previous not in (None, row["batch"]):
            result.add_section()
        previous = row["batch"]
        result.add_row(
            str(row["batch"]),
            row["placement"],
            _text(row["step_time_us"], "{:.2f}".format),
            _text(row["tokens_per_s"], "{:,.0f}".format),
            _text(row["hit_rate_held_out"], "{:.1%}".format),
            _text(row["active_experts_per_layer"], "{:.1f}".format),
            _text(row["bandwidth_utilisation"], "{:.1%}".format),
            _text(row["energy_per_token_uj"], "{:,.0f}".format),
        )
    return result


def decomposition_tables(decomposition: Table) -> list[RichTable]:
    """Return the gain and its factors for each batch: of all layers, then of the measured ones if only some are."""
    result = []
    for layers in dict.fromkeys(decomposition["layers"].tolist()):
        title = f"{layers} layers: gain = occupancy x popularity x topic (step times, 95 % interval)"
        table = _table(title, ("batch", *GAINS, "closed\nform", "paper"))
        for row in decomposition.where(layers=layers).rows():
            gains = [_with_spread(row[name], row[f"{name}_ci95"]) for name in GAINS]
            closed_form, paper = (_text(row[name], "{:.3f}".format) for name in ("closed_form_total", "paper"))
            table.add_row(str(row["batch"]), *gains, closed_form, paper)
        result.append(table)
    return result


def plain_table(table: Table, title: str, digits: int = 4) -> RichTable:
    """Return any table; numbers have so many significant digits. A table of one row is turned on its side."""

    def text(value: Any) -> str:
        return _text(value, f"{{:,.{digits}g}}".format) if isinstance(value, float) else str(value)

    names = [name.replace("_", " ") for name in table.columns]
    if len(table) == 1 and len(names) > 8:
        result = _table(title, ("", "value"))
        for name, value in zip(names, next(table.rows()).values(), strict=True):
            result.add_row(name, text(value))
        return result
    result = _table(title, tuple(names))
    for row in table.rows():
        result.add_row(*map(text, row.values()))
    return result


def _table(title: str, columns: tuple[str, ...]) -> RichTable:
    result = RichTable(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for column in columns:
        result.add_column(column, justify="left" if column == "placement" else "right", no_wrap=True)
    return result


def _text(value: float, form: Callable[[Any], str]) -> str:
    return "" if math.isnan(value) else form(value)


def _with_spread(value: float, spread: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.3f}" + ("" if math.isnan(spread) else f" ±{spread:.3f}".replace("±0.", "±."))
