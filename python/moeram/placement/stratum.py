"""Algorithm 1 (stratum.md 3.3): the hottest experts fill the fastest rows, the coldest end at Phi - 1, KV between."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError
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


def over_topics(usage: NDArray[np.float64], requests: Sequence[float] | None = None) -> NDArray[np.float64]:
    """Frequency in a batch of several topics: the sum over requests of their topics' tables (U18), [layers, experts].

    A topic's table is its share of selections, usage[topic] / sum(usage[topic]), so that it counts by its requests and not
    by how many tokens were profiled.

    Args:
        usage: selections, [topics, layers, experts]; a topic without any adds nothing.
        requests: of each topic, not negative, not all 0; None gives each topic the same weight.

    Raises:
        ConfigError: requests do not fit.
    """
    weight = np.ones(len(usage)) if requests is None else np.asarray(requests, dtype=np.float64)
    if weight.shape != (len(usage),) or not (np.isfinite(weight).all() and weight.min() >= 0 and weight.sum() > 0):
        raise ConfigError(
            f"requests by topic: given {np.round(weight, 6).tolist()}, allowed: {len(usage)} numbers, 0 or more, not all 0"
        )
    totals = usage.sum(axis=(1, 2), keepdims=True)
    tables = usage / np.where(totals > 0, totals, 1)
    return (weight[:, None, None] * tables).sum(axis=0)
