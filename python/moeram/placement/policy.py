"""The contract of a placement policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moeram.placement.plan import Plan, RowBudget


@dataclass(frozen=True, kw_only=True)
class PlacementInput:
    """What a policy may know.

    usage: selections of the ranking half, float64 [topics, layers, experts]. topic: the topic of the coming batch as far
    as known, an index into usage. budget: the rows it may use. seed: of its random choices, if any. requests: of each
    topic in a batch of several topics, [topics]; None means that all are of `topic`. held_out:
    selections of the half that results are measured on, shaped as usage: for `oracle_topic` alone, outside policies never get it.
    """

    usage: NDArray[np.float64]
    topic: int
    budget: RowBudget
    seed: int
    requests: tuple[float, ...] | None = None
    held_out: NDArray[np.float64] | None = None


class PlacementPolicy(Protocol):
    """Gives every expert its rows. Called once per topic before the simulation; pure: equal inputs give equal plans."""

    def __call__(self, given: PlacementInput) -> Plan:
        """Return a plan for all layers and experts of the budget, shared ones included; intervals lie in [0, phi)."""
        ...
