"""The tornado figure of a screening: what each assumption alone does to a published value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from moeram.errors import ConfigError
from moeram.files import whole_file
from moeram.metrics import Table
from moeram.report.figures import new_figure

_COLUMNS, _BARS = 3, 6
_OURS_COLOUR, _PAPER_COLOUR, _BAR_COLOUR = "#000000", "#D55E00", "#0072B2"
_PANEL_INCHES = (3.4, 1.75)
_WIDE = 30.0  # an axis whose ends are this far apart is logarithmic


def tornado_figure(
    table: Table, published: Mapping[tuple[str, str], float], path: str | Path, *, title: str = ""
) -> None:
    """Draw one panel for each value: bars from the least to the most that a parameter alone makes of it, widest on top.

    Args:
        table: rows with target, value, parameter, nominal, least_alone, most_alone. published: (target, value) of the panels, in order -> number.

    Raises:
        ConfigError: nothing to draw. MoeramError: matplotlib is missing.
    """
    panels = [(key, rows) for key in published if (rows := _rows(table, key))]
    if not panels:
        raise ConfigError("no value depends on an assumption that varies: nothing to draw")
    lines = -(-len(panels) // _COLUMNS)
    figure = new_figure(_PANEL_INCHES[1] * lines + 0.4)
    figure.set_size_inches(_PANEL_INCHES[0] * min(_COLUMNS, len(panels)), _PANEL_INCHES[1] * lines + 0.4)
    for place, (key, rows) in enumerate(panels):
        axes = figure.add_subplot(lines, min(_COLUMNS, len(panels)), place + 1)
        names = [str(row["parameter"]) for row in rows]
        starts = [float(row["least_alone"]) for row in rows]
        widths = [float(row["most_alone"]) - start for row, start in zip(rows, starts, strict=True)]
        axes.barh(range(len(rows)), widths, left=starts, color=_BAR_COLOUR, height=0.6)
        ends = [*starts, *(start + width for start, width in zip(starts, widths, strict=True)), published[key]]
        if min(ends) > 0 and max(ends) / min(ends) >= _WIDE:
            axes.set_xscale("log")
            axes.minorticks_off()
        axes.axvline(float(rows[0]["nominal"]), color=_OURS_COLOUR, linewidth=1, label="ours at nominal")
        axes.axvline(published[key], color=_PAPER_COLOUR, linewidth=1, linestyle="--", label="published")
        axes.set_yticks(range(len(rows)), names, fontsize=6)
        axes.set_ylim(_BARS - 0.5, -0.5)
        axes.tick_params(axis="x", labelsize=6)
        axes.set_title(f"{key[0]} {key[1]}", fontsize=7)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=7, frameon=False)
    if title:
        figure.suptitle(title, fontsize=9)
    with whole_file(path) as partial:
        figure.savefig(partial, format="png")


def _rows(table: Table, key: tuple[str, str]) -> list[dict]:
    """Return the widest bars of a value; parameters that do nothing are left out."""
    rows = [
        row
        for row in table.rows()
        if (row["target"], row["value"]) == key and row["most_alone"] - row["least_alone"] > 1e-9 * abs(row["nominal"])
    ]
    return sorted(rows, key=lambda row: row["least_alone"] - row["most_alone"])[:_BARS]
