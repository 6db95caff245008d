"""Experts of equal tokens as groups: all that a schedule and a price need to know of a step's experts, since all have one shape."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from moeram.hardware.cycle import load_core

Times = NDArray[np.float64]  # picoseconds
Tables = tuple[Times, Times, Times]
Rows = tuple[Times, Times, Times, Times]


class TokenGroups:
    """The experts of n decisions by their tokens.

    begin: int64 [n + 1], where the groups of each decision begin. tokens: int64 [groups], above 0, ascending in a decision. experts: int64
    [groups], how many have so many. total: int64 [n], tokens of all experts of a decision. most: tokens of any expert.
    """

    def __init__(self, tokens: NDArray[np.int64]) -> None:
        self.begin, self.tokens, self.experts, self.total, self.most = load_core().group_tokens(tokens)

    @cached_property
    def decision(self) -> NDArray[np.int64]:
        """The decision of each group [groups]."""
        return np.repeat(np.arange(len(self.begin) - 1), np.diff(self.begin))

    @cached_property
    def activated(self) -> int:
        """Experts with tokens, of all decisions."""
        return int(self.experts.sum())

    def counted(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count some of the experts in their groups [groups]; tokens: [n, E], 0 for those that do not count."""
        counts = self.most + 1
        places = tokens + (np.arange(len(tokens)) * counts)[:, None]
        found = np.bincount(places.ravel(), minlength=len(tokens) * counts)
        return found[self.decision * counts + self.tokens]

    def greedy_prefix(self, tables: Tables, rows: Rows) -> NDArray[np.int64]:
        """Return how many experts of each group stay with the memory when those with most tokens go to the GPU while max(comm, GPU, memory)
        falls. Of moves that change nothing those are taken while the memory side is what one waits for (X3).

        Args:
            tables: [T] by tokens, what an expert adds to the GPU's memory and compute time, and to the memory side's. rows: [n] what the GPU does
                in any case (memory, compute), what is queued on the memory side, transfers.
        """
        return load_core().greedy_prefix(self.begin, self.tokens, self.experts, tables, rows)

    def few_to_memory(self, tables: Tables, rows: Rows) -> NDArray[np.int64]:
        """Return the same when all are on the GPU and those with fewest tokens come to the memory while max(GPU, memory) falls with each; what
        is queued there and transfers do not count.
        """
        return load_core().few_to_memory(self.begin, self.tokens, self.experts, tables, rows)

    def many_to_gpu(self, tables: Tables) -> NDArray[np.int64]:
        """Return the same when all are in memory and those with most tokens go to the GPU while its experts do not take longer than the memory's;
        the move that makes them stays.
        """
        return load_core().many_to_gpu(self.begin, self.tokens, self.experts, tables)

    def sums_ps(
        self, kept: NDArray[np.int64], gpu_memory_ps: Times, gpu_compute_ps: Times, kept_ps: Times
    ) -> tuple[Times, Times, Times]:
        """Return memory and compute time of the experts that did not stay, by the tables [T], and the time of those that did [n].

        kept_ps: [groups], of those of each group that stayed.
        """
        return load_core().sum_rows(self.begin, self.tokens, self.experts, kept, gpu_memory_ps, gpu_compute_ps, kept_ps)

    def chains(self, kept: NDArray[np.int64], copies: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where each group ends [groups] in the chain of the tokens that pass through kept experts, and the length of the chains [copies].

        There are `copies` chains: decision d belongs to chain d modulo copies; in a chain decisions follow one another, the fewest tokens first.
        """
        return load_core().chain_ends(self.begin, self.tokens, self.experts, kept, copies)

    def each_kept(self, kept: NDArray[np.int64], kept_ps: Times) -> tuple[NDArray[np.int64], Times]:
        """Return the tokens of the groups of which any experts are kept, and the time of one of those; kept_ps: [groups], of all together."""
        return load_core().kept_groups(self.tokens, kept, kept_ps)
