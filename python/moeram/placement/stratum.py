"""Algorithm 1 (stratum.md 3.3): the hottest experts fill the fastest rows, the coldest end at Phi - 1, KV between."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moeram.placement.plan import Plan, RowBudget


def ranked_rows(budget: RowBudget) -> NDArray[np.int32]:
    """Return the first row of each rank i of n: i Delta for the hot ones, Phi - (n - i) Delta for the rest."""
    rank = np.arange(budget.expert_count)
    from_top = budget.phi - (budget.expert_count - rank) * budget.rows_per_expert
    return np.where(rank < budget.hot_count, rank * budget.rows_per_expert, from_top).astype(np.int32)


def rank_experts(frequency: NDArray[np.float64], shared_experts: int) -> NDArray[np.int64]:
    """Return flat indices into [layers, experts + shared]: all shared experts (U17), then by frequency; ties by index.

    frequency: [layers, experts], selections of the routed experts.
    """
    layers, experts = frequency.shape
    width = experts + shared_experts
    flat = np.arange(layers * width).reshape(layers, width)
    by_frequency = np.argsort(-frequency, axis=None, kind="stable")
    return np.concatenate([flat[:, experts:].ravel(), flat[:, :experts].ravel()[by_frequency]])


def place_ranked(policy: str, order: NDArray[np.int64], budget: RowBudget) -> Plan:
    """Return the plan that gives the expert order[i] the rows of rank i; the first hot_count of them are hot."""
    shape = (budget.layers, budget.experts + budget.shared_experts)
    first_row = np.empty(budget.expert_count, dtype=np.int32)
    first_row[order] = ranked_rows(budget)
    hot = np.zeros(budget.expert_count, dtype=bool)
    hot[order[: budget.hot_count]] = True
    return Plan(policy=policy, budget=budget, first_row=first_row.reshape(shape), hot=hot.reshape(shape))


def over_topics(usage: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum usage [topics, layers, experts] over topics, each with the same weight (U18 with uniform topic shares)."""
    totals = usage.sum(axis=(1, 2), keepdims=True)
    return (usage / np.where(totals > 0, totals, 1)).sum(axis=0)
