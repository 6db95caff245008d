"""The CAP radar as a figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from moeram.metrics import Table
from moeram.report.figures import new_figure

_AXES = ("performance", "cost", "accuracy")
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")
_STYLES = ("-", "--", "-.", ":")


def radar_figure(table: Table, path: str | Path, *, title: str = "") -> None:
    """Draw radii (20 to 100) of `radar_table`, one polygon for each system; a cost beyond the axis is said in the legend.

    Raises:
        MoeramError: matplotlib is missing.
    """
    figure = new_figure(3.4)
    axes = figure.add_subplot(projection="polar")
    angles = np.pi / 2 + np.arange(len(_AXES)) * 2 * np.pi / len(_AXES)
    for place, row in enumerate(table.rows()):
        radii = [row[axis] for axis in _AXES]
        colour, style = _COLOURS[place % len(_COLOURS)], _STYLES[place // len(_COLOURS) % len(_STYLES)]
        closed = np.append(angles, angles[0])
        label = f"{row['system']} (costs more than the axis shows)" if row["cost_beyond_axis"] else row["system"]
        axes.plot(closed, [*radii, radii[0]], color=colour, linestyle=style, linewidth=1.2, label=label)
        axes.fill(closed, [*radii, radii[0]], color=colour, alpha=0.08)
    axes.set_xticks(angles, _AXES, fontsize=7)
    axes.set_rlim(0, 100)
    axes.set_rticks([20, 40, 60, 80, 100])
    axes.tick_params(axis="y", labelsize=5)
    axes.grid(linewidth=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=6, frameon=False)
    if title:
        figure.suptitle(title, fontsize=8)
    figure.savefig(path, format="png", metadata={"Software": None})
