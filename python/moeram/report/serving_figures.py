"""The figure of a serving run: load and throughput over time, and how long requests waited."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from moeram.metrics import Table
from moeram.report.figures import new_figure

_TOKENS, _RUNNING, _WAITING, _TOTAL = "#0072B2", "#009E73", "#D55E00", "#000000"


def serving_figure(series: Table, requests: Table, path: str | Path, *, title: str = "") -> None:
    """Draw tokens a second, running and waiting requests over time, and the share of requests by time to first token.

    Args:
        series, requests: tables of a serving run. path: where the PNG goes.

    Raises:
        MoeramError: matplotlib is missing.
    """
    figure = new_figure(4.2)
    speed, load, waits = figure.subplots(3, 1)
    time_s = series["start_s"]
    speed.step(time_s, series["tokens_per_s"], where="post", color=_TOKENS, linewidth=1)
    speed.set_ylabel("tokens/s", fontsize=7)
    load.step(time_s, series["mean_decode_requests"], where="post", color=_RUNNING, linewidth=1, label="decoding")
    load.step(
        time_s, series["mean_waiting"], where="post", color=_WAITING, linewidth=1, linestyle="--", label="waiting"
    )
    load.set_ylabel("requests", fontsize=7)
    load.set_xlabel("time (s)", fontsize=7)
    load.legend(fontsize=6, frameon=False)
    for name, end, colour, style in (
        ("first token", "first_token_s", _TOKENS, "-"),
        ("last token", "finished_s", _TOTAL, "--"),
    ):
        taken = np.sort(requests[end] - requests["arrival_s"])
        share = np.arange(1, len(taken) + 1) / len(taken)
        waits.step(taken, share, where="post", color=colour, linestyle=style, linewidth=1, label=name)
    waits.set_xscale("log")
    waits.set_ylim(0, 1.02)
    waits.set_xlabel("time from arrival (s)", fontsize=7)
    waits.set_ylabel("share of requests", fontsize=7)
    waits.legend(fontsize=6, frameon=False)
    for axes in (speed, load, waits):
        axes.tick_params(labelsize=6)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in (speed, load):
        axes.set_ylim(bottom=0)
    if title:
        figure.suptitle(title, fontsize=8)
    figure.savefig(path, metadata={"Software": None})
