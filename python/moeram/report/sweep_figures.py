"""The figure of a sweep: one metric against one swept key, a line for each value of a second."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError
from moeram.metrics import Table
from moeram.report.figures import new_figure

# Okabe and Ito's colours; each line has its own marker besides.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
_MOST_LINES = 21
_WIDE = 30.0  # an axis whose ends are this far apart is logarithmic


def check_axes(against: Sequence[str], values: Sequence[Sequence[Any]]) -> None:
    """Refuse (ConfigError) what no figure can be drawn against; values: of the keys, as far as they are known."""
    if len(against) not in (1, 2):
        raise ConfigError(f"a figure is drawn against one or two keys, given {', '.join(against) or 'none'}")
    lines = len(set(map(str, values[1]))) if len(against) == 2 else 1
    if lines > _MOST_LINES:
        raise ConfigError(f"{against[1]} has {lines} values, allowed: at most {_MOST_LINES} lines; choose others with --against")


def sweep_figure(
    table: Table, metric: str, against: tuple[str, ...], path: str | Path | IO[bytes], *, title: str = ""
) -> None:
    """Draw a metric against the first of the keys, one line for each value of the second; rows of equal keys enter as their mean. A PNG.

    Raises:
        ConfigError: not one or two keys, no such column, a metric that is no number, or too many lines.
        MoeramError: matplotlib is missing.
    """
    check_axes(against, [table[key].tolist() for key in against])
    values = table[metric]
    if not np.issubdtype(values.dtype, np.number):
        raise ConfigError(f"{metric} of table {table.name} holds no numbers")
    lines = ordered(table[against[1]]) if len(against) == 2 else [None]
    x = table[against[0]]
    figure = new_figure(2.8)
    axes = figure.add_subplot()
    places = ordered(x)
    numbers = np.issubdtype(x.dtype, np.number)
    most = 1
    for place, line in enumerate(lines):
        rows = np.ones(len(table), dtype=bool) if line is None else table[against[1]] == line
        at, means, count = _means(places, x[rows], values[rows].astype(float))
        most = max(most, count)
        axes.plot(
            [places[index] for index in at] if numbers else at,
            means,
            color=COLOURS[place % len(COLOURS)],
            marker=MARKERS[place // len(COLOURS) % len(MARKERS) if len(lines) > len(COLOURS) else place],
            markersize=3,
            linewidth=1,
            label=None if line is None else f"{against[1]} = {line}",
        )
    if not numbers:
        axes.set_xticks(range(len(places)), [str(value) for value in places], rotation=20, ha="right")
    elif min(places) > 0 and max(places) / min(places) >= _WIDE:
        axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(against[0], fontsize=8)
    axes.set_ylabel(metric + (f"\n(mean of up to {most} rows)" if most > 1 else ""), fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        figure.legend(loc="outside lower center", ncols=2, fontsize=6, frameon=False)
    if title:
        figure.suptitle(title, fontsize=8)
    figure.savefig(path, format="png", metadata={"Software": None})


def ordered(values: NDArray[Any]) -> list[Any]:
    """Return distinct values: numbers ascending, words in order of appearance."""
    distinct = dict.fromkeys(values.tolist())
    return sorted(distinct) if np.issubdtype(values.dtype, np.number) else list(distinct)


def _means(places: list[Any], x: NDArray[Any], values: NDArray[np.float64]) -> tuple[list[int], list[float], int]:
    """Return places that have values, their means and the most values of a place; rows without a value do not count."""
    found: dict[int, list[float]] = {}
    index = {value: place for place, value in enumerate(places)}
    for key, value in zip(x.tolist(), values.tolist(), strict=True):
        if not math.isnan(value):
            found.setdefault(index[key], []).append(value)
    at = sorted(found)
    return at, [float(np.mean(found[place])) for place in at], max(map(len, found.values()), default=1)
