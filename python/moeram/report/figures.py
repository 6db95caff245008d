"""Figures, sized for one column of a paper; matplotlib is imported when one is drawn."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from moeram.errors import MoeramError
from moeram.metrics import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMN_INCHES = (3.5, 3.1)
_DOTS_PER_INCH = 300
# Okabe and Ito's colours, told apart by colour-blind readers too; each part has its own marker besides.
_PARTS = {
    "occupancy": ("occupancy (no tiering / random)", "#0072B2", "o"),
    "popularity": ("popularity (random / static)", "#E69F00", "s"),
    "topic": ("topic (static / topic-aware)", "#009E73", "^"),
    "total": ("total", "#000000", "D"),
}
_CLOSED_FORM_COLOUR, _PAPER_COLOUR = "#666666", "#D55E00"


def new_figure(height_inches: float) -> Figure:
    """Return an empty figure of one column's width.

    Raises:
        MoeramError: matplotlib is missing.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it complains of a home that cannot be written to
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MoeramError(f"figures need matplotlib ({error}); install it with `pip install matplotlib`") from error
    figure = Figure(figsize=(_COLUMN_INCHES[0], height_inches), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def decomposition_figure(table: Table, path: str | Path, *, title: str = "") -> None:
    """Draw the gain over no tiering and its three factors against the batch size.

    Args:
        table: the decomposition table; only its rows for all layers are drawn, with their 95 % intervals where they are
            known.
        path: where the PNG goes.

    Raises:
        MoeramError: matplotlib is missing.
    """
    figure = new_figure(_COLUMN_INCHES[1])
    axes = figure.add_subplot()
    _draw_gains(axes, table.where(layers="all"))
    if title:
        figure.suptitle(title, fontsize=8)
    handles, labels = axes.get_legend_handles_labels()  # matplotlib puts plain lines first; the parts belong there
    order = sorted(range(len(labels)), key=lambda index: hasattr(handles[index], "get_xdata"))
    handles, labels = [handles[index] for index in order], [labels[index] for index in order]
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=2,
        fontsize=6,
        frameon=False,
        handlelength=2.2,
        columnspacing=1.0,
    )
    figure.savefig(path, metadata={"Software": None})


def _draw_gains(axes: Axes, table: Table) -> None:
    order = np.argsort(table["batch"])
    batch = table["batch"][order]
    for name, (label, colour, marker) in _PARTS.items():
        gain, spread = table[name][order], np.nan_to_num(table[f"{name}_ci95"][order])
        if np.isfinite(gain).any():
            width = 1.6 if name == "total" else 1.1
            axes.errorbar(
                batch,
                gain,
                yerr=spread,
                label=label,
                color=colour,
                marker=marker,
                ms=3.5,
                lw=width,
                capsize=1.5,
                elinewidth=0.7,
            )
    closed_form, paper = table["closed_form_total"][order], table["paper"][order]
    if np.isfinite(closed_form).any():
        axes.plot(
            batch,
            closed_form,
            label="closed form (row cycles only)",
            color=_CLOSED_FORM_COLOUR,
            ls="--",
            lw=1.0,
        )
    if np.isfinite(paper).any():
        axes.axhline(paper[0], label=f"paper: {paper[0]:.2f} (whole decode)", color=_PAPER_COLOUR, ls=":", lw=1.2)
    axes.set_xscale("log", base=2)
    axes.set_xticks(batch, [str(value) for value in batch])
    axes.minorticks_off()
    axes.set_xlabel("batch size (tokens per step)", fontsize=8)
    axes.set_ylabel("gain (ratio of step times)", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(axis="y", lw=0.3, color="#cccccc")
    axes.spines[["top", "right"]].set_visible(False)
