"""What every pricing of work answers: times with their fidelity beside their bound."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moeram.errors import EngineError

# From the surest to the least sure: a sum of parts is as sure as its least sure part.
FIDELITIES = ("cycle", "cycle-memo", "measured", "event", "measured, extrapolated", "analytic")


def worst(*labels: str) -> str:
    """Return the least sure of some labels."""
    return max(labels, key=FIDELITIES.index)


@dataclass(frozen=True, kw_only=True)
class Priced:
    """Times of work items.

    time_ps: int64 [n]. bound_ps: int64 [n], what no machine with these peaks could beat. fidelity: of the times.

    Raises:
        EngineError: some time is better than its bound.
    """

    time_ps: NDArray[np.int64]
    bound_ps: NDArray[np.int64]
    fidelity: str

    def __post_init__(self) -> None:
        assert self.fidelity in FIDELITIES, self.fidelity
        if self.time_ps.shape != self.bound_ps.shape:
            raise EngineError(f"times of shape {self.time_ps.shape} with bounds of shape {self.bound_ps.shape}")
        better = self.time_ps < self.bound_ps
        if better.any():
            item = int(np.argmax(better))
            raise EngineError(
                f"work item {item} takes {self.time_ps.flat[item]} ps, less than its bound of {self.bound_ps.flat[item]} ps"
            )


def priced_one(time_ps: float, bound_ps: float) -> tuple[int, int]:
    """Return time and bound of one work item in whole picoseconds, as `Priced` has many.

    Raises:
        EngineError: the time is better than its bound.
    """
    time, bound = math.ceil(time_ps), math.floor(bound_ps)
    if time < bound:
        raise EngineError(f"work takes {time} ps, less than its bound of {bound} ps")
    return time, bound
