"""Tiered chips with near-memory units as the memory of one GPU: Stratum's memory under schedules that choose (fidelity analytic).

Closed form of near-memory experts: each of an expert's rows takes max(row cycle, multiplications of all its tokens) and nothing else
takes time; for whole layers of OLMoE and Mixtral it lies within 2 % of the cycle engine (docs/studies, E1).
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from moeram.hardware.lowering import require_near_memory
from moeram.hardware.memory_energy import MemoryEnergy
from moeram.hardware.priced import Priced, priced_one
from moeram.hardware.spec import System, load_system
from moeram.model import MoEModel
from moeram.options import Options

_OPERATIONS_PER_MAC = 2


class TieredMemory(Options):
    """The chips of one GPU. chips: a name of configs/hardware. row_cycle_ns: of the rows that experts lie in, on average over their use, as a
    placement has it; None, and for caches: the mean of all tiers. standby_mw_per_gbit: drawn all the time.
    """

    kind: Literal["tiered_units"]
    name: str
    description: str
    chips: str
    row_cycle_ns: Annotated[float, Field(gt=0)] | None = None
    standby_mw_per_gbit: Annotated[float, Field(ge=0)]

    @cached_property
    def system(self) -> System:
        """The chips."""
        return load_system(self.chips)

    @property
    def stacks(self) -> int:
        """Chips."""
        return self.system.chips

    @property
    def capacity_bytes(self) -> int:
        """Bytes of all chips."""
        return self.system.capacity_bytes

    @property
    def external_gb_per_s(self) -> float:
        """What the GPU reads through the interposer."""
        return self.system.chips * self.system.device.channels * self.system.link.channel_io_gb_per_s

    @property
    def energy(self) -> MemoryEnergy:
        """Of the chips; there is no refresh (stratum.md U2)."""
        terms = self.system.energy
        return MemoryEnergy(
            external_pj_per_bit=terms.link_pj_per_bit,
            array_pj_per_bit=terms.dram_to_logic_pj_per_bit,
            mac_pj=terms.mac_pj,
            vector_pj_per_bit=terms.link_pj_per_bit,
            refresh_pj_per_bit=0.0,
            standby_mw_per_gbit=self.standby_mw_per_gbit,
        )

    @property
    def refresh_interval_ns(self) -> float:
        """Never."""
        return float("inf")

    @property
    def reads_weights_for_each_token(self) -> bool:
        """Whether an expert's weights are read anew for each of its tokens."""
        return False

    @property
    def peak_bytes_per_ps(self) -> float:
        """What the units read at most: whole rows of tier 1."""
        return self.system.peak_bandwidth_bytes_per_s * 1e-12

    @property
    def peak_operations_per_ps(self) -> float:
        """What the units compute at most, of 16-bit weights."""
        unit = self.system.unit
        return _OPERATIONS_PER_MAC * self.system.banks * unit.mac_block_bytes / 2 / unit.unit_clock_ps

    @cached_property
    def _mean_cycle_ps(self) -> float:
        device = self.system.device
        return float(np.asarray(self.system.closed_form.row_cycle_ns) @ np.diff(device.tier_rows)) / device.rows * 1e3

    def _rows_ps(self, row_cycle_ps: float, tokens: NDArray[np.int64], model: MoEModel) -> NDArray[np.float64]:
        unit, row_sets = self.system.unit, model.expert_bytes / self.system.row_set_bytes
        mac_ps = self.system.device.row_bytes / unit.mac_block_bytes * unit.unit_clock_ps
        # Rows are opened whole; the last one is multiplied as far as it is filled.
        return (tokens > 0) * np.maximum(-(-model.expert_bytes // self.system.row_set_bytes) * row_cycle_ps, row_sets * mac_ps * tokens)

    def expert_ps(self, tokens: NDArray[np.int64], model: MoEModel) -> Priced:
        """Price experts with so many tokens each [...], all of them in rows of the same cycle.

        Raises:
            ConfigError: a model that the units cannot run.
        """
        require_near_memory(model)
        cycle_ps = self._mean_cycle_ps if self.row_cycle_ns is None else self.row_cycle_ns * 1e3
        return Priced(
            time_ps=np.ceil(self._rows_ps(cycle_ps, tokens, model)).astype(np.int64),
            bound_ps=np.floor(self._rows_ps(min(self.system.closed_form.row_cycle_ns) * 1e3, tokens, model)).astype(np.int64),
            fidelity="analytic",
        )

    def attention_ps(self, cache_bytes: float, operations: float) -> tuple[int, int]:
        """Return time and bound of decode attention over caches of so many bytes with so many operations: whole rows, or the multipliers."""
        done = operations / self.peak_operations_per_ps
        time = max(cache_bytes / self.system.row_set_bytes * self._mean_cycle_ps, done)
        return priced_one(time, max(cache_bytes / self.peak_bytes_per_ps, done))

    def vector_bytes(self, model: MoEModel) -> int:
        """Return the bytes of vectors to the units and of results back, of one token: every chip takes and returns all of it (U14)."""
        return 2 * model.hidden_size * model.bytes_per_activation * self.system.chips

    def attention_array_bytes(self, cache_bytes: int, operations: int) -> int:
        """Return what units read from the cells for decode attention over a cache: each row once."""
        return cache_bytes
