"""Experts on Duplex' Logic-PIM and on the two designs that it is compared with (HBM3@duplex, docs/pim.md).

All pseudochannels do the same at the same time, so one is simulated. A matrix is cut over the units of all pseudochannels, its inputs over
so many groups of them as leave the fewest columns; the processor adds the partial sums (sieve.md 11.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from moeram.errors import ConfigError, did_you_mean
from moeram.model import MoEModel
from moeram.pim.design import ELEMENT_BYTES, PimDesign, load_design
from moeram.pim.engine import time_program
from moeram.pim.kernels import lower_kernel
from moeram.pim.programs import load_programs

STANDARDS = {"logic": "HBM3@duplex", "bankgroup": "HBM3@duplex-bankgroup", "bank": "HBM3@duplex-bank"}
PSEUDOCHANNELS = 32  # of a stack
_MOST_PARTS = 8
_EXTERNAL_BYTES = 32  # in nCCDS


@dataclass(frozen=True, kw_only=True)
class Units:
    """Units of one level on so many stacks of HBM3 at 5.2 Gb/s."""

    level: str
    stacks: int = 5

    def __post_init__(self) -> None:
        if self.level not in STANDARDS:
            raise ConfigError(f"level {self.level!r} is unknown{did_you_mean(self.level, STANDARDS)}")

    @cached_property
    def design(self) -> PimDesign:
        """The memory of one pseudochannel."""
        return load_design(STANDARDS[self.level])

    @cached_property
    def banks(self) -> int:
        """Banks of a pseudochannel that are read together."""
        banks = 1
        for level in self.design.spans("PIM MAC"):
            banks *= self.design.counts[level]
        return banks

    @cached_property
    def vectors(self) -> int:
        """Vectors that a weight is multiplied with when it is read: also operations a byte."""
        return load_programs(self.design)["gemv"].shape["at_once"] or 1

    @property
    def bytes_per_ps(self) -> float:
        """What all units read with every column command."""
        timing = self.design.facts["timing"]
        step_ps = timing["nCCDL"] * timing["tCK_ps"]
        return self.stacks * PSEUDOCHANNELS * self.banks * self.design.unit.access_bytes / step_ps

    @property
    def external_bytes_per_ps(self) -> float:
        """What the processor reads at most."""
        timing = self.design.facts["timing"]
        return self.stacks * PSEUDOCHANNELS * _EXTERNAL_BYTES / (timing["nCCDS"] * timing["tCK_ps"])

    @property
    def operations_per_ps(self) -> float:
        """Multiplications and additions of all units."""
        return self.bytes_per_ps * self.vectors

    def awake(self) -> float:
        """Share of the time that refresh leaves."""
        timing = self.design.facts["timing"]
        return 1 - timing["nRFC"] / timing["nREFI"]

    def roofline_ps(self, model: MoEModel, tokens: int) -> float:
        """Time of an expert's 16-bit weights and operations at the units' peaks."""
        weights = model.expert_parameters
        return max(weights * ELEMENT_BYTES / self.bytes_per_ps, 2 * weights * tokens / self.operations_per_ps)

    def expert_ps(self, model: MoEModel, tokens: int, *, refresh: bool = True) -> float:
        """Time on the engine of one expert with so many tokens: gate and up together, then down; the activation is the processor's."""
        hidden, inner = model.hidden_size, model.expert_intermediate_size
        return self.matrix_ps(2 * inner, hidden, tokens, refresh=refresh) + self.matrix_ps(
            hidden, inner, tokens, refresh=refresh
        )

    def matrix_ps(self, outputs: int, inputs: int, tokens: int, *, refresh: bool = True) -> float:
        """Time on the engine of one matrix with so many vectors, from bringing them to the last result."""
        tiles, part, _ = self._cut(outputs, inputs)
        shape = {"outputs": tiles * self.banks, "inputs": part, "tokens": tokens, "writers": PSEUDOCHANNELS}
        kernel = lower_kernel(self.design, "gemv", shape)
        return time_program(self.design, kernel.text(), refresh=refresh).time_ns * 1000

    def _cut(self, outputs: int, inputs: int) -> tuple[int, int, int]:
        """Outputs of a bank, inputs of a part, parts."""
        units = self.stacks * PSEUDOCHANNELS * self.banks
        lanes = self.design.lanes_per_access

        def columns(parts: int) -> int:
            return -(-outputs * parts // units) * -(-inputs // (parts * lanes))

        parts = min(range(1, _MOST_PARTS + 1), key=lambda parts: (columns(parts), parts))
        return -(-outputs * parts // units), -(-inputs // parts), parts
