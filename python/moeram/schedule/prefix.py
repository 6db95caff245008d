"""Prefixes of the experts in descending order of load: the plans of Sieve, Duplex and PIMoE."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from moeram.schedule.policy import Observation, Plan


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
