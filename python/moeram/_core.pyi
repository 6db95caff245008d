"""Types of the compiled core. Only moeram.hardware.cycle and the doors of moeram.check use it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__version__: str

class NmpConfig:
    """A near-memory chip, its unit and one expert's shape; raises ConfigError for what contradicts the standard."""

    def __init__(self, **fields: str | float | bool) -> None: ...
    def check_capacity(self, batch: int, most_tokens: int) -> None: ...
    @property
    def tck_ps(self) -> int: ...
    @property
    def rows_per_expert(self) -> int: ...
    @property
    def tier_timing(self) -> list[tuple[int, int, dict[str, int]]]: ...

def run_nmp(
    config: NmpConfig,
    layer_begin: NDArray[np.int64],
    expert: NDArray[np.int32],
    first_row: NDArray[np.int32],
    tokens: NDArray[np.int32],
    batch: int | NDArray[np.int64],
    *,
    threads: int = 1,
    skip: bool = True,
    reuse_identical_channels: bool = True,
    reuse_experts: bool = True,
    trace_dir: str = "",
) -> dict[str, Any]: ...
def run_rows(
    config: NmpConfig, row: NDArray[np.int32], write: NDArray[np.bool_], *, skip: bool = True
) -> dict[str, Any]: ...
def run_attention(
    config: NmpConfig,
    layer_begin: NDArray[np.int64],
    head: NDArray[np.int64],
    *,
    units_per_group: int,
    queries_per_head: int,
    head_size: int,
    bytes_per_value: int,
    overlap_softmax: bool = True,
    threads: int = 1,
    skip: bool = True,
    reuse_identical_groups: bool = True,
) -> dict[str, Any]: ...
def run_stream(
    base: NDArray[np.int64],
    extent_bytes: NDArray[np.int64],
    stride_bytes: NDArray[np.int64],
    kind: NDArray[np.int64],
    group: NDArray[np.int64],
    *,
    standard: str,
    organization: str,
    timing: str,
    sizes: dict[str, int] = ...,
    timing_cycles: dict[str, int] = ...,
    stacks: int = 1,
    mapper: str = "RoBaRaCoCh",
    interleave: str = "",
    scheduler: str = "FRFCFS",
    refresh: str = "AllBank",
    row_policy: str = "OpenRowPolicy",
    row_policy_cap: int = ...,
    energy: bool = False,
    voltage: str = "",
    current: str = "",
    interval_cycles: int = 0,
    refresh_phase_cycles: int = 0,
    skip: bool = True,
    fold: bool = True,
    threads: int = 1,
    reuse_identical_channels: bool = True,
) -> dict[str, Any]: ...
def run_ramulator(path: str, *, folder: str = "", strict: bool = False, skip: bool = True) -> tuple[str, list[str]]: ...
def run_queued(
    path: str, *, folder: str = "", command_trace: str = "", strict: bool = False, skip: bool = True
) -> dict[str, Any]: ...
def check_program(path: str, *, folder: str = "") -> list[str]: ...
def lowered_program(path: str, *, folder: str = "") -> list[tuple[int, int, str, int, int, int, str, Any]]: ...
def shipped_standards() -> list[str]: ...
def resolve(
    standard: str, *, organization: str, timing: str, sizes: dict[str, int] = ..., cycles: dict[str, int] = ...
) -> dict[str, Any]: ...
def resolve_config(path: str) -> dict[str, Any]: ...

class DeviceProbe:
    """One channel's device alone, for tests that compare it with another model."""

    def __init__(
        self,
        standard: str,
        *,
        organization: str,
        timing: str,
        sizes: dict[str, int] = ...,
        cycles: dict[str, int] = ...,
    ) -> None: ...
    def prerequisite(self, command: str, address: list[int]) -> str: ...
    def ready_at(self, command: str, address: list[int]) -> int: ...
    def issue(self, command: str, address: list[int], now: int) -> None: ...
    def tick(self, now: int) -> None: ...
    def facts(self) -> dict[str, Any]: ...

def count_lines(pool: NDArray[np.unsignedinteger], chosen: NDArray[np.int64], counts: NDArray[np.int64]) -> None: ...
def group_tokens(
    tokens: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]: ...
def kept_groups(
    tokens: NDArray[np.int64], kept: NDArray[np.int64], kept_ps: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]: ...
def learn(
    table: NDArray[np.float64], tokens: NDArray[np.int64], measured_ps: NDArray[np.float64], weight: float
) -> None: ...
def chain_ends(
    begin: NDArray[np.int64], tokens: NDArray[np.int64], experts: NDArray[np.int64], kept: NDArray[np.int64], copies: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
def greedy_prefix(
    begin: NDArray[np.int64],
    tokens: NDArray[np.int64],
    experts: NDArray[np.int64],
    tables: tuple[NDArray[np.float64], ...],
    rows: tuple[NDArray[np.float64], ...],
) -> NDArray[np.int64]: ...
def few_to_memory(
    begin: NDArray[np.int64],
    tokens: NDArray[np.int64],
    experts: NDArray[np.int64],
    tables: tuple[NDArray[np.float64], ...],
    rows: tuple[NDArray[np.float64], ...],
) -> NDArray[np.int64]: ...
def many_to_gpu(
    begin: NDArray[np.int64],
    tokens: NDArray[np.int64],
    experts: NDArray[np.int64],
    tables: tuple[NDArray[np.float64], ...],
) -> NDArray[np.int64]: ...
def sum_rows(
    begin: NDArray[np.int64],
    tokens: NDArray[np.int64],
    experts: NDArray[np.int64],
    kept: NDArray[np.int64],
    gpu_memory_ps: NDArray[np.float64],
    gpu_compute_ps: NDArray[np.float64],
    kept_ps: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...

def busy_times(*parts_ps: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]: ...
def row_totals(tokens: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def even_exchanges(
    received: NDArray[np.float64], crossing: NDArray[np.float64], farthest: NDArray[np.float64], per_unit: float, per_hop: float
) -> NDArray[np.float64]: ...

class TaskGraph:
    """Tasks (after, resource or -1, together) whose durations are [tasks, rows, copies]; `run` returns ends and busy times of resources."""

    def __init__(self, tasks: list[tuple[list[int], int, bool]]) -> None: ...
    def run(self, durations_ps: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    def rows(
        self, durations_ps: NDArray[np.float64], more_busy_ps: NDArray[np.float64], interleaved: bool
    ) -> NDArray[np.float64]: ...
