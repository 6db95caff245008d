"""What memory that computes draws: energy by bits and operations, and power while it waits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from moeram.options import Options
from moeram.units import Pj, PjPerBit

BITS_PER_BYTE = 8
# Refreshes until every row had its turn, as the standards' energy has it (docs/standards.md).
REFRESHES_OF_ALL_ROWS = 8192
_BITS_PER_GBIT = 2**30
NotNegative = Annotated[float, Field(ge=0)]


class MemoryEnergy(Options):
    """Energies of one memory; each has its source in the config.

    external_pj_per_bit: from the cell to the GPU, opening the row included. array_pj_per_bit: from the cell to the unit, likewise.
    mac_pj: of a multiplication and addition of a unit. vector_pj_per_bit: of tokens' vectors to the units and of results back.
    refresh_pj_per_bit: of every bit that a refresh reaches. standby_mw_per_gbit: drawn all the time, without refresh.
    """

    external_pj_per_bit: Annotated[PjPerBit, Field(ge=0)]
    array_pj_per_bit: Annotated[PjPerBit, Field(ge=0)]
    mac_pj: Annotated[Pj, Field(ge=0)]
    vector_pj_per_bit: Annotated[PjPerBit, Field(ge=0)]
    refresh_pj_per_bit: Annotated[PjPerBit, Field(ge=0)]
    standby_mw_per_gbit: NotNegative

    def standby_w(self, capacity_bytes: int) -> float:
        """Return the power of a memory of this size that neither works nor refreshes."""
        return capacity_bytes * BITS_PER_BYTE / _BITS_PER_GBIT * self.standby_mw_per_gbit * 1e-3

    def refresh_w(self, capacity_bytes: int, interval_ns: float) -> float:
        """Return the power of refreshing all of it once in REFRESHES_OF_ALL_ROWS intervals. 1 pJ / 1 ns = 1 mW."""
        return capacity_bytes * BITS_PER_BYTE * self.refresh_pj_per_bit / (REFRESHES_OF_ALL_ROWS * interval_ns) * 1e-3
