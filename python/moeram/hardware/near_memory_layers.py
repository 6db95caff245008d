"""Times of near-memory layers, each kind simulated once: what the cycle engine found is kept and found again.

A layer starts from drained units, so its time depends on nothing but the work: the experts in their order, the tiers of each one's
rows, their tokens and those of the batch. Two layers with equal work take equal time; the second one is not simulated.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from moeram.hardware import cycle
from moeram.hardware.cycle import CycleOptions, engine_version
from moeram.hardware.lowering import lower_counts
from moeram.hardware.memo import KernelMemo, memo_key
from moeram.hardware.spec import System
from moeram.hardware.standard_files import standard_files

_MOST_MACHINES = 64
_MOST_BYTES = 64 << 20  # of one machine's layers
_BYTES_OF_ENTRY = 160  # a place in the dictionary, its number and the head of its key
# An expert as one number: its place above its tokens; one without tokens behind all others.
_TOKEN_BITS = 32
_IDLE = np.iinfo(np.int64).max


@lru_cache(maxsize=_MOST_MACHINES)
def _times_of(machine: str) -> dict[bytes, int]:
    """Return what is known of a machine and an expert's shape; runs of one process share it."""
    return {}


class NearMemoryLayers:
    """Layer times of one system and one expert shape.

    memo: where layers outlast the process. hits, misses: layers found in this process, and not, so far; hits_on_disk: of those not found
    the ones that the memo knew.
    """

    def __init__(
        self,
        system: System,
        options: CycleOptions,
        *,
        rows_per_expert: int,
        reuse: bool = True,
        memo: KernelMemo | None = None,
    ) -> None:
        self._system, self._options, self._reuse = system, options, reuse
        self._tier_rows = system.device.tier_rows
        self._rows_per_expert = rows_per_expert
        # What the engine is told decides a time; names and energies do not.
        files = tuple(standard_files(system.device.standard).values())
        told = (files, cycle.configuration(system, options), options.reuse_identical_channels, rows_per_expert)
        self._machine = repr(told)
        self._known, self._memo = _times_of(self._machine), memo if reuse else None
        self._last: tuple[NDArray[np.integer], NDArray[np.int64]] | tuple[None, NDArray[np.int64]] = None, np.zeros(0, np.int64)
        self.hits = self.misses = self.hits_on_disk = 0

    @property
    def fidelity(self) -> str:
        """The label of every time from here."""
        options = self._options
        return "cycle-memo" if self._reuse or options.reuse_identical_channels or options.reuse_experts else "cycle"

    def time_ps(self, first_row: NDArray[np.integer], counts: NDArray[np.integer], *, batch: int) -> NDArray[np.int64]:
        """Return the time of each layer [L].

        Args:
            first_row, counts: of each layer and expert [L, experts + shared experts].

        Raises:
            CapacityError: a batch overflows a buffer of the unit.
        """
        # Which expert runs first is free to choose: by tier, then by tokens, makes more layers alike than by number; the idle come last.
        kinds = np.where(counts > 0, self._placed(first_row) + counts, _IDLE)
        if not self._reuse:
            self.misses += len(counts)
            return self._simulate(*_sorted(kinds, first_row, counts), batch)
        told, width = batch.to_bytes(8, "little"), kinds.itemsize * kinds.shape[1]
        alike = np.sort(kinds, axis=1).tobytes()
        keys = [told + alike[at : at + width] for at in range(0, len(alike), width)]
        new = {key: layer for layer, key in enumerate(keys) if key not in self._known}
        if new:
            layers = np.fromiter(new.values(), dtype=np.int64)
            rows, tokens = _sorted(kinds[layers], first_row[layers], counts[layers])
            times = self._found_or_simulated(list(new), rows, tokens, batch)
            self._known.update(zip(new, times.tolist(), strict=True))
        self.misses += len(new)
        self.hits += len(keys) - len(new)
        times = np.fromiter((self._known[key] for key in keys), dtype=np.int64, count=len(keys))
        excess = len(self._known) - _MOST_BYTES // (_BYTES_OF_ENTRY + kinds[0].nbytes)
        for key in list(islice(self._known, max(excess, 0))):
            del self._known[key]  # the oldest
        return times

    def _found_or_simulated(
        self, keys: list[bytes], first_row: NDArray[np.integer], counts: NDArray[np.integer], batch: int
    ) -> NDArray[np.int64]:
        """Layers that no run of this process knew: those of an earlier run that met just these, or new ones."""
        if self._memo is None:
            return self._simulate(first_row, counts, batch)
        key = memo_key("layer times", engine_version(), self._machine, *keys)
        found = self._memo.get(key)
        if found is None:
            found = {"time_ps": self._simulate(first_row, counts, batch)}
            self._memo.put(key, found)
        else:
            self.hits_on_disk += len(keys)
        return found["time_ps"]

    def _simulate(self, first_row: NDArray[np.integer], counts: NDArray[np.integer], batch: int) -> NDArray[np.int64]:
        work = lower_counts(first_row, counts, batch=batch)
        times = cycle.run(work, self._system, self._options)
        if self._memo is not None:
            self._memo.counts.commands_of_misses += times.engine["commands_simulated"]
        return times.time_ps

    def _placed(self, first_row: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return `_places` above the bits of a number of tokens, kept: placements outlast steps."""
        if first_row is not self._last[0]:
            self._last = first_row, self._places(first_row) << _TOKEN_BITS
        return self._last[1]

    def _places(self, first_row: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return what a row's number decides, as one number: its tier, and where in the expert the next tier begins."""
        edges, rows = self._tier_rows, self._rows_per_expert
        first = first_row.astype(np.int64)
        if self._options.slowest_tier_everywhere:
            return np.zeros_like(first)
        if (np.diff(edges) < rows).any():  # an expert may meet several tiers
            return first
        tier = np.searchsorted(edges, first, side="right") - 1
        return tier * (rows + 1) + np.minimum(edges[tier + 1] - first, rows)


def _sorted(kinds: NDArray[np.int64], *arrays: NDArray[np.integer]) -> list[NDArray[np.integer]]:
    """Return arrays [L, experts] in the order of their experts' kinds, equal ones by number."""
    order = np.argsort(kinds, axis=1, kind="stable")
    return [np.take_along_axis(array, order, 1) for array in arrays]
