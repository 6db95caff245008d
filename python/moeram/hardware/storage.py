"""Storage below the memory (NVMe, host memory, PCIe): a contract without an answer yet.

Nothing implements it: expert weights that do not fit the memory are refused by the placement. The contract stands here so
that an offloading tier has its place: it prices reads of whole experts, and the serving loop adds them to a step as it adds
network time.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Storage(Protocol):
    """A tier that keeps expert weights outside the memory.

    capacity_bytes: what it holds. fidelity: label of its times.
    """

    capacity_bytes: int
    fidelity: str

    def read_ps(self, expert_bytes: NDArray[np.int64], queued_ps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when reads [n], issued together behind `queued_ps` of earlier work, have arrived in the memory."""
        ...
