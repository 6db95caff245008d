"""Means, ratios of means and their 95 % confidence half-widths over independent draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution


def student_t975(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t.

    Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5), within 0.2 % from 3 degrees on; below, from the table.
    """
    if degrees < 1:
        return float("nan")
    if degrees <= 2:
        return (12.7062047, 4.3026527)[degrees - 1]
    z = _Z
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / degrees**power for power, term in enumerate(terms))


def mean_ci95(values: NDArray[np.float64], per_topic: int = 0) -> tuple[float, float]:
    """Return the mean of the draws and the half-width of its 95 % confidence interval (NaN for a single draw).

    per_topic: draws of each topic, which follow each other; their spread is taken within topics, since the topics are
    chosen and not drawn. 0 or 1: over all draws.
    """
    count = len(values)
    if per_topic < 2:
        spread = float(np.std(values, ddof=1)) / count**0.5 if count > 1 else float("nan")
        return float(np.mean(values)), student_t975(count - 1) * spread
    groups = values.reshape(-1, per_topic)
    variance = float(np.sum(np.var(groups, axis=1, ddof=1)) * per_topic) / count**2
    return float(np.mean(values)), student_t975(count - len(groups)) * variance**0.5


def ratio_ci95(above: NDArray[np.float64], below: NDArray[np.float64], per_topic: int = 0) -> tuple[float, float]:
    """Return mean(above) / mean(below) of paired draws and its 95 % half-width by the jackknife.

    Leaving out draw i of N gives r_i = (sum(above) - above_i) / (sum(below) - below_i). With n draws per topic the variance
    is n (N - 1)^2 / ((n - 1) N^2) sum (r_i - mean r of its topic)^2, so that for a constant denominator it is that of
    mean_ci95; for one topic this is the usual (N - 1) / N. per_topic as in mean_ci95.
    """
    count = len(above)
    ratio = float(np.sum(above) / np.sum(below))
    if count < 2:
        return ratio, float("nan")
    size = per_topic if per_topic >= 2 else count
    groups = ((np.sum(above) - above) / (np.sum(below) - below)).reshape(-1, size)
    scale = size * (count - 1) ** 2 / ((size - 1) * count**2)
    variance = scale * float(np.sum((groups - groups.mean(axis=1, keepdims=True)) ** 2))
    return ratio, student_t975(count - len(groups)) * variance**0.5
