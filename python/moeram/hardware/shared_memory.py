"""Reads of the GPU and programs of the units on one memory, by the cycle engine: what each side loses while the other works.

One pseudochannel of HBM3@sieve is simulated, all others do the same. The GPU reads rows one after the other, neighbouring columns from
all bank groups in turn, as fast as it may; the units play tokens through experts (sieve.md 5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from moeram.errors import ConfigError, EngineError
from moeram.hardware.cycle import engine_and_standard
from moeram.hardware.memo import KernelMemo, memo_key
from moeram.hardware.pim_memory import PimMemory
from moeram.hardware.pim_programs import expert_program, pseudochannel
from moeram.hardware.program_runs import ProgramMemory, play_program
from moeram.model import MoEModel
from moeram.options import Options

_POLICIES = {
    "host_first": "HostFirst", "units_first": "UnitsFirst", "oldest_first": "OldestFirst", "time_slices": "TimeSlices",
}  # fmt: skip
# Refresh intervals that a chain of tokens lasts at least, so that the phase of the first hardly counts.
_REFRESH_INTERVALS = 16
_READS = {"impl": "Stream", "order": ["bankgroup", "column", "bank", "row"]}
_Cycles = Annotated[int, Field(ge=0)]


class SharingOptions(Options):
    """Who goes first on a memory that GPU and units share, in cycles of the memory; see docs/pim.md.

    row_buffers: "split", one of each bank for the GPU and one for the units (NeuPIMs), or "alternating", rows of both sides in both.
    cap: of host_first and units_first, 0: none. host_slice, units_slice: of time_slices.
    """

    policy: Literal["host_first", "units_first", "oldest_first", "time_slices"] = "units_first"
    row_buffers: Literal["split", "alternating"] = "split"
    cap: _Cycles = 0
    host_slice: _Cycles = 0
    units_slice: _Cycles = 0

    @model_validator(mode="after")
    def _goes_with_its_policy(self) -> SharingOptions:
        prefers = self.policy in ("host_first", "units_first")
        if self.cap and not prefers:
            raise ValueError(f"cap: {self.policy} has none, allowed: with host_first and units_first")
        slices = self.policy == "time_slices"
        if bool(self.host_slice) != slices or bool(self.units_slice) != slices:
            raise ValueError("host_slice and units_slice: both go with time_slices, and with nothing else")
        if self.policy == "host_first" and self.row_buffers == "alternating" and not self.cap:
            raise ValueError("host_first with alternating row buffers never lets the units go on beside endless reads; give a cap, such as 2000")
        return self

    def as_engine_has_it(self) -> dict[str, Any]:
        """Return the map `Controller.Sharing`."""
        given = {"cap": self.cap, "host_slice": self.host_slice, "units_slice": self.units_slice}
        return {"impl": _POLICIES[self.policy], **{name: value for name, value in given.items() if value}}


@dataclass(frozen=True, kw_only=True)
class SharedTimes:
    """Reads and a chain of tokens that begin together: until each is done, and until it would be without the other."""

    read_ps: int
    read_alone_ps: int
    units_ps: int
    units_alone_ps: int


@dataclass(frozen=True, kw_only=True)
class Slowdowns:
    """How many times longer each side takes as long as the other works without a pause.

    units_apart: the units' program beside which no one reads any more; above 1 where it keeps to one of two row buffers.
    """

    host: float
    units: float
    units_apart: float = 1.0

    def together_ps(self, read_ps: ArrayLike, units_ps: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return when reads and the units' work [...] that begin together are done, from their times alone.

        Both go on at their slowed rates until one is done, the other then at its own. Where nothing is read, the units' time is that alone.
        """
        read, units = np.asarray(read_ps, float), np.asarray(units_ps, float)
        both = np.minimum(read * self.host, units * self.units)
        reads_on = both + (read - both / self.host)
        units_on = both + (units - both / self.units) * np.where(read > 0, self.units_apart, 1.0)
        return reads_on, units_on


class SharedMemory:
    """The memory of one GPU that its units and the GPU use at the same time; results are kept in the memo.

    Raises:
        ConfigError: units at the banks whose row buffers cannot be split, as there is one.
    """

    def __init__(
        self, memory: PimMemory, model: MoEModel, options: SharingOptions | None = None, memo: KernelMemo | None = None
    ) -> None:
        self.options = options or SharingOptions()
        if self.options.row_buffers == "split" and not memory.dual_row_buffer:
            raise ConfigError(f"{memory.name}: one row buffer cannot be split; row_buffers: alternating")
        self.memory, self.model, self._memo = memory, model, memo

    def times(self, tokens: int, read_bytes: int) -> SharedTimes:
        """Return the times of reading so many bytes of the whole memory while so many tokens pass through experts, one after another.

        Alone, the units use both row buffers.
        """
        requests = -(-read_bytes // (self.memory.channels * self.memory.column_bytes))
        read, read_alone, units, _, _, units_alone, _ = self._played(tokens, requests)
        tck = self.memory.tck_ps
        return SharedTimes(
            read_ps=read * tck, read_alone_ps=read_alone * tck, units_ps=units * tck, units_alone_ps=units_alone * tck
        )

    def slowdowns(self) -> Slowdowns:
        """Return the slowdowns, measured over many refreshes; the units' against their chain alone with all row buffers."""
        interval = self.memory.refresh_interval_ns * 1000
        tokens = int(np.ceil(_REFRESH_INTERVALS * interval / self.memory.token_ps(self.model)))
        _, _, units, read, apart, units_alone, read_alone = self._played(tokens, 0)
        if read == 0:
            raise EngineError(f"{self.memory.name}: beside the units nothing was read at all ({self.options.policy})")
        return Slowdowns(host=read_alone / read, units=units / units_alone, units_apart=apart / units_alone)

    def _played(self, tokens: int, requests: int) -> list[int]:
        """Return cycles of the reads together and alone; of the units together, with the reads done meanwhile; of the units' program
        apart from the reads; of the units alone in all row buffers; and the reads that were done alone.

        requests 0: reads without end, whose cycles are then those of the units together.
        """
        buffer = 1 if self.options.row_buffers == "split" else None
        host = _READS | ({"requests": requests} if requests else {})
        alone_there = pseudochannel(self.memory)
        together = replace(alone_there, host=host, sharing=self.options.as_engine_has_it())
        program = expert_program(self.memory, self.model, tokens, row_buffer=buffer)
        alone = expert_program(self.memory, self.model, tokens)
        key = memo_key("shared memory", engine_and_standard(together.standard), together.configuration(), program, alone)
        found = self._memo.get(key) if self._memo is not None else None
        if found is None:
            found = {"cycles": np.array(_play_both(together, program, alone_there, alone), dtype=np.int64)}
            if self._memo is not None:
                self._memo.put(key, found)
        return found["cycles"].tolist()


def _play_both(together: ProgramMemory, program: str, plain: ProgramMemory, alone: str) -> list[int]:
    answer = play_program(together, program)["sharing"]
    host, units = answer["host"], answer["units"]
    units_alone = units["cycles_alone"] if program == alone else play_program(plain, alone)["memory_system_cycles"]
    return [
        host["cycles"], host["cycles_alone"], units["cycles"], host["requests"], units["cycles_alone"], units_alone,
        host["requests_alone"],
    ]  # fmt: skip
