"""The rule between measured points: linear in log-log, one axis after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def interpolate(
    points: NDArray[np.float64], wanted: list[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    if points.shape[1] == 2:
        return _along(points[:, 0], points[:, 1][:, None], wanted[0])
    outer = np.unique(points[:, 1])
    lines = [points[points[:, 1] == value] for value in outer]
    answers = [_along(line[:, 0], line[:, 2][:, None], wanted[0]) for line in lines]
    times, outside = _along(outer, np.stack([time for time, _ in answers]), wanted[1])
    below = np.clip(np.searchsorted(outer, wanted[1], side="right") - 1, 0, len(outer) - 1)
    above = np.clip(np.searchsorted(outer, wanted[1]), 0, len(outer) - 1)
    edges = np.stack([edge for _, edge in answers])
    item = np.arange(len(wanted[0]))
    return times, outside | edges[below, item] | edges[above, item]


def _along(
    sizes: NDArray[np.float64], times: NDArray[np.float64], wanted: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Interpolate times [points, 1 or n] over sizes [points] at wanted [n]."""
    times = np.broadcast_to(times, (len(sizes), len(wanted)))
    item = np.arange(len(wanted))
    inside = np.clip(wanted, sizes[0], sizes[-1])
    right = (
        np.clip(np.searchsorted(sizes, inside), 1, max(len(sizes) - 1, 1))
        if len(sizes) > 1
        else np.zeros(len(wanted), int)
    )
    left = np.maximum(right - 1, 0)
    width = np.log(sizes[right]) - np.log(sizes[left])
    share = np.divide(np.log(inside) - np.log(sizes[left]), width, out=np.zeros(len(wanted)), where=width > 0)
    log_time = (1 - share) * np.log(times[left, item]) + share * np.log(times[right, item])
    return np.exp(log_time) * np.maximum(wanted / sizes[-1], 1), wanted != inside
