"""Tables for the terminal: those of Rich, headings in several lines."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from moeram.metrics import GAINS, Table

_MOST_BESIDE = 4  # columns of a single row; more stand below each other
_NARROW = 8  # characters that a heading may have in any case
_LONG = 10**7  # whole numbers from here on are rounded
_ANY_WIDTH = 10_000


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
    """Return any table; numbers have so many significant digits. A table of one row and many columns is turned on its side."""
    if len(table) == 1 and len(table.columns) > _MOST_BESIDE:
        result = _table(title, ("", "value"))
        for name, value in next(table.rows()).items():
            result.add_row(name.replace("_", " "), _cell(value, digits))
        return result
    cells = [[_cell(value, digits) for value in row.values()] for row in table.rows()]
    widest = [max((len(cell) for cell in column), default=0) for column in zip(*cells, strict=True)]
    widest = widest or [0] * len(table.columns)
    result = _table(title, tuple(map(_heading, table.columns, widest)))
    for row in cells:
        result.add_row(*row)
    return result


def fitting_table(table: Table, title: str, *, width: int, keep: int = 1) -> tuple[RichTable, tuple[str, ...]]:
    """Return the leading columns of a table that fit so many characters, at least `keep` of them, and the names of the others."""
    count = len(table.columns)
    while True:
        names = table.columns[:count]
        result = plain_table(Table(table.name, {name: table[name] for name in names}, table.units), title)
        if count <= keep or width_of(result) <= width:
            return result, table.columns[count:]
        count -= 1


def width_of(table: RichTable) -> int:
    """Return how many characters a table needs so that nothing is cut off."""
    return Console(width=_ANY_WIDTH).measure(table).maximum


def _cell(value: Any, digits: int) -> str:
    if isinstance(value, float):
        return _text(value, f"{{:,.{digits}g}}".format)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}" if abs(value) < _LONG else f"{value:.{digits - 1}e}"
    return str(value)


def _heading(name: str, widest: int) -> str:
    """Return a column's name as words, in as many lines as keep it about as narrow as its cells."""
    words = name.replace("_", " ").replace(".", ". ").split()
    width = max([widest, _NARROW, *map(len, words)])
    lines = [words[0]] if words else [""]
    for word in words[1:]:
        together = f"{lines[-1]} {word}"
        lines = [*lines[:-1], together] if len(together) <= width else [*lines, word]
    return "\n".join(lines)


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
