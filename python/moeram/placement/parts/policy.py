"""The contract of a placement on parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moeram.placement.parts.plan import PartBudget, PartPlan


@dataclass(frozen=True, kw_only=True)
class PartInput:
    """What a policy may know.

    usage: selections (or shares) that rankings may see, float64 [layers, experts]; topics are already aggregated.
    budget: the slots it may use. pairs: tokens that use both experts, [layers, experts, experts], symmetric with zero
    diagonal, or None where it is not known. seed: of random choices, if any. Values that do not fit raise TraceError.
    """

    usage: NDArray[np.float64]
    budget: PartBudget
    pairs: NDArray[np.floating] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self.budget.check_values("usage", self.usage, 2)
        if self.pairs is not None:
            self.budget.check_values("co-activation", self.pairs, 3)


class PartPolicy(Protocol):
    """Gives every expert of every layer at least one slot. Pure: equal inputs give equal plans."""

    def __call__(self, given: PartInput) -> PartPlan:
        """Return a plan for all layers; it may leave slots empty and must not write to its input."""
        ...
