"""Memory with units on its logic die (Duplex, sieve.md 11.1), as a roofline of its own bandwidth and lanes (fidelity analytic).

The units read through more TSVs than the processor, and their matrices reuse a weight for all tokens of an expert: 8 operations a byte
against 1 of units at the banks.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from moeram.hardware.memory_energy import MemoryEnergy
from moeram.hardware.priced import Priced, priced_one
from moeram.model import MoEModel
from moeram.options import Options
from moeram.units import Bytes, GbPerS, Ns

OPERATIONS_PER_WEIGHT = 2


class LogicMemory(Options):
    """The memory of one GPU. bandwidth_gain: of the units over the external port. efficiency: of their peaks that is reached."""

    kind: Literal["logic_units"]
    name: str
    description: str
    stacks: Annotated[int, Field(ge=1)]
    capacity_bytes: Annotated[Bytes, Field(ge=1)]
    external_gb_per_s: Annotated[GbPerS, Field(gt=0)]
    bandwidth_gain: Annotated[float, Field(ge=1)]
    tflops_per_stack: Annotated[float, Field(gt=0)]
    efficiency: Annotated[float, Field(gt=0, le=1)]
    refresh_interval_ns: Annotated[Ns, Field(gt=0)]
    refresh_ns: Annotated[Ns, Field(ge=0)]
    energy: MemoryEnergy

    @model_validator(mode="after")
    def _time_between_refreshes(self) -> LogicMemory:
        if self.refresh_ns >= self.refresh_interval_ns:
            raise ValueError(f"a refresh of {self.refresh_ns} ns every {self.refresh_interval_ns} ns leaves no time")
        return self

    @property
    def reads_weights_for_each_token(self) -> bool:
        """Whether an expert's weights are read anew for each of its tokens."""
        return False

    @property
    def awake(self) -> float:
        """Share of the time that refresh leaves."""
        return 1 - self.refresh_ns / self.refresh_interval_ns

    @property
    def peak_bytes_per_ps(self) -> float:
        """What the units read at most."""
        return self.external_gb_per_s * self.bandwidth_gain * 1e-3

    @property
    def peak_operations_per_ps(self) -> float:
        """What the units compute at most."""
        return self.tflops_per_stack * self.stacks

    def expert_ps(self, tokens: NDArray[np.int64], model: MoEModel) -> Priced:
        """Price experts with so many tokens each [n]; weights are read once, those of experts without tokens not at all."""
        moved, operations = (tokens > 0) * model.expert_bytes, OPERATIONS_PER_WEIGHT * model.expert_parameters * tokens
        bound = np.maximum(moved / self.peak_bytes_per_ps, operations / self.peak_operations_per_ps)
        return Priced(
            time_ps=np.ceil(bound / (self.efficiency * self.awake)).astype(np.int64),
            bound_ps=np.floor(bound).astype(np.int64),
            fidelity="analytic",
        )

    def attention_ps(self, cache_bytes: float, operations: float) -> tuple[int, int]:
        """Return time and bound of decode attention over caches of so many bytes with so many operations."""
        bound = max(cache_bytes / self.peak_bytes_per_ps, operations / self.peak_operations_per_ps)
        return priced_one(bound / (self.efficiency * self.awake), bound)

    def vector_bytes(self, model: MoEModel) -> int:
        """Every stack has a slice of an expert (sieve.md 11.1): it gets the whole vector and returns partial results as large."""
        return 2 * self.stacks * model.hidden_size * model.bytes_per_activation

    def attention_array_bytes(self, cache_bytes: int, operations: int) -> int:
        """The cache, once for all heads and tokens that read it."""
        return cache_bytes
