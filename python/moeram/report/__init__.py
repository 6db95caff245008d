"""Reports: figures and tables for the terminal."""

from __future__ import annotations

from moeram.report.cap_figures import radar_figure
from moeram.report.figures import decomposition_figure
from moeram.report.serving_figures import serving_figure
from moeram.report.study_figures import study_figure
from moeram.report.sweep_figures import check_axes, sweep_figure
from moeram.report.terminal import decomposition_tables, fitting_table, plain_table, points_table, width_of
from moeram.report.tornado_figure import tornado_figure

__all__ = [
    "check_axes", "decomposition_figure", "decomposition_tables", "fitting_table", "plain_table", "points_table", "radar_figure", "serving_figure", "study_figure",
    "sweep_figure", "tornado_figure", "width_of",
]  # fmt: skip
