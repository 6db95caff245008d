"""Figures of routing statistics; matplotlib is imported when one is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from moeram.errors import MoeramError
from moeram.routing.summary import RoutingStatistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DOTS_PER_INCH = 300
# Okabe and Ito's colours; hatches and markers tell the series apart as well.
_BINS = (("1 token", "#D55E00"), ("2 tokens", "#E69F00"), ("3-4 tokens", "#56B4E9"), ("more", "#0072B2"))
_SERIES = {
    "next_token_coverage": ("next token, top 20 % of experts", "#0072B2", "o"),
    "next_layer_coverage": ("next layer, top 20 % of experts", "#009E73", "^"),
    "same_expert_next": ("same expert for the next token", "#D55E00", "s"),
    "prefill_decode_correlation": ("prefill/decode rank correlation", "#000000", "D"),
}
FIGURES = ("heat_map", "bimodality", "coverage")


def routing_figures(found: RoutingStatistics, folder: str | Path) -> dict[str, Path]:
    """Draw every figure that ``found`` has the numbers for into ``folder``, and return their paths by name.

    Raises:
        MoeramError: matplotlib is missing, nothing can be drawn, or ``folder`` cannot be written.
    """
    try:
        return _drawn(found, Path(folder))
    except OSError as error:
        raise MoeramError(f"{folder}: figures cannot be written there ({error.strerror or error})") from None


def _drawn(found: RoutingStatistics, place: Path) -> dict[str, Path]:
    place.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for name, defined, draw in (
        ("heat_map", found.usage, heat_map),
        ("bimodality", found.load_shares, bimodality),
        ("coverage", found.next_token_coverage, coverage),
    ):
        if defined is not None:
            drawn[name] = place / f"{name}.png"
            draw(found, drawn[name])
    if not drawn:
        raise MoeramError(f"{found.place}: a {found.format} recording has no statistic that a figure shows")
    return drawn


def heat_map(found: RoutingStatistics, path: str | Path) -> None:
    """Use of each expert in each layer over the mean use, on a logarithmic scale; unused experts are white."""
    figure, axes = _figure((7.0, 0.9 + 0.075 * max(len(found.layers), 16)))
    usage = found.scope_usage().sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        load = usage / usage.mean(axis=1, keepdims=True)
    from matplotlib.colors import LogNorm

    shown = np.ma.masked_where(~(load > 0), load)
    top = float(max(shown.max(), 2.0))
    image = axes.imshow(
        shown, aspect="auto", cmap="viridis", norm=LogNorm(max(1 / 16, 1e-3), top), interpolation="nearest"
    )
    bar = figure.colorbar(image, ax=axes, pad=0.01)
    ticks = [tick for tick in 2.0 ** np.arange(-4, 11, 2 if top > 8 else 1) if tick <= top]
    bar.set_ticks(ticks, labels=[f"{tick:g}" if tick >= 1 else f"1/{round(1 / tick)}" for tick in ticks])
    bar.minorticks_off()
    bar.set_label("use / mean use of the layer", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    step = max(len(found.layers) // 12, 1)
    axes.set_yticks(range(0, len(found.layers), step), [str(layer) for layer in found.layers[::step]])
    _finish(figure, axes, path, "expert", "layer", f"{found.shape.name}: selections ({_scope(found)})")


def bimodality(found: RoutingStatistics, path: str | Path) -> None:
    """Share of the used experts with 1, 2, 3-4 and more tokens against the batch size, and how many are used."""
    assert found.load_shares is not None and found.distinct_experts is not None
    figure, axes = _figure((3.5, 3.0))
    batches = sorted(found.load_shares)
    shares = np.array([np.nanmean(found.load_shares[batch], axis=1) for batch in batches])
    place, bottom = np.arange(len(batches)), np.zeros(len(batches))
    for i, (label, colour) in enumerate(_BINS):
        axes.bar(place, shares[:, i], bottom=bottom, color=colour, label=label, width=0.85, edgecolor="white", lw=0.4)
        bottom += shares[:, i]
    used = [found.distinct_experts[batch].mean() / found.shape.experts for batch in batches]
    axes.plot(place, used, color="black", marker="o", ms=3.5, lw=1.2, label="used / all experts", clip_on=False)
    every = max(len(batches) // 12, 1)
    axes.set_xticks(place[::every], [str(batch) for batch in batches[::every]])
    axes.set_ylim(0, 1)
    figure.legend(loc="outside lower center", ncols=3, fontsize=6, frameon=False, handlelength=1.5, columnspacing=1.0)
    _finish(figure, axes, path, "batch (tokens per step)", "share of the used experts", found.shape.name)


def coverage(found: RoutingStatistics, path: str | Path) -> None:
    """How well experts are foretold, against the layer: by the token before, the layer before, and the prompt."""
    figure, axes = _figure((3.5, 3.0))
    for name, (label, colour, marker) in _SERIES.items():
        values = getattr(found, name)
        if values is not None:
            layers = found.layers[-len(values) :]
            axes.plot(layers, values, label=label, color=colour, marker=marker, ms=3, lw=1.0)
    axes.axhline(0.2, color="#999999", ls=":", lw=1.0, label="top 20 %, if all were alike")
    low = min(0.0, axes.get_ylim()[0])
    axes.set_ylim(max(low, -1.05), 1.02 if low == 0.0 else 1.05)
    margin = max((found.layers[-1] - found.layers[0]) * 0.04, 0.5)
    axes.set_xlim(found.layers[0] - margin, found.layers[-1] + margin)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(axis="y", lw=0.3, color="#cccccc")
    figure.legend(loc="outside lower center", ncols=2, fontsize=5.5, frameon=False, handlelength=2.0, columnspacing=1.0)
    _finish(figure, axes, path, "layer", "share (correlation)", f"{found.shape.name} ({_scope(found)})")


def _scope(found: RoutingStatistics) -> str:
    return {"decode": "decode tokens", "all": "all tokens", "counts": "counts"}[found.scope]


def _figure(inches: tuple[float, float]) -> tuple[Figure, Axes]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MoeramError(f"figures need matplotlib ({error}); install it with `pip install matplotlib`") from error
    figure = Figure(figsize=inches, dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _finish(figure: Figure, axes: Axes, path: str | Path, x: str, y: str, title: str) -> None:
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.tick_params(labelsize=7)
    figure.suptitle(title, fontsize=8)
    figure.savefig(path, metadata={"Software": None})
