"""Prefixes of the experts in descending order of load: the family of plans that Sieve, Duplex and the oracle search."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from moeram.schedule.policy import Observation, Plan, Times


@dataclass(frozen=True, kw_only=True)
class Prefixes:
    """For k = 0 .. m: the k experts with most tokens on the GPU, the others on the memory side; m: most activated experts of a decision.

    order: int64 [n, m], experts by tokens descending (equal ones by id; without tokens last). gpu_ps, memory_ps: [n, m + 1].
    activated: int64 [n], experts with tokens, the largest k that means something. experts: E.
    """

    order: NDArray[np.int64]
    gpu_ps: Times
    memory_ps: Times
    activated: NDArray[np.int64]
    experts: int

    def on_memory(self, moved: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return the experts [n, E] left on the memory side when `moved` [n] of each order went to the GPU."""
        place = np.arange(self.order.shape[1])
        left = (place >= moved[:, None]) & (place < self.activated[:, None])
        result = np.zeros((len(self.order), self.experts), dtype=bool)
        result.ravel()[_flat(self.order, self.experts)] = left
        return result


def prefixes(observation: Observation, expert_ps: Times) -> Prefixes:
    """Return all prefixes, with `expert_ps` [n, E] as the times on the memory side; attention and base work are counted."""
    n, experts = observation.tokens.shape
    activated = np.count_nonzero(observation.tokens > 0, axis=1)
    # Inactive experts come last in each order; their times are left out of the sums.
    order = _descending(observation.tokens)[:, : max(int(activated.max(initial=0)), 1)]
    counted = np.arange(order.shape[1]) < activated[:, None]
    place = _flat(order, experts)
    sums = np.zeros((3, n, order.shape[1] + 1))
    for column, times in zip(sums, (observation.gpu_memory_ps, observation.gpu_compute_ps, expert_ps), strict=True):
        np.multiply(times.ravel()[place], counted, out=column[:, 1:])
    np.cumsum(sums, axis=2, out=sums)
    gpu_memory = observation.gpu_base_memory_ps[:, None] + sums[0]
    gpu_compute = observation.gpu_base_compute_ps[:, None] + sums[1]
    moved = sums[2]
    return Prefixes(
        order=order,
        gpu_ps=np.maximum(gpu_memory, gpu_compute),
        # Not below zero where floating point leaves a rest of the full sum.
        memory_ps=observation.attention_ps[:, None] + np.maximum(moved[:, -1:] - moved, 0.0),
        activated=activated,
        experts=experts,
    )


def _flat(order: NDArray[np.int64], experts: int) -> NDArray[np.int64]:
    """Return places of an order [n, m] in a flat array [n * experts]."""
    return order + experts * np.arange(len(order))[:, None]


def _descending(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the order of each row by tokens descending, equal ones by id; short keys sort by digits, several times faster."""
    short = tokens.size and int(tokens.max()) <= np.iinfo(np.int16).max
    return np.argsort(-tokens.astype(np.int16) if short else -tokens, axis=1, kind="stable")


class PrefixPlan(Plan):
    """The experts with most tokens on the GPU, the others on the memory side; of equal ones those with the smallest ids go first.

    kept: int64 [groups of the observation], how many stay.
    """

    def __init__(self, observation: Observation, kept: NDArray[np.int64], *, charged_ps: int = 0) -> None:
        self.attention_on_memory, self.charged_ps = True, charged_ps
        self._observation, self._kept = observation, kept

    @cached_property
    def on_memory(self) -> NDArray[np.bool_]:  # type: ignore[override]
        """Experts [n, E] on the memory side."""
        tokens, groups, stays = self._observation.tokens, self._observation.groups, self._kept > 0
        # The last group of which any stay, and how many of it went to the GPU after all.
        last = np.full(len(tokens), -1)
        np.maximum.at(last, groups.decision[stays], np.flatnonzero(stays))
        stop = np.where(last < 0, 0, groups.tokens[last])[:, None] if len(stays) else np.zeros((len(tokens), 1))
        moved = (groups.experts - self._kept)[last][:, None] if len(stays) else stop
        of_last = tokens == stop
        return (tokens > 0) & ((tokens < stop) | (of_last & (np.cumsum(of_last, axis=1) > moved)))

    def kept(self, observation: Observation) -> NDArray[np.int64]:
        """Return how many experts of each group are on the memory side [groups]."""
        return self._kept
