"""Sieve (sieve.md 3): greedy prefix on max(T_comm, T_GPU, T_PIM) with a cost table learnt while running."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from moeram.hardware.cycle import load_core
from moeram.options import Options
from moeram.schedule.policy import Observation, Plan, Times
from moeram.schedule.prefix import PrefixPlan


class SieveOptions(Options):
    """moving_average: weight of the newest time in the cost table (X2). scheduler_us: charged for each decision (sieve.md 3.1).

    use_table, count_attention, count_communication: ablations; without the table the roofline is used throughout.
    """

    moving_average: float = Field(0.25, gt=0, le=1)
    scheduler_us: float = Field(20.0, ge=0)
    use_table: bool = True
    count_attention: bool = True
    count_communication: bool = True


class CostTable:
    """Time of an expert on the memory side by its token count; an exponential moving average of what was measured."""

    def __init__(self, weight: float) -> None:
        self._weight = weight
        self._ps = np.full(1, np.nan)

    def look_up(self, tokens: NDArray[np.int64], otherwise_ps: Times) -> Times:
        """Return the known times of token counts, and `otherwise_ps` where a count was never seen; same shapes."""
        self._grow(int(tokens.max(initial=0)))
        known = self._ps[tokens]
        return np.where(np.isnan(known), otherwise_ps, known)

    def known_or(self, otherwise_ps: Times) -> Times:
        """Return the times of 0, 1, ... tokens [T], and `otherwise_ps` [T] where a count was never seen."""
        self._grow(len(otherwise_ps) - 1)
        known = self._ps[: len(otherwise_ps)]
        return np.where(np.isnan(known), otherwise_ps, known)

    def update(self, tokens: NDArray[np.int64], measured_ps: Times) -> None:
        """Take the times [m] of one iteration; several with one count enter as their mean."""
        if tokens.size:
            self._grow(int(tokens.max()))
            load_core().learn(self._ps, tokens, measured_ps, self._weight)

    def _grow(self, largest: int) -> None:
        if largest >= self._ps.size:
            grown = np.full(max(largest + 1, 2 * self._ps.size), np.nan)
            grown[: self._ps.size] = self._ps
            self._ps = grown


class Sieve:
    """Moves experts from the memory side to the GPU, most tokens first, while the slowest of the three gets faster.

    Of equal steps only those are taken while the memory side is what one waits for (X3).
    """

    name = "sieve"

    def __init__(self, options: SieveOptions | None = None) -> None:
        self.options = options or SieveOptions()
        self.table = CostTable(self.options.moving_average)

    def plan(self, observation: Observation) -> Plan:
        """Return the greedy prefix of each decision."""
        options = self.options
        expected = observation.costs.memory_roofline_ps[: observation.token_counts]
        if options.use_table:
            expected = self.table.known_or(expected)
        gpu_memory, gpu_compute, attention, comm = observation.rows
        rows = (
            gpu_memory,
            gpu_compute,
            attention if options.count_attention else np.zeros_like(attention),
            comm if options.count_communication else np.zeros_like(comm),
        )
        kept = observation.groups.greedy_prefix((*observation.costs.tables[:2], expected), rows)
        return PrefixPlan(observation, kept, charged_ps=round(options.scheduler_us * 1e6))

    def observe(self, tokens: NDArray[np.int64], memory_ps: Times) -> None:
        """Update the cost table with one iteration."""
        if self.options.use_table:
            self.table.update(tokens, memory_ps)
