"""Share of expert accesses that meet a hot expert (Stratum's hit rate, token level)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moeram.placement import Plan


def hit_rate(plan: Plan, usage: NDArray[np.float64] | NDArray[np.int64], *, with_shared: bool = False) -> float:
    """Return hot accesses / all accesses.

    Args:
        usage: accesses of the routed experts, [layers, experts].
        with_shared: count the shared experts' accesses too: every token uses each of them once in every layer, so a
            shared expert has sum(usage[layer]) / top_k accesses.

    Returns:
        A share, or NaN where the plan has no hot experts or the usage is empty: no value, which is not the same as 0.
    """
    experts = plan.budget.experts
    if plan.hot is None or usage.sum() == 0:
        return float("nan")
    hits, total = float(usage[plan.hot[:, :experts]].sum()), float(usage.sum())
    if with_shared:
        tokens = usage.sum(axis=1) / plan.budget.top_k
        shared_hot = plan.hot[:, experts:]
        hits += float((tokens[:, None] * shared_hot).sum())
        total += float(tokens.sum() * shared_hot.shape[1])
    return hits / total
