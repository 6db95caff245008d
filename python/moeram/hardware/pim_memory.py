"""Memory with a unit at every bank, as closed forms of its timing (fidelity analytic).

The form is that of sieve.md 5.1: for each matrix of an expert the token's vector is written to every channel's buffer, all banks
multiply column by column, results are read. Banks of a channel share the vector, so outputs lie in different banks; what is left of
the banks splits the inputs (K-split), whose partial sums the GPU adds.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from moeram.errors import ConfigError
from moeram.hardware.memory_energy import MemoryEnergy
from moeram.hardware.priced import Priced, priced_one
from moeram.model import MoEModel
from moeram.options import Options
from moeram.units import Bytes, GbPerS, Ns, Ps

Count = Annotated[int, Field(ge=1)]
ELEMENT_BYTES = 2
_MOST_SPLITS = 64


class MatrixCut(NamedTuple):
    """What one pseudochannel does for its part of a matrix: 32-byte columns of the vector, of each bank, of the results."""

    vector_columns: int
    columns: int
    result_columns: int


class PimMemory(Options):
    """The memory of one GPU; timing in cycles of tck_ps. See configs/memories/hbm3e_pim.yaml for the meaning of each value.

    layout: "k_split" or "output_split" (every output wholly in one bank, banks without one idle).
    least_use: a K-split is as coarse as uses this share of the units. attention_overhead: time of decode
    attention over the time of its cache's bytes at the units' peak. standard: the declaration on which the cycle engine plays its
    programs, None: there is none.
    """

    kind: Literal["bank_units"]
    name: str
    description: str
    standard: Literal["HBM3@sieve"] | None = None
    stacks: Count
    pseudochannels_per_stack: Count
    banks_per_pseudochannel: Count
    capacity_bytes: Annotated[Bytes, Field(ge=1)]
    external_gb_per_s: Annotated[GbPerS, Field(gt=0)]
    row_bytes: Annotated[Bytes, Field(ge=1)]
    column_bytes: Annotated[Bytes, Field(ge=1)]
    lanes: Count
    accumulator_bytes: Count
    dual_row_buffer: bool
    layout: Literal["k_split", "output_split"]
    least_use: Annotated[float, Field(gt=0, le=1)]
    attention_overhead: Annotated[float, Field(ge=1)]
    tck_ps: Annotated[Ps, Field(ge=1)]
    nrcd: Count
    nrp: Count
    ncl: Count
    nccd_s: Count
    nccd_l: Count
    nrtp: Count
    nbl: Count
    refresh_interval_ns: Annotated[Ns, Field(gt=0)]
    refresh_ns: Annotated[Ns, Field(ge=0)]
    energy: MemoryEnergy

    @model_validator(mode="after")
    def _time_between_refreshes(self) -> PimMemory:
        if self.refresh_ns >= self.refresh_interval_ns:
            raise ValueError(f"a refresh of {self.refresh_ns} ns every {self.refresh_interval_ns} ns leaves no time")
        return self

    @property
    def channels(self) -> int:
        """Pseudochannels of all stacks."""
        return self.stacks * self.pseudochannels_per_stack

    @property
    def units(self) -> int:
        """Units of all banks."""
        return self.channels * self.banks_per_pseudochannel

    @property
    def reads_weights_for_each_token(self) -> bool:
        """Whether an expert's weights are read anew for each of its tokens."""
        return True

    @property
    def awake(self) -> float:
        """Share of the time that refresh leaves."""
        return 1 - self.refresh_ns / self.refresh_interval_ns

    @property
    def peak_bytes_per_ps(self) -> float:
        """What all units read with every column command: a column each in tCCD_L."""
        return self.units * self.column_bytes / (self.nccd_l * self.tck_ps)

    @property
    def peak_operations_per_ps(self) -> float:
        """What all lanes do: a multiplication and an addition each with every column command."""
        return self.units * self.lanes * 2 / (self.nccd_l * self.tck_ps)

    def roofline_ps(self, model: MoEModel) -> float:
        """Time of one token's expert at the units' peak."""
        return model.expert_bytes / self.peak_bytes_per_ps

    def token_ps(self, model: MoEModel) -> float:
        """Time of one token through one expert: gate and up together, then down; the activation is the GPU's (X6).

        Raises:
            ConfigError: weights that are not 16 bits wide.
        """
        if model.bytes_per_weight != ELEMENT_BYTES or not model.precision.experts.whole_bytes:
            raise ConfigError(
                f"{self.name}: units multiply 16-bit weights, {model.name} has {model.precision.experts.name}"
            )
        cycles = sum(self._cycles(cut) for cut in self.phases(model))
        return cycles * self.tck_ps / self.awake

    def expert_ps(self, tokens: NDArray[np.int64], model: MoEModel) -> Priced:
        """Price experts with so many tokens each [n]: a chain of single tokens without reuse of weights (sieve.md 5)."""
        return Priced(
            time_ps=np.ceil(tokens * self.token_ps(model)).astype(np.int64),
            bound_ps=np.floor(tokens * self.roofline_ps(model)).astype(np.int64),
            fidelity="analytic",
        )

    def attention_ps(self, cache_bytes: float, operations: float) -> tuple[int, int]:
        """Return time and bound of decode attention over caches of so many bytes with so many operations, spread over all channels.

        A unit reads a cache row once for each query head of its group (sieve.md 5.2): its lanes bound it, not its bytes.
        """
        bound = max(cache_bytes / self.peak_bytes_per_ps, operations / self.peak_operations_per_ps)
        return priced_one(bound * self.attention_overhead / self.awake, bound)

    def vector_bytes(self, model: MoEModel) -> int:
        """Vectors that are written to every pseudochannel, and results, of one token through one expert."""
        columns = sum(cut.vector_columns + cut.result_columns for cut in self.phases(model))
        return columns * self.column_bytes * self.channels

    def attention_array_bytes(self, cache_bytes: int, operations: int) -> int:
        """A unit reads an element anew for every multiplication: for each query head of its group and each token."""
        return operations // 2 * ELEMENT_BYTES

    def phases(self, model: MoEModel) -> tuple[MatrixCut, MatrixCut]:
        """The matrices of one expert that are multiplied one after the other: gate and up together, then down."""
        hidden, inner = model.hidden_size, model.expert_intermediate_size
        return self.cut(2 * inner, hidden), self.cut(hidden, inner)

    def cut(self, outputs: int, inputs: int, channels: int | None = None) -> MatrixCut:
        """Cut a matrix over some channels (None: all) as coarsely as keeps the units used: finer cuts leave more partial sums to the GPU."""
        units = (channels or self.channels) * self.banks_per_pseudochannel
        if self.layout == "output_split":
            return self._cut(outputs, inputs, 1, units)
        used = {split: outputs * split / (-(-outputs * split // units) * units) for split in range(1, _MOST_SPLITS)}
        enough = min(self.least_use, max(used.values()))
        return self._cut(outputs, inputs, next(split for split, share in used.items() if share >= enough), units)

    def _cut(self, outputs: int, inputs: int, split: int, units: int) -> MatrixCut:
        part = -(-inputs // split)
        tiles = -(-outputs * split // units)
        return MatrixCut(
            vector_columns=-(-part * ELEMENT_BYTES // self.column_bytes),
            columns=tiles * -(-part // self.lanes),
            result_columns=-(-tiles * self.banks_per_pseudochannel * self.accumulator_bytes // self.column_bytes),
        )

    def _cycles(self, cut: MatrixCut) -> int:
        rows = -(-cut.columns * self.column_bytes // self.row_bytes)
        # The next row opens behind the multiplications where a second row buffer holds it.
        opened = 1 if self.dual_row_buffer else rows
        row_overhead = opened * (self.nrcd + self.nrtp - self.nccd_l + self.nrp)
        read = cut.result_columns * self.nccd_s + self.ncl + self.nbl
        return cut.vector_columns * self.nccd_s + cut.columns * self.nccd_l + row_overhead + read
