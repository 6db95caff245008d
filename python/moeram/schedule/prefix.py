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

    stop: int64 [n], token count up to which experts stay. moved: int64 [n], how many of exactly that count went to the GPU after all.
    """

    def __init__(
        self, observation: Observation, stop: NDArray[np.int64], moved: NDArray[np.int64], *, charged_ps: int = 0
    ) -> None:
        self.attention_on_memory, self.charged_ps = True, charged_ps
        self._observation, self._stop, self._moved = observation, stop, moved

    @cached_property
    def on_memory(self) -> NDArray[np.bool_]:  # type: ignore[override]
        """Experts [n, E] on the memory side."""
        tokens, stop = self._observation.tokens, self._stop[:, None]
        last = tokens == stop
        stays = np.cumsum(last, axis=1) > self._moved[:, None]
        return (tokens > 0) & ((tokens < stop) | (last & stays))

    def kept_by_tokens(self, observation: Observation) -> NDArray[np.int64]:
        """Return how many experts of each decision with 0, 1, ... tokens are on the memory side [n, T]."""
        kept = observation.experts_by_tokens * (np.arange(observation.token_counts) <= self._stop[:, None])
        kept[np.arange(len(kept)), self._stop] -= self._moved
        return kept


def greedy(
    observation: Observation, expert_ps: Times, attention_ps: Times, comm_ps: Times
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return stop and moved of the greedy prefix of each decision: experts go to the GPU while max(comm, GPU, memory) falls.

    Experts of equal tokens cost the same, so that along them the GPU's time is convex and the memory side's falls: once a move
    does not help, the next of its group does not either. A group is therefore passed if its last move helps, and only one group is
    walked through. Of moves that change nothing those are taken while the memory side is what one waits for (X3).

    Args:
        expert_ps: [T], of an expert by its tokens. attention_ps, comm_ps: [n], those that count.
    """
    costs, counts = observation.costs, observation.token_counts
    groups, n = observation.experts_by_tokens[:, :0:-1], len(comm_ps)
    if counts == 1:
        return np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    each = np.empty((3, 1, counts - 1))
    for place, table in enumerate((costs.gpu_memory_ps, costs.gpu_compute_ps, expert_ps)):
        each[place, 0] = table[counts - 1 : 0 : -1]
    np.negative(each[2], out=each[2])
    ends, comm = np.cumsum(groups * each, axis=2), comm_ps[:, None]
    ends[2] += (attention_ps - ends[2, :, -1])[:, None]
    ends[0] += observation.gpu_base_memory_ps[:, None]
    ends[1] += observation.gpu_base_compute_ps[:, None]
    # The last move of each group, of those that have one.
    stops = ~_helps(ends - each, ends, comm) & (groups > 0)
    place, row = np.argmax(stops, axis=1), np.arange(n)
    found = stops[row, place]
    size, cost = groups[row, place], each[:, 0, place]
    moves = np.arange(int(size.max(where=found, initial=1)))
    walk = (ends[:, row, place] - size * cost)[:, :, None] + np.arange(len(moves) + 1) * cost[:, :, None]
    # The last of a group's moves is known not to help.
    moved = np.argmin(_helps(walk[:, :, :-1], walk[:, :, 1:], comm) & (moves < size[:, None] - 1), axis=1)
    return np.where(found, counts - 1 - place, 0), np.where(found, moved, 0)


def _helps(before: Times, after: Times, comm: Times) -> NDArray[np.bool_]:
    """Whether a move from one state to the next is taken; states: GPU memory, GPU compute and memory side, [3, n, moves]."""
    was = np.maximum(before.max(axis=0), comm)
    now = np.maximum(after.max(axis=0), comm)
    return (now < was) | ((now == was) & (before[2] > comm))
