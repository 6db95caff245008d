"""What a serving run leaves behind: a row per request, a row per step, and the times between tokens."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from moeram.hardware.priced import worst
from moeram.serving.requests import Requests
from moeram.serving.step import Peaks, PricedStep, Step


@dataclass(frozen=True, kw_only=True)
class ServingRecord:
    """The whole run.

    requests: what was asked. admitted_ps, first_token_ps, finished_ps: int64 [requests]. steps: columns int64 [steps]: start_ps,
    time_ps, bound_ps, decode_requests, decode_tokens (answers' tokens that came out), prefill_tokens, waiting, kv_tokens (reserved).
    parts_ps, energy_pj, moved_bytes: sums of the run by name. step_parts_ps: part -> int64 [steps]; step_moved_bytes, step_operations:
    likewise, see `PricedStep`. peaks: of the system. gaps_ps, gap_counts: times
    between tokens of a request and how often. fidelity: of the least sure step.
    """

    requests: Requests
    admitted_ps: NDArray[np.int64]
    first_token_ps: NDArray[np.int64]
    finished_ps: NDArray[np.int64]
    steps: Mapping[str, NDArray[np.int64]] = field(repr=False)
    step_parts_ps: Mapping[str, NDArray[np.int64]] = field(repr=False)
    step_moved_bytes: Mapping[str, NDArray[np.int64]] = field(repr=False)
    step_operations: Mapping[str, NDArray[np.int64]] = field(repr=False)
    peaks: Peaks
    energy_pj: Mapping[str, float]
    gaps_ps: NDArray[np.int64] = field(repr=False)
    gap_counts: NDArray[np.int64] = field(repr=False)
    fidelity: str

    @property
    def end_ps(self) -> int:
        """When the last step ended."""
        return int(self.steps["start_ps"][-1] + self.steps["time_ps"][-1])

    @property
    def parts_ps(self) -> dict[str, int]:
        """Busy time of each part over the run."""
        return {part: int(times.sum()) for part, times in self.step_parts_ps.items()}

    @property
    def waiting_pj(self) -> float:
        """Energy between the steps, while nothing runs."""
        span_ps = self.end_ps - int(self.requests.arrival_ps[0])
        return self.peaks.waiting_w * (span_ps - int(self.steps["time_ps"].sum()))

    @property
    def moved_bytes(self) -> dict[str, int]:
        """Bytes of the run by port and what they were."""
        return {name: int(moved.sum()) for name, moved in self.step_moved_bytes.items()}


class Recorder:
    """Collects a run while it goes on."""

    _COLUMNS = (
        "start_ps", "time_ps", "bound_ps", "decode_requests", "decode_tokens", "prefill_tokens", "waiting", "kv_tokens",
    )  # fmt: skip

    def __init__(self, requests: Requests, peaks: Peaks) -> None:
        self._requests, self._peaks = requests, peaks
        unset = np.full(len(requests), -1, dtype=np.int64)
        self.admitted_ps, self.first_token_ps, self.finished_ps = unset.copy(), unset.copy(), unset.copy()
        self._steps = {name: _column() for name in self._COLUMNS}
        self._parts, self._moved, self._operations = _Columns(), _Columns(), _Columns()
        self._energy: Counter[str] = Counter()
        self._gaps: Counter[int] = Counter()
        self._fidelity = "cycle"

    def step(self, step: Step, priced: PricedStep, *, decode_tokens: int, waiting: int, kv_tokens: int) -> None:
        """Add one forward pass."""
        row = (
            step.start_ps, priced.time_ps, priced.bound_ps, len(step.decode), decode_tokens, int(step.chunk_tokens.sum()), waiting,
            kv_tokens,
        )  # fmt: skip
        for name, value in zip(self._COLUMNS, row, strict=True):
            self._steps[name].append(value)
        self._parts.add(priced.parts_ps)
        self._moved.add(priced.moved_bytes)
        self._operations.add(priced.operations)
        for component, energy_pj in priced.energy_pj.items():
            self._energy[component] += energy_pj
        self._fidelity = worst(self._fidelity, priced.fidelity)

    def gaps(self, gaps_ps: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        """Add times between tokens."""
        for gap_ps, count in zip(gaps_ps.tolist(), counts.tolist(), strict=True):
            self._gaps[gap_ps] += count

    def record(self) -> ServingRecord:
        """Return what was collected."""
        gaps = sorted(self._gaps.items())
        return ServingRecord(
            requests=self._requests,
            admitted_ps=self.admitted_ps,
            first_token_ps=self.first_token_ps,
            finished_ps=self.finished_ps,
            steps={name: np.array(column, dtype=np.int64) for name, column in self._steps.items()},
            step_parts_ps=self._parts.arrays(),
            step_moved_bytes=self._moved.arrays(),
            step_operations=self._operations.arrays(),
            peaks=self._peaks,
            energy_pj=dict(self._energy),
            gaps_ps=np.array([gap for gap, _ in gaps], dtype=np.int64),
            gap_counts=np.array([count for _, count in gaps], dtype=np.int64),
            fidelity=self._fidelity,
        )


class _Columns:
    """Values by name of each step; a name that a step does not have is 0 there."""

    def __init__(self) -> None:
        self._columns: dict[str, array[int]] = {}
        self._count = 0

    def add(self, values: Mapping[str, int]) -> None:
        for name, value in values.items():
            column = self._columns.get(name)
            if column is None:
                column = self._columns[name] = _column(self._count)
            elif len(column) < self._count:
                column.extend(_column(self._count - len(column)))
            column.append(value)
        self._count += 1

    def arrays(self) -> dict[str, NDArray[np.int64]]:
        padded = {name: column + _column(self._count - len(column)) for name, column in sorted(self._columns.items())}
        return {name: np.array(column, dtype=np.int64) for name, column in padded.items()}


def _column(zeros: int = 0) -> array[int]:
    """Return numbers of 64 bits that can grow; a list would take five times the memory."""
    return array("q", bytes(8 * zeros))
