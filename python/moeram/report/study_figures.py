"""The figure of a study: columns against one key, in panels, with closed forms dashed beside them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from moeram.errors import ConfigError
from moeram.metrics import Table
from moeram.report.figures import new_figure
from moeram.report.sweep_figures import COLOURS, MARKERS, ordered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL_INCHES = (2.6, 2.3)
_WIDE = 15.0  # an axis whose ends are this far apart is logarithmic
_MOST_PANELS_A_ROW = 3
_HANDLE_INCHES, _LETTER_INCHES = 0.45, 0.042  # of an entry of the legend
_MOST_TICKS = 8


class Drawn(Protocol):
    """What to draw, see `runs.studies.StudyFigure`."""

    x: str
    drawn: tuple[str, ...]
    lines: str | None
    panels: str | None
    beside: tuple[str, ...]
    x_label: str
    y_label: str
    shared_y: bool
    from_zero: bool
    relative_to: dict[str, Any]
    log_y: bool
    given: dict[str, tuple[float, ...]]
    names: dict[str, str]


def study_figure(table: Table, drawn: Drawn, path: str | Path, *, title: str = "") -> None:
    """Draw the table of a study.

    Raises:
        ConfigError: more lines than can be told apart. MoeramError: matplotlib is missing.
    """
    panels: Sequence[Any] = ordered(table[drawn.panels]) if drawn.panels else [None]
    lines: Sequence[Any] = ordered(table[drawn.lines]) if drawn.lines else [None]
    columns = 2 if len(panels) == 4 else min(len(panels), _MOST_PANELS_A_ROW)
    rows = -(-len(panels) // columns)
    figure = new_figure(_PANEL_INCHES[1] * rows + 0.8)
    figure.set_figwidth(max(_PANEL_INCHES[0] * columns, 3.5))
    grid = figure.subplots(rows, columns, sharey=drawn.shared_y, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(panels):
            axes.set_visible(False)
            continue
        _draw(axes, table if panels[place] is None else table.where(**{drawn.panels: panels[place]}), drawn, lines)
        if panels[place] is not None:
            axes.set_title(_named(drawn, drawn.panels, panels[place]), fontsize=7)
    for axes in grid[:, 0]:
        axes.set_ylabel(drawn.y_label or ", ".join(drawn.drawn), fontsize=7)
    handles: dict[str, Any] = {}
    for axes in grid.flat:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    entry_inches = _HANDLE_INCHES + _LETTER_INCHES * max(map(len, handles))
    beside = max(min(int(figure.get_figwidth() / entry_inches), 2 + (columns > 1)), 1)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=beside, fontsize=6, frameon=False)
    if title:
        figure.suptitle(textwrap.fill(title, round(16 * figure.get_figwidth())), fontsize=8)
    figure.savefig(path, metadata={"Software": None})


def _draw(axes: Axes, table: Table, drawn: Drawn, lines: Sequence[Any]) -> None:
    """Draw one panel; a line has the same colour and marker in all of them."""
    pairs = [(line, name) for line in lines for name in drawn.drawn]
    if len(pairs) > len(COLOURS) * len(MARKERS):
        raise ConfigError(f"{len(pairs)} lines in a figure, allowed: at most {len(COLOURS) * len(MARKERS)}")
    places = ordered(table[drawn.x])
    numbers = np.issubdtype(table[drawn.x].dtype, np.number)
    for index, (line, name) in enumerate(pairs):
        of_line = table if line is None else table.where(**{drawn.lines: line})
        if not len(of_line):
            continue
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index // len(COLOURS) + index % len(MARKERS) - len(MARKERS)]
        words = [*([] if line is None else [_named(drawn, drawn.lines, line)]), *([drawn.names.get(name, name)] if len(drawn.drawn) > 1 else [])]
        x, order = _places(of_line, drawn.x, places, numbers)
        wide = line is not None and drawn.relative_to.get(drawn.lines) == line  # others may lie right on the reference
        interval = f"{name}_ci95"
        spread = np.nan_to_num(of_line[interval].astype(float))[order] if interval in of_line.columns else None
        if not numbers:  # words are not joined; lines of one word stand side by side
            x = [place + 0.12 * (index - (len(pairs) - 1) / 2) for place in x]
        axes.errorbar(
            x, of_line[name].astype(float)[order], yerr=spread, color=colour, marker=marker, ms=5.5 if wide else 3, lw=2.5 if wide else 1, ls="-" if numbers else "", capsize=1.5, elinewidth=0.7,
            label=", ".join(words) or drawn.names.get(name, name),
        )  # fmt: skip
        if name == drawn.drawn[0]:
            _draw_beside(axes, of_line, drawn, x, order, colour if drawn.lines else "#666666", _named(drawn, drawn.lines, line))
    for label, values in drawn.given.items():
        axes.plot(places if numbers else range(len(places)), values, color="#666666", ls=":", lw=1, label=label)
    if not numbers:
        axes.set_xticks(range(len(places)), [drawn.names.get(str(value), _short(value)) for value in places], rotation=25, ha="right")
    elif min(places) > 0 and max(places) / min(places) >= _WIDE:
        axes.set_xscale("log", base=2)
        axes.set_xticks(places, [f"{value:g}" for value in places])
        axes.minorticks_off()
    elif len(places) <= _MOST_TICKS:
        axes.set_xticks(places, [f"{value:g}" for value in places])
    if drawn.log_y:
        axes.set_yscale("log")
    if drawn.from_zero:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(drawn.x_label or drawn.x, fontsize=7)
    axes.tick_params(labelsize=6)
    axes.grid(axis="y", lw=0.3, color="#cccccc")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_beside(axes: Axes, table: Table, drawn: Drawn, x: Any, order: Any, colour: str, line: str) -> None:
    """Draw closed forms of one line; several closed forms differ by their dashes."""
    for index, name in enumerate(drawn.beside):
        values = table[name].astype(float)[order]
        if any(math.isfinite(value) for value in values):
            words = drawn.names.get(name, name)
            label = f"{line}, {words}" if drawn.lines else words
            axes.plot(x, values, color=colour, ls=("--", ":", "-.")[index % 3], lw=0.9, label=label)


def _places(table: Table, key: str, places: Sequence[Any], numbers: bool) -> tuple[Any, Any]:
    values = table[key].tolist()
    order = sorted(range(len(values)), key=lambda row: places.index(values[row]))
    return [values[row] if numbers else places.index(values[row]) for row in order], order


def _named(drawn: Drawn, key: str | None, value: Any) -> str:
    """Return a value as text; a number says of what."""
    if isinstance(value, str) or key is None:
        return drawn.names.get(str(value), _short(value))
    return drawn.names.get(key, f"{key.rsplit('.', 1)[-1].replace('_', ' ')} {{}}").replace("{}", _short(value))


def _short(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value).rsplit("/", 1)[-1]
